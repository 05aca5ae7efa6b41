"""Outputs of a predictor for rows given as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch, Features
from sparkml_algos.rows.predictor import Load


def predicted(load: Load, artifact: Artifact, rows: Features, hyperparameters: Hyperparameters | None = None) -> Mapping[str, Any]:
    """What a predictor that is loaded for them alone says of the rows."""
    return load(artifact, hyperparameters or Hyperparameters(), "cpu")(Batch(features=rows))

"""What scores rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch

#: Outputs by name, an entry per row: ndarray, `Ragged` or Arrow array. Only the outputs that are wanted are looked up.
Predictor = Callable[[Batch], Mapping[str, Any]]

#: ``load(artifact, hyperparameters, device) -> predictor``, called once by a task or server.
Load = Callable[[Artifact, Hyperparameters, str], Predictor]


def predicting(predict: Callable[..., Mapping[str, Any]]) -> Load:
    """A `Load` from a function of artifact, features and hyperparameters that has nothing to prepare."""

    def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Predictor:
        def predictor(batch: Batch) -> Mapping[str, Any]:
            offset = {} if batch.base_margin is None else {"base_margin": batch.base_margin}
            return predict(artifact, batch.features, hyperparameters, **offset)

        return predictor

    return load

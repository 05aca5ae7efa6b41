"""Coordinates along the components, and the way back."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Features


def predict(artifact: Artifact, features: Features, hyperparameters: Hyperparameters) -> dict[str, np.ndarray]:
    """Coordinates along the components.

    Returns
    -------
    dict
        ``projection`` (rows, num_components) float64.
    """
    axes, mean = artifact.arrays["components"].T, artifact.arrays["mean"]
    if sp.issparse(features):
        return {"projection": features @ axes - mean @ axes}
    rounded = mean.astype(np.float32)  # float32 is enough for what is left of a row, not for the mean itself
    return {"projection": (features - rounded) @ axes.astype(np.float32) - (mean - rounded) @ axes}


def reconstruct(artifact: Artifact, projections: Features, hyperparameters: Hyperparameters) -> dict[str, np.ndarray]:
    """Points of feature space.

    Returns
    -------
    dict
        ``reconstruction`` (rows, features) float64.
    """
    return {"reconstruction": projections @ artifact.arrays["components"] + artifact.arrays["mean"]}

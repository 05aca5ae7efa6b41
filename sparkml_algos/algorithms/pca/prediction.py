"""Coordinates along the components, and the way back."""

from __future__ import annotations

import functools

import numpy as np
import scipy.sparse as sp

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch

# Of the component of least variance: how far from the mean a row may be, to be multiplied in float32.
TRUSTED_DEVIATIONS = 100.0


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Projection:
    """A predictor of ``projection`` (rows, num_components) float64: coordinates along the components.

    Parameters
    ----------
    artifact : Artifact
        From `training.finalize`.
    hyperparameters : Hyperparameters
        Not needed.
    device : str
        Ignored: rows are multiplied on the CPU.
    """
    return Projection(artifact)


def load_reconstructing(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Reconstruction:
    """A predictor of ``reconstruction`` (rows, features) float64, the points of feature space that projections stand for; `load` tells
    the parameters."""
    return Reconstruction(artifact)


class Projection:
    """Projects the rows of a batch. The axes are made ready for dense or sparse rows when the first of such come.

    Products in float32 have an error of about 1e-7 of the row's distance from the mean. It is to be small compared with the standard
    deviation along every component, so rows far away are multiplied in float64.
    """

    def __init__(self, artifact: Artifact) -> None:
        self._components, self._mean = artifact.arrays["components"], artifact.arrays["mean"]
        variances = artifact.arrays.get("explained_variance", np.zeros(1))
        self._trusted_square = TRUSTED_DEVIATIONS**2 * float(variances.min(initial=np.inf))

    def __call__(self, batch: Batch) -> dict[str, np.ndarray]:
        if sp.issparse(batch.features):
            axes, offset = self._sparse
            return {"projection": batch.features @ axes - offset}
        rounded, axes, offset = self._dense
        centred = batch.features - rounded
        projection = centred @ axes - offset
        far = np.flatnonzero(~(np.einsum("ij,ij->i", centred, centred) <= self._trusted_square))
        if len(far):
            projection[far] = (batch.features[far].astype(np.float64) - self._mean) @ self._components.T
        return {"projection": projection}

    @functools.cached_property
    def _sparse(self) -> tuple[np.ndarray, np.ndarray]:
        """Axes, and what the mean adds to every projection."""
        axes = np.ascontiguousarray(self._components.T)
        return axes, self._mean @ axes

    @functools.cached_property
    def _dense(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The mean and the axes in float32, which is enough for what is left of a row, and what rounding takes from the mean."""
        rounded = self._mean.astype(np.float32)
        return rounded, self._components.astype(np.float32).T, (self._mean - rounded) @ self._components.T


class Reconstruction:
    """Finds the points of the projections of a batch."""

    def __init__(self, artifact: Artifact) -> None:
        self._components, self._mean = artifact.arrays["components"], artifact.arrays["mean"]

    def __call__(self, batch: Batch) -> dict[str, np.ndarray]:
        return {"reconstruction": batch.features @ self._components + self._mean}

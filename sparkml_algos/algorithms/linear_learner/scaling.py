"""Normalising of features and labels, without giving up the zeros of sparse rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch, Features

# Numbers of a sample that are turned to float64 at a time.
BLOCK = 1 << 20
# Deviations that values may lie from the origin for 32 bits to suffice: of their 24 binary digits 20 are left for what tells rows apart. A
# column of a sparse matrix lies further off only if more than 99.6 % of its values are stored.
FAR = 16.0


@dataclass(frozen=True)
class Scaling:
    """Features z = (x − shift) / scale, labels t = (y − label_shift) / label_scale.

    Attributes
    ----------
    shift, scale : ndarray of float64, shape (features,)
        Zeros and ones where nothing is to be done. Shifts are numbers of 32 bits, so that what is subtracted from rows is what the weights
        are corrected by.
    label_shift, label_scale : float
    is_far, is_far_unshifted : bool
        Whether 64 bits are needed for rows and labels as they are trained on, and where the shift of features is left to the bias.
    """

    shift: np.ndarray
    scale: np.ndarray
    label_shift: float = 0.0
    label_scale: float = 1.0
    is_far: bool = False
    is_far_unshifted: bool = False

    @property
    def dtype(self) -> type[np.floating]:
        """Of what is trained."""
        return np.float64 if self.is_far else np.float32

    def label(self, label: np.ndarray) -> np.ndarray:
        """Labels as they are trained on."""
        if self.label_shift == 0 and self.label_scale == 1:
            return label
        return ((label.astype(np.float64) - self.label_shift) / self.label_scale).astype(self.dtype)

    def unscaled(self, weights: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights (outputs, features) and bias (outputs,) that give the same predictions, in the label's own units, from features as they
        are."""
        weights = weights.astype(np.float64) / self.scale
        bias = bias.astype(np.float64) - weights @ self.shift
        return weights * self.label_scale, bias * self.label_scale + self.label_shift

    def to_artifact(self) -> Artifact:
        """All of it, for a checkpoint."""
        values = {name: getattr(self, name) for name in ("label_shift", "label_scale", "is_far", "is_far_unshifted")}
        return Artifact({"shift": self.shift, "scale": self.scale}, values)

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> Scaling:
        """From what `to_artifact` gave."""
        return cls(artifact.arrays["shift"], artifact.arrays["scale"], **artifact.values)


def estimate(hyperparameters: Hyperparameters, sample: Batch, communicator: Communicator) -> Scaling:
    """Means and deviations of a sample of all workers; a constant keeps its scale."""
    mean, deviation = _moments(sample.features, sample.weights, communicator)
    has_bias = hyperparameters.use_bias
    shift = mean.astype(np.float32).astype(np.float64) if has_bias and _or_auto(hyperparameters.unbias_data) else np.zeros_like(mean)
    scale = deviation if _or_auto(hyperparameters.normalize_data) else np.ones_like(mean)
    is_far, is_far_unshifted = _is_far(mean - shift, deviation), _is_far(mean, deviation)
    if hyperparameters.predictor_type != "regressor":
        return Scaling(shift, scale, is_far=is_far, is_far_unshifted=is_far_unshifted)
    (mean,), (deviation,) = _moments(sample.label.reshape(-1, 1), sample.weights, communicator)
    label_shift = float(mean) if has_bias and _or_auto(hyperparameters.unbias_label) else 0.0
    label_scale = float(deviation) if _or_auto(hyperparameters.normalize_label) else 1.0
    is_far = is_far or _is_far(mean - label_shift, deviation)
    return Scaling(shift, scale, label_shift, label_scale, is_far, is_far or is_far_unshifted)


def _is_far(mean: np.ndarray, deviation: np.ndarray) -> bool:
    return bool((np.abs(mean) > FAR * deviation).any())


def _or_auto(value: bool | str) -> bool:
    return value is True or value == "auto"


def _moments(rows: Features, weights: np.ndarray, communicator: Communicator) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and deviation of each column over all workers, float64; a deviation of 0 is given as 1."""
    sums = np.zeros(rows.shape[1] + 1)
    for block, weight in _blocks(rows, weights):
        sums[:-1] += block.T @ weight
    sums[-1] = weights.sum()
    sums = communicator.allreduce(sums)
    total = sums[-1]
    mean = sums[:-1] / total
    squares = np.zeros(rows.shape[1])
    for block, weight in _blocks(rows, weights):
        if sp.issparse(block):
            stored = sp.csr_matrix((np.ones_like(block.data), block.indices, block.indptr), shape=block.shape)
            block.data = (block.data - mean[block.indices]) ** 2
            squares += block.T @ weight + mean**2 * np.maximum(weight.sum() - stored.T @ weight, 0)
        else:
            squares += weight @ (block - mean) ** 2
    variance = communicator.allreduce(squares) / total
    # Rounding leaves a trace of variance in a column of one value.
    deviation = np.sqrt(np.where(variance > (1e-7 * mean) ** 2, variance, 1.0))
    return mean, deviation


def _blocks(rows: Features, weights: np.ndarray) -> Iterator[tuple[Features, np.ndarray]]:
    """Some rows at a time, in float64."""
    step = max(1, BLOCK // max(1, rows.shape[1])) if isinstance(rows, np.ndarray) else max(1, rows.shape[0])
    for start in range(0, rows.shape[0], step):
        yield rows[start : start + step].astype(np.float64), weights[start : start + step]

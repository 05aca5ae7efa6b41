"""Normalising of features and labels, without giving up the zeros of sparse rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch, Features
from sparkml_algos.training.job import Job

# Numbers of a sample that are turned to float64 at a time.
BLOCK = 1 << 20


@dataclass(frozen=True)
class Scaling:
    """Features z = (x − shift) / scale, labels t = (y − label_shift) / label_scale.

    Attributes
    ----------
    shift, scale : ndarray of float64, shape (features,)
        Zeros and ones where nothing is to be done.
    label_shift, label_scale : float
    """

    shift: np.ndarray
    scale: np.ndarray
    label_shift: float = 0.0
    label_scale: float = 1.0

    def label(self, label: np.ndarray) -> np.ndarray:
        """Labels as they are trained on."""
        if self.label_shift == 0 and self.label_scale == 1:
            return label
        return ((label.astype(np.float64) - self.label_shift) / self.label_scale).astype(np.float32)

    def unscaled(self, weights: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights (outputs, features) and bias (outputs,) that give the same predictions, in the label's own units, from features as they
        are."""
        weights = weights.astype(np.float64) / self.scale
        bias = bias.astype(np.float64) - weights @ self.shift
        return weights * self.label_scale, bias * self.label_scale + self.label_shift


def estimate(hyperparameters: Hyperparameters, sample: Batch, communicator: Communicator) -> Scaling:
    """Means and deviations of a sample of all workers; a constant keeps its scale."""
    mean, deviation = _moments(sample.features, sample.weights, communicator)
    has_bias = hyperparameters.use_bias
    shift = has_bias and _or_auto(hyperparameters.unbias_data)
    scale = _or_auto(hyperparameters.normalize_data)
    scaling = (mean if shift else np.zeros_like(mean), deviation if scale else np.ones_like(mean))
    if hyperparameters.predictor_type != "regressor":
        return Scaling(*scaling)
    label = sample.label.reshape(-1, 1)
    mean, deviation = _moments(label, sample.weights, communicator)
    shift, scale = has_bias and _or_auto(hyperparameters.unbias_label), _or_auto(hyperparameters.normalize_label)
    return Scaling(*scaling, float(mean[0]) if shift else 0.0, float(deviation[0]) if scale else 1.0)


def draw_sample(rows: int, job: Job, communicator: Communicator) -> Batch:
    """This worker's share of a sample of so many training rows; all of them if there are no more."""
    total = job.total_rows()
    share = -(-rows // communicator.size) if total is None else -(-rows * job.shard.num_rows // max(total, 1))
    return job.shard.head(min(rows, share))


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
            # (x − m)² − m² of the stored values only; the zeros bring m² each, added below for all rows at once.
            block.data = block.data * (block.data - 2 * mean[block.indices])
            squares += block.T @ weight + mean**2 * weight.sum()
        else:
            squares += weight @ (block - mean) ** 2
    variance = np.maximum(communicator.allreduce(squares), 0) / total
    # Rounding leaves a trace of variance in a column of one value.
    deviation = np.sqrt(np.where(variance > (1e-7 * mean) ** 2, variance, 1.0))
    return mean, deviation


def _blocks(rows: Features, weights: np.ndarray) -> Iterator[tuple[Features, np.ndarray]]:
    """Some rows at a time, in float64."""
    step = max(1, BLOCK // max(1, rows.shape[1])) if isinstance(rows, np.ndarray) else max(1, rows.shape[0])
    for start in range(0, rows.shape[0], step):
        yield rows[start : start + step].astype(np.float64), weights[start : start + step]

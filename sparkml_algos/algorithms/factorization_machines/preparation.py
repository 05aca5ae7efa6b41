"""What a factorization machine finds out from the rows before its first epoch; a training that is resumed goes on with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import scipy.sparse as sp

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.job import Job
from sparkml_algos.training.sampling import share_of_sample

# Rows of the sample; the mean and the deviation of a label are known to a hundredth of the latter.
SAMPLE_ROWS = 10_000
# Values from which on 32 bits are too few for the pairs of features, whose sum is a small difference between sums of squares.
LARGE = 256.0
# Values that no learning rate made for ones can cope with.
TOO_LARGE = 1000.0


@dataclass(frozen=True)
class Preparation:
    """Labels as they are trained on, t = (y − label_shift) / label_scale, and the numbers that are computed with.

    Attributes
    ----------
    label_shift, label_scale : float
        0 and 1 of a classifier.
    is_large : bool
        Whether some features are so large that 64 bits are needed.
    """

    label_shift: float = 0.0
    label_scale: float = 1.0
    is_large: bool = False

    @property
    def dtype(self) -> type[np.floating]:
        """Of the arithmetic; parameters have 32 bits."""
        return np.float64 if self.is_large else np.float32

    def label(self, label: np.ndarray) -> np.ndarray:
        """Labels as they are trained on."""
        if self.label_shift == 0 and self.label_scale == 1:
            return label
        return ((label.astype(np.float64) - self.label_shift) / self.label_scale).astype(np.float32)

    def to_artifact(self) -> Artifact:
        """All of it, for a checkpoint."""
        return Artifact(values=asdict(self))

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> Preparation:
        """From what `to_artifact` gave."""
        return cls(**artifact.values)


def prepare(hyperparameters: Hyperparameters, job: Job, communicator: Communicator) -> Preparation:
    """Find it out from a sample of the rows."""
    sample = share_of_sample(SAMPLE_ROWS, job)
    values = sample.features.data if sp.issparse(sample.features) else sample.features
    largest = float(communicator.allreduce(np.array([np.abs(values).max(initial=0.0)], np.float64), "max")[0])
    if largest > TOO_LARGE:
        job.warn(
            f"features reach {largest:g}, and factorization machines take them as they are: learning rates that suit others make no use of "
            "such; scale them to about 1, with StandardScaler or MaxAbsScaler"
        )
    shift, scale = 0.0, 1.0
    if hyperparameters.predictor_type == "regressor" and hyperparameters.normalize_label in (True, "auto"):
        shift, scale = _moments(sample, communicator)
    return Preparation(shift, scale, largest > LARGE)


def _moments(sample: Batch, communicator: Communicator) -> tuple[float, float]:
    """Weighted mean and deviation of the label over all workers; a deviation of 0 is given as 1."""
    label, weight = sample.label.astype(np.float64), sample.weights
    total, summed = communicator.allreduce(np.array([weight.sum(), weight @ label]))
    mean = summed / total
    variance = float(communicator.allreduce(np.array([weight @ (label - mean) ** 2]))[0]) / total
    return float(mean), float(np.sqrt(variance)) if variance > (1e-7 * mean) ** 2 else 1.0

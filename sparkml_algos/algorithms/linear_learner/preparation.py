"""What a linear learner finds out from the rows before its first epoch; a training that is resumed goes on with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparkml_algos.algorithms.linear_learner.candidates import Candidate, make_candidates
from sparkml_algos.algorithms.linear_learner.scaling import Scaling, estimate
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training.job import Job
from sparkml_algos.training.sampling import share_of_sample


@dataclass(frozen=True)
class Preparation:
    """Scales, candidates, classes and what these weigh.

    Attributes
    ----------
    scaling : Scaling
    candidates : list of Candidate
    outputs : int
        Classes of a multiclass classifier; else 1.
    class_weights : ndarray of float64, shape (classes,), or None
        What rows weigh by their class.
    """

    scaling: Scaling
    candidates: list[Candidate]
    outputs: int
    class_weights: np.ndarray | None

    def to_artifact(self) -> Artifact:
        """All of it, for a checkpoint."""
        scaling = self.scaling.to_artifact()
        weights = {} if self.class_weights is None else {"class_weights": self.class_weights}
        values = {"scaling": scaling.values, "candidates": [one.to_dict() for one in self.candidates], "outputs": self.outputs}
        return Artifact(scaling.arrays | weights, values)

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> Preparation:
        """From what `to_artifact` gave."""
        scaling = Scaling.from_artifact(Artifact(artifact.arrays, artifact.values["scaling"]))
        candidates = [Candidate(**one) for one in artifact.values["candidates"]]
        return cls(scaling, candidates, artifact.values["outputs"], artifact.arrays.get("class_weights"))


def prepare(hyperparameters: Hyperparameters, job: Job, communicator: Communicator) -> Preparation:
    """Find it out from a sample of the rows, and from the largest label."""
    sample = share_of_sample(hyperparameters.num_point_for_scaler, job)
    scaling = estimate(hyperparameters, sample, communicator)
    outputs = _num_outputs(hyperparameters, job, communicator)
    counts = _class_counts(sample, max(outputs, 2), communicator) if hyperparameters.predictor_type != "regressor" else None
    candidates = make_candidates(hyperparameters, len(scaling.shift), _positive_weights(hyperparameters, counts))
    return Preparation(scaling, candidates, outputs, _class_weights(counts) if _is_balanced(hyperparameters) else None)


def _num_outputs(hyperparameters: Hyperparameters, job: Job, communicator: Communicator) -> int:
    """Classes of a multiclass classifier, as given or one more than the largest label; else 1."""
    if hyperparameters.predictor_type != "multiclass_classifier":
        return 1
    if hyperparameters.num_classes is not None:
        return hyperparameters.num_classes
    found = int(communicator.allreduce(np.array([job.shard.largest_label]), "max")[0]) + 1
    if found < 2:
        raise InvalidRows("all labels are 0; a classifier needs at least two classes")
    return found


def _class_counts(sample: Batch, classes: int, communicator: Communicator) -> np.ndarray:
    """Weight of the rows of each class in the sample of all workers."""
    return communicator.allreduce(np.bincount(sample.label.astype(np.int64), sample.weights, classes))


def _is_balanced(hyperparameters: Hyperparameters) -> bool:
    return hyperparameters.predictor_type == "multiclass_classifier" and hyperparameters.balance_multiclass_weights


def _class_weights(counts: np.ndarray) -> np.ndarray:
    """Inverse to the frequency of each class, with which a row of the sample weighs 1 on average. A class that the sample lacks weighs like
    one with a single row."""
    return counts.sum() / ((counts > 0).sum() * np.maximum(counts, 1.0))


def _positive_weights(hyperparameters: Hyperparameters, counts: np.ndarray | None) -> list[float]:
    """Values of `positive_example_weight_mult` to try."""
    if hyperparameters.predictor_type != "binary_classifier":
        return [1.0]
    given = hyperparameters.positive_example_weight_mult
    balanced = float(counts[0] / counts[1]) if counts.all() else 1.0
    if given == "auto":
        return [1.0, balanced**0.5, balanced]
    return [balanced if given == "balanced" else given]

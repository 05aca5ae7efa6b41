"""Compares the models that were trained side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sparkml_algos.algorithms.linear_learner.metrics import area_under_roc, metrics, raw_scores, sums
from sparkml_algos.algorithms.linear_learner.scaling import draw_sample
from sparkml_algos.algorithms.linear_learner.selection import LOSS_CRITERION, calibrate, default_threshold
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training.job import Job

if TYPE_CHECKING:
    from sparkml_algos.algorithms.linear_learner.training import SideBySide

# The service's logs show ten million. A threshold from so many rows has a sampling error of 0.2 % in precision and recall.
AUTO_CALIBRATION_ROWS = 100_000
# Training rows that models are compared on where there are no validation rows.
SAMPLE_ROWS = 10_000
# Rows scored at a time outside the training steps.
SCORE_ROWS = 4096


class Judge:
    """Compares models on validation rows or, where no column marks such, on a sample of the training rows.

    Parameters
    ----------
    hyperparameters : Hyperparameters
    job : Job
    communicator : Communicator

    Attributes
    ----------
    has_validation : bool
        Whether a column marks validation rows.
    calibrates : bool
        Whether models have thresholds to be calibrated.
    """

    def __init__(self, hyperparameters: Hyperparameters, job: Job, communicator: Communicator) -> None:
        self._hyperparameters, self._job, self._communicator = hyperparameters, job, communicator
        self.has_validation = job.shard.marks_validation
        two_classes = hyperparameters.predictor_type == "binary_classifier"
        self.calibrates = two_classes and hyperparameters.binary_classifier_model_selection_criteria != LOSS_CRITERION
        self._calibration_rows = SAMPLE_ROWS
        if two_classes:
            given = hyperparameters.num_calibration_samples
            self._calibration_rows = AUTO_CALIBRATION_ROWS if given == "auto" else given
        # Of a pipe these are the first rows, so they must be taken before training starts.
        self._sample = None if self.has_validation else draw_sample(self._calibration_rows, job, communicator)
        self._rows: list[Batch] | None = None
        self._calibration: Batch | None = None

    def _take_rows(self) -> None:
        """Find this worker's share of the rows that models are compared and thresholds calibrated on. Validation rows of a pipe are there
        after its first pass, so this waits for the first verdict."""
        if self._rows is not None:
            return
        if self.has_validation:
            marked = self._job.shard.validation
            if not self._communicator.allreduce(np.array([len(marked)], np.int64))[0]:
                raise InvalidRows("no row is marked for validation; mark some, or leave validationIndicatorCol unset")
            self._rows = [part for batch in marked for part in _parts(batch)]
        else:
            self._rows = _parts(self._sample)
        self._calibration = _sampled(self._rows, self._calibration_rows, self._communicator, self._job)

    def __call__(self, models: SideBySide) -> dict[str, np.ndarray]:
        """For each model ``objective_loss``, ``criterion``, the figure to be maximised, and with two classes ``raw_threshold``."""
        self._take_rows()
        with np.errstate(over="ignore", invalid="ignore"):
            totals = np.zeros(2 * models.models + 1)
            for batch in self._rows:
                totals += models.judged(batch)
            losses, correct, weight = np.split(self._communicator.allreduce(totals), [models.models, 2 * models.models])
            loss = np.nan_to_num(losses / weight, nan=np.inf)
            if models.hyperparameters.predictor_type == "regressor":
                return {"objective_loss": loss, "criterion": -loss}
            if models.outputs > 1:
                return {"objective_loss": loss, "criterion": np.where(np.isinf(loss), -np.inf, correct / weight)}
            return {"objective_loss": loss, **self._calibrated(models, loss)}

    def metrics(self, artifact: Artifact) -> dict[str, float]:
        """Of a finished model, on the rows of all workers; the area under the ROC curve on those for calibration."""
        totals: dict[str, np.ndarray] = {}
        for batch in self._rows or [self._job.shard.empty()]:
            part = sums(artifact, raw_scores(artifact, batch.features), batch.label, batch.weights, self._hyperparameters)
            totals = {name: totals.get(name, 0) + array for name, array in part.items()}
        totals = {name: self._communicator.allreduce(np.atleast_1d(array)) for name, array in totals.items()}
        found = metrics({name: np.squeeze(total) for name, total in totals.items()}, self._hyperparameters)
        if self._hyperparameters.predictor_type == "binary_classifier":
            scores = raw_scores(artifact, self._calibration.features)[:, 0]
            found["roc_auc_score"] = area_under_roc(*self._gathered(scores))
        return found

    def _calibrated(self, models: SideBySide, loss: np.ndarray) -> dict[str, np.ndarray]:
        """Thresholds and criteria of all models, which the workers share among them."""
        thresholds = np.full(models.models, default_threshold(self._hyperparameters))
        if not self.calibrates:
            return {"criterion": -loss, "raw_threshold": thresholds}
        scores = [models.scores(part.features)[0].T for part in _parts(self._calibration)]
        scores, label, weight = self._gathered(np.concatenate(scores) if scores else np.empty((0, models.models), np.float32))
        found = np.zeros((2, models.models))
        for model in range(self._communicator.rank, models.models, self._communicator.size):
            found[:, model] = calibrate(scores[:, model], label, weight, self._hyperparameters)
        thresholds, values = self._communicator.allreduce(found)
        return {"criterion": values, "raw_threshold": thresholds}

    def _gathered(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores, labels and weights of the calibration rows of all workers."""
        parts = (scores, self._calibration.label.astype(np.float32), self._calibration.weights)
        return tuple(np.concatenate(self._communicator.allgather(np.ascontiguousarray(part))) for part in parts)


def _parts(batch: Batch) -> list[Batch]:
    return [batch.take(slice(start, start + SCORE_ROWS)) for start in range(0, len(batch), SCORE_ROWS)]


def _sampled(rows: list[Batch], wanted: int, communicator: Communicator, job: Job) -> Batch:
    """This worker's share of a random sample of the rows of all workers."""
    count = sum(map(len, rows))
    total = int(communicator.allreduce(np.array([count], np.int64))[0])
    if not count:
        return job.shard.empty()
    together = Batch.concat(rows)
    share = min(count, -(-wanted * count // total))
    chosen = np.random.default_rng([job.seed, communicator.rank]).permutation(count)[:share]
    return together.take(np.sort(chosen))

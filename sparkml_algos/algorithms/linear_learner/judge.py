"""Compares the models that were trained side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from sparkml_algos.algorithms.linear_learner.metrics import Measure, area_under_roc, metrics
from sparkml_algos.algorithms.linear_learner.selection import LOSS_CRITERION, calibrate, default_threshold
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch, Features
from sparkml_algos.training.job import Job
from sparkml_algos.training.watching import WATCHED_ROWS, WatchedRows, in_parts

# The service's logs show ten million. A threshold from so many rows has a sampling error of 0.2 % in precision and recall.
AUTO_CALIBRATION_ROWS = 100_000


class Judged(Protocol):
    """Models that can be compared."""

    models: int

    def scores(self, features: Features) -> np.ndarray:
        """Raw scores, shape (outputs, models, rows)."""

    def judged(self, batch: Batch) -> np.ndarray:
        """Of some rows by model, sums of the losses and of the weights of the rows in the right class; then the weight of all."""


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
    has_all_training_rows : bool
        Whether all training rows are at hand here.
    """

    def __init__(self, hyperparameters: Hyperparameters, job: Job, communicator: Communicator) -> None:
        self._hyperparameters, self._job, self._communicator = hyperparameters, job, communicator
        two_classes = hyperparameters.predictor_type == "binary_classifier"
        self.calibrates = two_classes and hyperparameters.binary_classifier_model_selection_criteria != LOSS_CRITERION
        self._calibration_rows = WATCHED_ROWS
        if two_classes:
            given = hyperparameters.num_calibration_samples
            self._calibration_rows = AUTO_CALIBRATION_ROWS if given == "auto" else given
        self.has_validation = job.shard.marks_validation
        self._rows = WatchedRows(job, WATCHED_ROWS if self.has_validation else max(WATCHED_ROWS, self._calibration_rows))
        self.has_all_training_rows = self._rows.has_all
        self._calibration: Batch | None = None

    def training_loss(self, models: Judged) -> np.ndarray:
        """The mean loss of each model on all training rows, shape (models,), where `has_all_training_rows`; infinite where it is no
        number."""
        return self._totals(models, self._rows.of_training())["objective_loss"]

    def __call__(self, models: Judged) -> dict[str, np.ndarray]:
        """For each model ``objective_loss``, ``criterion``, the figure to be maximised, and with many classes ``multiclass_accuracy``, with
        two ``raw_threshold``."""
        found = self._totals(models, self._compared())
        if self.calibrates:
            return found | self._calibrated(models)
        if self._hyperparameters.predictor_type == "binary_classifier":
            found["raw_threshold"] = np.full(models.models, default_threshold(self._hyperparameters))
        return found | {"criterion": -found["objective_loss"]}

    def metrics(self, artifact: Artifact) -> dict[str, float]:
        """Of a finished model, on the rows of all workers; the area under the ROC curve on those for calibration."""
        measure = Measure(artifact, self._hyperparameters)
        totals = measure(self._job.shard.empty())
        for batch in self._compared():
            totals = {name: totals[name] + array for name, array in measure(batch).items()}
        totals = {name: self._communicator.allreduce(np.atleast_1d(array)) for name, array in totals.items()}
        found = metrics({name: np.squeeze(total) for name, total in totals.items()}, self._hyperparameters)
        if self._hyperparameters.predictor_type == "binary_classifier":
            scores = measure.predictor.scores(self._for_calibration().features)[:, 0]
            found["roc_auc_score"] = area_under_roc(*self._gathered(scores))
        return found

    def _compared(self) -> Iterator[Batch]:
        """This worker's share of the rows that models are compared on."""
        return self._rows.of_validation() if self.has_validation else self._rows.of_training()

    def _totals(self, models: Judged, rows: Iterable[Batch]) -> dict[str, np.ndarray]:
        """``objective_loss`` and, of many classes, ``multiclass_accuracy`` of each model on the rows of all workers."""
        totals = np.zeros(2 * models.models + 1)
        with np.errstate(over="ignore", invalid="ignore"):
            for batch in rows:
                totals += models.judged(batch)
            losses, correct, weight = np.split(self._communicator.allreduce(totals), [models.models, 2 * models.models])
            loss = losses / weight
            found = {"objective_loss": np.where(np.isnan(loss), np.inf, loss)}
            if self._hyperparameters.predictor_type == "multiclass_classifier":
                found["multiclass_accuracy"] = correct / weight
        return found

    def _calibrated(self, models: Judged) -> dict[str, np.ndarray]:
        """Thresholds and criteria of all models, which the workers share among them."""
        with np.errstate(over="ignore", invalid="ignore"):
            scores = [models.scores(part.features)[0].T for part in in_parts(self._for_calibration())]
        scores, label, weight = self._gathered(np.concatenate(scores) if scores else np.empty((0, models.models), np.float32))
        found = np.zeros((2, models.models))
        for model in range(self._communicator.rank, models.models, self._communicator.size):
            found[:, model] = calibrate(scores[:, model], label, weight, self._hyperparameters)
        thresholds, values = self._communicator.allreduce(found)
        return {"criterion": values, "raw_threshold": thresholds}

    def _for_calibration(self) -> Batch:
        """This worker's share of a random sample of the rows that models are compared on."""
        if self._calibration is None:
            count = sum(map(len, self._compared()))
            total = int(self._communicator.allreduce(np.array([count], np.int64))[0])
            share = min(count, -(-self._calibration_rows * count // max(total, 1)))
            chosen = np.sort(np.random.default_rng([self._job.seed, self._communicator.rank]).permutation(count)[:share])
            self._calibration = _picked(self._compared(), chosen) or self._job.shard.empty()
        return self._calibration

    def _gathered(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores, labels and weights of the calibration rows of all workers."""
        parts = (scores.astype(np.float32), self._calibration.label.astype(np.float32), self._calibration.weights)
        return tuple(np.concatenate(self._communicator.allgather(np.ascontiguousarray(part))) for part in parts)


def _picked(batches: Iterable[Batch], rows: np.ndarray) -> Batch | None:
    """Some rows, by their ascending numbers counted over all batches; None of none."""
    parts, first = [], 0
    for batch in batches:
        own = rows[np.searchsorted(rows, first) : np.searchsorted(rows, first + len(batch))]
        parts += [batch.take(own - first)] if len(own) else []
        first += len(batch)
    return Batch.concat(parts) if parts else None

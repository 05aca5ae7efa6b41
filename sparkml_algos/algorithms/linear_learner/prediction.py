"""What a linear model says of rows: w·x + b in 64 bits, and what a kind of model makes of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.decisions import classes_by_thresholds, sigmoid, softmax
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch, Features

#: The loss that ``auto`` stands for.
AUTO_LOSS = {"regressor": "squared_loss", "binary_classifier": "logistic", "multiclass_classifier": "softmax_loss"}


def loss_name(hyperparameters: Hyperparameters) -> str:
    """The loss that ``auto`` stands for, or the given one."""
    return AUTO_LOSS[hyperparameters.predictor_type] if hyperparameters.loss == "auto" else hyperparameters.loss


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> LinearPredictor:
    """The predictor of a model. It computes on the CPU whatever the device: a row is a product or a few."""
    return _PREDICTORS[hyperparameters.predictor_type](artifact, hyperparameters)


class LinearPredictor:
    """Scores rows.

    Parameters
    ----------
    artifact : Artifact
    hyperparameters : Hyperparameters
    """

    def __init__(self, artifact: Artifact, hyperparameters: Hyperparameters) -> None:
        self._weights = np.ascontiguousarray(artifact.arrays["weights"].T, np.float64)
        self._bias = artifact.arrays["bias"].astype(np.float64)

    def scores(self, features: Features) -> np.ndarray:
        """w·x + b, shape (rows, outputs), float64."""
        return features.astype(np.float64) @ self._weights + self._bias

    def __call__(self, batch: Batch) -> Mapping[str, np.ndarray]:
        """The outputs by name, each with an entry per row."""
        raise NotImplementedError


class RegressionPredictor(LinearPredictor):
    """``score``, shape (rows,)."""

    def __call__(self, batch: Batch) -> Mapping[str, np.ndarray]:
        return {"score": self.scores(batch.features)[:, 0]}


class BinaryPredictor(LinearPredictor):
    """``predicted_label`` (rows,), ``raw`` (rows, 2) and, except with hinge loss, ``probability`` (rows, 2)."""

    def __init__(self, artifact: Artifact, hyperparameters: Hyperparameters) -> None:
        super().__init__(artifact, hyperparameters)
        self._threshold = artifact.values["raw_threshold"]
        self._knows_probabilities = loss_name(hyperparameters) != "hinge_loss"

    def labels(self, scores: np.ndarray) -> np.ndarray:
        """The class of each row with these raw scores (rows, 1)."""
        return (scores[:, 0] >= self._threshold).astype(np.int64)

    def __call__(self, batch: Batch) -> Mapping[str, np.ndarray]:
        scores = self.scores(batch.features)
        score = scores[:, 0]
        found = {"predicted_label": self.labels(scores).astype(np.float64), "raw": np.stack([-score, score], axis=1)}
        if self._knows_probabilities:
            found["probability"] = np.stack([sigmoid(-score), sigmoid(score)], axis=1)
        return found


class MultiClassPredictor(LinearPredictor):
    """``predicted_label`` (rows,), ``raw`` and ``probability`` (rows, classes)."""

    def __init__(self, artifact: Artifact, hyperparameters: Hyperparameters) -> None:
        super().__init__(artifact, hyperparameters)
        self._thresholds = artifact.arrays.get("thresholds")

    def labels(self, scores: np.ndarray) -> np.ndarray:
        """The class of each row with these raw scores (rows, classes)."""
        return scores.argmax(axis=1) if self._thresholds is None else classes_by_thresholds(softmax(scores), self._thresholds)

    def __call__(self, batch: Batch) -> Mapping[str, np.ndarray]:
        scores = self.scores(batch.features)
        return {"predicted_label": self.labels(scores).astype(np.float64), "raw": scores, "probability": softmax(scores)}


_PREDICTORS = {"regressor": RegressionPredictor, "binary_classifier": BinaryPredictor, "multiclass_classifier": MultiClassPredictor}

"""The metrics of the service from sums that add up over rows, workers and partitions."""

from __future__ import annotations

import numpy as np

from sparkml_algos.algorithms.linear_learner.losses import in_label_units, make_loss
from sparkml_algos.algorithms.linear_learner.prediction import load
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.metrics import f_beta_score
from sparkml_algos.rows.batch import Batch

Sums = dict[str, np.ndarray]


class Measure:
    """What rows contribute to the metrics of a model.

    Parameters
    ----------
    artifact : Artifact
        The model.
    hyperparameters : Hyperparameters
    """

    def __init__(self, artifact: Artifact, hyperparameters: Hyperparameters) -> None:
        self._artifact, self._hyperparameters = artifact, hyperparameters
        self.predictor = load(artifact, hyperparameters, "cpu")
        self._loss = make_loss(hyperparameters, artifact.values.get("positive_example_weight_mult", 1.0))

    def __call__(self, batch: Batch) -> Sums:
        """The sums over the rows of a batch, each times its weight; all of float64."""
        scores = self.predictor.scores(batch.features)
        label, weight = batch.label.astype(np.float64), batch.weights
        totals = {"weight": weight.sum(), "loss": self._losses(scores, label) @ weight}
        if self._hyperparameters.predictor_type == "regressor":
            error = scores[:, 0] - label
            totals |= {"absolute": np.abs(error) @ weight, "squared": error**2 @ weight}
        else:
            classes = label.astype(np.int64)
            totals |= _confusion(self.predictor.labels(scores), classes, weight, max(2, scores.shape[1]))
            if self._hyperparameters.predictor_type == "multiclass_classifier":
                rank = (scores > scores[np.arange(len(classes)), classes, None]).sum(axis=1)
                totals |= {"top_k": weight @ (rank < self._hyperparameters.accuracy_top_k), "dcg": weight @ (1 / np.log2(rank + 2))}
        return {name: np.asarray(value, np.float64) for name, value in totals.items()}

    def _losses(self, scores: np.ndarray, label: np.ndarray) -> np.ndarray:
        """The training loss of each row, in units of the label, weighted by class as in training."""
        shift, scale = self._artifact.values.get("label_scaling", (0.0, 1.0))
        values = self._loss.value(np.array((scores.T - shift) / scale)[:, None], (label - shift) / scale)[0]
        values *= in_label_units(self._hyperparameters, scale)
        weights = self._artifact.arrays.get("class_weights")
        return values if weights is None else values * weights[label.astype(np.int64)]


def metrics(totals: Sums, hyperparameters: Hyperparameters) -> dict[str, float]:
    """The metrics by the service's names, without prefix, from the sums over all rows."""
    total = float(totals["weight"])
    found = {"objective_loss": float(totals["loss"]) / total}
    if hyperparameters.predictor_type == "regressor":
        mse = float(totals["squared"]) / total
        return {**found, "absolute_loss": float(totals["absolute"]) / total, "mse": mse, "rmse": mse**0.5}
    precision = totals["correct"] / np.maximum(totals["predicted"], 1e-300)
    recall = totals["correct"] / np.maximum(totals["actual"], 1e-300)
    f_beta = f_beta_score(precision, recall, hyperparameters.f_beta)
    accuracy = float(totals["correct"].sum()) / total
    if hyperparameters.predictor_type == "binary_classifier":
        positive = {"binary_f_beta": f_beta[1], "precision": precision[1], "recall": recall[1]}
        return {**found, "binary_classification_accuracy": accuracy, **{name: float(value) for name, value in positive.items()}}
    return {
        **found,
        "multiclass_accuracy": accuracy,
        "multiclass_top_k_accuracy": float(totals["top_k"]) / total,
        "dcg": float(totals["dcg"]) / total,
        "macro_f_beta": float(f_beta.mean()),
        "macro_precision": float(precision.mean()),
        "macro_recall": float(recall.mean()),
    }


def area_under_roc(scores: np.ndarray, label: np.ndarray, weight: np.ndarray) -> float:
    """Chance that a positive row scores above a negative one, ties counting half; NaN where one of the classes has no row."""
    values, place = np.unique(scores, return_inverse=True)
    positive = np.bincount(place, np.where(label > 0, weight, 0), len(values))
    negative = np.bincount(place, np.where(label > 0, 0, weight), len(values))
    pairs = positive.sum() * negative.sum()
    below = np.cumsum(negative) - negative / 2
    return float(positive @ below / pairs) if pairs else float("nan")


def _confusion(predicted: np.ndarray, actual: np.ndarray, weight: np.ndarray, classes: int) -> Sums:
    """Weight of the rows predicted to be of each class, of those that are, and of those where both are true."""
    return {
        "predicted": np.bincount(predicted, weight, classes),
        "actual": np.bincount(actual, weight, classes),
        "correct": np.bincount(actual, weight * (predicted == actual), classes),
    }

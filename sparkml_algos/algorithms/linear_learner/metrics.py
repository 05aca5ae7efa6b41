"""The metrics of the service from sums that add up over rows, workers and partitions."""

from __future__ import annotations

import numpy as np

from sparkml_algos.algorithms.linear_learner.losses import make_loss
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.decisions import classes_by_thresholds, softmax
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.metrics import f_beta_score
from sparkml_algos.rows.batch import Features

Sums = dict[str, np.ndarray]


def sums(artifact: Artifact, scores: np.ndarray, label: np.ndarray, weight: np.ndarray, hyperparameters: Hyperparameters) -> Sums:
    """What some rows contribute to the metrics.

    Parameters
    ----------
    artifact : Artifact
        The model.
    scores : ndarray, shape (rows, outputs)
        Its raw scores, in the units of the label.
    label, weight : ndarray, shape (rows,)
    hyperparameters : Hyperparameters
    """
    label, weight = label.astype(np.float64), weight.astype(np.float64)
    totals = {"weight": weight.sum(), "loss": _loss(artifact, scores, label, hyperparameters) @ weight}
    if hyperparameters.predictor_type == "regressor":
        error = scores[:, 0] - label
        totals |= {"absolute": np.abs(error) @ weight, "squared": error**2 @ weight}
    elif hyperparameters.predictor_type == "binary_classifier":
        predicted = scores[:, 0] >= artifact.values["raw_threshold"]
        totals |= _confusion(predicted.astype(np.int64), label.astype(np.int64), weight, 2)
    else:
        classes = label.astype(np.int64)
        totals |= _confusion(classes_of(artifact, scores), classes, weight, scores.shape[1])
        own = scores[np.arange(len(classes)), classes, None]
        rank = (scores > own).sum(axis=1)
        totals |= {"top_k": weight @ (rank < hyperparameters.accuracy_top_k), "dcg": weight @ (1 / np.log2(rank + 2))}
    return {name: np.asarray(value, np.float64) for name, value in totals.items()}


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


def raw_scores(artifact: Artifact, features: Features) -> np.ndarray:
    """w·x + b, shape (rows, outputs), float64."""
    return features.astype(np.float64) @ artifact.arrays["weights"].T + artifact.arrays["bias"]


def classes_of(artifact: Artifact, scores: np.ndarray) -> np.ndarray:
    """The class of each row, shape (rows,), of a model for many classes with these raw scores (rows, classes)."""
    thresholds = artifact.arrays.get("thresholds")
    return scores.argmax(axis=1) if thresholds is None else classes_by_thresholds(softmax(scores), thresholds)


def area_under_roc(scores: np.ndarray, label: np.ndarray, weight: np.ndarray) -> float:
    """Chance that a positive row scores above a negative one, ties counting half; NaN where one of the classes has no row."""
    values, place = np.unique(scores, return_inverse=True)
    positive = np.bincount(place, np.where(label > 0, weight, 0), len(values))
    negative = np.bincount(place, np.where(label > 0, 0, weight), len(values))
    pairs = positive.sum() * negative.sum()
    below = np.cumsum(negative) - negative / 2
    return float(positive @ below / pairs) if pairs else float("nan")


def _loss(artifact: Artifact, scores: np.ndarray, label: np.ndarray, hyperparameters: Hyperparameters) -> np.ndarray:
    """The training loss of each row: of a regression in units of the label it was trained on, weighted by class as in training."""
    shift, scale = artifact.values.get("label_scaling", (0.0, 1.0))
    trained_on = np.array((scores.T - shift) / scale)[:, None]
    loss = make_loss(hyperparameters, artifact.values.get("positive_example_weight_mult", 1.0))
    values = loss(trained_on, (label - shift) / scale)[0][0]
    weights = artifact.arrays.get("class_weights")
    return values if weights is None else values * weights[label.astype(np.int64)]


def _confusion(predicted: np.ndarray, actual: np.ndarray, weight: np.ndarray, classes: int) -> Sums:
    """Weight of the rows predicted to be of each class, of those that are, and of those where both are true."""
    return {
        "predicted": np.bincount(predicted, weight, classes),
        "actual": np.bincount(actual, weight, classes),
        "correct": np.bincount(actual, weight * (predicted == actual), classes),
    }

"""The metrics of the service from sums that add up over rows, workers and partitions."""

from __future__ import annotations

import numpy as np

from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.metrics import f_beta_score
from sparkml_algos.training.losses import LogisticLoss, Loss, SquaredLoss

Sums = dict[str, np.ndarray]


def make_loss(hyperparameters: Hyperparameters) -> Loss:
    """The square of the error, or minus the log of the probability of the label."""
    return (SquaredLoss if hyperparameters.predictor_type == "regressor" else LogisticLoss)(hyperparameters)


def sums(scores: np.ndarray, label: np.ndarray, weight: np.ndarray, hyperparameters: Hyperparameters, threshold: float = 0.0) -> Sums:
    """What some rows contribute to the metrics.

    Parameters
    ----------
    scores : ndarray, shape (rows,)
        Raw scores.
    label, weight : ndarray, shape (rows,)
    hyperparameters : Hyperparameters
    threshold : float
        Raw score from which on a row is taken for class 1.
    """
    label, weight = label.astype(np.float64), weight.astype(np.float64)
    value = make_loss(hyperparameters).value(scores[None, None].astype(np.float64), label)
    totals = {"weight": weight.sum(), "loss": value[0] @ weight}
    if hyperparameters.predictor_type == "binary_classifier":
        predicted, actual = scores >= threshold, label > 0
        totals |= {"predicted": weight @ predicted, "actual": weight @ actual, "true_positive": weight @ (predicted & actual)}
        totals["correct"] = weight @ (predicted == actual)
    return {name: np.asarray(total, np.float64) for name, total in totals.items()}


def metrics(totals: Sums, hyperparameters: Hyperparameters) -> dict[str, float]:
    """The metrics by the service's names, without prefix, from the sums over all rows."""
    total = float(totals["weight"])
    found = {loss_metric(hyperparameters): loss_value(float(totals["loss"]) / total, hyperparameters)}
    if hyperparameters.predictor_type == "binary_classifier":
        precision = totals["true_positive"] / np.maximum(totals["predicted"], 1e-300)
        recall = totals["true_positive"] / np.maximum(totals["actual"], 1e-300)
        found["binary_classification_accuracy"] = float(totals["correct"]) / total
        found["binary_f_beta"] = float(f_beta_score(precision, recall, 1.0))
    return found


def loss_metric(hyperparameters: Hyperparameters) -> str:
    """The service's name for the figure that the training loss is told by."""
    return "rmse" if hyperparameters.predictor_type == "regressor" else "binary_classification_cross_entropy"


def loss_value(mean_loss: float, hyperparameters: Hyperparameters) -> float:
    """That figure."""
    return float(np.sqrt(mean_loss)) if hyperparameters.predictor_type == "regressor" else mean_loss

"""The decision threshold of a model for two classes, by the criterion that models are chosen by."""

from __future__ import annotations

import numpy as np

from sparkml_algos.algorithms.linear_learner.prediction import loss_name
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.metrics import f_beta_score

LOSS_CRITERION = "loss_function"


def default_threshold(hyperparameters: Hyperparameters) -> float:
    """The raw score from which on a row is of class 1 unless a threshold is calibrated: a probability of one half, or the middle between
    what hinge loss asks of the two classes."""
    return 0.5 if loss_name(hyperparameters) == "hinge_loss" else 0.0


def calibrate(scores: np.ndarray, label: np.ndarray, weight: np.ndarray, hyperparameters: Hyperparameters) -> tuple[float, float]:
    """The threshold that serves the criterion best on some rows, and the value of the criterion there.

    Rows of a score at or above the threshold are of class 1. Thresholds lie half way between two neighbouring scores; of equally good ones
    the nearest to the default is taken.

    Parameters
    ----------
    scores : ndarray, shape (rows,)
        Raw scores.
    label, weight : ndarray, shape (rows,)
    hyperparameters : Hyperparameters
        With a criterion other than the loss.

    Returns
    -------
    (float, float)
        Where no threshold reaches `target_recall` or `target_precision`, the value is negative: how much is missing.
    """
    if not np.isfinite(scores).all():
        return default_threshold(hyperparameters), -np.inf
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order].astype(np.float64)
    positive = np.where(label[order] > 0, weight[order], 0.0)
    cuts = np.append(0, np.flatnonzero(np.diff(ordered)) + 1)
    cuts = np.append(cuts, len(ordered)) if len(ordered) else cuts
    true_positive = np.append(0.0, np.cumsum(positive))[cuts]
    predicted = np.append(0.0, np.cumsum(weight[order], dtype=np.float64))[cuts]
    thresholds = _between(ordered, cuts)
    value = _criterion(true_positive, predicted, positive.sum(), float(weight.sum()), hyperparameters)
    best = np.flatnonzero(value >= value.max() - 1e-12)
    chosen = best[np.abs(thresholds[best] - default_threshold(hyperparameters)).argmin()]
    return float(thresholds[chosen]), float(value[chosen])


def _between(ordered: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Thresholds that leave so many of the rows, in descending order of their scores, at or above them."""
    above = np.append(np.inf, ordered)[cuts]
    below = np.append(ordered, -np.inf)[cuts]
    middle = (np.where(np.isinf(above), below + 2, above) + np.where(np.isinf(below), above - 2, below)) / 2
    return np.where(middle > below, middle, above)  # two neighbouring numbers have none between them


def _criterion(
    true_positive: np.ndarray, predicted: np.ndarray, positives: float, total: float, hyperparameters: Hyperparameters
) -> np.ndarray:
    criterion = hyperparameters.binary_classifier_model_selection_criteria
    if criterion == "accuracy":
        return (total - predicted - positives + 2 * true_positive) / max(total, 1e-300)
    recall = true_positive / max(positives, 1e-300)
    precision = true_positive / np.maximum(predicted, 1e-300)
    if criterion == "f_beta":
        return f_beta_score(precision, recall, hyperparameters.f_beta)
    if criterion == "precision_at_target_recall":
        return _held(precision, recall, hyperparameters.target_recall)
    return _held(recall, precision, hyperparameters.target_precision)


def _held(maximised: np.ndarray, held: np.ndarray, target: float) -> np.ndarray:
    """What is maximised, where the other figure reaches its target; below 0, by what is missing, elsewhere."""
    return np.where(held >= target, maximised, held - target)

"""What Spark's evaluators compute, as functions of arrays: of predictions, labels and weights to one number.

A measure is told rows in parts, by whoever has them, and takes what it keeps of all parts together: a few sums where these say everything,
the rows themselves where their order counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Measure(Protocol):
    """A number that tells how good predictions are."""

    @property
    def output(self) -> str:
        """Which output of a model it reads."""

    def part(self, predicted: np.ndarray, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """What is kept of some rows, shape (parts, columns); parts of any rows follow each other."""

    def value(self, parts: np.ndarray) -> float:
        """The number for the rows of all parts; NaN where they cannot tell."""


@dataclass(frozen=True)
class AreaUnderCurve:
    """The area under a curve of a score for the classes 0 and 1, as `BinaryClassificationEvaluator` has it.

    Parameters
    ----------
    output : str
    metric : {"areaUnderROC", "areaUnderPR"}
    bins : int
        About how many points the curve has: as many different scores in a row become one as it takes. 0: a point for each score. Spark
        begins anew in each of its partitions; here all are in one.
    """

    output: str
    metric: str = "areaUnderROC"
    bins: int = 1000

    def part(self, predicted: np.ndarray, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """The score of class 1, label and weight of each row, shape (rows, 3)."""
        score = predicted if predicted.ndim == 1 else predicted[:, 1]
        return np.stack([score, label, weight], axis=1).astype(np.float64)

    def value(self, parts: np.ndarray) -> float:
        score, label, weight = parts[np.argsort(-parts[:, 0], kind="stable")].T
        if not len(score):
            return float("nan")
        starts = np.flatnonzero(np.diff(score, prepend=np.inf))
        grouping = len(starts) // self.bins if self.bins else 0
        starts = starts[::grouping] if grouping >= 2 else starts
        positive = np.cumsum(np.add.reduceat(weight * (label > 0.5), starts))
        negative = np.cumsum(np.add.reduceat(weight * (label <= 0.5), starts))
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = positive / positive[-1] if positive[-1] else np.zeros_like(positive)
            if self.metric == "areaUnderROC":
                x = np.concatenate([[0.0], negative / negative[-1] if negative[-1] else np.zeros_like(negative), [1.0]])
                y = np.concatenate([[0.0], recall, [1.0]])
            else:
                precision = np.nan_to_num(positive / (positive + negative), nan=1.0)
                x, y = np.concatenate([[0.0], recall]), np.concatenate([precision[:1], precision])
        return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))


@dataclass(frozen=True)
class NumbersError:
    """How far predicted numbers are from labels, as `RegressionEvaluator` has it.

    Parameters
    ----------
    output : str
    metric : {"rmse", "mse", "mae", "r2", "var"}
    through_origin : bool
        Whether r2 is in relation to the squares of the labels themselves.
    """

    output: str
    metric: str = "rmse"
    through_origin: bool = False

    def part(self, predicted: np.ndarray, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Sums, shape (1, 8): weights and their squares, labels and theirs, predictions and theirs, squared and absolute errors."""
        error = label - predicted
        sums = [weight, weight**2, weight * label, weight * label**2, weight * predicted, weight * predicted**2]
        return np.array([[float(column.sum()) for column in (*sums, weight * error**2, weight * np.abs(error))]])

    def value(self, parts: np.ndarray) -> float:
        weight, weights2, label, labels2, predicted, predictions2, squares, absolutes = parts.sum(axis=0)
        if not weight:
            return float("nan")
        if self.metric == "var":
            mean = label / weight
            return float((predictions2 + mean**2 * weight - 2 * mean * predicted) / weight)
        if self.metric == "r2":
            if self.through_origin:
                return float(1 - squares / labels2)
            unbiased = (labels2 - label**2 / weight) / (weight - weights2 / weight)  # Spark scales this by weights, less one
            return float(1 - squares / (unbiased * (weight - 1)))
        mean_square = squares / weight
        return float({"rmse": mean_square**0.5, "mse": mean_square, "mae": absolutes / weight}[self.metric])


@dataclass(frozen=True)
class ClassesError:
    """How well classes are predicted, as `MulticlassClassificationEvaluator` has it, by all of its metrics but logLoss.

    Parameters
    ----------
    output : str
    metric : str
    label : float
        The class that metrics of a single one are of.
    beta : float
        Of F-measures, how much more recall counts than precision.
    """

    output: str
    metric: str = "f1"
    label: float = 0.0
    beta: float = 1.0

    def part(self, predicted: np.ndarray, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Weights by pair of classes, shape (pairs, 3): label, prediction, weight."""
        pairs, places = np.unique(np.stack([label, predicted], axis=1).astype(np.float64), axis=0, return_inverse=True)
        return np.column_stack([pairs, np.bincount(places.ravel(), weight, len(pairs))])

    def value(self, parts: np.ndarray) -> float:
        label, predicted, weight = parts.T
        total = weight.sum()
        if not total:
            return float("nan")
        if self.metric in ("accuracy", "hammingLoss"):
            wrong = weight[label != predicted].sum() / total
            return float(wrong if self.metric == "hammingLoss" else 1 - wrong)
        if self.metric.endswith("ByLabel"):
            return self._of_class(self.label, parts)
        classes = np.unique(label)
        counts = np.array([weight[label == one].sum() for one in classes])
        return float(sum(self._of_class(one, parts) * count for one, count in zip(classes, counts, strict=True)) / total)

    def _of_class(self, one: float, parts: np.ndarray) -> float:
        label, predicted, weight = parts.T
        right = weight[(label == one) & (predicted == one)].sum()
        of_label, of_predicted = weight[label == one].sum(), weight[predicted == one].sum()
        precision = right / of_predicted if of_predicted else 0.0
        recall = right / of_label if of_label else float("nan")
        name = self.metric.removeprefix("weighted").removesuffix("ByLabel").lower()
        if name == "falsepositiverate":
            others = weight.sum() - of_label
            return (of_predicted - right) / others if others else float("nan")
        if name in ("f1", "fmeasure"):
            beta2 = 1.0 if name == "f1" else self.beta**2
            return (1 + beta2) * precision * recall / (beta2 * precision + recall) if precision + recall else 0.0
        return precision if name == "precision" else recall


@dataclass(frozen=True)
class LogLoss:
    """The mean of −log of the probability of the label, as `MulticlassClassificationEvaluator` has it under the name logLoss.

    Parameters
    ----------
    output : str
    epsilon : float
        Probabilities are kept so far from 0 and 1.
    """

    output: str
    epsilon: float = 1e-15

    def part(self, predicted: np.ndarray, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Sums of losses and of weights, shape (1, 2)."""
        probability = np.clip(predicted[np.arange(len(label)), label.astype(np.int64)], self.epsilon, 1 - self.epsilon)
        return np.array([[float(-(weight * np.log(probability)).sum()), float(weight.sum())]])

    def value(self, parts: np.ndarray) -> float:
        loss, weight = parts.sum(axis=0)
        return float(loss / weight) if weight else float("nan")

"""The losses: value and derivative per row, of many models at once.

Scores come as an array (outputs, models, rows), with one output for regression and two classes; values leave as (models, rows), derivatives
by the score in the shape of the scores. Rows stand last, so that every operation runs along contiguous memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sparkml_algos.arrays.hyperparameters import Hyperparameters


@dataclass(frozen=True)
class Loss:
    """A loss of single rows.

    Parameters
    ----------
    hyperparameters : Hyperparameters
    positive_weight : ndarray, shape (models, 1), optional
        What positive rows weigh with two classes; 1 by default.
    """

    hyperparameters: Hyperparameters
    positive_weight: np.ndarray | float = 1.0

    def __call__(self, scores: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What `value` and `slope` give; `scores` may be overwritten."""
        return self.value(scores.copy(), label), self.slope(scores, label)

    def value(self, scores: np.ndarray, label: np.ndarray) -> np.ndarray:
        """Values (models, rows) at scores (outputs, models, rows), which may be overwritten."""
        raise NotImplementedError

    def slope(self, scores: np.ndarray, label: np.ndarray) -> np.ndarray:
        """Derivatives by the scores, in their shape (outputs, models, rows); they may be overwritten."""
        raise NotImplementedError


class RegressionLoss(Loss):
    """A function of the error e = score − label.

    Attributes
    ----------
    degree : int
        Which power of its unit the label's loss has: in a unit half as long, errors are twice as many, and the loss is 2 to this power
        times as much (where sizes that the loss has of its own are in that unit too).
    """

    degree: ClassVar[int]

    def value(self, scores: np.ndarray, label: np.ndarray) -> np.ndarray:
        scores -= label
        return self.of_error(scores[0])

    def slope(self, scores: np.ndarray, label: np.ndarray) -> np.ndarray:
        scores -= label
        return self.slope_at(scores[0])[None]

    def of_error(self, error: np.ndarray) -> np.ndarray:
        """Values at errors."""
        raise NotImplementedError

    def slope_at(self, error: np.ndarray) -> np.ndarray:
        """Derivatives at errors."""
        raise NotImplementedError


class SquaredLoss(RegressionLoss):
    degree = 2

    def of_error(self, error: np.ndarray) -> np.ndarray:
        return error * error

    def slope_at(self, error: np.ndarray) -> np.ndarray:
        return 2 * error


class AbsoluteLoss(RegressionLoss):
    degree = 1

    def of_error(self, error: np.ndarray) -> np.ndarray:
        return np.abs(error)

    def slope_at(self, error: np.ndarray) -> np.ndarray:
        return np.sign(error)


class QuantileLoss(RegressionLoss):
    degree = 1

    def of_error(self, error: np.ndarray) -> np.ndarray:
        return error * self.slope_at(error)

    def slope_at(self, error: np.ndarray) -> np.ndarray:
        quantile = error.dtype.type(self.hyperparameters.quantile)
        return np.where(error > 0, 1 - quantile, np.where(error < 0, -quantile, error.dtype.type(0)))


class HuberLoss(RegressionLoss):
    degree = 2

    def of_error(self, error: np.ndarray) -> np.ndarray:
        slope = self.slope_at(error)
        return slope * (error - 0.5 * slope)

    def slope_at(self, error: np.ndarray) -> np.ndarray:
        delta = self.hyperparameters.huber_delta
        return np.clip(error, -delta, delta)


class EpsInsensitiveSquaredLoss(RegressionLoss):
    degree = 2

    def of_error(self, error: np.ndarray) -> np.ndarray:
        return np.maximum(error * error - self.hyperparameters.loss_insensitivity**2, 0)

    def slope_at(self, error: np.ndarray) -> np.ndarray:
        return 2 * error * (np.abs(error) > self.hyperparameters.loss_insensitivity)


class EpsInsensitiveAbsoluteLoss(RegressionLoss):
    degree = 1

    def of_error(self, error: np.ndarray) -> np.ndarray:
        return np.maximum(np.abs(error) - self.hyperparameters.loss_insensitivity, 0)

    def slope_at(self, error: np.ndarray) -> np.ndarray:
        return np.sign(error) * (np.abs(error) > self.hyperparameters.loss_insensitivity)


class TwoClassLoss(Loss):
    """A loss for the classes 0 and 1."""

    def weight(self, positive: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """What rows weigh by their class, shape (models, rows) or one that broadcasts to it."""
        if np.all(self.positive_weight == 1):
            return np.ones((), dtype)
        return np.where(positive, np.asarray(self.positive_weight, dtype), np.ones((), dtype))


class LogisticLoss(TwoClassLoss):
    """−log of the probability of the label, 1 / (1 + exp(−score)) being that of class 1."""

    def __call__(self, scores: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        score, positive = scores[0], label > 0
        small, weight = np.exp(-np.abs(score)), self.weight(positive, score.dtype)
        return self._value(score, small, positive, weight), self._slope(score, small, label, weight)

    def value(self, scores: np.ndarray, label: np.ndarray) -> np.ndarray:
        score, positive = scores[0], label > 0
        return self._value(score, np.exp(-np.abs(score)), positive, self.weight(positive, score.dtype))

    def slope(self, scores: np.ndarray, label: np.ndarray) -> np.ndarray:
        score = scores[0]
        return self._slope(score, np.exp(-np.abs(score)), label, self.weight(label > 0, score.dtype))

    # Both of a score and exp(−|score|), which is what they cost.

    def _value(self, score: np.ndarray, small: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> np.ndarray:
        value = np.log1p(small)
        value += np.maximum(np.where(positive, -score, score), 0)
        value *= weight
        return value

    def _slope(self, score: np.ndarray, small: np.ndarray, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        slope = np.where(score >= 0, 1, small)
        slope /= 1 + small
        slope -= label
        slope *= weight
        return slope[None]


class HingeLoss(TwoClassLoss):
    """Scores of class 1 shall be at least (margin + 1) / 2, those of class 0 at most (1 − margin) / 2."""

    def value(self, scores: np.ndarray, label: np.ndarray) -> np.ndarray:
        score, positive = scores[0], label > 0
        return np.maximum(self._short(score, positive), 0) * self.weight(positive, score.dtype)

    def slope(self, scores: np.ndarray, label: np.ndarray) -> np.ndarray:
        score, positive = scores[0], label > 0
        weight = self.weight(positive, score.dtype)
        return (np.where(positive, -weight, weight) * (self._short(score, positive) > 0))[None]

    def _short(self, score: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """What a score lacks of what is asked of it."""
        margin = self.hyperparameters.margin
        return np.where(positive, (margin + 1) / 2 - score, (margin - 1) / 2 + score).astype(score.dtype, copy=False)


class SoftmaxLoss(Loss):
    """−log of the probability of the label among the classes, proportional to exp(score)."""

    def __call__(self, scores: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores -= scores.max(axis=0)
        places = label.astype(np.int64), slice(None), np.arange(len(label))
        value = -scores[places].T
        total = np.exp(scores, out=scores).sum(axis=0)
        value += np.log(total)
        scores /= total
        scores[places] -= 1
        return value, scores

    def value(self, scores: np.ndarray, label: np.ndarray) -> np.ndarray:
        scores -= scores.max(axis=0)
        value = -scores[label.astype(np.int64), :, np.arange(len(label))].T
        value += np.log(np.exp(scores, out=scores).sum(axis=0))
        return value

    def slope(self, scores: np.ndarray, label: np.ndarray) -> np.ndarray:
        scores -= scores.max(axis=0)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=0)
        scores[label.astype(np.int64), :, np.arange(len(label))] -= 1
        return scores

"""The losses: value and derivative per row, of many models at once.

Scores come as an array (outputs, models, rows), with one output for regression and two classes; values leave as (models, rows), derivatives
by the score in the shape of the scores. Rows stand last, so that every operation runs along contiguous memory.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        """Values (models, rows) and derivatives (outputs, models, rows) at scores (outputs, models, rows), which may be overwritten."""
        raise NotImplementedError


class RegressionLoss(Loss):
    """A function of the error e = score − label."""

    def __call__(self, scores: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores -= label
        value, slope = self.of_error(scores[0])
        return value, slope[None]

    def of_error(self, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError


class SquaredLoss(RegressionLoss):
    def of_error(self, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return error * error, 2 * error


class AbsoluteLoss(RegressionLoss):
    def of_error(self, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.abs(error), np.sign(error)


class QuantileLoss(RegressionLoss):
    def of_error(self, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        quantile = np.float32(self.hyperparameters.quantile)
        slope = np.where(error > 0, 1 - quantile, np.where(error < 0, -quantile, np.float32(0)))
        return error * slope, slope


class HuberLoss(RegressionLoss):
    def of_error(self, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        delta = self.hyperparameters.huber_delta
        slope = np.clip(error, -delta, delta)
        return slope * (error - 0.5 * slope), slope


class EpsInsensitiveSquaredLoss(RegressionLoss):
    def of_error(self, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        epsilon = self.hyperparameters.loss_insensitivity
        return np.maximum(error * error - epsilon**2, 0), 2 * error * (np.abs(error) > epsilon)


class EpsInsensitiveAbsoluteLoss(RegressionLoss):
    def of_error(self, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        epsilon = self.hyperparameters.loss_insensitivity
        return np.maximum(np.abs(error) - epsilon, 0), np.sign(error) * (np.abs(error) > epsilon)


class LogisticLoss(Loss):
    """−log of the probability of the label, 1 / (1 + exp(−score)) being that of class 1."""

    def __call__(self, scores: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        score = scores[0]
        small = np.exp(-np.abs(score))
        positive = label > 0
        weight = np.where(positive, np.asarray(self.positive_weight, score.dtype), np.ones((), score.dtype))
        value = np.log1p(small)
        value += np.maximum(np.where(positive, -score, score), 0)
        probability = np.where(score >= 0, 1, small) / (1 + small)
        probability -= label
        probability *= weight
        return value * weight, probability[None]


class HingeLoss(Loss):
    """Scores of class 1 shall be at least (margin + 1) / 2, those of class 0 at most (1 − margin) / 2."""

    def __call__(self, scores: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        score, margin = scores[0], self.hyperparameters.margin
        positive = label > 0
        weight = np.where(positive, np.asarray(self.positive_weight, score.dtype), np.ones((), score.dtype))
        short = np.where(positive, (margin + 1) / 2 - score, (margin - 1) / 2 + score).astype(score.dtype, copy=False)
        slope = np.where(positive, -weight, weight) * (short > 0)
        return np.maximum(short, 0) * weight, slope[None].astype(score.dtype, copy=False)


class SoftmaxLoss(Loss):
    """−log of the probability of the label among the classes, proportional to exp(score)."""

    def __call__(self, scores: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        classes = label.astype(np.int64)
        rows = np.arange(len(classes))
        scores -= scores.max(axis=0)
        value = -scores[classes, :, rows].T
        np.exp(scores, out=scores)
        total = scores.sum(axis=0)
        value += np.log(total)
        scores /= total
        scores[classes, :, rows] -= 1
        return value, scores


def sigmoid(score: np.ndarray) -> np.ndarray:
    """1 / (1 + e⁻ˢ), without overflow."""
    small = np.exp(-np.abs(score))
    return np.where(score >= 0, 1, small) / (1 + small)

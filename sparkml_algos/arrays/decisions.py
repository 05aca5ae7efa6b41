"""From scores to probabilities, and from these to classes."""

from __future__ import annotations

import numpy as np


def sigmoid(score: np.ndarray) -> np.ndarray:
    """1 / (1 + e⁻ˢ), without overflow."""
    small = np.exp(-np.abs(score))
    return np.where(score >= 0, 1, small) / (1 + small)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities of classes with these scores, shape (rows, classes), without overflow."""
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def classes_by_thresholds(probability: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The class of each row whose probability is largest in relation to its threshold, as MLlib defines it; the first of equals.

    Parameters
    ----------
    probability : ndarray, shape (rows, classes)
    thresholds : ndarray, shape (classes,)
        From 0; a class with 0 is taken wherever it is possible at all.

    Returns
    -------
    ndarray of int64, shape (rows,)
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = probability / thresholds
    return np.where(np.isnan(shares), -np.inf, shares).argmax(axis=1)

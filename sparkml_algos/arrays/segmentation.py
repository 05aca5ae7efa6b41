"""How good masks are: metrics of classes that pixels are given, from counts that add up over rows and workers.

With C[i, j] the number of pixels of class i that were given class j, class i is right in C[i, i] pixels, its intersection, out of those
that have it in truth or in prediction, its union Σⱼ C[i, j] + Σⱼ C[j, i] − C[i, i].

References
----------
M. Everingham et al., "The PASCAL visual object classes challenge: a retrospective", IJCV 2015 (intersection over union as the measure of
segmentation).
"""

from __future__ import annotations

import numpy as np

#: Pixels of this class are left out, in training and in all metrics.
IGNORED = 255


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often pixels of each class were given each class; counts of several images add up.

    Parameters
    ----------
    truth : ndarray of int
        Classes of pixels, of any shape; those that are `IGNORED` do not count.
    predicted : ndarray of int
        The classes they were given, of the same shape.
    classes : int

    Returns
    -------
    ndarray of int64, shape (classes, classes)
        Rows are true classes, columns predicted ones.

    Raises
    ------
    ValueError
        If shapes differ, or a class is none.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"the masks differ in their shape: {truth.shape} and {predicted.shape}")
    counts = truth != IGNORED
    true, given = truth[counts].astype(np.int64), predicted[counts].astype(np.int64)
    for name, values in (("truth", true), ("predicted", given)):
        if len(values) and not 0 <= values.min() <= values.max() < classes:
            raise ValueError(f"{name} has the class {values.max() if values.min() >= 0 else values.min()}; classes are 0 to {classes - 1}")
    return np.bincount(true * classes + given, minlength=classes * classes).reshape(classes, classes)


def intersection_over_union(counts: np.ndarray) -> np.ndarray:
    """Of each class, its intersection over its union, shape (classes,); NaN of a class that no pixel has nor was given."""
    right = np.diagonal(counts).astype(np.float64)
    union = counts.sum(0) + counts.sum(1) - right
    return np.divide(right, union, out=np.full(len(right), np.nan), where=union > 0)


def mean_iou(counts: np.ndarray) -> float:
    """The mean of intersection over union, over the classes that some pixel has or was given; NaN without pixels."""
    found = intersection_over_union(counts)
    return float(np.nanmean(found)) if np.isfinite(found).any() else float("nan")


def pixel_accuracy(counts: np.ndarray) -> float:
    """The share of pixels that were given their class; NaN without pixels."""
    total = int(counts.sum())
    return float(np.trace(counts) / total) if total else float("nan")

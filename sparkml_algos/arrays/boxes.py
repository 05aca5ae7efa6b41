"""Rectangles in images: how much they overlap, and which of many that were found stand for an object each.

Boxes are arrays (boxes, 4) of left, top, right and bottom edges, in one unit, whatever it is.
"""

from __future__ import annotations

import numpy as np


def intersection_over_union(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The area that two boxes share, divided by the area that they cover together; 0 where both have none.

    Parameters
    ----------
    boxes : ndarray, shape (…, boxes, 4)
    others : ndarray, shape (…, others, 4)

    Returns
    -------
    ndarray, shape (…, boxes, others)
    """
    one, other = boxes[..., :, None, :], others[..., None, :, :]
    wide = np.minimum(one[..., 2], other[..., 2])
    wide -= np.maximum(one[..., 0], other[..., 0])
    high = np.minimum(one[..., 3], other[..., 3])
    high -= np.maximum(one[..., 1], other[..., 1])
    shared = np.maximum(wide, 0, out=wide)
    shared *= np.maximum(high, 0, out=high)
    covered = areas(one) + areas(other)
    covered -= shared
    return np.divide(shared, covered, out=np.zeros_like(shared), where=covered > 0)


def areas(boxes: np.ndarray) -> np.ndarray:
    """Areas of boxes, shape (…)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def not_suppressed(boxes: np.ndarray, classes: np.ndarray, threshold: float, across_classes: bool = False) -> np.ndarray:
    """Non-maximum suppression of many images at once: a box stays unless it overlaps a better one that stays.

    Parameters
    ----------
    boxes : ndarray, shape (images, boxes, 4)
        Of each image the best first.
    classes : ndarray of int, shape (images, boxes)
        Negative where there is no box.
    threshold : float
        Intersection over union above which the worse of two boxes goes.
    across_classes : bool
        Whether boxes of different classes suppress each other, too.

    Returns
    -------
    ndarray of bool, shape (images, boxes)

    Notes
    -----
    All pairs of boxes of an image are compared, which costs images · boxes² comparisons; what goes is then found place after place, in all
    images together.
    """
    stays = classes >= 0
    rivals = intersection_over_union(boxes, boxes) > threshold
    if not across_classes:
        rivals &= classes[:, :, None] == classes[:, None, :]
    has_rivals = np.flatnonzero(np.triu(rivals, 1).any(axis=(0, 2)))
    for place in has_rivals.tolist():
        stays[:, place + 1 :] &= ~(rivals[:, place, place + 1 :] & stays[:, place, None])
    return stays

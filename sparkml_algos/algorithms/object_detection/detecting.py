"""From what a network says of default boxes to what is found in images; NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sparkml_algos.algorithms.object_detection.default_boxes import decoded
from sparkml_algos.arrays.boxes import not_suppressed
from sparkml_algos.arrays.hyperparameters import Hyperparameters


class Candidates(NamedTuple):
    """The most probable pairs of a default box and a class, the best first, of some images.

    Attributes
    ----------
    scores : ndarray, shape (images, candidates)
    classes, boxes : ndarray of int, shape (images, candidates)
        Boxes are numbers of default ones.
    offsets : ndarray, shape (images, candidates, 4)
    """

    scores: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True)
class Suppression:
    """What of the candidates is left.

    Attributes
    ----------
    threshold : float
        Overlap above which the worse of two goes.
    across_classes : bool
    most : int
        That are looked at.
    least_score : float
    """

    threshold: float
    across_classes: bool
    most: int
    least_score: float

    @staticmethod
    def of(hyperparameters: Hyperparameters) -> Suppression:
        """As the hyperparameters say."""
        of = hyperparameters
        return Suppression(of.nms_threshold, of.force_suppress, of.nms_topk, of.score_threshold)


def found_boxes(found: Candidates, default: np.ndarray, suppression: Suppression) -> list[np.ndarray]:
    """What is found in each image, the most probable first.

    Parameters
    ----------
    found : Candidates
    default : ndarray, shape (boxes, 4)
        Default boxes.
    suppression : Suppression

    Returns
    -------
    list of ndarray of float64, shape (detections, 6)
        Class, score, left, top, width and height, as fractions of the image, of which nothing reaches beyond.
    """
    # The best come first, so that behind those of the image with most of them there is none.
    count = int((found.scores >= suppression.least_score).sum(1).max(initial=0))
    found = Candidates(*(part[:, :count] for part in found))
    return left_of(found.scores, found.classes, corners_in_image(found.offsets, default[found.boxes]), suppression)


def corners_in_image(offsets: np.ndarray, default: np.ndarray) -> np.ndarray:
    """Left, top, right and bottom of boxes as fractions of the image, of which nothing reaches beyond it, shape (…, boxes, 4).

    Parameters
    ----------
    offsets : ndarray, shape (…, boxes, 4)
    default : ndarray, shape (…, boxes, 4)
        Default boxes.
    """
    return np.clip(decoded(offsets, default), 0, 1)


def left_of(scores: np.ndarray, classes: np.ndarray, corners: np.ndarray, suppression: Suppression) -> list[np.ndarray]:
    """What suppression leaves of boxes, of each image the best first.

    Parameters
    ----------
    scores : ndarray, shape (images, boxes)
    classes : ndarray of int, shape (images, boxes)
    corners : ndarray, shape (images, boxes, 4)
        Left, top, right and bottom.
    suppression : Suppression

    Returns
    -------
    list of ndarray of float64, shape (detections, 6)
        As of `found_boxes`.
    """
    is_left = (scores >= suppression.least_score) & (corners[..., 2:] > corners[..., :2]).all(2)
    stays = not_suppressed(corners, np.where(is_left, classes, -1), suppression.threshold, suppression.across_classes)
    wide = corners.astype(np.float64)
    rows = np.concatenate([classes[..., None], scores[..., None], wide[..., :2], wide[..., 2:] - wide[..., :2]], axis=2)
    return [row[kept] for row, kept in zip(rows, stays, strict=True)]

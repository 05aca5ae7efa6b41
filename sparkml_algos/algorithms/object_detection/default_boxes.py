"""Default boxes: where a single shot detector looks for objects, and what it learns about each place; NumPy alone.

Every cell of some maps of features, from fine to coarse, has a few boxes of different shapes around its centre. A box is matched with the
object that it overlaps enough, or which none overlaps more; of it the network learns the class, and by how much the object is aside of it
and larger:

    ((x − x₀) / w₀ / σ₁,  (y − y₀) / h₀ / σ₁,  ln(w / w₀) / σ₂,  ln(h / h₀) / σ₂)

with (x, y) the centre, w and h the size, of the default box with the index 0, σ₁ = 0.1 and σ₂ = 0.2. All is in fractions of the image.

References
----------
W. Liu et al., "SSD: single shot multibox detector", ECCV 2016: 2.2 (matching, scales and shapes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparkml_algos.arrays.boxes import areas, intersection_over_union

#: What offsets of centres and logarithms of sizes are measured in.
VARIANCES = (0.1, 0.1, 0.2, 0.2)
# Scales of the boxes, as shares of the image's side: of the first map, of the second and of the last. The next one is what the boxes of the
# last map that are a little larger are on the way to.
_FIRST_SCALE, _SECOND_SCALE, _LAST_SCALE = 0.1, 0.2, 0.9
# Of larger images the first maps are finer, and have smaller boxes.
_LARGE_SIDE, _FIRST_SCALE_OF_LARGE, _SECOND_SCALE_OF_LARGE = 448, 0.07, 0.15
# Boxes are so many times as wide as they are high, besides 1 and one that is a little larger; and the other way round.
_FEW_SHAPES, _MANY_SHAPES = (2.0,), (2.0, 3.0)
# A size of 0 has no logarithm.
_SMALLEST = 1e-6


@dataclass(frozen=True)
class MapOfBoxes:
    """The boxes of one map of features.

    Attributes
    ----------
    side : int
        Cells along either edge.
    scale, next_scale : float
        Side of a square box, and what the larger square is halfway to, as shares of the image's.
    shapes : tuple of float
        Widths over heights, 1 or more, of the boxes that are no squares; each is there lying and standing.
    """

    side: int
    scale: float
    next_scale: float
    shapes: tuple[float, ...]

    @property
    def per_cell(self) -> int:
        """Boxes of a cell."""
        return 2 + 2 * len(self.shapes)

    def boxes(self) -> np.ndarray:
        """Centre, width and height of each, cell by cell, row by row, shape (side² · per_cell, 4), float32."""
        between = math.sqrt(self.scale * self.next_scale)
        sizes = [(self.scale, self.scale), (between, between)]
        for shape in self.shapes:
            long, short = self.scale * math.sqrt(shape), self.scale / math.sqrt(shape)
            sizes += [(long, short), (short, long)]
        centres = (np.arange(self.side) + 0.5) / self.side
        found = np.empty((self.side, self.side, self.per_cell, 4))
        found[..., 0], found[..., 1] = centres[None, :, None], centres[:, None, None]
        found[..., 2:] = sizes
        return found.reshape(-1, 4).astype(np.float32)


def maps_of_boxes(sides: Sequence[int], image_side: int) -> tuple[MapOfBoxes, ...]:
    """The boxes of maps of these sides, of images of a side: scales grow evenly from the second map to the last, and the first map, whose
    boxes are smaller, and the last two have fewer shapes."""
    count = len(sides)
    is_large = image_side >= _LARGE_SIDE
    first, second = (_FIRST_SCALE_OF_LARGE, _SECOND_SCALE_OF_LARGE) if is_large else (_FIRST_SCALE, _SECOND_SCALE)
    step = (_LAST_SCALE - second) / max(1, count - 2)
    scales = [first, *(second + step * place for place in range(count))]
    return tuple(
        MapOfBoxes(side, scales[place], scales[place + 1], _FEW_SHAPES if place == 0 or place >= count - 2 else _MANY_SHAPES)
        for place, side in enumerate(sides)
    )


def default_boxes(maps: Sequence[MapOfBoxes]) -> np.ndarray:
    """All boxes, map after map: centre, width and height, shape (boxes, 4), float32."""
    return np.concatenate([one.boxes() for one in maps])


def to_corners(boxes: np.ndarray) -> np.ndarray:
    """Left, top, right and bottom of boxes that are given as centre, width and height, shape (…, 4)."""
    half = boxes[..., 2:] / 2
    return np.concatenate([boxes[..., :2] - half, boxes[..., :2] + half], axis=-1)


def to_centres(corners: np.ndarray) -> np.ndarray:
    """The inverse of `to_corners`."""
    return np.concatenate([(corners[..., :2] + corners[..., 2:]) / 2, corners[..., 2:] - corners[..., :2]], axis=-1)


class Matcher:
    """Matches the objects of an image with default boxes.

    Parameters
    ----------
    boxes : ndarray, shape (boxes, 4)
        Centre, width and height of the default ones.
    threshold : float
        Intersection over union above which a box is matched.
    """

    def __init__(self, boxes: np.ndarray, threshold: float = 0.5) -> None:
        self._boxes, self._threshold = boxes, threshold
        self._corners = to_corners(boxes)
        self._areas = areas(self._corners)

    def matches(self, objects: np.ndarray) -> np.ndarray:
        """Of each default box the object that it is matched with.

        Every object first takes the box that overlaps it most and that none with a larger overlap has taken; each other box is then
        matched with the object that it overlaps most, if it does so by more than the threshold.

        Parameters
        ----------
        objects : ndarray, shape (objects, 4)
            Left, top, right and bottom.

        Returns
        -------
        ndarray of int64, shape (boxes,)
            -1 where there is none.
        """
        found = np.full(len(self._boxes), -1, np.int64)
        if not len(objects):
            return found
        shares = intersection_over_union(objects.astype(np.float32), self._corners)
        best = shares.argmax(0)
        enough = shares[best, np.arange(len(found))] > self._threshold
        found[enough] = best[enough]
        for number, box in _one_to_one(shares):
            found[box] = number
        return found

    def targets(self, objects: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the network is to say of each default box.

        Parameters
        ----------
        objects : ndarray, shape (objects, 4)
            Left, top, right and bottom.
        classes : ndarray of int, shape (objects,)

        Returns
        -------
        (ndarray of int64, ndarray of float32), shapes (boxes,) and (boxes, 4)
            The class, counted from 1, 0 where there is nothing; and the offsets of `encoded`, 0 where there is nothing.
        """
        matches = self.matches(objects)
        labels, offsets = np.zeros(len(matches), np.int64), np.zeros((len(matches), 4), np.float32)
        is_matched = matches >= 0
        labels[is_matched] = classes[matches[is_matched]] + 1
        offsets[is_matched] = encoded(objects[matches[is_matched]], self._boxes[is_matched])
        return labels, offsets


def _one_to_one(shares: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of an object and the default box that it has for itself; the largest overlap chooses first."""
    pairs: list[tuple[int, int]] = []
    taken = np.zeros(shares.shape[1], bool)
    waiting = {number: int(row.argmax()) for number, row in enumerate(shares)}
    while waiting:
        number = max(waiting, key=lambda one: (shares[one, waiting[one]], -one))
        box = waiting[number]
        if taken[box]:
            waiting[number] = int(np.where(taken, -1.0, shares[number]).argmax())
            if taken.all():
                break
            continue
        del waiting[number]
        taken[box] = True
        pairs.append((number, box))
    return pairs


def encoded(corners: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """How objects differ from default boxes, shape (boxes, 4), float32.

    Parameters
    ----------
    corners : ndarray, shape (boxes, 4)
        Left, top, right and bottom of an object for each box.
    boxes : ndarray, shape (boxes, 4)
        Centre, width and height of the default ones.
    """
    objects = to_centres(corners)
    aside = (objects[:, :2] - boxes[:, :2]) / boxes[:, 2:]
    larger = np.log(np.maximum(objects[:, 2:], _SMALLEST) / boxes[:, 2:])
    return (np.concatenate([aside, larger], axis=1) / VARIANCES).astype(np.float32)


def decoded(offsets: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The inverse of `encoded`: left, top, right and bottom, shape (…, boxes, 4)."""
    scaled = offsets * np.asarray(VARIANCES, offsets.dtype)
    centres = scaled[..., :2] * boxes[..., 2:] + boxes[..., :2]
    return to_corners(np.concatenate([centres, np.exp(scaled[..., 2:]) * boxes[..., 2:]], axis=-1))

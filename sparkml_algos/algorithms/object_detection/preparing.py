"""Rows made ready for the network, in threads: images decoded and changed, boxes matched with default ones; neither torch nor Spark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparkml_algos.algorithms.object_detection.augmentation import augmented, seen
from sparkml_algos.algorithms.object_detection.default_boxes import Matcher
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.images.decoding import size_of
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.images import views
from sparkml_algos.rows.kinds import InvalidRows, InvalidValue
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.prepared import Place


@dataclass(frozen=True)
class Preparation:
    """Makes rows ready.

    Attributes
    ----------
    matcher : Matcher
    boxes : int
        Default ones.
    side : int
    max_expansion : float
    of_fractions : bool
        Whether the edges of boxes are fractions already.
    """

    matcher: Matcher
    boxes: int
    side: int
    max_expansion: float
    of_fractions: bool

    def training(self, batch: Batch, place: Place) -> Batch:
        """Random views of images, and what the network is to say of them.

        Returns
        -------
        Batch
            ``image``, uint8, (images, side, side, 3); ``labels`` and ``offsets`` of all default boxes, see `Matcher.targets`.
        """
        made = self._room(len(batch))
        for row, (data, objects) in enumerate(zip(views(batch.image), batch.boxes, strict=True)):
            corners = self._corners(objects, data, row)
            made.image[row], found, kept = augmented(data, corners, self.side, place.random(row), self.max_expansion)
            made.labels[row], made.offsets[row] = self.matcher.targets(found, objects[kept, 0].astype(np.int64))
        return made

    def central(self, batch: Batch, place: Place) -> Batch:
        """Whole images, for validation; besides, ``objects``, a `Ragged` of class, left, top, width and height as fractions."""
        made, there = self._room(len(batch)), [np.empty((0, 5))]
        for row, (data, objects) in enumerate(zip(views(batch.image), batch.boxes, strict=True)):
            corners = self._corners(objects, data, row)
            made.image[row] = seen(data, self.side)
            made.labels[row], made.offsets[row] = self.matcher.targets(corners, objects[:, 0].astype(np.int64))
            there.append(np.concatenate([objects[:, :1], corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1))
        return made.replace(objects=Ragged(np.concatenate(there), batch.boxes.offsets - batch.boxes.offsets[0]))

    def _room(self, rows: int) -> Batch:
        return Batch(
            image=np.empty((rows, self.side, self.side, 3), np.uint8),
            labels=np.empty((rows, self.boxes), np.int32),
            offsets=np.empty((rows, self.boxes, 4), np.float32),
        )

    def _corners(self, objects: np.ndarray, data: memoryview, row: int) -> np.ndarray:
        try:
            return corners_of(objects, (1, 1) if self.of_fractions else size_of(data))
        except InvalidValue as error:
            raise InvalidRows(f"{error} in row {row} of those that are prepared together") from None


def corners_of(objects: np.ndarray, size: tuple[int, int], row: int = 0) -> np.ndarray:
    """The edges of boxes as fractions of their image: left, top, right and bottom, cut off where that ends, shape (objects, 4), float64.

    Parameters
    ----------
    objects : ndarray, shape (objects, 5)
        Class, left, top, width and height.
    size : (int, int)
        Height and width of the image, in the unit of the boxes.
    row : int
        For the message.

    Raises
    ------
    InvalidValue
        If nothing of a box lies within the image.
    """
    wide = objects.astype(np.float64)
    corners = np.concatenate([wide[:, 1:3], wide[:, 1:3] + wide[:, 3:5]], axis=1) / (size[1], size[0], size[1], size[0])
    found = np.clip(corners, 0, 1)
    outside = np.flatnonzero((found[:, 2:] <= found[:, :2]).any(1))
    if len(outside):
        left, top, width, height = wide[outside[0], 1:5].tolist()
        what = f"boxes column, box {outside[0]}, at left {left:g}, top {top:g} of {width:g} x {height:g}, has nothing within its image"
        raise InvalidValue(f"{what}, which is {size[1]} wide and {size[0]} high (box_units says in what edges are measured),", row)
    return found


def check_boxes(shard: Shard, of_fractions: bool, rank: int) -> None:
    """Refuse boxes that lie outside their image before anything is trained; headers alone are read.

    Raises
    ------
    InvalidRows
        Naming box and row.
    """
    for what, batches in (("to train on", shard.batches()), ("for validation", shard.validation)):
        before = 0
        for batch in batches:
            for row, (data, objects) in enumerate(zip(views(batch.image), batch.boxes, strict=True)):
                try:
                    corners_of(objects, (1, 1) if of_fractions else size_of(data), before + row)
                except InvalidValue as error:
                    raise InvalidRows(f"{error} in row {error.row} of those {what} of worker {rank}") from None
            before += len(batch)

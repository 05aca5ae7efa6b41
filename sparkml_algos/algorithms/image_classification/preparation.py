"""From encoded images to the pixels that the network sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from sparkml_algos.algorithms.image_classification.settings import augmentation_of, shape_of
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.images.augmentation import TooSmall
from sparkml_algos.images.decoding import UnreadableImage, decode
from sparkml_algos.images.sample import Sample, resize
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.images import views
from sparkml_algos.rows.kinds import InvalidValue
from sparkml_algos.training.prepared import Place


class Preparation:
    """What is made of the images of a batch.

    Parameters
    ----------
    of : Hyperparameters
        Those that `settings.augmentation_of` reads, and ``image_shape``.
    """

    def __init__(self, of: Hyperparameters) -> None:
        self._cut, self._shape = augmentation_of(of), shape_of(of.image_shape)
        # What is cut from a shrunk image may be decoded shrunk.
        self._at_least = None if of.resize is None else (of.resize, of.resize)

    def for_training(self, batch: Batch, place: Place) -> Batch:
        """Cut out at random, and changed at random."""
        is_random = self._cut.kind is not None
        return self._prepared(batch, lambda sample, row: self._cut(sample, place.random(row) if is_random else None))

    def for_validation(self, batch: Batch, place: Place) -> Batch:
        """Cut out of the middle."""
        return self._prepared(batch, lambda sample, row: self._cut(sample))

    def _prepared(self, batch: Batch, change) -> Batch:  # noqa: ANN001 - a function of a sample and its row
        found = self._room(len(batch))
        for row, data in enumerate(views(batch.image)):
            with naming(row):
                found[row] = change(Sample(decode(data, self._shape.channels, at_least=self._at_least)), row).image
        return batch.replace(image=found)

    def for_scoring(self, batch: Batch, first: int = 0) -> np.ndarray:
        """The pixels of whole images in the size of the network, whatever their aspect; uint8, (rows, height, width, channels).

        Raises
        ------
        InvalidValue
            With the row of an image that cannot be decoded, counted from ``first``.
        """
        found, shape = self._room(len(batch)), self._shape
        for row, data in enumerate(views(batch.image)):
            with naming(first + row):
                image = decode(data, shape.channels, at_least=(shape.height, shape.width))
                found[row] = resize(Sample(image), shape.height, shape.width).image
        return found

    def _room(self, rows: int) -> np.ndarray:
        return np.empty((rows, self._shape.height, self._shape.width, self._shape.channels), np.uint8)


@contextmanager
def naming(row: int) -> Iterator[None]:
    """Within it, what is wrong with an image is told with its row."""
    try:
        yield
    except (UnreadableImage, TooSmall) as error:
        raise InvalidValue(f"an image cannot be used: {error},", row) from None

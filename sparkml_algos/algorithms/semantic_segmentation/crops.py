"""What a network sees of images and their masks: random crops while it trains, central ones or whole images while it is judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparkml_algos.algorithms.semantic_segmentation.settings import SCALES
from sparkml_algos.arrays.segmentation import IGNORED
from sparkml_algos.images.decoding import decode, decode_mask
from sparkml_algos.images.sample import Sample, crop, flip, pad, resize
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.images import views
from sparkml_algos.training.prepared import Place

# The mean colour of ImageNet, of which a network sees nothing: beside images that are smaller than a crop.
BLANK = (124, 116, 104)


@dataclass(frozen=True)
class Crops:
    """Squares that are cut out of images.

    Parameters
    ----------
    side : int
    base_size : int
        What the longer side of a training image is scaled to, times a random number from 0.5 to 2.
    mirrors : bool
        Whether half of the training images are mirrored.
    table, validation_table : ndarray of int, shape (256,)
        Classes of the pixel values of masks, for training and for validation.
    """

    side: int
    base_size: int
    mirrors: bool
    table: np.ndarray
    validation_table: np.ndarray

    def random(self, batch: Batch, place: Place) -> Batch:
        """Crops to train on; a `training.prepared.Prepare`."""
        return self._stacked([self.drawn(one, place.random(row)) for row, one in enumerate(samples(batch, self.table))])

    def central(self, batch: Batch, place: Place) -> Batch:
        """The middle of each image as it is, with nothing beside images that are smaller."""
        return self._stacked([_central(one, self.side) for one in samples(batch, self.validation_table)])

    def whole(self, batch: Batch, place: Place) -> Batch:
        """Images as they are; those of a batch must be of one size."""
        return self._stacked(samples(batch, self.validation_table))

    def drawn(self, sample: Sample, random: np.random.Generator) -> Sample:
        """A random part of an image at a random scale.

        What would be cut out of the scaled image is cut out first and then scaled, which is less work: the scale is thereby rounded to
        whole pixels of the source.
        """
        scale = self.base_size * random.uniform(*SCALES) / max(sample.height, sample.width)
        lengths = sample.height, sample.width
        source = [min(length, max(1, round(self.side / scale))) for length in lengths]
        top, left = (int(random.integers(length - part + 1)) for length, part in zip(lengths, source, strict=True))
        # A part that is all of the image may be less than the crop.
        height, width = (
            self.side if part < length else min(self.side, max(1, round(part * scale)))
            for length, part in zip(lengths, source, strict=True)
        )
        found = resize(crop(sample, top, left, *source), height, width)
        if self.mirrors and random.random() < 0.5:
            found = flip(found)
        return _filled(found, self.side, 0, 0)

    def _stacked(self, found: list[Sample]) -> Batch:
        if not found:
            shape = (0, self.side, self.side)
            return Batch(image=np.empty((*shape, 3), np.uint8), mask=np.empty(shape, np.uint8))
        return Batch(image=np.stack([one.image for one in found]), mask=np.stack([one.mask for one in found]))


def samples(batch: Batch, table: np.ndarray) -> list[Sample]:
    """Images with the classes of their pixels, of rows that have been checked."""
    return [
        Sample(decode(image), mask=table[decode_mask(mask)].astype(np.uint8))
        for image, mask in zip(views(batch.image), views(batch.mask), strict=True)
    ]


def _central(sample: Sample, side: int) -> Sample:
    height, width = min(side, sample.height), min(side, sample.width)
    found = crop(sample, (sample.height - height) // 2, (sample.width - width) // 2, height, width)
    return _filled(found, side, (side - height) // 2, (side - width) // 2)


def _filled(sample: Sample, side: int, top: int, left: int) -> Sample:
    """A square with the sample in it, if that is none."""
    if (sample.height, sample.width) == (side, side):
        return sample
    return pad(sample, top, left, side, side, fill=BLANK, mask_fill=IGNORED)

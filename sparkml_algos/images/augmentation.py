"""Images changed at random, from a generator of random numbers that whoever calls has seeded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparkml_algos.images.colours import shift_hls
from sparkml_algos.images.sample import Sample, affine, crop, flip, pad, resize_shorter, warp, with_image

CROP, COLOUR, TRANSFORM = "crop", "crop_color", "crop_color_transform"

# Bounds of what is drawn, by the specification of image classification.
HUE, SATURATION, LIGHTNESS = 36.0, 50.0, 50.0
ROTATION, SHEAR, ASPECT = 10.0, 0.1, 0.25
# What is beyond an image: halfway between black and white.
BEYOND = 127


class TooSmall(ValueError):
    """An image from which a part of the size that is wanted cannot be cut."""


def random_window(random: np.random.Generator, height: int, width: int, crop_height: int, crop_width: int) -> tuple[int, int]:
    """Top and left of a part of this size, anywhere in an image.

    Raises
    ------
    TooSmall
        If the image is smaller.
    """
    _check_room(height, width, crop_height, crop_width)
    return int(random.integers(height - crop_height + 1)), int(random.integers(width - crop_width + 1))


def central_window(height: int, width: int, crop_height: int, crop_width: int) -> tuple[int, int]:
    """Top and left of a part of this size in the middle of an image.

    Raises
    ------
    TooSmall
        If the image is smaller.
    """
    _check_room(height, width, crop_height, crop_width)
    return (height - crop_height) // 2, (width - crop_width) // 2


@dataclass(frozen=True)
class ClassifierAugmentation:
    """What image classification cuts out of an image, and what it changes in training, by the specification.

    Parameters
    ----------
    kind : {"crop", "crop_color", "crop_color_transform"} or None
        A random part and half of the images mirrored; besides, hue, saturation and lightness moved; besides, turned, sheared and
        stretched. None: the part in the middle, as it is.
    height, width : int
        Of the part.
    resize : int, optional
        The shorter side, before anything is cut.
    padding : int
        Pixels put around an image before a random part is cut.
    """

    kind: str | None
    height: int
    width: int
    resize: int | None = None
    padding: int = 0

    def __call__(self, sample: Sample, random: np.random.Generator | None = None) -> Sample:
        """The part of a sample.

        Parameters
        ----------
        sample : Sample
        random : Generator, optional
            Without it nothing is changed at random.

        Raises
        ------
        TooSmall
            If the image is smaller than the part.
        """
        if self.resize is not None:
            sample = resize_shorter(sample, self.resize)
        if random is None or self.kind is None:
            return crop(sample, *central_window(sample.height, sample.width, self.height, self.width), self.height, self.width)
        _check_room(sample.height, sample.width, self.height, self.width)
        if self.padding:
            around = self.padding
            sample = pad(sample, around, around, sample.height + 2 * around, sample.width + 2 * around, fill=BEYOND)
        top, left = random_window(random, sample.height, sample.width, self.height, self.width)
        if self.kind == TRANSFORM:
            matrix = affine(
                sample.height,
                sample.width,
                rotation=random.uniform(-ROTATION, ROTATION),
                shear=random.uniform(-SHEAR, SHEAR),
                aspect=1 + random.uniform(-ASPECT, ASPECT),
            )
            sample = warp(sample, matrix - np.array([[0, 0, left], [0, 0, top]]), self.height, self.width, fill=BEYOND)
        else:
            sample = crop(sample, top, left, self.height, self.width)
        if self.kind in (COLOUR, TRANSFORM):
            hue, saturation, lightness = random.uniform(-1, 1, 3)
            sample = with_image(sample, shift_hls(sample.image, HUE * hue, SATURATION * saturation, LIGHTNESS * lightness))
        return flip(sample) if random.random() < 0.5 else sample


def _check_room(height: int, width: int, crop_height: int, crop_width: int) -> None:
    if crop_height > height or crop_width > width:
        raise TooSmall(f"it has {height} x {width} pixels, smaller than the {crop_height} x {crop_width} that are cut from it")

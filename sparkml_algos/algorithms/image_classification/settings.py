"""Settings of image classification as training and scoring use them."""

from __future__ import annotations

from dataclasses import dataclass

from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.images.augmentation import ClassifierAugmentation

#: Formats of several labels: a 0 or 1 for each class, or the ids of those that an image has.
MULTI_HOT, CLASS_ID = "multi-hot", "class-id"
#: What weights from elsewhere were trained with: depths, and the size of an image.
PRETRAINED_DEPTHS, PRETRAINED_SHAPE = (18, 34, 50, 101, 152, 200), (3, 224, 224)


@dataclass(frozen=True)
class Shape:
    """The form of the images that a network takes."""

    channels: int
    height: int
    width: int


def shape_of(text: str) -> Shape:
    """``"3,224,224"`` as a shape.

    Raises
    ------
    ValueError
        If these are not three whole numbers, of 1 or 3 channels.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not all(part.isdecimal() and len(part) < 6 and int(part) for part in parts):
        raise ValueError(f"image_shape must be channels,height,width, such as '3,224,224', got {text!r}")
    found = Shape(*map(int, parts))
    if found.channels not in (1, 3):
        raise ValueError(f"image_shape must have 1 channel (grey) or 3 (red, green and blue), got {found.channels}")
    return found


def augmentation_of(of: Hyperparameters) -> ClassifierAugmentation:
    """What is cut out of an image in training."""
    shape = shape_of(of.image_shape)
    return ClassifierAugmentation(of.augmentation_type, shape.height, shape.width, of.resize, of.pad_size)

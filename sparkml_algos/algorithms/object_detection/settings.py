"""What the hyperparameters of an object detector come to, and what of them does not go together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparkml_algos.algorithms.object_detection.default_boxes import MapOfBoxes, default_boxes, maps_of_boxes
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.training.of_images import ASYNCHRONOUS, NO_ASYNCHRONOUS, epochs_of

VGG16, RESNET50 = "vgg-16", "resnet-50"
#: Convolutions of each stage of VGG-16, and how far apart the points are of what stands in place of its first fully connected layer.
VGG_STAGES, VGG_DILATION = (2, 2, 3, 3, 3), 6
PIXELS, FRACTIONS = "pixels", "fractions"
#: What an image's label begins with, and how many numbers an object has in it, in the service's format.
LABEL_HEADER, NUMBERS_OF_OBJECT = 2, 5

# Of which optimizer a hyperparameter is.
_OF_OPTIMIZERS = {"momentum": ("sgd",), "weight_decay": ("sgd", "rmsprop")}
_OF_EARLY_STOPPING = ("early_stopping_min_epochs", "early_stopping_patience", "early_stopping_tolerance")


@dataclass(frozen=True)
class Settings:
    """What a network is built from.

    Attributes
    ----------
    base : {"vgg-16", "resnet-50"}
    width : float
        Share of the channels that layers have.
    side : int
        Of images.
    classes : int
        Without that of what is no object.
    maps : tuple of MapOfBoxes
    """

    base: str
    width: float
    side: int
    classes: int
    maps: tuple[MapOfBoxes, ...]

    @property
    def boxes(self) -> np.ndarray:
        """Default boxes: centre, width and height as fractions of the image, shape (boxes, 4)."""
        return default_boxes(self.maps)


def settings_of(hyperparameters: Hyperparameters, classes: int) -> Settings:
    """The settings that hyperparameters come to, with so many classes."""
    of = hyperparameters
    sides = map_sides(of.base_network, of.image_shape)
    return Settings(of.base_network, of.base_width, of.image_shape, classes, maps_of_boxes(sides, of.image_shape))


def map_sides(base: str, side: int) -> list[int]:
    """Cells along the edge of the maps of features that look for objects: of the base, then of what is put on top of it, down to one.

    Of images of 300 pixels and vgg-16 these are the 38, 19, 10, 5, 3 and 1 of SSD300.
    """
    if base == VGG16:
        fourth = half(side // 2 // 2)
        sides = [fourth, fourth // 2]
    else:
        fourth = half(half(half(side)))
        sides = [fourth, half(fourth), half(half(fourth))]
    while sides[-1] > 1:
        sides.append(1 if sides[-1] == 3 else half(sides[-1]))
    return sides


def step_to_extra(side: int) -> tuple[int, int]:
    """Stride and padding of the 3 × 3 convolution that makes the next map on top: of half the side, or of one cell after three."""
    return (1, 0) if side == 3 else (2, 1)


def half(side: int) -> int:
    """What a layer of stride 2 makes of a side."""
    return -(-side // 2)


def most_boxes(label_width: int) -> int:
    """Boxes that a label of this width has room for."""
    return max(0, (label_width - LABEL_HEADER) // NUMBERS_OF_OBJECT)


def contradictions(of: Hyperparameters, defaults: Mapping[str, Any], has_validation: bool | None = None) -> list[str]:
    """What does not go together; settings that are of no effect are refused where they are not those by default.

    Parameters
    ----------
    of : Hyperparameters
    defaults : mapping of str to value
    has_validation : bool, optional
        Whether rows are marked for validation; None where that is of no matter.
    """

    def differs(name: str) -> bool:
        return getattr(of, name) != defaults[name]

    found = [
        f"{name} goes with optimizer={' or '.join(map(repr, optimizers))} alone, which is {of.optimizer!r}: leave it out"
        for name, optimizers in _OF_OPTIMIZERS.items()
        if of.optimizer not in optimizers and differs(name)
    ]
    found += [
        f"{name} is of no effect without early_stopping=True" for name in _OF_EARLY_STOPPING if not of.early_stopping and differs(name)
    ]
    if of.early_stopping and has_validation is False:
        found.append("early_stopping=True watches the mAP of rows for validation: name a validationIndicatorCol")
    if of.kv_store == ASYNCHRONOUS:
        found.append(NO_ASYNCHRONOUS)
    try:
        steps = epochs_of(of.lr_scheduler_step)
    except ValueError as error:
        found.append(str(error))
    else:
        if not steps and differs("lr_scheduler_factor"):
            found.append("lr_scheduler_factor is of no effect without lr_scheduler_step, the epochs after which it is applied")
    if of.base_network == VGG16 and differs("syncbn"):
        found.append(f"syncbn is of no effect with base_network={VGG16!r}, which has no batch normalisation: leave it out")
    if most_boxes(of.label_width) < 1:
        least = LABEL_HEADER + NUMBERS_OF_OBJECT
        found.append(f"label_width must be {least} or more, 2 + 5 for each object of the image that has most, got {of.label_width}")
    found += _of_pattern(of.freeze_layer_pattern)
    return found


def _of_pattern(pattern: str | None) -> list[str]:
    try:
        re.compile(pattern or "")
    except re.error as error:
        return [f"freeze_layer_pattern={pattern!r} is no regular expression: {error}"]
    return []


def starting_problems(of: Hyperparameters, starts_from_model: bool) -> list[str]:
    """What of the weights to start from does not go together, or is missing."""
    if not of.use_pretrained_model:
        given = "use_pretrained_model=0 starts with random weights"
        return [f"pretrained_weights is of no effect: {given}; leave one out"] if of.pretrained_weights else []
    if starts_from_model:
        return ["pretrained_weights and setInitialModel are both given; leave one out"] if of.pretrained_weights else []
    if of.base_width < 1:
        return [f"no weights fit a network of base_width={of.base_width:g}: set use_pretrained_model=0, or leave base_width out"]
    if of.pretrained_weights:
        return []
    network = {VGG16: "vgg16", RESNET50: "resnet50"}[of.base_network]
    return [
        f"use_pretrained_model=1 needs pretrained_weights, a file with a state dict of {network} as torchvision or timm has it, for "
        f"nothing is downloaded: with torchvision torch.save(torchvision.models.{network}(weights='DEFAULT').state_dict(), path), "
        "or set use_pretrained_model=0"
    ]

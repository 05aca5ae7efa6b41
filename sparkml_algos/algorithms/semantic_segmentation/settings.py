"""What the hyperparameters of semantic segmentation come to, and what of them does not go together."""

from __future__ import annotations

from dataclasses import dataclass

from sparkml_algos.algorithms.semantic_segmentation.label_maps import table_of
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.training.of_images import epochs_of

#: The decoders.
FCN, PSP, DEEPLAB = "fcn", "psp", "deeplab"
#: The backbone that no pretrained weights are known of.
SMALL = "small"
#: Sides of what a network is trained on are multiples of it; it is also how much smaller what the network gives is than the image.
STRIDE = 8
#: Scales of training images, from and to.
SCALES = (0.5, 2.0)
#: Channels of the small backbone's stem, and of each of its blocks channels, stride and dilation.
SMALL_STEM, SMALL_BLOCKS = (16, 32), ((32, 1, 1), (64, 2, 1), (96, 1, 2), (128, 1, 4))
#: Grids over which pyramid pooling takes means.
GRIDS = (1, 2, 3, 6)
#: How far apart the points of DeepLab's dilated convolutions are, at an eighth of the image.
RATES = (12, 24, 36)

# Of hyperparameters that mean something with one optimizer, schedule or switch alone, which; the specification's ``applies_when``.
_APPLIES = {
    "momentum": ("optimizer", "sgd"),
    "weight_decay": ("optimizer", "sgd"),
    "gamma1": ("optimizer", "rmsprop"),
    "gamma2": ("optimizer", "rmsprop"),
    "lr_scheduler_factor": ("lr_scheduler", "step"),
    "early_stopping_min_epochs": ("early_stopping", True),
    "early_stopping_patience": ("early_stopping", True),
    "early_stopping_tolerance": ("early_stopping", True),
}


@dataclass(frozen=True)
class Settings:
    """What a network is built from.

    Attributes
    ----------
    backbone : {"resnet-50", "resnet-101", "small"}
    algorithm : {"fcn", "psp", "deeplab"}
    classes : int
    has_auxiliary : bool
        Whether there is a second head, which helps in training.
    """

    backbone: str
    algorithm: str
    classes: int
    has_auxiliary: bool


def settings_of(of: Hyperparameters, classes: int) -> Settings:
    """The settings that hyperparameters come to."""
    return Settings(SMALL if of.small_backbone else of.backbone, of.algorithm, classes, of.auxiliary_loss_weight > 0)


def crop_side(of: Hyperparameters) -> int:
    """Side of the crops, a multiple of `STRIDE`."""
    return -(-of.crop_size // STRIDE) * STRIDE


def contradictions(of: Hyperparameters, has_validation: bool | None) -> list[str]:
    """What does not go together.

    Parameters
    ----------
    of : Hyperparameters
    has_validation : bool or None
        Whether rows are marked for validation; None where that is of no matter.
    """
    found = []
    if of.lr_scheduler == "step":
        try:
            if not epochs_of(of.lr_scheduler_step):
                found.append("lr_scheduler_step is required with lr_scheduler='step', such as '10, 20'")
        except ValueError as error:
            found.append(str(error))
    elif of.lr_scheduler_step is not None:
        found.append(f"lr_scheduler_step goes with lr_scheduler='step' alone, which is {of.lr_scheduler!r}: leave one out")
    if of.optimizer == "rmsprop" and of.gamma1 == 1:
        found.append("gamma1 must be < 1 with optimizer='rmsprop': with 1 no squared gradient would ever be averaged")
    if of.optimizer == "rmsprop" and of.gamma2 == 1:
        found.append("gamma2 must be < 1 with optimizer='rmsprop': with 1 steps would grow for ever")
    if of.early_stopping and has_validation is False:
        found.append("early_stopping=True goes by the mIOU of rows for validation: name a validationIndicatorCol")
    if of.early_stopping:
        found += [
            f"{name} must be >= {least}, got {getattr(of, name)}"
            for name, least in (("early_stopping_patience", 1), ("early_stopping_min_epochs", 0))
            if getattr(of, name) < least
        ]
    for name in ("label_map", "validation_label_map"):
        try:
            table_of(getattr(of, name))
        except ValueError as error:
            found.append(f"{name}: {error}")
    return found


def without_effect(of: Hyperparameters, defaults: Hyperparameters) -> list[str]:
    """What was set to another value than the default, and means nothing with the rest."""
    found = []
    for name, (other, needed) in _APPLIES.items():
        value = getattr(of, name)
        if getattr(of, other) != needed and value is not None and value != getattr(defaults, name):
            found.append(f"{name} goes with {other}={needed!r} alone, which is {getattr(of, other)!r}: leave one out")
    if of.small_backbone and of.backbone != defaults.backbone:
        found.append(f"small_backbone=True takes the place of backbone={of.backbone!r}: leave one out")
    return found

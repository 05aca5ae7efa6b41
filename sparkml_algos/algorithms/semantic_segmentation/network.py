"""Networks that give every pixel a class: a residual backbone, and one of three heads on its last features.

A head gives scores of classes at an eighth of the image's height and width, which are interpolated to its size, and is always trained
anew:

    fcn        a 3 × 3 convolution, and one of 1 × 1 to the classes
    psp        means over grids of 1, 4, 9 and 36 parts beside the features, then the same
    deeplab    a 1 × 1 and three dilated 3 × 3 convolutions beside each other, and the mean of the image; joined, then the same

References
----------
J. Long, E. Shelhamer, T. Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015. H. Zhao et al., "Pyramid scene
parsing network", CVPR 2017 (also the second loss). L.-C. Chen et al., "Rethinking atrous convolution for semantic image
segmentation", 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sparkml_algos.algorithms.semantic_segmentation.settings import (
    DEEPLAB,
    GRIDS,
    PSP,
    RATES,
    SMALL,
    SMALL_BLOCKS,
    SMALL_STEM,
    STRIDE,
    Settings,
)
from sparkml_algos.arrays import segmentation
from sparkml_algos.arrays.segmentation import IGNORED
from sparkml_algos.networks.images import to_input
from sparkml_algos.networks.learner import Draws, NetworkLearner
from sparkml_algos.networks.resnet import ResNet
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.progress import EpochResult

#: Share of features that are set to 0 before the classes.
DROPOUT = 0.1
#: Channels of DeepLab's branches, where the backbone gives no fewer than four times as many.
BRANCH = 256
# Probabilities, of all classes of some rows of pixels, that are made at a time: 16 MiB.
_STRIP_NUMBERS = 1 << 22


class SegmentationNetwork(nn.Module):
    """Scores of classes for images.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        small = settings.backbone == SMALL
        self.backbone: SmallBackbone | ResNet = SmallBackbone() if small else ResNet(_DEPTHS[settings.backbone], output_stride=STRIDE)
        *_, inner, last = self.backbone.stage_channels
        self.head = _HEADS.get(settings.algorithm, Classes)(last, settings.classes)
        self.auxiliary = Classes(inner, settings.classes) if settings.has_auxiliary else None
        for module in (self.head, self.auxiliary):
            start(module)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Scores by the head and, while it trains, by the auxiliary one.

        Parameters
        ----------
        pixels : Tensor, shape (images, 3, height, width)
            Of heights and widths that are multiples of 8.

        Returns
        -------
        (Tensor, Tensor or None)
            Shape (images, classes, height / 8, width / 8).
        """
        *_, inner, last = self.backbone.stages(pixels)
        with_auxiliary = self.training and self.auxiliary is not None
        return self.head(last), self.auxiliary(inner) if with_auxiliary else None


class SmallBackbone(nn.Module):
    """For CPUs and few images: two 3 × 3 convolutions of stride 2, and four residual blocks of two 3 × 3 convolutions each.

    A block has 32, 64, 96 and 128 channels, at a quarter and then an eighth of the image, the last two dilated by 2 and 4 instead of being
    coarser: 0.5 million parameters, and 9 thousand multiplications a pixel of the image, where ResNet-50 has 23 million and 0.4 million.
    """

    stage_channels = tuple(channels for channels, _, _ in SMALL_BLOCKS)

    def __init__(self) -> None:
        super().__init__()
        first, second = SMALL_STEM
        self.stem = nn.Sequential(*convolution(3, first, 3, stride=2), *convolution(first, second, 3, stride=2))
        inputs = (second, *self.stage_channels)
        self.blocks = nn.ModuleList(
            ResidualBlock(before, channels, stride=stride, dilation=dilation)
            for before, (channels, stride, dilation) in zip(inputs, SMALL_BLOCKS, strict=False)
        )
        start(self)

    def stages(self, x: Tensor) -> list[Tensor]:
        """Features of each block."""
        found = []
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return found


class ResidualBlock(nn.Module):
    """relu(x + f(x)), f being two convolutions; x goes through a convolution of 1 × 1 where its shape is another."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        second = convolution(outputs, outputs, 3, dilation=dilation)[:-1]
        self.layers = nn.Sequential(*convolution(inputs, outputs, 3, stride=stride, dilation=dilation), *second)
        changes = stride > 1 or inputs != outputs
        self.shortcut = nn.Sequential(*convolution(inputs, outputs, 1, stride=stride)[:-1]) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.shortcut(x) + self.layers(x))


def convolution(inputs: int, outputs: int, size: int, *, stride: int = 1, dilation: int = 1) -> list[nn.Module]:
    """A convolution that keeps height and width, or divides them by the stride; batch normalisation; and max(0, x)."""
    padding = dilation * (size // 2)
    layer = nn.Conv2d(inputs, outputs, size, stride=stride, padding=padding, dilation=dilation, bias=False)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU()]


class Classes(nn.Sequential):
    """The head of a fully convolutional network, with which the others end."""

    def __init__(self, inputs: int, classes: int, hidden: int | None = None) -> None:
        hidden = hidden or inputs // 4
        super().__init__(*convolution(inputs, hidden, 3), nn.Dropout(DROPOUT), nn.Conv2d(hidden, classes, 1))


class PyramidPooling(nn.Module):
    """Features, and their means over some grids beside them."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        part = inputs // len(GRIDS)
        self.grids = nn.ModuleList(nn.Sequential(nn.AdaptiveAvgPool2d(grid), *convolution(inputs, part, 1)) for grid in GRIDS)
        self.classes = Classes(inputs + part * len(GRIDS), classes, inputs // 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.classes(torch.cat([x, *(interpolated(grid(x), x.shape[-2:]) for grid in self.grids)], dim=1))


class DeepLab(nn.Module):
    """Convolutions that see the features near and far, beside each other."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        part = min(BRANCH, inputs // 4)
        far = [convolution(inputs, part, 3, dilation=rate) for rate in RATES]
        mean = [nn.AdaptiveAvgPool2d(1), *convolution(inputs, part, 1)]
        self.branches = nn.ModuleList(nn.Sequential(*layers) for layers in (convolution(inputs, part, 1), *far, mean))
        self.join = nn.Sequential(*convolution(part * len(self.branches), part, 1), nn.Dropout(DROPOUT))
        self.classes = Classes(part, classes, part)

    def forward(self, x: Tensor) -> Tensor:
        found = [interpolated(branch(x), x.shape[-2:]) for branch in self.branches]
        return self.classes(self.join(torch.cat(found, dim=1)))


_HEADS: Mapping[str, Callable[[int, int], nn.Module]] = {PSP: PyramidPooling, DEEPLAB: DeepLab}
_DEPTHS = {"resnet-50": 50, "resnet-101": 101}


def interpolated(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Values between pixels' centres, bilinear."""
    return x if x.shape[-2:] == size else functional.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def start(network: nn.Module | None) -> None:
    """Let convolutions start so that they keep the variance of gradients (K. He et al., "Delving deep into rectifiers", ICCV 2015)."""
    for module in network.modules() if network is not None else ():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class SegmentationLearner(NetworkLearner):
    """Learns by the cross entropy of the classes of pixels.

    Parameters
    ----------
    *arguments
        Of `NetworkLearner`.
    auxiliary_weight : float
        Of the second head's loss.
    classes : int
    shares_statistics : bool
        Of `NetworkLearner`.
    validated : callable
        ``validated(batches)`` gives the rows of batches with images and masks as `loss` takes them, those of each batch of one size.
    """

    figures: ClassVar = ("loss", "cross_entropy", "pixel_accuracy")

    def __init__(
        self,
        *arguments: object,
        auxiliary_weight: float,
        classes: int,
        shares_statistics: bool,
        validated: Callable[[Iterable[Batch]], Iterable[Batch]],
    ) -> None:
        super().__init__(*arguments, shares_statistics=shares_statistics)
        self._auxiliary_weight, self._classes, self._validated = auxiliary_weight, classes, validated
        self.larger_is_better = self._watched.marks_validation

    def weight(self, batch: Batch) -> float:
        """Pixels that have a class."""
        return float(np.count_nonzero(batch.mask != IGNORED))

    def loss(self, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        truth = torch.from_numpy(batch.mask).to(self.device).long()
        scores, auxiliary = self.forward(to_input(batch.image, self.device))
        scores = interpolated(scores.float(), truth.shape[-2:])
        own = loss = functional.cross_entropy(scores, truth, ignore_index=IGNORED, reduction="sum")
        if auxiliary is not None:
            other = interpolated(auxiliary.float(), truth.shape[-2:])
            loss = own + self._auxiliary_weight * functional.cross_entropy(other, truth, ignore_index=IGNORED, reduction="sum")
        return {"loss": loss, "cross_entropy": own, "pixel_accuracy": (scores.argmax(1) == truth).sum()}

    def validate(self, batches: Iterable[Batch], draws: Draws) -> Mapping[str, float]:
        """``mIOU`` and ``pixel_accuracy``, and the mean ``cross_entropy`` of a pixel."""
        counts, entropy = np.zeros((self._classes, self._classes), np.int64), 0.0
        for batch in self._validated(batches):
            truth = torch.from_numpy(batch.mask).to(self.device).long()
            with self._precision():
                scores, _ = self.network(padded(to_input(batch.image, self.device)))
            scores = upsampled(scores.float(), truth.shape[-2:])
            entropy += float(functional.cross_entropy(scores, truth, ignore_index=IGNORED, reduction="sum"))
            counts += segmentation.confusion(batch.mask, scores.argmax(1).numpy(force=True), self._classes)
        counts = self._communicator.allreduce(counts)
        entropy = float(self._communicator.allreduce(np.array([entropy]))[0])
        found = {"mIOU": segmentation.mean_iou(counts), "pixel_accuracy": segmentation.pixel_accuracy(counts)}
        return {**found, "cross_entropy": entropy / max(1, int(counts.sum()))}

    def result(self, found: dict[str, float]) -> EpochResult:
        if "validation:mIOU" in found:
            return EpochResult(found, found["validation:mIOU"], found["validation:cross_entropy"])
        return EpochResult(found, found["train:loss"])


def padded(pixels: Tensor) -> Tensor:
    """Images with as much of the mean colour below and at the right as makes height and width multiples of 8."""
    height, width = pixels.shape[-2:]
    return functional.pad(pixels, (0, -width % STRIDE, 0, -height % STRIDE))


def upsampled(scores: Tensor, size: tuple[int, ...]) -> Tensor:
    """What a network gives for padded images, at the size that these had before."""
    height, width = size
    whole = interpolated(scores, (STRIDE * scores.shape[-2], STRIDE * scores.shape[-1]))
    return whole[..., :height, :width]


class Scores:
    """The scores of an image, at an eighth of its size; of which probabilities and classes are made when they are asked for.

    Parameters
    ----------
    scores : Tensor, shape (1, classes, ⌈height / 8⌉, ⌈width / 8⌉)
    height, width : int
        Of the image.
    """

    def __init__(self, scores: Tensor, height: int, width: int) -> None:
        self._scores, self.height, self.width = scores, height, width

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return self._scores.nbytes

    def strips(self) -> Iterator[tuple[slice, np.ndarray]]:
        """The probabilities of some rows of pixels after the other: which these are, and (classes, rows, width), float32.

        A strip holds 16 MiB of them or, if that is more, eight rows. Its pixels are what they are within the whole: the scores of a row of
        cells above and below are there too.
        """
        cells = self._scores.shape[2]
        per_strip = max(1, _STRIP_NUMBERS // (self._scores.shape[1] * self.width * STRIDE))
        for first in range(0, cells, per_strip):
            begin, end = max(0, first - 1), min(cells, first + per_strip + 1)
            part = upsampled(self._scores[:, :, begin:end], (STRIDE * (end - begin), self.width))
            rows = slice(STRIDE * first, min(STRIDE * (first + per_strip), self.height))
            above = STRIDE * begin
            yield rows, part[0, :, rows.start - above : rows.stop - above].softmax(0).numpy(force=True)

    def put_probabilities(self, into: np.ndarray) -> None:
        """Write the probabilities into an array of shape (classes, height, width), float32."""
        for rows, part in self.strips():
            into[:, rows] = part

    def classes(self) -> np.ndarray:
        """The most probable classes, shape (height, width), uint8."""
        found = np.empty((self.height, self.width), np.uint8)
        for rows, part in self.strips():
            found[rows] = part.argmax(0)
        return found


def scored(network: SegmentationNetwork, image: np.ndarray, device: str) -> Scores:
    """The scores of an image, (height, width, 3); by itself, so that what is found does not depend on others beside it."""
    with torch.no_grad():
        scores, _ = network(padded(to_input(image[None], device)))
    return Scores(scores.float(), *image.shape[:2])

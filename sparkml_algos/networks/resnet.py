"""Residual networks for images, with the names that torchvision and timm have for their parameters.

A stage is a row of residual blocks, x + F(x), the first of which halves height and width. For large images a stem of 7 x 7 and a maximum
over 3 x 3 shrink the image to a fourth before four stages; for small images a stem of 3 x 3 leaves it as it is before three.

References
----------
K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016 (depths 18 to 152, and 20 to 110 for CIFAR-10);
"Identity mappings in deep residual networks", ECCV 2016 (depth 200). Of a bottleneck the 3 x 3 halves, as in torchvision, not the 1 x 1
before it. L. Chen et al., "Rethinking atrous convolution for semantic image segmentation", 2017 (stages that are dilated instead).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

#: Depths for large images, and for small ones.
DEPTHS, SMALL_DEPTHS = (18, 34, 50, 101, 152, 200), (20, 32, 44, 56, 110)
#: Numbers of channels are multiples of this, which is what vectors of CPUs hold.
CHANNEL_UNIT = 8

_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
_BOTTLENECKS_FROM = 50
# What a bottleneck gives, in multiples of what its 3 x 3 works on.
_EXPANSION = 4
_WIDTHS, _SMALL_WIDTHS = (64, 128, 256, 512), (16, 32, 64)


class ResNet(nn.Module):
    """A residual network.

    Parameters
    ----------
    num_layers : int
        One of `DEPTHS` or `SMALL_DEPTHS`.
    num_classes : int, optional
        Numbers that the network gives for an image; without it, it gives the means of the last stage's channels.
    channels : int
        Of an image.
    output_stride : {8, 16, 32}
        Of networks for large images, by how much the last stage is smaller than the image. With less than 32 the last stages do not halve,
        and their convolutions look as much further instead.
    width : float
        Share of the channels that every layer has, see `scaled_channels`.

    Attributes
    ----------
    stage_channels : tuple of int

    Raises
    ------
    ValueError
        If there is no such depth or stride.
    """

    def __init__(
        self, num_layers: int, num_classes: int | None = None, channels: int = 3, *, output_stride: int = 32, width: float = 1.0
    ) -> None:
        super().__init__()
        is_small = num_layers in SMALL_DEPTHS
        if not is_small and num_layers not in DEPTHS:
            raise ValueError(f"num_layers must be one of {', '.join(map(str, (*DEPTHS, *SMALL_DEPTHS)))}, got {num_layers!r}")
        if output_stride not in ((32,) if is_small else (8, 16, 32)):
            raise ValueError(f"output_stride must be {'32' if is_small else '8, 16 or 32'} with {num_layers} layers, got {output_stride!r}")
        self._is_small = is_small
        widths = [scaled_channels(full, width) for full in (_SMALL_WIDTHS if is_small else _WIDTHS)]
        blocks = ((num_layers - 2) // 6,) * 3 if is_small else _BLOCKS[num_layers]
        kind = Bottleneck if not is_small and num_layers >= _BOTTLENECKS_FROM else Basic
        self.conv1 = nn.Conv2d(channels, widths[0], 3 if is_small else 7, 1 if is_small else 2, 1 if is_small else 3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        inputs, stride, dilation = widths[0], 1 if is_small else 4, 1
        for number, (own, count) in enumerate(zip(widths, blocks, strict=True)):
            step, before = 1 if number == 0 else 2, dilation
            if not is_small and stride * step > output_stride:
                step, dilation = 1, dilation * step
            stride *= step
            stage = [kind(inputs, own, step, before, dilation)]
            inputs = own * kind.expansion
            stage += [kind(inputs, own, 1, dilation, dilation) for _ in range(count - 1)]
            self.add_module(f"layer{number + 1}", nn.Sequential(*stage))
        self.stage_channels = tuple(own * kind.expansion for own in widths)
        self.fc = None if num_classes is None else nn.Linear(inputs, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stages(self, images: Tensor) -> list[Tensor]:
        """The output of each stage, (images, channels, height, width), the largest first."""
        found = functional.relu(self.bn1(self.conv1(images)), inplace=True)
        if not self._is_small:
            found = functional.max_pool2d(found, 3, 2, 1)
        outputs = []
        for number in range(len(self.stage_channels)):
            found = getattr(self, f"layer{number + 1}")(found)
            outputs.append(found)
        return outputs

    def forward(self, images: Tensor) -> Tensor:
        """Numbers for images, (images, classes), or (images, channels of the last stage)."""
        means = self.stages(images)[-1].mean((2, 3))
        return means if self.fc is None else self.fc(means)


def scaled_channels(channels: int, width: float) -> int:
    """A share of some channels, a multiple of `CHANNEL_UNIT` and one at least; all of them where it is 1."""
    return channels if width == 1 else max(CHANNEL_UNIT, round(channels * width / CHANNEL_UNIT) * CHANNEL_UNIT)


class _Block(nn.Module):
    """x + F(x), of which x is brought into the form of F(x) where that differs."""

    expansion = 1

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def residual(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        same = x if self.downsample is None else self.downsample(x)
        return functional.relu(self.residual(x).add_(same), inplace=True)


class Basic(_Block):
    """Two convolutions of 3 x 3, of which the second looks `later` pixels further."""

    def __init__(self, inputs: int, width: int, stride: int, dilation: int, later: int) -> None:
        super().__init__(inputs, width, stride)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, dilation, dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, later, later, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def residual(self, x: Tensor) -> Tensor:
        found = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.bn2(self.conv2(found))


class Bottleneck(_Block):
    """A convolution of 3 x 3 between two of 1 x 1, which make channels fewer before it and more after it."""

    expansion = _EXPANSION

    def __init__(self, inputs: int, width: int, stride: int, dilation: int, later: int) -> None:
        super().__init__(inputs, width * self.expansion, stride)
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)

    def residual(self, x: Tensor) -> Tensor:
        found = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        found = functional.relu(self.bn2(self.conv2(found)), inplace=True)
        return self.bn3(self.conv3(found))

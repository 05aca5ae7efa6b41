"""Layers of networks for images in graphs."""

from __future__ import annotations

import io

import numpy as np

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.export.graph import Graph

# Of torch's normalisation.
_EPSILON = 1e-5


def normalized_pixels(graph: Graph, pixels: str, channels: int) -> str:
    """Pixels as networks take them, float32 (rows, channels, height, width)."""
    from sparkml_algos.networks.images import IMAGENET_DEVIATION, IMAGENET_MEAN

    mean, deviation = (
        255 * np.array(values if channels == 3 else [sum(values) / 3] * channels, np.float32)
        for values in (IMAGENET_MEAN, IMAGENET_DEVIATION)
    )
    numbers = graph("Sub", graph.cast(pixels, np.float32), graph.constant(mean))
    return graph("Transpose", graph("Div", numbers, graph.constant(deviation)), perm=[0, 3, 1, 2])


class Convolutions:
    """Convolutions of a network, each with the normalisation behind it in its own weights.

    Parameters
    ----------
    graph : Graph
    artifact : Artifact
    prefix : str
        Of the names of its arrays.
    """

    def __init__(self, graph: Graph, artifact: Artifact, prefix: str = "network/") -> None:
        self._graph, self._arrays, self._prefix = graph, artifact.arrays, prefix

    def has(self, name: str) -> bool:
        """Whether there is such an array."""
        return f"{self._prefix}{name}" in self._arrays

    def array(self, name: str) -> np.ndarray:
        """An array of the network, float64."""
        return self._arrays[f"{self._prefix}{name}"].astype(np.float64)

    def __call__(
        self,
        rows: str,
        name: str,
        norm: str | None = None,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: int | None = None,
        relu: bool = False,
        is_last: bool = False,
    ) -> str:
        """A convolution.

        Parameters
        ----------
        rows, name : str
            What it reads, and what its weights are called.
        norm : str, optional
            Of the normalisation that follows it.
        stride, dilation : int
        padding : int, optional
            By default what keeps the size, but for the stride.
        relu : bool
            Whether ``max(0, x)`` follows.
        is_last : bool
            Whether it tells what the network does, with nothing behind it that evens out what 8 bits cost.
        """
        weight = self.array(f"{name}.weight")
        bias = self.array(f"{name}.bias") if self.has(f"{name}.bias") else np.zeros(len(weight))
        if norm is not None:
            scale = self.array(f"{norm}.weight") / np.sqrt(self.array(f"{norm}.running_var") + _EPSILON)
            weight = weight * scale[:, None, None, None]
            bias = (bias - self.array(f"{norm}.running_mean")) * scale + self.array(f"{norm}.bias")
        pad = dilation * (weight.shape[2] // 2) if padding is None else padding
        graph = self._graph
        found = graph(
            "Conv", rows, graph.single(weight), graph.single(bias), strides=[stride] * 2, dilations=[dilation] * 2, pads=[pad] * 4
        )  # fmt: skip
        made = [found, graph("Relu", found)] if relu else [found]
        graph.convolutions += [] if is_last else made
        return made[-1]

    def residual(self, rows: str, *, output_stride: int = 32) -> list[str]:
        """The output of each stage of a residual network, as `networks.resnet` has it."""
        graph, is_small = self._graph, self.array("conv1.weight").shape[2] == 3
        found = self(rows, "conv1", "bn1", stride=1 if is_small else 2, relu=True)
        if not is_small:
            found = graph("MaxPool", found, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        stride, dilation, stages, number = 1 if is_small else 4, 1, [], 0
        while self.has(f"layer{number + 1}.0.conv1.weight"):
            step, before = 1 if number == 0 else 2, dilation
            if not is_small and stride * step > output_stride:
                step, dilation = 1, dilation * step
            stride *= step
            block = 0
            while self.has(f"layer{number + 1}.{block}.conv1.weight"):
                found = self._block(
                    found, f"layer{number + 1}.{block}", step if block == 0 else 1, before if block == 0 else dilation, dilation
                )
                block += 1
            stages.append(found)
            number += 1
        return stages

    def _block(self, rows: str, name: str, stride: int, dilation: int, later: int) -> str:
        same = rows
        if self.has(f"{name}.downsample.0.weight"):
            same = self(rows, f"{name}.downsample.0", f"{name}.downsample.1", stride=stride)
        if self.has(f"{name}.conv3.weight"):
            found = self(rows, f"{name}.conv1", f"{name}.bn1", relu=True)
            found = self(found, f"{name}.conv2", f"{name}.bn2", stride=stride, dilation=dilation, relu=True)
            found = self(found, f"{name}.conv3", f"{name}.bn3")
        else:
            found = self(rows, f"{name}.conv1", f"{name}.bn1", stride=stride, dilation=dilation, relu=True)
            found = self(found, f"{name}.conv2", f"{name}.bn2", dilation=later)
        return self._graph("Relu", self._graph("Add", found, same))


def resized(graph: Graph, rows: str, height: str, width: str) -> str:
    """Features at another size, shape (1,) each, bilinear between the centres of their cells."""
    sizes = graph("Concat", graph.size(rows, 0), graph.size(rows, 1), height, width, axis=0)
    return graph("Resize", rows, "", "", sizes, mode="linear", coordinate_transformation_mode="half_pixel")


def grid_means(graph: Graph, rows: str, grid: int) -> str:
    """Means over the cells of a square grid, (rows, channels, grid, grid); a cell has every pixel that it reaches into."""
    if grid == 1:
        return graph("ReduceMean", rows, graph.ints(2, 3), keepdims=1)
    down, across = (_shares_of_cells(graph, graph.size(rows, axis), grid) for axis in (2, 3))
    return graph("MatMul", graph("MatMul", down, rows), graph("Transpose", across, perm=[1, 0]))


def _shares_of_cells(graph: Graph, length: str, grid: int) -> str:
    """What each of so many pixels counts in the mean of each cell, shape (grid, pixels)."""
    first, one, axis = graph.constant(np.array(0, np.int64)), graph.constant(np.array(1, np.int64)), graph.ints(0)
    pixels = graph("Range", first, graph("Squeeze", length, axis), one)
    cells, count = np.arange(grid, dtype=np.int64)[:, None], graph.ints(grid)
    start = graph("Div", graph("Mul", graph.constant(cells), length), count)
    end = graph("Div", graph("Add", graph("Mul", graph.constant(cells + 1), length), graph.ints(grid - 1)), count)
    inside = graph("And", graph("GreaterOrEqual", pixels, start), graph("Less", pixels, end))
    return graph("Div", graph.cast(inside, np.float32), graph.cast(graph("Sub", end, start), np.float32))


def drawn(random: np.random.Generator, count: int, height: int, width: int, channels: int) -> list[bytes]:
    """Files of pictures: stripes, and noise."""
    from PIL import Image

    found = []
    for _ in range(count):
        waves = np.sin(
            np.linspace(0, random.uniform(3, 30), width)[None, :, None] + np.linspace(0, random.uniform(3, 30), height)[:, None, None]
        )
        pixels = 127 + 90 * waves * random.uniform(0.2, 1, channels) + random.normal(0, 20, (height, width, channels))
        sink = io.BytesIO()
        array = np.clip(pixels, 0, 255).astype(np.uint8)
        Image.fromarray(array[..., 0] if channels == 1 else array).save(sink, "PNG")
        found.append(sink.getvalue())
    return found

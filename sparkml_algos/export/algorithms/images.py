"""Graphs of networks for images, which take pixels, uint8 (rows, height, width, channels): who runs them decodes files, and resizes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from sparkml_algos.algorithms.image_classification.preparation import Preparation
from sparkml_algos.algorithms.image_classification.settings import shape_of
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.export.decisions import largest
from sparkml_algos.export.graph import FLOAT16, FLOAT32, FLOAT64, ROWS, Graph, Input
from sparkml_algos.export.translation import SINGLE, Trained, Translation
from sparkml_algos.rows.batch import Batch

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

    def __call__(self, rows: str, name: str, norm: str | None = None, *, stride: int = 1, dilation: int = 1, relu: bool = False) -> str:
        """A convolution that keeps the size but for its stride; normalised, if `norm` names how."""
        weight = self.array(f"{name}.weight")
        bias = self.array(f"{name}.bias") if self.has(f"{name}.bias") else np.zeros(len(weight))
        if norm is not None:
            scale = self.array(f"{norm}.weight") / np.sqrt(self.array(f"{norm}.running_var") + _EPSILON)
            weight = weight * scale[:, None, None, None]
            bias = (bias - self.array(f"{norm}.running_mean")) * scale + self.array(f"{norm}.bias")
        pad = dilation * (weight.shape[2] // 2)
        graph = self._graph
        found = graph(
            "Conv", rows, graph.single(weight), graph.single(bias), strides=[stride] * 2, dilations=[dilation] * 2, pads=[pad] * 4
        )  # fmt: skip
        return graph("Relu", found) if relu else found

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


class ImageClassifier(Translation):
    """``ImageClassifierModel``."""

    decisions = ("predicted_label",)
    tolerance = SINGLE
    precisions = (FLOAT64, FLOAT32, FLOAT16)
    compared_rows: ClassVar[int] = 32

    def __init__(self, trained: Trained) -> None:
        super().__init__(trained)
        self._shape = shape_of(self.hyperparameters.image_shape)

    def inputs(self) -> list[Input]:
        return [Input("image", np.uint8, (ROWS, self._shape.height, self._shape.width, self._shape.channels))]

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        layers = Convolutions(graph, self.artifact)
        last = layers.residual(normalized_pixels(graph, inputs["image"], self._shape.channels))[-1]
        means = graph("ReduceMean", last, graph.ints(2, 3), keepdims=0)
        scores = graph("MatMul", means, graph.single(layers.array("fc.weight").T))
        scores = graph.real(graph("Add", scores, graph.single(layers.array("fc.bias"))))
        if self.hyperparameters.multi_label:
            return {"probability": graph("Sigmoid", scores)}
        probability = graph("Softmax", scores, axis=1)
        return {"probability": probability, "predicted_label": largest(graph, probability)}

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        return {"image": drawn(random, count, self._shape.height + 5, self._shape.width, self._shape.channels)}

    def feed(self, batch: Batch) -> dict[str, np.ndarray]:
        return {"image": Preparation(self.hyperparameters).for_scoring(batch)}

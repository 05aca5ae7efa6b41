"""Graphs of semantic segmentation, which take pixels, uint8 (rows, height, width, 3), of any size: who runs them decodes files.

As a graph has no PNGs, ``mask`` is the classes of pixels, uint8 (rows, height, width), and ``probability`` is (rows, classes, height,
width). A call has images of one size, and another call others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from sparkml_algos.algorithms.semantic_segmentation.masks import tables_of
from sparkml_algos.algorithms.semantic_segmentation.settings import (
    DEEPLAB,
    GRIDS,
    PSP,
    RATES,
    SMALL,
    SMALL_BLOCKS,
    STRIDE,
    settings_of,
)
from sparkml_algos.arrays.segmentation import confusion, mean_iou, pixel_accuracy
from sparkml_algos.export.algorithms.convolutions import Convolutions, drawn, grid_means, normalized_pixels, resized
from sparkml_algos.export.graph import ROWS, Graph, Input
from sparkml_algos.export.translation import SINGLE, Trained, Translation
from sparkml_algos.images.decoding import decode_mask
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.images import decoded, views

_HEIGHT, _WIDTH = "height", "width"
# Of a million probabilities the one that is furthest off; of the deepest network with random weights by 2e-4.
OF_PIXELS = 10 * SINGLE
# Of generated images: no multiple of the network's stride, and so wide that convolutions that look furthest see more than what is around.
_ROWS_OF_PIXELS, _COLUMNS_OF_PIXELS = 51, STRIDE * (max(RATES) + 3) - 3


class SemanticSegmenter(Translation):
    """``SemanticSegmenterModel``."""

    decisions = ("mask",)
    tolerance = OF_PIXELS
    types: ClassVar[Mapping[str, Any]] = {"mask": np.uint8, "probability": np.float32}
    compared_rows: ClassVar[int] = 8

    def __init__(self, trained: Trained) -> None:
        super().__init__(trained)
        self._classes: int = trained.artifact.values["num_classes"]
        self._settings = settings_of(self.hyperparameters, self._classes)
        self.shapes = {"mask": (_HEIGHT, _WIDTH), "probability": (self._classes, _HEIGHT, _WIDTH)}

    def inputs(self) -> list[Input]:
        return [Input("image", np.uint8, (ROWS, _HEIGHT, _WIDTH, 3))]

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        pixels = normalized_pixels(graph, inputs["image"], 3)
        height, width = graph.size(pixels, 2), graph.size(pixels, 3)
        features = self._features(graph, _padded(graph, pixels, height, width))
        scores = self._head(graph, Convolutions(graph, self.artifact), features)
        cells = [graph("Mul", graph.size(scores, axis), graph.ints(STRIDE)) for axis in (2, 3)]
        whole = resized(graph, scores, *cells)
        ends = graph("Concat", height, width, axis=0)
        probability = graph("Softmax", graph("Slice", whole, graph.ints(0, 0), ends, graph.ints(2, 3)), axis=1)
        return {"mask": graph.cast(graph("ArgMax", probability, axis=1, keepdims=0), np.uint8), "probability": probability}

    def _features(self, graph: Graph, pixels: str) -> str:
        """The last features of the backbone."""
        layers = Convolutions(graph, self.artifact, "network/backbone.")
        if self._settings.backbone != SMALL:
            return layers.residual(pixels, output_stride=STRIDE)[-1]
        found = layers(pixels, "stem.0", "stem.1", stride=2, relu=True)
        found = layers(found, "stem.3", "stem.4", stride=2, relu=True)
        for place, (_, stride, dilation) in enumerate(SMALL_BLOCKS):
            name, same = f"blocks.{place}", found
            if layers.has(f"{name}.shortcut.0.weight"):
                same = layers(found, f"{name}.shortcut.0", f"{name}.shortcut.1", stride=stride)
            found = layers(found, f"{name}.layers.0", f"{name}.layers.1", stride=stride, dilation=dilation, relu=True)
            found = layers(found, f"{name}.layers.3", f"{name}.layers.4", dilation=dilation)
            found = graph("Relu", graph("Add", found, same))
        return found

    def _head(self, graph: Graph, layers: Convolutions, features: str) -> str:
        """Scores of classes."""
        if self._settings.algorithm == PSP:
            parts = [features]
            for place, grid in enumerate(GRIDS):
                means = layers(grid_means(graph, features, grid), f"head.grids.{place}.1", f"head.grids.{place}.2", relu=True)
                parts.append(resized(graph, means, graph.size(features, 2), graph.size(features, 3)))
            return _classes(layers, graph("Concat", *parts, axis=1), "head.classes")
        if self._settings.algorithm == DEEPLAB:
            parts = [
                layers(features, f"head.branches.{place}.0", f"head.branches.{place}.1", dilation=dilation, relu=True)
                for place, dilation in enumerate((1, *RATES))
            ]
            name = f"head.branches.{len(parts)}"
            mean = layers(grid_means(graph, features, 1), f"{name}.1", f"{name}.2", relu=True)
            parts.append(resized(graph, mean, graph.size(features, 2), graph.size(features, 3)))
            return _classes(layers, layers(graph("Concat", *parts, axis=1), "head.join.0", "head.join.1", relu=True), "head.classes")
        return _classes(layers, features, "head")

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        return {"image": drawn(random, count, _ROWS_OF_PIXELS, _COLUMNS_OF_PIXELS, 3)}

    def feed(self, batch: Batch) -> dict[str, np.ndarray]:
        images = decoded(batch.image)
        if len({image.shape for image in images}) > 1:
            raise ValueError("images to compare by must be of one size, for a graph is given arrays")
        return {"image": np.stack(images)}

    def ours(self, batch: Batch) -> Mapping[str, Any]:
        found = super().ours(batch)
        masks = np.stack([decode_mask(mask) for mask in views(found["mask"])])
        numbers = found["probability"].field("target").flatten().to_numpy()
        return {"mask": masks, "probability": numbers.reshape(len(masks), self._classes, *masks.shape[1:])}

    def settled(self, found: Mapping[str, np.ndarray], ours: Mapping[str, Any]) -> Mapping[str, Any]:
        """Of classes that are equally probable but for rounding, either may be a pixel's."""
        probability, theirs = ours["probability"], found["mask"]
        of_theirs = np.take_along_axis(probability, theirs[:, None].astype(np.int64), axis=1)[:, 0]
        return {**ours, "mask": np.where(probability.max(1) - of_theirs <= self.tolerance, theirs, ours["mask"])}

    def quality(self, ours: Mapping[str, Any], found: Mapping[str, np.ndarray], label: Any) -> dict[str, tuple[float, float]]:
        if label is None:
            return {}
        _, table = tables_of(self.hyperparameters)
        truth = [table[decode_mask(mask)] for mask in label]
        counts = [
            np.sum([confusion(one, other, self._classes) for one, other in zip(truth, answers["mask"], strict=True)], axis=0)
            for answers in (ours, found)
        ]
        return {name: (of(counts[0]), of(counts[1])) for name, of in (("mIOU", mean_iou), ("pixel accuracy", pixel_accuracy))}


def _padded(graph: Graph, pixels: str, height: str, width: str) -> str:
    """Images with zeros below and at the right, up to multiples of the network's stride."""
    stride = graph.ints(STRIDE)
    more = [graph("Mod", graph("Sub", stride, graph("Mod", length, stride)), stride) for length in (height, width)]
    return graph("Pad", pixels, graph("Concat", graph.ints(0, 0, 0, 0, 0, 0), *more, axis=0))


def _classes(layers: Convolutions, rows: str, name: str) -> str:
    """The head of a fully convolutional network."""
    return layers(layers(rows, f"{name}.0", f"{name}.1", relu=True), f"{name}.4", is_last=True)

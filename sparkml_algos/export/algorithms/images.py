"""Graphs of image classification, which take pixels, uint8 (rows, height, width, channels): who runs them decodes files, and resizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from sparkml_algos.algorithms.image_classification.prediction import THRESHOLD
from sparkml_algos.algorithms.image_classification.preparation import Preparation
from sparkml_algos.algorithms.image_classification.settings import shape_of
from sparkml_algos.export.algorithms.convolutions import Convolutions, drawn, normalized_pixels
from sparkml_algos.export.decisions import largest
from sparkml_algos.export.graph import ROWS, Graph, Input
from sparkml_algos.export.translation import SINGLE, Trained, Translation
from sparkml_algos.rows.batch import Batch


class ImageClassifier(Translation):
    """``ImageClassifierModel``."""

    decisions = ("predicted_label",)
    tolerance = SINGLE
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

    def quality(self, ours: Mapping[str, Any], found: Mapping[str, np.ndarray], label: Any) -> dict[str, tuple[float, float]]:
        if label is None or not self.hyperparameters.multi_label:
            return super().quality(ours, found, label)
        there = np.asarray(label) > 0
        right, theirs = (float(np.mean((one["probability"] > THRESHOLD) == there)) for one in (ours, found))
        return {"accuracy": (right, theirs)}

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        return {"image": drawn(random, count, self._shape.height + 5, self._shape.width, self._shape.channels)}

    def feed(self, batch: Batch) -> dict[str, np.ndarray]:
        return {"image": Preparation(self.hyperparameters).for_scoring(batch)}

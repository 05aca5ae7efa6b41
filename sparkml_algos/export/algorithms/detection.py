"""Graphs of object detection, which take pixels, uint8 (rows, side, side, 3): who runs them decodes files, and makes them squares.

A graph says what is found, ``prediction``, (rows, most, 6): class, score, left, top, right and bottom as fractions of the image, the most
probable first, and behind the last of an image rows of class -1. It also says of every default box what that was chosen from, for who would
choose otherwise: ``probability`` of each class, (rows, boxes, classes), and ``corners``, (rows, boxes, 4).

A network's numbers are equal to ours but for rounding. Which boxes of almost the same probability come first, or overlap by almost the
threshold, rounding decides: so what the graph chooses is held to what we choose of *its* numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from sparkml_algos.algorithms.object_detection.default_boxes import VARIANCES
from sparkml_algos.algorithms.object_detection.detecting import Suppression, corners_in_image, left_of
from sparkml_algos.algorithms.object_detection.prediction import TOGETHER, squares_of
from sparkml_algos.algorithms.object_detection.preparing import corners_of
from sparkml_algos.algorithms.object_detection.settings import (
    FRACTIONS,
    VGG16,
    VGG_DILATION,
    VGG_STAGES,
    settings_of,
    step_to_extra,
)
from sparkml_algos.arrays.average_precision import average_precisions, matched, mean
from sparkml_algos.export.algorithms.convolutions import Convolutions, drawn, normalized_pixels
from sparkml_algos.export.graph import ROWS, Graph, Input
from sparkml_algos.export.translation import SINGLE, Trained, Translation
from sparkml_algos.rows.batch import Batch

# What is behind the last detection of an image.
_NOTHING = np.array([-1, 0, 0, 0, 0, 0], np.float32)
# By how much overlaps that are rounded in different orders differ at most, in relation to themselves.
_ROUNDING = 1e-6
# Of torch's normalisation by length.
_SHORTEST = 1e-12


class ObjectDetector(Translation):
    """``ObjectDetectorModel``."""

    decisions = ("prediction",)
    tolerance = SINGLE
    types: ClassVar[Mapping[str, Any]] = dict.fromkeys(("prediction", "probability", "corners"), np.float32)
    compared_rows: ClassVar[int] = 8

    def __init__(self, trained: Trained) -> None:
        super().__init__(trained)
        self._classes: int = trained.artifact.values["num_classes"]
        self._settings = settings_of(self.hyperparameters, self._classes)
        self._default = self._settings.boxes
        self._suppression = Suppression.of(self.hyperparameters)
        self._most = min(self._suppression.most, len(self._default) * self._classes)

    def inputs(self) -> list[Input]:
        return [Input("image", np.uint8, (ROWS, self._settings.side, self._settings.side, 3))]

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        said = self._said(graph, normalized_pixels(graph, inputs["image"], 3))
        scores, offsets = _part(graph, said, 0, self._classes + 1), _part(graph, said, -4)
        probability = _part(graph, graph("Softmax", scores, axis=2), 1)
        corners = self._corners(graph, offsets)
        return {"prediction": self._chosen(graph, probability, corners), "probability": probability, "corners": corners}

    # --------------------------------------------------------------------------------------------------------------- network

    def _said(self, graph: Graph, pixels: str) -> str:
        """Scores of nothing and of the classes, and offsets, (rows, boxes, 1 + classes + 4)."""
        base, layers = Convolutions(graph, self.artifact, "network/base."), Convolutions(graph, self.artifact)
        maps = self._maps_of_vgg(graph, base, pixels) if self._settings.base == VGG16 else base.residual(pixels)[1:]
        count = len(maps)
        for place, before in enumerate(self._settings.maps[count - 1 : -1]):
            maps.append(self._extra(layers, maps[-1], f"extras.{place}", before.side))
        said = []
        for place, features in enumerate(maps):
            last = graph("Transpose", layers(features, f"heads.{place}", is_last=True), perm=[0, 2, 3, 1])
            said.append(graph("Reshape", last, graph.ints(0, -1, self._classes + 1 + 4)))
        return graph("Concat", *said, axis=1)

    def _maps_of_vgg(self, graph: Graph, layers: Convolutions, pixels: str) -> list[str]:
        found, features = [], pixels
        for stage, count in enumerate(VGG_STAGES, 1):
            for place in range(1, count + 1):
                features = layers(features, f"conv{stage}_{place}", relu=True)
            if stage == 4:
                length = graph("Max", graph.reduced("ReduceL2", features, 1, keep=True), graph.constant(np.float32(_SHORTEST)))
                found.append(graph("Mul", graph("Div", features, length), graph.single(layers.array("length"))))
            if stage < len(VGG_STAGES):
                features = graph("MaxPool", features, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=int(stage == 3))
        features = graph("MaxPool", features, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
        return [*found, layers(layers(features, "fc6", dilation=VGG_DILATION, relu=True), "fc7", relu=True)]

    def _extra(self, layers: Convolutions, rows: str, name: str, side: int) -> str:
        """A map on top of one of this side."""
        stride, padding = step_to_extra(side)
        if not layers.has(f"{name}.1.weight"):  # VGG normalises nothing
            return layers(layers(rows, f"{name}.0", relu=True), f"{name}.2", stride=stride, padding=padding, relu=True)
        narrow = layers(rows, f"{name}.0", f"{name}.1", relu=True)
        return layers(narrow, f"{name}.3", f"{name}.4", stride=stride, padding=padding, relu=True)

    def _corners(self, graph: Graph, offsets: str) -> str:
        """Left, top, right and bottom within the image."""
        scaled = graph("Mul", offsets, graph.constant(np.array(VARIANCES, np.float32)))
        places, sizes = self._default[:, :2], self._default[:, 2:]
        centres = graph("Add", graph("Mul", _part(graph, scaled, 0, 2), graph.constant(sizes)), graph.constant(places))
        half = graph("Mul", graph("Exp", _part(graph, scaled, 2)), graph.constant(sizes / 2))
        corners = graph("Concat", graph("Sub", centres, half), graph("Add", centres, half), axis=2)
        return graph("Clip", corners, graph.constant(np.float32(0)), graph.constant(np.float32(1)))

    # ------------------------------------------------------------------------------------------------------------- suppression

    def _chosen(self, graph: Graph, probability: str, corners: str) -> str:
        """What is found."""
        scores, places = graph.top(graph("Reshape", probability, graph.ints(0, -1)), self._most)
        classes, boxes = graph("Mod", places, graph.ints(self._classes)), graph("Div", places, graph.ints(self._classes))
        candidates = graph("GatherND", corners, graph.column(boxes, 2), batch_dims=1)
        stays = self._not_suppressed(graph, scores, classes, candidates)
        # Those that stay come first, in their order.
        rank = np.arange(self._most)
        order = graph("Sub", graph("Mul", stays, graph.reals(2 * self._most)), graph.reals(rank))
        sorted_by, order = graph.top(order, self._most)
        rows = graph("Concat", graph.column(graph.cast(classes, np.float32), 2), graph.column(scores, 2), candidates, axis=2)
        rows = graph("GatherND", rows, graph.column(order, 2), batch_dims=1)
        is_there = graph("Greater", sorted_by, graph.reals(0))
        return graph("Where", graph.column(is_there, 2), rows, graph.constant(_NOTHING))

    def _not_suppressed(self, graph: Graph, scores: str, classes: str, corners: str) -> str:
        """1 for each candidate that stays, else 0, shape (rows, candidates)."""
        of = self._suppression
        extent = graph.reduced("ReduceMin", graph("Sub", _part(graph, corners, 2), _part(graph, corners, 0, 2)), 2)
        is_probable = graph("GreaterOrEqual", scores, graph.constant(np.float32(of.least_score)))
        is_left = graph("And", is_probable, graph("Greater", extent, graph.constant(np.float32(0))))
        nothing = graph.constant(np.float32(0))
        # Their ranks in place of their scores, which may be equal.
        judged = graph("Where", is_left, graph.constant(np.arange(self._most, 0, -1, dtype=np.float32)), nothing)
        judged = graph.column(judged, 1)
        if not of.across_classes:
            numbers = graph.constant(np.arange(self._classes, dtype=np.int64)[:, None])
            judged = graph("Where", graph("Equal", graph.column(classes, 1), numbers), judged, nothing)
        bounds = [graph.constant(np.array([bound], np.float32)) for bound in (of.threshold, 0)]
        kept = graph("NonMaxSuppression", corners, judged, graph.ints(self._most), *bounds)
        places = graph("Gather", kept, graph.ints(0, 2), axis=1)
        return graph("ScatterND", graph.filled(scores, 0.0, self._most), places, graph.filled(kept, 1.0))

    # -------------------------------------------------------------------------------------------------------------- comparison

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        return {"image": drawn(random, count, self._settings.side + 5, self._settings.side, 3)}

    def feed(self, batch: Batch) -> dict[str, np.ndarray]:
        starts = range(0, len(batch), TOGETHER)
        return {"image": np.stack([square for start in starts for square in squares_of(batch.image, start, self._settings.side)])}

    def ours(self, batch: Batch) -> Mapping[str, Any]:
        from sparkml_algos.algorithms.object_detection.network import Detector, said_of_boxes
        from sparkml_algos.networks.state import loaded

        network, images = loaded(lambda: Detector(self._settings), self.artifact), self.feed(batch)["image"]
        said = [said_of_boxes(network, images[start : start + TOGETHER], "cpu") for start in range(0, len(images), TOGETHER)]
        probability, offsets = (np.concatenate(parts) for parts in zip(*said, strict=True))
        corners = corners_in_image(offsets, self._default)
        chosen = self._chosen_by_us(probability, corners, self._suppression)
        return {"prediction": chosen, "probability": probability, "corners": corners, "pixels": super().ours(batch)["pixels"]}

    def settled(self, found: Mapping[str, np.ndarray], ours: Mapping[str, Any]) -> Mapping[str, Any]:
        """What we choose of the graph's numbers; an overlap that is the threshold but for rounding may be above it or not."""
        theirs, numbers = found["prediction"], (found["probability"], found["corners"])
        exact, *others = (
            self._chosen_by_us(*numbers, replace(self._suppression, threshold=self._suppression.threshold * (1 + by)))
            for by in (0.0, -_ROUNDING, _ROUNDING)
        )
        for other in others:
            same = (other == theirs).all(axis=(1, 2))
            exact[same] = other[same]
        return {**ours, "prediction": exact}

    def _chosen_by_us(self, probability: np.ndarray, corners: np.ndarray, suppression: Suppression) -> np.ndarray:
        flat = probability.reshape(len(probability), -1)
        places = np.argsort(-flat, axis=1, kind="stable")[:, : self._most]
        classes, boxes = places % self._classes, places // self._classes
        candidates = np.take_along_axis(corners, boxes[..., None], axis=1)
        found = np.tile(_NOTHING, (len(flat), self._most, 1))
        left = left_of(np.take_along_axis(flat, places, axis=1), classes, candidates, suppression)
        for row, detections in zip(found, left, strict=True):
            ends = detections[:, 2:4] + detections[:, 4:]
            row[: len(detections)] = np.concatenate([detections[:, :4], ends], axis=1)
        return found

    def quality(self, ours: Mapping[str, Any], found: Mapping[str, np.ndarray], label: Any) -> dict[str, tuple[float, float]]:
        if label is None:
            return {}
        of = self.hyperparameters
        sizes = ours["pixels"][:, 1::-1] if of.box_units != FRACTIONS else np.ones((len(label), 2))
        objects = []
        for row, (given, (height, width)) in enumerate(zip(label, sizes.tolist(), strict=True)):
            given = np.asarray(given, np.float64).reshape(-1, 5)
            corners = corners_of(given, (height, width), row)
            objects.append(np.column_stack([given[:, 0], corners[:, :2], corners[:, 2:] - corners[:, :2]]))

        def precision(prediction: np.ndarray) -> float:
            detections = [row[row[:, 0] >= 0].astype(np.float64) for row in prediction]
            for row in detections:
                row[:, 4:] -= row[:, 2:4]
            hits = matched(detections, objects, [of.overlap_threshold])
            return mean(average_precisions(hits, self._classes, points=of.average_precision)[0])

        return {"mAP": (precision(ours["prediction"]), precision(found["prediction"]))}


def _part(graph: Graph, rows: str, start: int, end: int | None = None) -> str:
    """Numbers of the last of three axes, from one on."""
    return graph("Slice", rows, graph.ints(start), graph.ints(np.iinfo(np.int64).max if end is None else end), graph.ints(2))

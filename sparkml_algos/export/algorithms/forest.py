"""The graph of a random cut forest.

Rows walk down all trees at once, a level at a time. On the way the share of the score is kept that is still to be given away, Π (1 − p) of
the nodes passed: the sum from the root downwards is the recursion from the leaf upwards that `algorithms.random_cut_forest` describes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparkml_algos.algorithms.random_cut_forest.forest import Forest
from sparkml_algos.algorithms.random_cut_forest.prediction import Boxes
from sparkml_algos.export.graph import FLOAT32, FLOAT64, CannotExport, Graph
from sparkml_algos.export.translation import SINGLE, OfFeatures, Trained


class RandomCutForest(OfFeatures):
    """``RandomCutForestModel``."""

    tolerance = SINGLE  # ours has 32 bits
    precisions = (FLOAT64, FLOAT32)

    def __init__(self, trained: Trained) -> None:
        super().__init__(trained)
        self._forest = Forest.of(self.artifact)
        if not len(self._forest.roots):
            raise CannotExport("it has no tree")
        self._boxes = Boxes.of(self._forest)

    def num_features(self) -> int:
        return self._forest.points.shape[1]

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        forest, features = self._forest, inputs["features"]
        trees = len(forest.roots)
        rows = graph.real(features)
        numbers = graph("Concat", graph.size(features), graph.ints(trees), axis=0)
        start = graph("Expand", graph.constant(forest.roots[None].astype(np.int64)), numbers)
        ones = graph.filled(features, 1.0, trees)
        score, left, node = ones, ones, start
        score = graph("Sub", ones, ones)
        levels = len(forest.levels())
        if levels:
            states = [(start, np.int64), (left, graph.number), (score, graph.number)]
            node, left, score = graph.loop(levels, states, lambda inner, names: (self._step(inner, rows, features, names), None))
        leaf = graph("Sub", graph.constant(np.int64(-1)), node)
        distance = graph("Sub", graph.column(rows), graph("Gather", graph.reals(forest.points), leaf, axis=0))
        differs = graph("Greater", graph.sum(graph("Abs", distance), 2), graph.reals(0))
        of_leaf = graph(
            "Where", differs,
            graph("Gather", graph.reals(self._boxes.leaf_alone), leaf, axis=0),
            graph("Gather", graph.reals(self._boxes.leaf_seen), leaf, axis=0),
        )  # fmt: skip
        total = graph.sum(graph("Add", score, graph("Mul", left, of_leaf)), 1)
        return {"score": graph("Mul", total, graph.reals(np.log2(forest.points_per_tree + 1) / trees))}

    def _step(self, graph: Graph, rows: str, features: str, states: list[str]) -> list[str]:
        """One level down: the nodes, what is left of each score, and the scores."""
        forest, boxes = self._forest, self._boxes
        node, left, score = states
        inner = graph("GreaterOrEqual", node, graph.constant(np.int64(0)))
        place = graph("Max", node, graph.constant(np.int64(0)))
        low, negative_high = np.split(boxes.corners, 2, axis=1)
        # By how much a row is below the least values of a box, or above its largest.
        row = graph.column(rows)
        below = graph("Relu", graph("Sub", graph("Gather", graph.reals(low), place, axis=0), row))
        above = graph("Relu", graph("Add", graph("Gather", graph.reals(negative_high), place, axis=0), row))
        growth = graph.sum(graph("Add", below, above), 2)
        chance = graph("Div", growth, graph("Add", growth, graph("Gather", graph.reals(boxes.range), place, axis=0)))
        alone = graph("Mul", chance, graph("Gather", graph.reals(boxes.alone), place, axis=0))
        given = graph("Mul", left, graph("Where", inner, alone, graph.reals(0)))
        kept = graph("Mul", left, graph("Where", inner, graph("Sub", graph.reals(1), chance), graph.reals(1)))
        value = graph("GatherElements", features, graph("Gather", graph.constant(forest.dimension.astype(np.int64)), place, axis=0), axis=1)
        goes_right = graph("Greater", value, graph("Gather", graph.constant(forest.cut), place, axis=0))
        child = graph("Add", graph("Mul", place, graph.constant(np.int64(2))), graph.cast(goes_right, np.int64))
        child = graph("Gather", graph.constant(forest.children.astype(np.int64).ravel()), child, axis=0)
        return [graph("Where", inner, child, node), kept, graph("Add", score, given)]

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        """Points of the forest, such near them, and far away."""
        points = self._forest.points.astype(np.float64)
        chosen = points[random.integers(len(points), size=count)]
        far = np.choose(random.integers(3, size=(count, 1)), [0.0, 0.3, 3.0]) * (points.std(axis=0) + 1e-3)
        return {"features": (chosen + far * random.normal(size=chosen.shape)).astype(np.float32)}

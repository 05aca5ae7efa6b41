"""Graphs of distances: nearest centres, nearest rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from sparkml_algos.algorithms.knn.params import COSINE, FLAT, L2
from sparkml_algos.algorithms.knn.reduction import reduce
from sparkml_algos.arrays.nearest import Centers
from sparkml_algos.arrays.neighbors import SPARE
from sparkml_algos.export.decisions import in_relation, largest
from sparkml_algos.export.graph import CannotExport, Graph
from sparkml_algos.export.translation import OfFeatures, Trained

# Centres whose distances are computed from differences; products tell which these are.
NEAR = 4


class NearestCenter(OfFeatures):
    """``KMeansModel``: products find the few centres that may be nearest, differences say which is."""

    decisions = ("closest_cluster",)
    types: ClassVar[Mapping[str, Any]] = {"closest_cluster": np.int64}

    def num_features(self) -> int:
        return self.artifact.arrays["centers"].shape[1]

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        centers = Centers(self.artifact.arrays["centers"])
        points, middle = centers.points[centers.first], centers.middle.astype(np.float64)
        shifted, rows = points - middle, graph.real(inputs["features"])
        products = graph.product(graph("Sub", rows, graph.reals(middle)), shifted.T)
        scores = graph("Sub", products, graph.reals(0.5 * (shifted**2).sum(axis=1)))
        _, near = graph.top(scores, min(NEAR, len(points)))
        differences = graph("Sub", graph.column(rows), graph("Gather", graph.weights(points), near, axis=0))
        squares = graph.sum(graph("Mul", differences, differences), 2)
        least = graph.reduced("ReduceMin", squares, 1, keep=True)
        place = graph("Where", graph("LessOrEqual", squares, least), near, graph.constant(np.int64(len(points))))
        closest = graph("Gather", graph.constant(centers.first.astype(np.int64)), graph.reduced("ReduceMin", place, 1), axis=0)
        return {"closest_cluster": closest, "distance_to_cluster": graph("Sqrt", graph("Squeeze", least, graph.ints(1)))}

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        """Near centres, and between two of them."""
        centers = np.asarray(self.artifact.arrays["centers"], np.float64)
        one, other = (centers[random.integers(len(centers), size=count)] for _ in range(2))
        spread = centers.std(axis=0) if len(centers) > 1 else np.abs(centers).max(axis=0) + 1
        between = random.random((count, 1)) * (random.random((count, 1)) < 0.5)
        return {"features": (one + between * (other - one) + 0.3 * spread * random.normal(size=one.shape)).astype(np.float32)}


class _Neighbors(OfFeatures):
    """Products find the rows that may be among the nearest, differences order them; of rows equally far the first is nearer."""

    types: ClassVar[Mapping[str, Any]] = {"ids": np.int64}

    def __init__(self, trained: Trained) -> None:
        super().__init__(trained)
        if self.hyperparameters.index_type != FLAT:
            raise CannotExport(
                f"index_type={self.hyperparameters.index_type!r} looks at some rows of the model, a graph at all: its answers would be "
                "others; train with index_type='faiss.Flat'"
            )
        self._metric, self._k = self.hyperparameters.index_metric, self.hyperparameters.k
        self._reduction = self.artifact.values["reduction"]

    def num_features(self) -> int:
        if self._reduction is not None:
            return int(self._reduction["input_dim"])
        return self.artifact.arrays["rows"].shape[1]

    def neighbors(self, graph: Graph, inputs: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """Places of the k nearest rows (rows, k), and the outputs that every model of neighbours has."""
        arrays, k = self.artifact.arrays, self._k
        stored = arrays["rows"].astype(np.float64)
        queries = graph.real(inputs["features"])
        if self._reduction is not None:
            queries = graph.product(queries, self._map().astype(np.float64))
        if self._metric == COSINE:
            lengths = graph("Sqrt", graph.sum(graph("Mul", queries, queries), 1, keep=True))
            queries = graph("Div", queries, graph("Where", graph("Greater", lengths, graph.reals(0)), lengths, graph.reals(1)))
        scores = graph.product(queries, stored.T)
        if self._metric == L2:
            scores = graph("Sub", scores, graph.reals(0.5 * (stored**2).sum(axis=1)))
        count = min(len(stored), k + SPARE)
        _, candidates = graph.top(scores, count)
        candidates, _ = graph.top(candidates, count, largest=False)
        near = graph("Gather", graph.weights(stored), candidates, axis=0)
        if self._metric == L2:
            differences = graph("Sub", near, graph.column(queries))
            distances = graph("Sqrt", graph.sum(graph("Mul", differences, differences), 2))
        else:
            distances = graph("Neg", graph.sum(graph("Mul", near, graph.column(queries)), 2))
        distances, order = graph.top(distances, k, largest=False)
        places = graph("GatherElements", candidates, order, axis=1)
        if self._metric == COSINE:
            distances = graph("Add", distances, graph.reals(1))
        found = {"distances": distances, "labels": graph("Gather", graph.reals(arrays["labels"]), places, axis=0)}
        if "ids" in arrays:
            found["ids"] = graph("Gather", graph.constant(arrays["ids"].astype(np.int64)), places, axis=0)
        return places, found

    def _map(self) -> np.ndarray:
        """The reduction, which is linear, as a matrix (features, target)."""
        return reduce(np.eye(self.num_features(), dtype=np.float32), self._reduction)

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        """Near stored rows, and such rows themselves."""
        stored, features = self.artifact.arrays["rows"].astype(np.float64), self.num_features()
        if self._reduction is not None:
            return {"features": random.normal(size=(count, features)).astype(np.float32)}
        found = stored[random.integers(len(stored), size=count)]
        moved = (random.random((count, 1)) < 0.8) * 0.5 * (stored.std(axis=0) + 1e-3)
        return {"features": (found + moved * random.normal(size=found.shape)).astype(np.float32)}


class NeighborsRegressor(_Neighbors):
    """``KNNRegressorModel``."""

    decisions = ("labels", "ids")

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        _, found = self.neighbors(graph, inputs)
        return {**found, "predicted_label": graph.reduced("ReduceMean", found["labels"], 1)}


class NeighborsClassifier(_Neighbors):
    """``KNNClassifierModel``."""

    decisions = ("predicted_label", "labels", "ids")

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        _, found = self.neighbors(graph, inputs)
        classes = np.arange(self.artifact.values["classes"], dtype=np.float64)
        is_of = graph("Equal", graph.column(found["labels"], 2), graph.reals(classes))
        votes = graph.sum(graph.real(is_of), 1)
        thresholds = self.artifact.arrays.get("thresholds")
        judged = votes if thresholds is None else in_relation(graph, votes, thresholds)
        probability = graph("Div", votes, graph.reals(self._k))
        return {**found, "predicted_label": largest(graph, judged), "votes": votes, "probability": probability}

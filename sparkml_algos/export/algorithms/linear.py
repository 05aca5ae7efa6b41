"""Graphs of matrix products: linear models, factorization machines, principal components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparkml_algos.algorithms.factorization_machines.prediction import raw_threshold
from sparkml_algos.algorithms.linear_learner.prediction import loss_name
from sparkml_algos.export.decisions import many_classes, two_classes
from sparkml_algos.export.graph import Graph
from sparkml_algos.export.translation import SINGLE, OfFeatures


class _Linear(OfFeatures):
    def num_features(self) -> int:
        return self.artifact.arrays["weights"].shape[1]

    def scores(self, graph: Graph, inputs: Mapping[str, str]) -> str:
        """w·x + b, shape (rows, outputs)."""
        arrays = self.artifact.arrays
        return graph.affine(graph.real(inputs["features"]), arrays["weights"].astype(np.float64).T, arrays["bias"].astype(np.float64))

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        """Such that every feature adds about as much to the scores."""
        lengths = np.linalg.norm(self.artifact.arrays["weights"].astype(np.float64), axis=0)
        scale = 1 / np.maximum(lengths, lengths.max(initial=0) * 1e-3 + 1e-6)
        return {"features": (random.normal(size=(count, self.num_features())) * scale).astype(np.float32)}


class LinearRegressor(_Linear):
    """``LinearLearnerRegressorModel``."""

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        return {"score": graph("Squeeze", self.scores(graph, inputs), graph.ints(1))}


class LinearBinaryClassifier(_Linear):
    """``LinearLearnerBinaryClassifierModel``."""

    decisions = ("predicted_label",)

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        score = graph("Squeeze", self.scores(graph, inputs), graph.ints(1))
        probable = loss_name(self.hyperparameters) != "hinge_loss"
        found = two_classes(graph, score, self.artifact.values["raw_threshold"], at_least=True, probable=probable)
        return {"predicted_label": found.pop("label"), **found}


class LinearMultiClassClassifier(_Linear):
    """``LinearLearnerMultiClassClassifierModel``."""

    decisions = ("predicted_label",)

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        found = many_classes(graph, self.scores(graph, inputs), self.artifact.arrays.get("thresholds"))
        return {"predicted_label": found.pop("label"), **found}


class _Machine(OfFeatures):
    """f = bias + X·w + ½ Σ_f ((X·V_f)² − X²·V_f²)."""

    def num_features(self) -> int:
        return len(self.artifact.arrays["linear"])

    def scores(self, graph: Graph, inputs: Mapping[str, str]) -> str:
        arrays = {name: array.astype(np.float64) for name, array in self.artifact.arrays.items() if name in ("bias", "linear", "factors")}
        rows = graph.real(inputs["features"])
        sums = graph.product(rows, np.column_stack([arrays["linear"], arrays["factors"]]))
        linear = graph("Gather", sums, graph.constant(np.int64(0)), axis=1)
        factors = graph("Slice", sums, graph.ints(1), graph.ints(1 + arrays["factors"].shape[1]), graph.ints(1))
        own = graph("Squeeze", graph.product(graph("Mul", rows, rows), (arrays["factors"] ** 2).sum(1)[:, None]), graph.ints(1))
        pairs = graph("Sub", graph.sum(graph("Mul", factors, factors), 1), own)
        return graph("Add", graph("Add", linear, graph("Mul", pairs, graph.reals(0.5))), graph.reals(arrays["bias"][0]))

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        """Most of whose values are 0."""
        values = random.normal(size=(count, self.num_features()))
        return {"features": (values * (random.random(values.shape) < 0.5)).astype(np.float32)}


class MachineRegressor(_Machine):
    """``FactorizationMachinesRegressorModel``."""

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        return {"score": self.scores(graph, inputs)}


class MachineBinaryClassifier(_Machine):
    """``FactorizationMachinesBinaryClassifierModel``."""

    decisions = ("predicted_label",)

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        found = two_classes(graph, self.scores(graph, inputs), raw_threshold(self.artifact), at_least=True, probable=True)
        return {"predicted_label": found.pop("label"), **found}


class Components(OfFeatures):
    """``PCAModel``."""

    tolerance = SINGLE  # ours has 32 bits

    def num_features(self) -> int:
        return len(self.artifact.arrays["mean"])

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        centred = graph("Sub", graph.real(inputs["features"]), graph.reals(self.artifact.arrays["mean"]))
        return {"projection": graph.product(centred, self.artifact.arrays["components"].T)}

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        """As far from the mean as those that were trained on."""
        arrays = self.artifact.arrays
        deviations = np.sqrt(arrays.get("explained_variance", np.ones(len(arrays["components"]))))
        along = random.normal(size=(count, len(deviations))) * deviations
        beside = random.normal(size=(count, self.num_features())) * deviations.min(initial=1.0)
        return {"features": (arrays["mean"] + along @ arrays["components"] + beside).astype(np.float32)}

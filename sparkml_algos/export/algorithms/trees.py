"""Graphs of boosted trees and linear boosters.

The trees are one node of ONNX, made from what the library saves. What turns a sum over trees into a prediction is written out beside it, by
the objective: the public converter has it wrong for some of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from sparkml_algos.algorithms.xgboost.objectives import BINARY, CLASSIFICATION, LOG_LINK
from sparkml_algos.algorithms.xgboost.prediction import loaded
from sparkml_algos.algorithms.xgboost.settings import missing_value
from sparkml_algos.export.decisions import many_classes, two_classes
from sparkml_algos.export.graph import FLOAT32, FLOAT64, ML, CannotExport, Graph
from sparkml_algos.export.translation import SINGLE, OfFeatures, Trained

# Objectives whose base score is a probability, and whose prediction is one.
_LOGIT = ("binary:logistic", "reg:logistic")
_BY_THRESHOLD = 0


class Booster(OfFeatures):
    """``XGBoostRegressionModel``, ``XGBoostRankerModel``, ``XGBoostClassificationModel``."""

    # The library adds trees up with 32 bits, one after the other; so does the graph, in an order of its own.
    tolerance = SINGLE
    precisions = (FLOAT64, FLOAT32)

    def __init__(self, trained: Trained) -> None:
        super().__init__(trained)
        if getattr(self.hyperparameters, "baseMarginCol", None):
            raise CannotExport("baseMarginCol is set: its scores start from a column of the rows; clear it")
        self._objective = self.artifact.values["objective"]
        self._learner = json.loads(bytes(loaded(self.artifact).save_raw("json")))["learner"]
        if self._objective in CLASSIFICATION:
            self.decisions = ("prediction",)

    def num_features(self) -> int:
        return int(self._learner["learner_model_param"]["num_feature"])

    @property
    def groups(self) -> int:
        """How many scores a row has."""
        return max(1, int(self._learner["learner_model_param"]["num_class"]))

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        margin = graph.real(self._margins(graph, inputs["features"]))
        if self._objective in CLASSIFICATION:
            return self._classes(graph, margin)
        margin = graph("Squeeze", margin, graph.ints(1))
        if self._objective in LOG_LINK:
            return {"prediction": graph("Exp", margin)}
        return {"prediction": graph("Sigmoid", margin) if self._objective in _LOGIT else margin}

    def _classes(self, graph: Graph, margin: str) -> dict[str, str]:
        if self._objective in BINARY:
            threshold, probable = self.artifact.values.get("raw_threshold", 0.0), self._objective != "binary:hinge"
            score = graph("Squeeze", margin, graph.ints(1))
            found = two_classes(graph, score, threshold, at_least=False, probable=probable)
        else:
            found = many_classes(graph, margin, self.artifact.arrays.get("thresholds"))
        return {"prediction": found.pop("label"), **found}

    def _margins(self, graph: Graph, features: str) -> str:
        """Raw scores (rows, groups), float32."""
        missing = missing_value(self.hyperparameters)
        if not np.isnan(missing):
            is_missing = graph("Equal", features, graph.constant(np.float32(missing)))
            features = graph("Where", is_missing, graph.constant(np.float32(np.nan)), features)
        booster = self._learner["gradient_booster"]
        if booster["name"] == "gblinear":
            return self._linear(graph, features, booster["model"]["weights"])
        trees = graph("TreeEnsembleRegressor", features, domain=ML, n_targets=self.groups, post_transform="NONE", **self._trees())
        return graph("Add", trees, graph.constant(self._start()))

    def _linear(self, graph: Graph, features: str, weights: list[float]) -> str:
        """What is missing counts as 0. The library starts every class from what it knows for the first."""
        table = np.array(weights, np.float32).reshape(self.num_features() + 1, self.groups)
        known = graph("Where", graph("IsNaN", features), graph.constant(np.float32(0)), features)
        return graph("Add", graph("MatMul", known, graph.constant(table[:-1])), graph.constant(table[-1] + self._start()[0]))

    def _start(self) -> np.ndarray:
        """What scores start from, shape (groups,): the file has it as a prediction."""
        predicted = np.atleast_1d(np.array(json.loads(self._learner["learner_model_param"]["base_score"]), np.float32))
        predicted = np.broadcast_to(predicted, self.groups)
        if self._objective in _LOGIT:
            return (-np.log(1 / predicted - 1)).astype(np.float32)
        return (np.log(predicted) if self._objective in LOG_LINK else predicted).astype(np.float32)

    def _trees(self) -> dict[str, Any]:
        """The attributes of the node."""
        nodes: dict[str, list[Any]] = {name: [] for name in _NODE_ATTRIBUTES}
        targets: dict[str, list[Any]] = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
        for number, (tree, group, weight) in enumerate(self._weighted_trees()):
            left, right = tree["left_children"], tree["right_children"]
            for node, condition in enumerate(tree["split_conditions"]):
                is_leaf = left[node] < 0
                nodes["treeids"].append(number)
                nodes["nodeids"].append(node)
                nodes["featureids"].append(0 if is_leaf else tree["split_indices"][node])
                nodes["values"].append(0.0 if is_leaf else float(condition))
                nodes["modes"].append("LEAF" if is_leaf else "BRANCH_LT")
                nodes["truenodeids"].append(0 if is_leaf else left[node])
                nodes["falsenodeids"].append(0 if is_leaf else right[node])
                nodes["missing_value_tracks_true"].append(0 if is_leaf else int(tree["default_left"][node]))
                if is_leaf:
                    targets["treeids"].append(number)
                    targets["nodeids"].append(node)
                    targets["ids"].append(group)
                    targets["weights"].append(float(np.float32(condition) * np.float32(weight)))
        return {**{f"nodes_{name}": values for name, values in nodes.items()}, **{f"target_{name}": one for name, one in targets.items()}}

    def _weighted_trees(self) -> list[tuple[dict[str, Any], int, float]]:
        """The trees that are grown, the group of each and by what it is multiplied."""
        booster = self._learner["gradient_booster"]
        model = booster.get("gbtree", booster)["model"]
        weights = booster.get("weight_drop") or [1.0] * len(model["trees"])
        for tree in model["trees"]:
            if any(kind != _BY_THRESHOLD for kind in tree.get("split_type", ())):
                raise CannotExport("its trees split by categories")
            if int(tree["tree_param"].get("size_leaf_vector", 0)) > 1:
                raise CannotExport("a leaf of its trees holds several scores")
        return list(zip(model["trees"], model["tree_info"], weights, strict=True))

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        """Of values at, just below and around the thresholds of each feature, a tenth of them missing."""
        missing = missing_value(self.hyperparameters)
        found = random.normal(size=(count, self.num_features())).astype(np.float32)
        for feature, thresholds in self._thresholds().items():
            values = np.array(thresholds, np.float32)[random.integers(len(thresholds), size=count)]
            below = np.nextafter(values, np.float32(-np.inf))
            around = values + (random.normal(size=count) * (np.std(thresholds) + 0.1)).astype(np.float32)
            found[:, feature] = np.choose(random.integers(3, size=count), [values, below, around])
        found[random.random(found.shape) < 0.1] = missing
        return {"features": found}

    def _thresholds(self) -> dict[int, list[float]]:
        if self._learner["gradient_booster"]["name"] == "gblinear":
            return {}
        found: dict[int, list[float]] = {}
        for tree, _, _ in self._weighted_trees():
            for left, feature, condition in zip(tree["left_children"], tree["split_indices"], tree["split_conditions"], strict=True):
                if left >= 0:
                    found.setdefault(feature, []).append(condition)
        return found


_NODE_ATTRIBUTES = (
    "treeids",
    "nodeids",
    "featureids",
    "values",
    "modes",
    "truenodeids",
    "falsenodeids",
    "missing_value_tracks_true",
)

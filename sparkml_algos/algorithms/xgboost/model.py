"""Gradient boosted trees for regression, classification and ranking: Models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.linalg import DenseVector, SparseVector, Vector
from pyspark.sql import DataFrame

from sparkml_algos.algorithms.xgboost.artifact import booster_artifact
from sparkml_algos.algorithms.xgboost.metrics import Sums, metrics
from sparkml_algos.algorithms.xgboost.objectives import BINARY, metric_names
from sparkml_algos.algorithms.xgboost.params import (
    ExplanationParams,
    XGBoostClassifierParams,
    XGBoostParams,
    XGBoostRankerParams,
    XGBoostRegressorParams,
)
from sparkml_algos.algorithms.xgboost.ranking import ranking_metrics
from sparkml_algos.algorithms.xgboost.training import XGBOOST, XGBOOST_RANKING
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.core.aggregation import SCORE, scored_rows, sum_over_batches
from sparkml_algos.core.bridge import OnJvm
from sparkml_algos.core.evaluation import evaluation
from sparkml_algos.core.mllib import BinaryThreshold, ClassifiesRows, ClassThresholds, HasSummary, PredictsRows, row_output
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.rows.fields import LABEL, WEIGHT
from sparkml_algos.training.algorithm import Algorithm

if TYPE_CHECKING:
    import xgboost as xgb

_EXPLANATIONS = (
    Output("contributions", "vector", "contributionsCol", on_jvm=False),
    Output("leaf", "vector", "leafCol", on_jvm=False),
)
_PREDICTION = Output("prediction", "double", "predictionCol")
# The library takes no names of features with these.
_FORBIDDEN_IN_NAMES = set("[]<")

# Bytes of a booster up to which the JVM is known to score faster. Of rows of 28 features Python spends 20 µs on handing a row over and
# back; the walks through 50, 500 and 400 trees of depth 6, 6 and 8 (0.2, 2.2 and 4.6 MB) take the JVM 2, 16 and 30 µs and the library 2, 8
# and 35 µs.
JVM_BYTES = 5_000_000

M = TypeVar("M", bound="_XGBoostModel")
C = TypeVar("C", bound="XGBoostClassificationModel")


def _numbered(booster: xgb.Booster, importance_type: str) -> dict[int, float]:
    """Importances of the features that are used, by their number."""
    booster.feature_names = None
    return {int(name[1:]): value for name, value in sorted(booster.get_score(importance_type=importance_type).items())}


def _is_faster(artifact: Artifact) -> bool:
    """Whether the JVM scores faster."""
    return len(artifact.arrays["model"]) <= JVM_BYTES


class _XGBoostModel(HasSummary, PredictsRows, XGBoostParams, ExplanationParams, AlgorithmModel):
    @staticmethod
    def algorithm() -> Algorithm:
        return XGBOOST

    @property
    def num_features(self) -> int:
        """Length of the features the model takes."""
        return self.artifact.values["num_features"]

    numFeatures = num_features

    @property
    def best_iteration(self) -> int | None:
        """The last round that serves, counted from 0: with early stopping that of the best metric, else the last one. None of a booster
        trained elsewhere."""
        return self.artifact.values.get("best_iteration")

    def objective_metric(self) -> str:
        return [name for name in self._known_summary().history[0] if name.startswith("train:")][-1].removeprefix("train:")

    def get_booster(self) -> xgb.Booster:
        """The library's own model, with the names of the features where they are known."""
        import xgboost as xgb

        booster = xgb.Booster(model_file=bytearray(self.artifact.arrays["model"]))
        names = self.feature_names
        if names and len(set(names)) == len(names) and not any(_FORBIDDEN_IN_NAMES & set(name) for name in names):
            booster.feature_names = names
        return booster

    def save_booster(self, path: str | Path) -> None:
        """Write the library's own model to a local file, in the format of its suffix, ``.ubj`` or ``.json``."""
        self.get_booster().save_model(path)

    @classmethod
    def from_booster(cls: type[M], booster: xgb.Booster | str | Path, **params: object) -> M:
        """A Model from a booster, or a local file of one, wherever that was trained.

        Parameters
        ----------
        booster : xgboost.Booster or path
        **params
            Params of the Model, such as `featuresCol`.

        Raises
        ------
        ValueError
            If the booster is for another task.
        """
        import xgboost as xgb

        if not isinstance(booster, xgb.Booster):
            booster = xgb.Booster(model_file=booster)
        artifact = booster_artifact(bytes(booster.save_raw("ubj")), {})
        objective = artifact.values["objective"]
        known = cls.declared["objective"].choices
        if objective not in known:
            raise ValueError(f"the booster's objective is {objective!r}; {cls.__name__} takes {', '.join(known)}")
        model = cls(objective=objective, num_class=artifact.values["num_class"] or None, **params)
        model.artifact = artifact
        model.feature_names = booster.feature_names
        return model

    @property
    def nativeBooster(self) -> xgb.Booster:
        """The same as `get_booster`, by the name of XGBoost4J."""
        return self.get_booster()

    @property
    def featureImportances(self) -> SparseVector:
        """Share of each feature in what all splits have gained, of sum 1, as MLlib has it of boosted trees; 0 everywhere without a split.

        Raises
        ------
        ValueError
            Of a linear booster, which has no splits.
        """
        if self.artifact.values["booster"] == "gblinear":
            raise ValueError("a linear booster has no splits that gain; its coefficients are get_feature_importances('weight')")
        gains = _numbered(self.get_booster(), "total_gain")
        whole = sum(gains.values()) or 1.0
        return SparseVector(self.num_features, {feature: gain / whole for feature, gain in gains.items()})

    def feature_importances(self, importance_type: str = "gain") -> dict[str, float]:
        """What each feature that is used contributes, by its name, or ``f0``, ``f1``, … where names are not known.

        Parameters
        ----------
        importance_type : {"gain", "weight", "cover", "total_gain", "total_cover"}
            Of a linear booster only ``weight``, its coefficients; those of many classes are lists.
        """
        names = self.feature_names
        is_named = names and len(set(names)) == len(names)
        found = _numbered(self.get_booster(), importance_type)
        return {names[feature] if is_named else f"f{feature}": value for feature, value in found.items()}

    def get_feature_importances(self, importance_type: str = "weight") -> dict[str, float]:
        """The same as `feature_importances`, with the name and the default of xgboost.spark: in how many splits each feature is."""
        return self.feature_importances(importance_type)

    def predictLeaf(self, value: Vector | Sequence[float] | np.ndarray) -> DenseVector:
        """The number of the leaf that a single row ends in, of each tree; takes and refuses what `predict` does."""
        return DenseVector(row_output(self, value, "leafCol")[0])

    @property
    def toDebugString(self) -> str:
        """All trees as text, with the gain and the cover of each node; in the library's form."""
        trees = self.get_booster().get_dump(with_stats=True)
        return "\n".join(f"Tree {number}:\n{tree.rstrip()}" for number, tree in enumerate(trees))

    @property
    def getNumTrees(self) -> int:
        """Number of trees: of many classes one for each class and round. A linear booster has none."""
        return len(self.treeWeights)

    @property
    def treeWeights(self) -> list[float]:
        """By what each tree is multiplied: 1, but where training with dropout has made it count less."""
        model = json.loads(self.get_booster().save_raw("json"))["learner"]["gradient_booster"]
        if model["name"] == "gblinear":
            return []
        trees = int(model.get("gbtree", model)["model"]["gbtree_model_param"]["num_trees"])
        return [float(weight) for weight in model.get("weight_drop", [1.0] * trees)]

    @property
    def totalNumNodes(self) -> int:
        """Number of nodes of all trees, leaves included."""
        return sum(len(tree.splitlines()) for tree in self.get_booster().get_dump()) if self.getNumTrees else 0

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """Metrics on the rows of a DataFrame with features and label, weighted where `weightCol` is set.

        Parameters
        ----------
        dataset : DataFrame

        Returns
        -------
        dict of str to float
            By the service's names with the prefix ``test:``.

        Raises
        ------
        ValueError
            If the dataset is empty or has a row that could not be trained on.
        """
        hyperparameters = Hyperparameters(**self.hyperparameters())
        totals = sum_over_batches(dataset, self, Sums(self.artifact, hyperparameters, self.label_classes()))
        return {f"test:{name}": value for name, value in metrics(totals, self.artifact.values["objective"]).items()}


class XGBoostRegressionModel(XGBoostRegressorParams, _XGBoostModel):
    """Boosted trees for numbers. `transform` appends ``prediction`` (double) and, where their columns are named, contributions and
    leaves."""

    outputs = (_PREDICTION, *_EXPLANATIONS)
    on_jvm = OnJvm("org.sparkmlalgos.ml.XGBoostRegressionModel", faster=_is_faster)


class XGBoostClassificationModel(ClassifiesRows, BinaryThreshold, ClassThresholds, XGBoostClassifierParams, _XGBoostModel):
    """Boosted trees for classes.

    `transform` appends ``prediction`` (double, the class), ``rawPrediction`` and ``probability`` (vectors with an entry per class) and,
    where their columns are named, contributions and leaves. An output column with an empty name is left out, and not computed.

    Of two classes a row is of the second if its probability is above `threshold`, one half unless `setThreshold` says otherwise; of many
    it is of the most probable one, or, with `setThresholds`, of the one most probable in relation to its threshold.
    """

    outputs = (
        _PREDICTION,
        Output("raw", "vector", "rawPredictionCol"),
        Output("probability", "vector", "probabilityCol"),
        *_EXPLANATIONS,
    )
    on_jvm = OnJvm("org.sparkmlalgos.ml.XGBoostClassificationModel", faster=_is_faster)

    @property
    def numClasses(self) -> int:
        """Number of classes."""
        return self.artifact.values["num_class"] or 2

    def label_classes(self) -> int:
        return self.numClasses

    def own_outputs(self) -> Sequence[Output]:
        has_probability = self.artifact is None or self._knows_probabilities
        return [output for output in super().own_outputs() if output.field != "probability" or has_probability]

    def setThreshold(self: C, value: float) -> C:
        """Let rows be of class 1 above this score: a probability, or a raw score with ``binary:hinge``.

        Raises
        ------
        ValueError
            If a probability is not between 0 and 1, or there are more than two classes.
        """
        if not self._is_binary:
            raise ValueError(f"threshold is for two classes, this model has {self.numClasses}; use setThresholds, with a number for each")
        return super().setThreshold(value)

    @property
    def threshold(self) -> float:
        """The score above which a row is of class 1: a probability, or the raw score with ``binary:hinge``."""
        if not self._is_binary:
            raise ValueError(f"threshold is for two classes, this model has {self.numClasses}; see thresholds")
        return super().threshold

    @property
    def thresholds(self) -> list[float] | None:
        """A number for each class; a row is of the class whose probability is largest in relation to it. None: of the most probable."""
        return self.getThresholds()

    def getThresholds(self) -> list[float] | None:
        """The value of `thresholds`."""
        return BinaryThreshold.getThresholds(self) if self._is_binary else ClassThresholds.thresholds.fget(self)

    def setThresholds(self: C, value: Sequence[float] | None) -> C:
        """Let a row be of the class whose probability is largest in relation to its number; of many classes, None lets it be of the most
        probable again.

        Raises
        ------
        ValueError
            Unless there is a number from 0 for each class, one of them at most being 0.
        """
        return (BinaryThreshold if self._is_binary else ClassThresholds).setThresholds(self, value)

    @property
    def _is_binary(self) -> bool:
        return self.artifact.values["objective"] in BINARY

    @property
    def _knows_probabilities(self) -> bool:
        return self.artifact.values["objective"] != "binary:hinge"

    def _take_what_was_found(self) -> None:
        values = self.artifact.values
        self._put({"objective": values["objective"], "num_class": values["num_class"] or None})

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        found = super().evaluate(dataset)
        if self.artifact.values["objective"] not in BINARY:
            return found
        weighted = {"weightCol": WEIGHT} if self.value("weightCol") else {}
        evaluator = BinaryClassificationEvaluator(rawPredictionCol=SCORE, labelCol=LABEL, numBins=0, **weighted)
        return {**found, "test:auc": evaluator.evaluate(scored_rows(dataset, self, "raw"))}

    evaluate.__doc__ = _XGBoostModel.evaluate.__doc__


class XGBoostRankerModel(XGBoostRankerParams, _XGBoostModel):
    """Boosted trees that rank. `transform` appends ``prediction`` (double), larger for rows that come first in their group and only to be
    compared within it, and, where their columns are named, contributions and leaves."""

    outputs = (_PREDICTION, *_EXPLANATIONS)
    on_jvm = OnJvm("org.sparkmlalgos.ml.XGBoostRankerModel", faster=_is_faster)

    @staticmethod
    def algorithm() -> Algorithm:
        return XGBOOST_RANKING

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """Metrics on the rows of a DataFrame with features, label and groups.

        Parameters
        ----------
        dataset : DataFrame

        Returns
        -------
        dict of str to float
            ``test:ndcg``, ``test:map`` and those with a number of first places, such as ``ndcg@5``, in `eval_metric`. Groups without a
            relevant row count as 1, as in the library.
        """
        asked = [name for name in metric_names(self.value("eval_metric")) if name.startswith(("ndcg", "map"))]
        names = list(dict.fromkeys(["ndcg", "map", *asked]))
        found = ranking_metrics(scored_rows(dataset, self, "prediction"), names)
        return {f"test:{name}": value for name, value in found.items()}

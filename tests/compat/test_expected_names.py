"""What people who come from MLlib and xgboost.spark call a model's parts by is there, and acts: on fitted models, against `transform`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from pyspark.ml.linalg import DenseMatrix, DenseVector, SparseVector
from pyspark.sql import DataFrame, Row, SparkSession

import sparkml_algos
from sparkml_algos import plotting
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.model import AlgorithmModel
from tests.saved.expected import SAVED, rows_and_outputs

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


@dataclass(frozen=True)
class Scored:
    """A saved model with a few rows.

    Parameters
    ----------
    model : AlgorithmModel
    frame : DataFrame
        The rows.
    """

    model: Any
    frame: DataFrame

    @property
    def rows(self) -> list[Row]:
        """The rows with what `transform` appends."""
        return self.model.transform(self.frame).orderBy("id").collect()

    @property
    def features(self) -> np.ndarray:
        return np.array([row["features"] for row in self.frame.orderBy("id").collect()])

    def column(self, param: str) -> np.ndarray:
        """An output by the Param that names its column."""
        found = [row[self.model.value(param)] for row in self.rows]
        return np.array([one.toArray() if hasattr(one, "toArray") else one for one in found])

    def of_each(self, method: str) -> np.ndarray:
        """What a method of a single row gives for each of them."""
        found = [getattr(self.model, method)(row) for row in self.features]
        return np.array([one.toArray() if hasattr(one, "toArray") else one for one in found])


Holds = Callable[[Scored], None]


def of_a_row(method: str, param: str) -> Holds:
    def holds(scored: Scored) -> None:
        np.testing.assert_allclose(scored.of_each(method), scored.column(param), **CLOSE)

    return holds


def has_a_summary(scored: Scored) -> None:
    model = scored.model
    assert model.hasSummary
    epochs = len(model.training_summary.history)
    if hasattr(model.summary, "trainingCost"):
        assert model.summary.trainingCost > 0 and (model.summary.k, model.summary.numIter) == (model.value("k"), epochs)
    else:
        history = model.summary.objectiveHistory
        assert len(history) == model.summary.totalIterations == epochs and np.isfinite(history).all()


def decides_by_a_threshold(scored: Scored) -> None:
    scores = np.sort(scored.column("probabilityCol")[:, 1])
    between = float(scores[len(scores) // 2 - 1 : len(scores) // 2 + 1].mean())
    assert scored.model.setThreshold(between) is scored.model
    assert scored.model.getThreshold() == pytest.approx(between)
    np.testing.assert_array_equal(scored.column("predictionCol"), scored.column("probabilityCol")[:, 1] >= between)


def decides_by_thresholds(scored: Scored) -> None:
    thresholds = [0.5, 1.0, 9.0][: scored.model.numClasses]
    found = scored.model.setThresholds(thresholds)
    relative = np.array(thresholds if scored.model.numClasses > 2 else scored.model.getThresholds())
    assert found is scored.model
    np.testing.assert_array_equal(scored.column("predictionCol"), (scored.column("probabilityCol") / relative).argmax(axis=1))


def counts_classes(scored: Scored) -> None:
    assert scored.model.numClasses == scored.column("probabilityCol").shape[1]


def has_a_matrix_of_weights(scored: Scored) -> None:
    matrix, bias = scored.model.coefficientMatrix, scored.model.interceptVector
    assert isinstance(matrix, DenseMatrix) and isinstance(bias, DenseVector)
    raw = scored.features @ matrix.toArray().T + bias.toArray()
    np.testing.assert_allclose(scored.column("rawPredictionCol")[:, -raw.shape[1] :], raw, rtol=1e-4, atol=1e-4)


def has_weights(scored: Scored) -> None:
    found = scored.features @ scored.model.coefficients.toArray() + scored.model.intercept
    np.testing.assert_allclose(found, scored.column("predictionCol"), rtol=1e-4, atol=1e-4)


def has_factors(scored: Scored) -> None:
    model, rows = scored.model, scored.features
    pairs = ((rows @ model.factors) ** 2 - rows**2 @ model.factors**2).sum(axis=1) / 2
    found = np.asarray(model.intercept) + rows @ np.asarray(model.linear) + pairs
    np.testing.assert_allclose(found, scored.column("predictionCol"), rtol=1e-4, atol=1e-4)


def has_components(scored: Scored) -> None:
    projected = (scored.features - scored.model.mean) @ scored.model.pc.toArray()
    np.testing.assert_allclose(scored.column("outputCol"), projected, rtol=1e-4, atol=1e-4)


def explains_variance(scored: Scored) -> None:
    shares = scored.model.explainedVariance.toArray()
    assert isinstance(scored.model.explainedVariance, DenseVector) and len(shares) == 2
    assert (np.diff(shares) <= 0).all() and 0 < shares.sum() <= 1 + 1e-9


def has_a_likelihood(scored: Scored) -> None:
    likelihood, perplexity = scored.model.logLikelihood(scored.frame), scored.model.logPerplexity(scored.frame)
    assert likelihood < 0 and perplexity == pytest.approx(-likelihood / scored.features.sum(), rel=1e-6)


def has_topics(scored: Scored) -> None:
    model = scored.model
    topics = model.topicsMatrix()
    assert (topics.numRows, topics.numCols) == (model.vocabSize(), 2) == (3, 2)
    assert len(model.estimatedDocConcentration()) == 2
    first = model.describeTopics(1).orderBy("topic").collect()
    assert [row["termIndices"][0] for row in first] == topics.toArray().argmax(axis=0).tolist()


def costs(scored: Scored) -> None:
    assert scored.model.computeCost(scored.frame) == pytest.approx((scored.column("distanceCol") ** 2).sum(), rel=1e-5)
    assert np.shape(scored.model.clusterCenters()) == (3, 3)


def has_importances(scored: Scored) -> None:
    found, weights = scored.model.featureImportances, scored.model.get_feature_importances()
    assert isinstance(found, SparseVector) and found.size == 3 and found.toArray().sum() == pytest.approx(1)
    assert len(weights) == found.numNonzeros() > 0
    splits = sum(tree.count("yes=") for tree in scored.model.get_booster().get_dump())
    assert sum(weights.values()) == splits == scored.model.toDebugString.count("yes=")


def has_trees(scored: Scored) -> None:
    model = scored.model
    assert model.getNumTrees == len(model.treeWeights) == model.toDebugString.count("Tree ") == 3
    nodes = model.get_booster().trees_to_dataframe()
    assert model.totalNumNodes == len(nodes)
    leaves = {(tree, node) for tree, node in nodes.loc[nodes["Feature"] == "Leaf", ["Tree", "Node"]].itertuples(index=False)}
    found = scored.of_each("predictLeaf")
    assert all((tree, leaf) in leaves for row in found for tree, leaf in enumerate(row))
    np.testing.assert_array_equal(found, Scored(model.copy({model.leafCol: "leaf"}), scored.frame).column("leafCol"))


LINEAR = ["LinearLearnerRegressorModel", "LinearLearnerBinaryClassifierModel", "LinearLearnerMultiClassClassifierModel"]
MACHINES = ["FactorizationMachinesRegressorModel", "FactorizationMachinesBinaryClassifierModel"]
TREES = ["XGBoostRegressionModel", "XGBoostClassificationModel", "XGBoostRankerModel"]
NEIGHBOURS = ["KNNRegressorModel", "KNNClassifierModel"]
TWO_CLASSES = [LINEAR[1], MACHINES[1], TREES[1]]
CLASSIFIERS = [*TWO_CLASSES, LINEAR[2], NEIGHBOURS[1]]

#: By what it is called: the models that have it, and what then holds.
EXPECTED: dict[str, tuple[Sequence[str], Holds]] = {
    "predict": (["KMeansModel", *LINEAR, *MACHINES, *TREES, *NEIGHBOURS], of_a_row("predict", "predictionCol")),
    "predictRaw": (CLASSIFIERS, of_a_row("predictRaw", "rawPredictionCol")),
    "predictProbability": (CLASSIFIERS, of_a_row("predictProbability", "probabilityCol")),
    "summary, hasSummary": (["KMeansModel", *LINEAR, *MACHINES, *TREES], has_a_summary),
    "setThreshold, getThreshold": (TWO_CLASSES, decides_by_a_threshold),
    "setThresholds, thresholds": (CLASSIFIERS, decides_by_thresholds),
    "numClasses": (CLASSIFIERS, counts_classes),
    "coefficientMatrix, interceptVector": (LINEAR[1:], has_a_matrix_of_weights),
    "coefficients, intercept": (LINEAR[:1], has_weights),
    "intercept, linear, factors": (MACHINES[:1], has_factors),
    "pc": (["PCAModel"], has_components),
    "explainedVariance": (["PCAModel"], explains_variance),
    "logLikelihood, logPerplexity": (["LDAModel"], has_a_likelihood),
    "topicsMatrix, describeTopics, vocabSize, estimatedDocConcentration": (["LDAModel"], has_topics),
    "computeCost, clusterCenters": (["KMeansModel"], costs),
    "featureImportances, get_feature_importances": (TREES, has_importances),
    "getNumTrees, treeWeights, totalNumNodes, predictLeaf, toDebugString": (TREES, has_trees),
}


@pytest.fixture(scope="module")
def scored(spark: SparkSession) -> Callable[[str], Scored]:
    """Models are loaded once and copied: some tests change what they do."""

    @cache
    def load(name: str) -> Scored:
        cls: type[AlgorithmModel] = getattr(sparkml_algos, name)
        return Scored(cls.load(str(SAVED / name)), rows_and_outputs(name, spark)[0].cache())

    return lambda name: Scored(load(name).model.copy(), load(name).frame)


@pytest.mark.parametrize(
    ("name", "model"), [(name, model) for name, (models, _) in EXPECTED.items() for model in models], ids=lambda value: value
)
def test_what_a_part_is_called_elsewhere_is_there_and_acts(name: str, model: str, scored: Callable[[str], Scored]) -> None:
    EXPECTED[name][1](scored(model))


ESTIMATORS = [
    cls
    for name in sparkml_algos.names.EXPORTS
    if isinstance(cls := getattr(sparkml_algos, name), type) and issubclass(cls, AlgorithmEstimator)
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: estimator.__name__)
def test_params_are_set_by_keyword_together_or_not_at_all(estimator: type[AlgorithmEstimator]) -> None:
    made = estimator()
    assert made.setParams(num_workers=3, seed=11) is made
    assert (made.getNumWorkers(), made.getSeed(), made.getOrDefault(made.seed)) == (3, 11, 11)
    with pytest.raises(sparkml_algos.InvalidParams, match="num_workerz"):
        made.setParams(seed=12, num_workerz=2)
    assert made.getSeed() == 11


@pytest.mark.parametrize(
    "picture",
    [
        "plot_feature_importances", "plot_training_history", "plot_roc_curve", "plot_precision_recall_curve", "plot_confusion_matrix",
        "plot_components", "plot_topics", "plot_anomalies",
    ],
)  # fmt: skip
def test_there_is_a_picture_of_it(picture: str) -> None:
    assert picture in plotting.__all__ and getattr(plotting, picture).__doc__

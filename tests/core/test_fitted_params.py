"""What a fitted Model lets be set, what it is called, and how Spark's own classes know ours."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml import Model
from pyspark.ml.classification import ClassificationModel, Classifier, ProbabilisticClassificationModel, ProbabilisticClassifier
from pyspark.ml.param.shared import (
    HasFeaturesCol,
    HasLabelCol,
    HasMaxIter,
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
    HasSeed,
    HasWeightCol,
)
from pyspark.ml.regression import RegressionModel, Regressor

import sparkml_algos
from sparkml_algos import KMeans, KMeansModel, KNNRegressorModel, LinearLearnerRegressor, XGBoostClassifier, XGBoostRanker
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import InvalidParams
from sparkml_algos.core.params import DeclaredParams
from sparkml_algos.training.summary import TrainingSummary

COLUMNS = {
    "featuresCol": HasFeaturesCol,
    "labelCol": HasLabelCol,
    "weightCol": HasWeightCol,
    "predictionCol": HasPredictionCol,
    "probabilityCol": HasProbabilityCol,
    "rawPredictionCol": HasRawPredictionCol,
    "seed": HasSeed,
}
EXPORTED = [value for value in (getattr(sparkml_algos, name) for name in sparkml_algos.__all__) if isinstance(value, type)]
CLASSES = [cls for cls in EXPORTED if issubclass(cls, DeclaredParams)]


@pytest.fixture
def model() -> KMeansModel:
    model = KMeansModel(k=4)
    model.training_summary = TrainingSummary(
        2, 1000, [500, 500], {"features": {"num_features": 64}}, "barrier", 0, {"total": 3.5, "prepare": 1.0, "train": 2.5}
    )
    model.artifact = Artifact({"centers": np.zeros((4, 64))})
    return model


def test_hyperparameters_of_a_fitted_model_cannot_be_changed(model: KMeansModel) -> None:
    for change in (
        lambda: model._set(k=2),
        lambda: model.set(model.k, 2),
        lambda: model.copy({model.k: 2}),
        lambda: model.setParams(epochs=3),
        lambda: model.clear(model.k),
    ):
        with pytest.raises(InvalidParams, match=r"is fixed by training at . and cannot become .*; fit again to change it"):
            change()
    with pytest.raises(AttributeError, match="KMeansModel has no setK: k is fixed by training"):
        model.setK(2)
    assert (model.getK(), model.getEpochs()) == (4, 1)


def test_the_same_value_again_is_no_change(model: KMeansModel) -> None:
    assert model.copy({model.k: 4}).getK() == 4


def test_what_scoring_and_evaluating_read_can_be_set(model: KMeansModel) -> None:
    changed = model.copy({model.predictionCol: "cluster"}).setEvalMetrics(["ssd"]).setFeaturesCol("x")
    assert (changed.getPredictionCol(), changed.getEvalMetrics(), changed.getFeaturesCol(), changed.getK()) == ("cluster", ["ssd"], "x", 4)
    assert model.getPredictionCol() == "prediction"
    neighbors = KNNRegressorModel(k=3, sample_size=10)
    neighbors.artifact = Artifact({"labels": np.zeros(10)})
    assert neighbors.setK(1).getK() == 1


def test_a_model_says_what_it_is(model: KMeansModel) -> None:
    assert repr(model) == str(model) == f"KMeansModel: uid={model.uid}, k=4, numFeatures=64"
    assert f">{model.uid}</td>" in model._repr_html_()


def test_an_estimator_says_what_is_set() -> None:
    estimator = KMeans(k=4).setParams(epochs=2)
    assert repr(estimator) == f"KMeans: uid={estimator.uid}, k=4, epochs=2"


def test_a_summary_is_a_table(model: KMeansModel) -> None:
    lines = [line.split() for line in str(model.training_summary).splitlines()]
    assert ["rows", "1,000"] in lines and ["seconds,", "total", "3.500"] in lines
    assert sum(float(line[2]) for line in lines if line[0] == "seconds," and line[1] != "total") == 3.5


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_spark_knows_each_column_that_a_class_has(cls: type) -> None:
    for param, mixin in COLUMNS.items():
        assert issubclass(cls, mixin) == (param in cls.declared)
    assert not issubclass(cls, HasMaxIter)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_spark_knows_what_classifies_and_what_regresses(cls: type) -> None:
    name = cls.__name__
    # What Spark calls a classifier has a column of features; one of texts or images has none.
    is_classifier = "Classif" in name and not name.startswith(("BlazingText", "Image"))
    is_regressor, is_model = "Regress" in name, issubclass(cls, Model)
    for kind in (ClassificationModel, ProbabilisticClassificationModel):
        assert issubclass(cls, kind) == (is_classifier and is_model)
    for kind in (Classifier, ProbabilisticClassifier):
        assert issubclass(cls, kind) == (is_classifier and not is_model)
    assert issubclass(cls, RegressionModel) == (is_regressor and is_model)
    assert issubclass(cls, Regressor) == (is_regressor and not is_model)
    assert not issubclass(XGBoostRanker, Regressor)


@pytest.mark.parametrize(("cls", "elsewhere", "here"), [
    (KMeans, "initMode", "init_method"),
    (KMeans, "K", "k"),
    (KMeans, "maxIter", "epochs"),
    (KMeans, "features_col", "featuresCol"),
    (LinearLearnerRegressor, "regParam", "wd"),
    (LinearLearnerRegressor, "elasticNetParam", "l1"),
    (XGBoostClassifier, "n_estimators", "num_round"),
    (XGBoostClassifier, "random_state", "seed"),
    (XGBoostClassifier, "device", "use_gpu"),
    (XGBoostClassifier, "maxDepth", "max_depth"),
])  # fmt: skip
def test_a_name_from_elsewhere_is_answered_with_what_stands_for_it(cls: type, elsewhere: str, here: str) -> None:
    with pytest.raises(InvalidParams, match=f"unknown parameter '{elsewhere}'; .*'{here}'"):
        cls(**{elsewhere: 1})


def test_a_setter_from_elsewhere_is_answered_too() -> None:
    with pytest.raises(AttributeError, match="KMeans has no setInitMode; here 'init_method' stands for it"):
        KMeans(k=2).setInitMode("random")

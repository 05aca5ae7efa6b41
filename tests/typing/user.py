"""A program of a user, for the type checker alone: what the public names are to those who use them. Every line is right but those that
say which error they are to have, and mypy fails where an ignored error is none."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, assert_type

import numpy as np
from pyspark.ml import Pipeline
from pyspark.sql import DataFrame, SparkSession

import sparkml_algos
from sparkml_algos import (
    PCA,
    InvalidDataError,
    InvalidParams,
    KMeans,
    KMeansModel,
    LinearLearnerBinaryClassifier,
    RandomCutForestModel,
    Shingle,
    TrainingSummary,
    XGBoostClassificationModel,
    XGBoostClassifier,
    serving,
    warm_up,
)


def train(spark: SparkSession, frame: DataFrame) -> KMeansModel:
    assert_type(warm_up(spark), Future[int])
    estimator = KMeans(k=3, featuresCol="scaled").setEpochs(2)
    assert_type(KMeans(k=3).elbow(frame, ks=range(2, 5)), DataFrame)
    Pipeline(stages=[Shingle(inputCols=["load"], size=24), PCA(num_components=2), LinearLearnerBinaryClassifier()])
    assert_type(estimator, Any)  # setters are made from declarations
    assert_type(XGBoostClassifier(num_round=3).fit(frame), XGBoostClassificationModel)
    return KMeans(k=3).fit(frame)


def look(model: KMeansModel, trees: XGBoostClassificationModel, forest: RandomCutForestModel, frame: DataFrame) -> None:
    assert_type(model.cluster_centers, np.ndarray)
    summary = model.training_summary
    assert_type(summary, TrainingSummary | None)
    assert summary is not None
    assert_type(summary.seconds, dict[str, float])
    assert_type(model.transform(frame), DataFrame)
    assert_type(model.explain(frame), DataFrame)
    assert_type(model.evaluate(frame), dict[str, Any])
    assert_type(trees.numClasses, int)
    assert_type(forest.threshold, float)
    model.cluster_centers = np.zeros(2)  # type: ignore[misc]
    summary.history.append("not a dictionary")  # type: ignore[arg-type]


def serve(path: str) -> Mapping[str, Any]:
    served = serving.load(path)
    assert_type(served, serving.SavedModel)
    return served(features=np.zeros((1, 2)))


def names() -> None:
    assert_type(sparkml_algos.__version__, str)
    error: type[ValueError] = InvalidParams
    another: type[Exception] = InvalidDataError
    print(error, another, sparkml_algos.NoSuchName)  # type: ignore[attr-defined]

"""Random cut forest as a Spark ML Estimator: what the generic checks do not know about it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from sparkml_algos import InvalidParams, RandomCutForest, RandomCutForestModel
from sparkml_algos.algorithms.random_cut_forest.prediction import scores

NORMAL = np.random.default_rng(0).normal(size=(480, 2)).astype(np.float32)
ODD = np.random.default_rng(1).uniform(5, 9, (6, 2)).astype(np.float32)
ROWS = np.vstack([NORMAL, ODD])
LABEL = np.append(np.zeros(480), np.ones(6))
LABEL[7] = 1  # an anomaly that nobody can find


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    rows = [(i, row.tolist(), float(label)) for i, (row, label) in enumerate(zip(ROWS, LABEL, strict=True))]
    return spark.createDataFrame(rows, "id int, features array<float>, label double").repartition(3).cache()


@pytest.fixture(scope="module")
def model(data: DataFrame) -> RandomCutForestModel:
    return RandomCutForest(num_trees=50, num_workers=2).fit(data.drop("label"))


def column(scored: DataFrame, name: str) -> np.ndarray:
    """A column in the order of `ROWS`."""
    return np.array([row[0] for row in scored.orderBy("id").select(name).collect()])


def test_scores_are_those_of_the_forest(data: DataFrame, model: RandomCutForestModel) -> None:
    assert np.allclose(column(model.transform(data), "score"), scores(model.forest, ROWS)[0], rtol=1e-6)


def test_evaluators_of_spark_take_the_score(data: DataFrame, model: RandomCutForestModel) -> None:
    known = model.transform(data.where("id != 7"))
    assert BinaryClassificationEvaluator(rawPredictionCol="score", numBins=0).evaluate(known) == 1


def test_anomalies_are_what_lies_above_the_threshold(data: DataFrame, model: RandomCutForestModel) -> None:
    found = scores(model.forest, ROWS)[0]
    assert model.threshold == pytest.approx(found.mean() + 3 * found.std())
    scored = model.copy({model.predictionCol: "is_anomaly"}).transform(data)
    assert scored.columns == [*data.columns, "score", "is_anomaly"]
    assert column(scored, "is_anomaly").tolist() == (found > model.threshold).astype(float).tolist()
    assert (column(scored, "is_anomaly")[-6:] == 1).all()


def test_the_threshold_follows_its_params_without_a_new_fit(model: RandomCutForestModel) -> None:
    found = scores(model.forest, ROWS)[0]
    assert model.copy().setThresholdDeviations(1.5).threshold == pytest.approx(found.mean() + 1.5 * found.std())
    by_quantile = model.copy().setThresholdMethod("quantile").setThresholdQuantile(0.9)
    assert by_quantile.threshold == pytest.approx(np.quantile(found, 0.9), rel=1e-3)


def test_the_threshold_can_be_taken_from_other_rows(data: DataFrame, model: RandomCutForestModel) -> None:
    found = scores(model.forest, ROWS)[0][:100]
    changed = model.copy().fit_threshold(data.where("id < 100"))
    assert changed.threshold == pytest.approx(found.mean() + 3 * found.std()) and changed.threshold < model.threshold
    changed.setThresholdMethod("quantile").setThresholdQuantile(0.5)
    assert np.sort(found)[48] <= changed.threshold <= np.sort(found)[51]
    with pytest.raises(ValueError, match="the dataset to take the threshold from is empty"):
        model.copy().fit_threshold(data.where("id < 0"))


# ------------------------------------------------------------------------------------ a threshold that nothing is above is no secret


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING)

    def messages() -> list[str]:
        found = [record.getMessage() for record in caplog.records if "threshold" in record.getMessage()]
        caplog.clear()
        return found

    return messages


@pytest.fixture(scope="module")
def flat(spark: SparkSession) -> DataFrame:
    """Values that are spread evenly: scores have no tail."""
    rows = [([float(value)], i) for i, value in enumerate(np.random.default_rng(0).uniform(0, 1, 400))]
    return spark.createDataFrame(rows, "features array<float>, id int").cache()


def test_fit_says_that_no_row_is_above_the_threshold_and_what_to_set(flat: DataFrame, told: Callable[[], list[str]]) -> None:
    model = RandomCutForest(predictionCol="odd", thresholdDeviations=6.0, num_workers=1).fit(flat)
    (message,) = told()
    largest = model.transform(flat).agg(F.max("score")).first()[0]
    assert model.share_above_threshold == 0 and model.threshold > largest and told() == []
    assert f"0 % of the rows that the threshold was taken from are above it: it is {model.threshold:.4g}" in message
    assert f"the largest score is {largest:.4g}" in message
    mended = model.copy({model.thresholdMethod: "quantile", model.thresholdQuantile: 0.99})
    assert f"thresholdMethod='quantile' with thresholdQuantile=0.99 puts it at {mended.threshold:.4g}" in message
    assert mended.share_above_threshold == pytest.approx(0.01, abs=0.002)
    assert 0 < column(mended.transform(flat), "odd").mean() <= 0.02
    deviations = float(re.search(r"thresholdDeviations=([\d.]+)$", message)[1])
    assert model.copy({model.thresholdDeviations: deviations}).threshold == pytest.approx(mended.threshold, rel=0.01)
    assert told() == []


def test_a_threshold_that_is_set_or_fitted_later_is_checked_too(
    data: DataFrame, model: RandomCutForestModel, told: Callable[[], list[str]]
) -> None:
    assert model.share_above_threshold == pytest.approx(6 / 486, abs=0.002)
    changed = model.copy({model.predictionCol: "odd"})
    changed.transform(data)
    assert told() == []
    changed.setThresholdDeviations(50)
    changed.transform(data)
    assert len(told()) == 1
    changed.transform(data)
    assert told() == []
    changed.setThresholdDeviations(7).fit_threshold(data.where("id < 100"))
    assert len(told()) == 1


def test_rows_that_are_all_the_same_are_nothing_to_warn_of(flat: DataFrame, told: Callable[[], list[str]]) -> None:
    RandomCutForest(num_workers=1).fit(flat.withColumn("features", F.array(F.lit(1.0))))
    assert told() == []


# --------------------------------------------------------------------------------------------------------------------- outputs


def test_attributions_are_vectors_that_add_up_to_the_score(data: DataFrame, model: RandomCutForestModel) -> None:
    scored = model.copy({model.attributionCol: "why"}).transform(data)
    assert scored.schema["why"].dataType == VectorUDT()
    found = np.array([row["why"].toArray() for row in scored.orderBy("id").select("why").collect()])
    assert np.allclose(found, scores(model.forest, ROWS, attribute=True)[1]) and found.shape == ROWS.shape
    assert np.allclose(found.sum(axis=1), column(scored, "score"), rtol=1e-5)


@pytest.mark.generic
def test_evaluate_gives_the_service_s_metrics(data: DataFrame, model: RandomCutForestModel) -> None:
    found = scores(model.forest, ROWS)[0]
    called = found > found.mean() + 3 * found.std()
    precision, recall, f1, _ = precision_recall_fscore_support(LABEL, called)
    expected = {"test:accuracy": accuracy_score(LABEL, called)}
    for prefix, which in (("negative_", 0), ("", 1)):
        expected |= {f"test:{prefix}precision": precision[which], f"test:{prefix}recall": recall[which], f"test:{prefix}f1": f1[which]}
    assert model.evaluate(data) == pytest.approx(expected)
    assert 0 < expected["test:recall"] < 1
    assert set(model.copy().setEvalMetrics("accuracy").evaluate(data)) == {"test:accuracy"}


def test_rows_are_called_anomalous_without_a_column_of_scores(data: DataFrame, model: RandomCutForestModel) -> None:
    called = model.copy({model.predictionCol: "is_anomaly", model.scoreCol: ""}).transform(data)
    assert called.columns == [*data.columns, "is_anomaly"]
    both = model.copy({model.predictionCol: "is_anomaly"}).transform(data)
    assert np.array_equal(column(called, "is_anomaly"), column(both, "is_anomaly"))


def test_evaluate_refuses_what_are_not_labels(data: DataFrame, model: RandomCutForestModel) -> None:
    with pytest.raises(ValueError, match=r"label column 'label' is 2\.0, expected 0 or 1, in 479 row"):
        model.evaluate(data.withColumn("label", F.when(F.col("label") == 0, 2.0).otherwise(F.col("label"))))
    with pytest.raises(ValueError, match="labelCol='label' is not a column of the dataset"):
        model.evaluate(data.drop("label"))
    with pytest.raises(ValueError, match="the dataset to evaluate on is empty"):
        model.evaluate(data.where("id < 0"))


def test_a_taken_name_of_the_prediction_is_refused(data: DataFrame, model: RandomCutForestModel) -> None:
    with pytest.raises(InvalidParams, match="output column 'label' exists already"):
        model.copy({model.predictionCol: "label"}).transform(data)


def test_every_row_is_sampled_on_one_worker_only(data: DataFrame) -> None:
    with pytest.raises(InvalidParams, match="data_distribution='FullyReplicated' would sample each row once per worker"):
        RandomCutForest(data_distribution="FullyReplicated").fit(data)


def test_a_stream_is_scored_as_it_comes(data: DataFrame, model: RandomCutForestModel, spark: SparkSession, tmp_path: Path) -> None:
    data.write.parquet(str(tmp_path / "in"))
    stream = spark.readStream.schema(data.schema).option("maxFilesPerTrigger", 2).parquet(str(tmp_path / "in"))
    for scorer in {"python", model.scorer_for(data).name}:
        scored = model.copy({model.scorer: scorer, model.predictionCol: "is_anomaly"}).transform(stream)
        query = scored.writeStream.format("memory").queryName(f"forest_{scorer}").trigger(availableNow=True).start()
        assert query.awaitTermination(60)
        found = spark.table(f"forest_{scorer}")
        assert np.allclose(column(found, "score"), scores(model.forest, ROWS)[0], rtol=1e-6)
        assert column(found, "is_anomaly").sum() == (scores(model.forest, ROWS)[0] > model.threshold).sum()

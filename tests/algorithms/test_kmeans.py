"""k-means as a Spark ML Estimator: what the generic checks do not know about it."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml.clustering import KMeans as MLlibKMeans
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.ml.functions import array_to_vector
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType

from sparkml_algos import InvalidDataError, InvalidParams, KMeans
from tests.datasets import blobs, digits, grid, inertia

CENTERS = grid(5, features=3)
ROWS, BLOB = blobs(500, CENTERS, seed=3)


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    rows = [(*map(float, row), 1.0 + i % 3) for i, row in enumerate(ROWS)]
    frame = spark.createDataFrame(rows, "a double, b double, c double, weight double")
    return frame.withColumn("features", array_to_vector(F.array("a", "b", "c"))).repartition(4).cache()


@pytest.fixture(scope="module")
def digit_rows(spark: SparkSession) -> DataFrame:
    frame = spark.createDataFrame([(row.tolist(),) for row in digits()], "features array<double>")
    return frame.repartition(3).cache()


def test_prediction_and_distance_are_those_of_the_nearest_centre(data: DataFrame) -> None:
    model = KMeans(k=5).fit(data)
    rows = model.transform(data).select("a", "b", "c", "prediction", "distance_to_cluster").collect()
    points = np.array([row[:3] for row in rows])
    distances = np.linalg.norm(points[:, None] - model.cluster_centers, axis=2)
    assert [row["prediction"] for row in rows] == distances.argmin(axis=1).tolist()
    assert np.allclose([row["distance_to_cluster"] for row in rows], distances.min(axis=1), atol=1e-5)


def test_prediction_is_an_int_as_evaluators_want_it(data: DataFrame) -> None:
    scored = KMeans(k=5).fit(data).transform(data)
    assert scored.schema["prediction"].dataType == IntegerType()
    assert ClusteringEvaluator().evaluate(scored) > 0.9


def test_quality_does_not_fall_as_workers_are_added(digit_rows: DataFrame) -> None:
    costs = [inertia(digits(), KMeans(k=10, num_workers=workers).fit(digit_rows).cluster_centers) for workers in (1, 2, 3)]
    assert max(costs) < 1.02 * min(costs)


def test_cost_is_close_to_mllib_s(digit_rows: DataFrame) -> None:
    frame = digit_rows.select(array_to_vector("features").alias("features"))
    peer = min(MLlibKMeans(k=10, maxIter=50, seed=seed).fit(frame).summary.trainingCost for seed in range(3))
    assert inertia(digits(), KMeans(k=10).fit(digit_rows).cluster_centers) < 1.03 * peer


def test_weights_count(data: DataFrame) -> None:
    model = KMeans(k=1, weightCol="weight").fit(data)
    weights = 1.0 + np.arange(len(ROWS)) % 3
    assert np.allclose(model.cluster_centers[0], np.average(ROWS, axis=0, weights=weights), rtol=1e-4)


def test_evaluate_gives_the_metrics_asked_for(data: DataFrame) -> None:
    model = KMeans(k=5, eval_metrics=["msd", "ssd"]).fit(data)
    ssd = inertia(ROWS, model.cluster_centers)
    assert model.evaluate(data) == pytest.approx({"test:msd": ssd / len(ROWS), "test:ssd": ssd}, rel=1e-4)
    assert model.computeCost(data) == pytest.approx(ssd, rel=1e-4) and model.summary.trainingCost >= ssd * (1 - 1e-4)
    assert set(model.setEvalMetrics("ssd").evaluate(data)) == {"test:ssd"}


def test_evaluate_weighs_rows(data: DataFrame) -> None:
    model = KMeans(k=5, weightCol="weight", eval_metrics="ssd").fit(data)
    rows = np.array(data.select("a", "b", "c", "weight").collect())
    expected = inertia(rows[:, :3], model.cluster_centers, rows[:, 3])
    assert model.evaluate(data)["test:ssd"] == pytest.approx(expected, rel=1e-4)


def test_elbow_bends_at_the_true_number_of_clusters(data: DataFrame) -> None:
    found = KMeans(k=2).elbow(data, [8, 3, 5, 2]).orderBy("k").collect()
    assert [row["k"] for row in found] == [2, 3, 5, 8]
    ssd = {row["k"]: row["ssd"] for row in found}
    assert ssd[2] > ssd[3] > 20 * ssd[5] and ssd[5] < 3 * ssd[8]
    assert ssd[5] == pytest.approx(inertia(ROWS, KMeans(k=5).fit(data).cluster_centers), rel=0.02)
    assert all(row["msd"] == pytest.approx(row["ssd"] / len(ROWS)) for row in found)


def test_cross_validator_chooses_the_true_number_of_clusters(data: DataFrame) -> None:
    estimator = KMeans()
    space = ParamGridBuilder().addGrid(estimator.k, [2, 5, 9]).build()
    search = CrossValidator(
        estimator=estimator, estimatorParamMaps=space, evaluator=ClusteringEvaluator(), numFolds=2, parallelism=2, seed=1
    )
    assert search.fit(data).bestModel.getK() == 5


def test_fewer_rows_than_clusters_are_refused(data: DataFrame) -> None:
    with pytest.raises(InvalidDataError, match="k=9 clusters need at least as many rows, the dataset has 4"):
        KMeans(k=9).fit(data.limit(4))


@pytest.mark.parametrize("k", [0, -1, 2.5, "many", True, None])
def test_k_must_be_a_positive_integer(k: object) -> None:
    with pytest.raises(InvalidParams, match="k must be an int >= 1"):
        KMeans(k=k)


def test_centres_are_there_as_mllib_gives_them(data: DataFrame) -> None:
    model = KMeans(k=5).fit(data)
    assert np.array_equal(np.array(model.clusterCenters()), model.cluster_centers)

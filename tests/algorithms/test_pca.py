"""PCA as a Spark ML Estimator: what the generic checks do not know about it."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml.feature import PCA as MLlibPCA
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import PCA, InvalidDataError, InvalidParams, PCAModel
from tests.datasets import digits


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    rows = [(i, row.tolist()) for i, row in enumerate(digits()[:600])]
    frame = spark.createDataFrame(rows, "id long, pixels array<double>")
    return frame.withColumn("features", array_to_vector("pixels")).repartition(3).cache()


@pytest.fixture(scope="module")
def model(data: DataFrame) -> PCAModel:
    return PCA(num_components=6, num_workers=2).fit(data)


def column(data: DataFrame, name: str) -> np.ndarray:
    """A Vector column in order of id."""
    return np.array([row[0] for row in data.orderBy("id").select(vector_to_array(name)).collect()])


def test_components_are_mllib_s_up_to_sign(data: DataFrame, model: PCAModel) -> None:
    peer = MLlibPCA(k=6, inputCol="features", outputCol="out").fit(data)
    assert np.allclose(np.abs(np.sum(peer.pc.toArray().T * model.components, axis=1)), 1, atol=1e-6)
    assert np.allclose(peer.explainedVariance.toArray(), model.explained_variance_ratio, atol=1e-6)
    assert (model.pc.numRows, model.pc.numCols, type(model.pc)) == (peer.pc.numRows, peer.pc.numCols, type(peer.pc))
    assert np.allclose(np.abs(model.pc.toArray()), np.abs(peer.pc.toArray()), atol=1e-5)
    assert np.allclose(model.explainedVariance.toArray(), peer.explainedVariance.toArray(), atol=1e-6)


def test_projection_is_a_vector_of_centred_coordinates(data: DataFrame, model: PCAModel) -> None:
    scored = model.transform(data)
    assert scored.schema["projection"].dataType == VectorUDT()
    rows = digits()[:600].astype(np.float64)
    assert np.allclose(column(scored, "projection"), (rows - rows.mean(axis=0)) @ model.components.T, atol=1e-4)


def test_inverse_transform_appends_the_nearest_point_of_the_subspace(data: DataFrame, model: PCAModel) -> None:
    restored = model.inverse_transform(model.transform(data))
    assert restored.columns == [*data.columns, "projection", "reconstruction"]
    rows = digits()[:600] - model.mean
    expected = model.mean + rows @ model.components.T @ model.components
    assert np.allclose(column(restored, "reconstruction"), expected, atol=1e-4)


def test_inverse_transform_needs_a_projection(data: DataFrame, model: PCAModel) -> None:
    with pytest.raises(ValueError, match="'projection' is not a column of the dataset"):
        model.inverse_transform(data)
    with pytest.raises(Exception, match="features column 'projection' has 64 values, expected 6"):
        model.inverse_transform(data.withColumn("projection", F.col("features"))).collect()


def test_randomized_mode_trains_on_several_workers(data: DataFrame, model: PCAModel) -> None:
    found = PCA(num_components=6, algorithm_mode="randomized", num_workers=3).fit(data)
    assert np.allclose(found.singular_values, model.singular_values, rtol=0.01)
    assert [epoch["epoch"] for epoch in found.training_summary.history] == [1, 2, 3, 4]


def test_weights_count(data: DataFrame) -> None:
    weighted = PCA(num_components=2, weightCol="weight").fit(data.withColumn("weight", 1.0 + F.col("id") % 3))
    expected = np.average(digits()[:600].astype(np.float64), axis=0, weights=1.0 + np.arange(600) % 3)
    assert np.allclose(weighted.mean, expected, atol=1e-5)


def test_more_components_than_features_are_refused(data: DataFrame) -> None:
    with pytest.raises(InvalidDataError, match="num_components=65 is more than the 64 features"):
        PCA(num_components=65).fit(data)


def test_they_are_refused_before_any_job_where_the_schema_tells(spark: SparkSession) -> None:
    unreadable = F.raise_error("the rows were read").cast("double")
    columns = spark.range(1).select(unreadable.alias("a"), unreadable.alias("b"))
    with pytest.raises(InvalidParams, match="num_components=3 is more than the 2 features of the rows"):
        PCA(num_components=3, featuresCols=["a", "b"]).fit(columns)

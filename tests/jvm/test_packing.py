"""Vectors that the JVM packs and Python unpacks."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pyspark.errors import PySparkException
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructField, StructType

from sparkml_algos import KMeans
from sparkml_algos.core.bridge import packed_vectors
from sparkml_algos.core.columns import find
from sparkml_algos.core.joining import SETTING
from sparkml_algos.rows.packed import unpack
from tests.datasets import blobs, grid, in_order
from tests.jvm.models import kmeans

pytestmark = pytest.mark.generic

ROWS = [
    Vectors.dense([0.1, -3.0, 0.0]),
    Vectors.sparse(3, [0, 2], [1e-3, 7.0]),
    None,
    Vectors.sparse(3, [], []),
    Vectors.dense([1.0, 2.0, 1e300]),
]


def test_python_reads_what_the_jvm_has_packed(bridge: SparkSession) -> None:
    frame = bridge.createDataFrame([(row,) for row in ROWS], StructType([StructField("a `b", VectorUDT())]))
    packed = [row[0] for row in frame.select(packed_vectors(frame, find(frame, "a `b"))).collect()]
    values, indices, size = unpack(pa.array([None if row is None else bytes(row) for row in packed], pa.binary()))
    with np.errstate(over="ignore"):
        assert values.to_pylist() == [None if row is None else np.float32(getattr(row, "values", None)).tolist() for row in ROWS]
    assert indices.to_pylist() == [None, [0, 2], None, [], None]
    assert size.to_pylist() == [None, 3, None, 3, None]


def test_a_fit_on_packed_vectors_is_the_fit_on_arrays(bridge: SparkSession) -> None:
    rows, _ = blobs(200, grid(4, features=3), seed=1)
    frame = bridge.createDataFrame([(row.tolist(), Vectors.dense(row)) for row in rows], ["array", "vector"]).repartition(3)
    array, vector = (KMeans(k=4, featuresCol=name, num_workers=2).fit(frame) for name in ("array", "vector"))
    np.testing.assert_allclose(in_order(vector.cluster_centers), in_order(array.cluster_centers), rtol=1e-6)


def scored_in_python(frame: DataFrame, setting: str) -> list[tuple[int, float]]:
    """Outputs of a model that Python computes, the vectors packed by the bridge or not."""
    spark, model = frame.sparkSession, kmeans(np.eye(3), scorer="python")
    spark.conf.set(SETTING, setting)
    try:
        return [tuple(row) for row in model.transform(frame).select("prediction", "distance_to_cluster").collect()]
    finally:
        spark.conf.unset(SETTING)


def test_python_scores_packed_vectors_as_it_does_lists(bridge: SparkSession) -> None:
    frame = bridge.createDataFrame([(row,) for row in (ROWS[0], ROWS[1], ROWS[3])], ["features"]).coalesce(1)
    assert scored_in_python(frame, "auto") == scored_in_python(frame, "off")


@pytest.mark.parametrize(("place", "message"), [(2, "features column 'features' is null"), (4, "element 2, is inf as a 32-bit float")])
def test_a_packed_vector_that_cannot_be_scored_is_refused_by_its_row(bridge: SparkSession, place: int, message: str) -> None:
    schema = StructType([StructField("features", VectorUDT())])
    frame = bridge.createDataFrame([(ROWS[0],), (ROWS[place],)], schema).coalesce(1)
    with pytest.raises(PySparkException, match=f"{message} in row 1 of its task"):
        scored_in_python(frame, "auto")

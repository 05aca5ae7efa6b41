"""Columns of a DataFrame become what workers read."""

from __future__ import annotations

import pytest
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import SparkSession
from pyspark.sql.types import StructField, StructType

from sparkml_algos import KMeans

pytestmark = pytest.mark.generic


def test_no_list_of_indices_is_null_for_those_are_slow_on_the_way_to_python(spark: SparkSession) -> None:
    vectors = [(Vectors.dense([1.0, 2.0]),), (Vectors.sparse(2, [1], [3.0]),), (None,)]
    frame = spark.createDataFrame(vectors, StructType([StructField("features", VectorUDT())]))
    rows = frame.select(*KMeans(k=2).inputs(frame).read).collect()
    assert [tuple(row) for row in rows] == [([1.0, 2.0], [], None), ([3.0], [1], 2), (None, [], None)]

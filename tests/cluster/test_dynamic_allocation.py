"""Fits under dynamic allocation, where Spark refuses barrier stages."""

from __future__ import annotations

import time

import pytest
from pyspark.ml.functions import array_to_vector
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkml_algos import KMeans

pytestmark = pytest.mark.dynamic


def test_fit_works_by_itself_also_after_the_cluster_has_shrunk(spark: SparkSession) -> None:
    data = spark.range(0, 1000, 1, 2).select(array_to_vector(F.array(F.rand(1), F.rand(2))).alias("features"))
    assert KMeans(k=3).fit(data).training_summary.launch == "gang"
    time.sleep(10)  # past executorIdleTimeout
    assert KMeans(k=3).fit(data).training_summary.num_workers == 2


def test_barrier_is_refused_with_the_reason(spark: SparkSession) -> None:
    data = spark.range(10).select(F.array(F.rand(1)).alias("features"))
    with pytest.raises(ValueError, match="SPARK-24942"):
        KMeans(k=3, launch="barrier").fit(data)

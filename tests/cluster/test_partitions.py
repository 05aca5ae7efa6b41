"""Numbers that lead to each partition, held against Spark's own hash and partitioner."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import functions as F

from sparkml_algos.cluster.partitions import hashes, keys_of_partitions

NUMBERS = [0, 1, -1, 42, 2**31, -(2**31), 2**40 + 7, 2**63 - 1, -(2**63)]


def test_hashes_are_those_of_spark(spark):
    frame = spark.createDataFrame([(number,) for number in NUMBERS], "number long")
    wanted = {row.number: row.hash for row in frame.select("number", F.hash("number").alias("hash")).collect()}
    assert hashes(np.array(NUMBERS)).tolist() == [wanted[number] for number in NUMBERS]


@pytest.mark.parametrize("count", [2, 3, 7])
def test_each_key_leads_to_its_partition(spark, count):
    keys = keys_of_partitions(count)
    dealt = spark.createDataFrame([(key,) for key in keys], "key long").repartition(count, "key")
    assert {row.key: row.partition for row in dealt.select("key", F.spark_partition_id().alias("partition")).collect()} == {
        key: partition for partition, key in enumerate(keys)
    }


@pytest.mark.parametrize("count", [1, 64, 1000])
def test_there_is_one_for_each_of_many(count):
    assert (hashes(np.array(keys_of_partitions(count))) % count).tolist() == list(range(count))

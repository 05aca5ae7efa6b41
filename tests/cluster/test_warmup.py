"""Python workers started ahead."""

from __future__ import annotations

from pyspark.sql import SparkSession

from sparkml_algos import warm_up
from sparkml_algos.cluster.resources import inspect_cluster


def test_a_worker_starts_in_every_slot_in_the_background(spark: SparkSession) -> None:
    started = warm_up(spark)
    assert not started.done()
    assert started.result(timeout=120) == inspect_cluster(spark).running_slots

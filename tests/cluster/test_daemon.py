"""The daemon that loads what training needs before it forks Python workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from tests.conftest import DAEMON


def _loaded(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    # Of the process that workers are forked from: a worker itself may have imported SciPy for an earlier task.
    loaded = "scipy/sparse" in Path(f"/proc/{os.getppid()}/maps").read_text()
    yield from (pa.RecordBatch.from_pydict({"loaded": [loaded] * len(batch)}) for batch in batches)


def test_workers_are_forked_from_a_process_that_has_scipy(spark: SparkSession) -> None:
    if spark.conf.get("spark.python.daemon.module", "") != DAEMON:
        pytest.skip("this session has Spark's own daemon")
    found = spark.range(4, numPartitions=2).mapInArrow(_loaded, "loaded boolean").collect()
    assert [row["loaded"] for row in found] == [True] * 4

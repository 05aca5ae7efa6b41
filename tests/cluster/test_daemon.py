"""The daemon that loads what training needs before it forks Python workers."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from zipimport import zipimporter

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


def _costs(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    zips = sum(isinstance(importer, zipimporter) for importer in sys.path_importer_cache.values())
    for batch in batches:
        counts = {"spared": gc.get_freeze_count(), "searched": len(gc.get_objects()), "zips": zips}
        yield pa.RecordBatch.from_pylist([counts] * len(batch))


def test_no_task_searches_what_the_daemon_imported(spark: SparkSession) -> None:
    if spark.conf.get("spark.python.daemon.module", "") != DAEMON:
        pytest.skip("this session has Spark's own daemon")
    found = spark.range(4, numPartitions=2).mapInArrow(_costs, "spared long, searched long, zips long").collect()
    assert all(row["spared"] > 100_000 > row["searched"] for row in found)
    # A worker that an earlier test gave modules to may know the files that those came from.
    assert min(row["zips"] for row in found) < 5

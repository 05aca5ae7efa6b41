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

from sparkml_algos.cluster import imported
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


def _spared(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from (pa.RecordBatch.from_pydict({"spared": [gc.get_freeze_count()] * len(batch)}) for batch in batches)


def test_no_task_searches_what_the_daemon_imported(spark: SparkSession) -> None:
    if spark.conf.get("spark.python.daemon.module", "") != DAEMON:
        pytest.skip("this session has Spark's own daemon")
    found = spark.range(4, numPartitions=2).mapInArrow(_spared, "spared long").collect()
    assert all(row["spared"] > 100_000 for row in found)


def test_what_has_been_imported_since_is_spared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imported, "_spared", 0)
    path = "/there/is/no.zip"
    sys.path_importer_cache[path] = zipimporter.__new__(zipimporter)
    old: list[list[int]] = [[]]
    try:
        imported.spare_imported()
        assert gc.get_freeze_count() > 10_000 and path not in sys.path_importer_cache
        young: list[list[int]] = [[]]
        imported.spare_imported()
        assert [_is_searched(old), _is_searched(young)] == [False, True]
        monkeypatch.setattr(imported, "_spared", len(sys.modules) - imported.WORTH_IT)
        imported.spare_imported()
        assert not _is_searched(young)
    finally:
        gc.unfreeze()


def _is_searched(thing: object) -> bool:
    return any(other is thing for other in gc.get_objects())

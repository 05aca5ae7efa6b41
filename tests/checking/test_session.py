"""`check` in the session of the tests, where all is well: classic or Connect, Spark 3.5 or 4, one machine or hosts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import sparkml_algos
from sparkml_algos.checking.report import Report
from sparkml_algos.core.joining import why_no_bridge
from tests.conftest import SESSION

pytestmark = pytest.mark.generic


@pytest.fixture(scope="module")
def report(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Report:
    workers = 3 if SESSION in ("local", "connect", "hosts") else 2
    return sparkml_algos.check(spark, num_workers=workers, checkpoint_dir=str(tmp_path_factory.mktemp("checkpoints")))


def test_nothing_is_wrong_and_everything_was_seen(report: Report) -> None:
    assert report.ok, report
    items = [finding.item for finding in report]
    assert len(items) == len(set(items))
    assert {"Spark", "workers", "dynamic allocation", "speculation", "memory", "Arrow batches", "Java", "Python", "numpy", "free memory",
            "driver reached", "executors reached", "checkpoint_dir", "JVM bridge"} <= set(items)  # fmt: skip


def test_it_tells_what_it_has_seen(report: Report, spark: SparkSession) -> None:
    assert report.title == f"sparkml_algos {sparkml_algos.__version__} on Spark {spark.version}, {spark.conf.get('spark.master')}"
    assert report.of("Python")[0].found.startswith(f"driver: {sys.version.split()[0]}, {sys.executable}; executors: ")
    assert report.of("executors reached")[0].found.startswith("3 tasks on 1 host: each has called all" if SESSION == "local" else "")
    assert (report.of("JVM bridge")[0].status == "right") == (why_no_bridge(spark) is None)


def test_trial_checkpoints_are_removed(spark: SparkSession, tmp_path: Path) -> None:
    directory = tmp_path / "not there yet"
    assert sparkml_algos.check(spark, checkpoint_dir=str(directory)).of("checkpoint_dir")[0].status == "right"
    assert list(directory.iterdir()) == []


def test_the_function_is_called_by_the_package_s_name_also_where_the_module_was_imported(spark: SparkSession) -> None:
    import sparkml_algos.check as module

    assert callable(sparkml_algos.check) and module is sparkml_algos.check
    assert module(spark, seconds=60).title.startswith("sparkml_algos")

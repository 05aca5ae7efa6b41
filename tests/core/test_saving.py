"""Saving destroys nothing, and what a training leaves behind goes wherever it is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkml_algos import KMeans
from sparkml_algos.core import leftovers
from sparkml_algos.training.checkpoint import CheckpointStore
from tests.averaging import Averaging


@pytest.fixture
def table(spark: SparkSession, tmp_path: Path) -> str:
    path = str(tmp_path / "table")
    spark.range(5).coalesce(1).write.parquet(path)
    return path


@pytest.mark.generic
def test_a_directory_that_holds_something_else_is_left_alone(spark: SparkSession, table: str) -> None:
    with pytest.raises(FileExistsError, match=r"table exists; use write\(\)\.overwrite\(\)"):
        KMeans(k=2).save(table)
    with pytest.raises(FileExistsError, match=r"holds something else than a saved instance, which overwrite\(\) does not replace"):
        KMeans(k=2).write().overwrite().save(table)
    assert spark.read.parquet(table).count() == 5


@pytest.mark.generic
def test_overwriting_replaces_a_saved_instance_and_takes_an_empty_place(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        path = str(tmp_path / name)
        for k in (2, 3):
            KMeans(k=k).write().overwrite().save(path)
            assert KMeans.load(path).getK() == k


def test_what_holds_no_metadata_is_no_saved_instance(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    with pytest.raises(ValueError, match="holds no saved instance: its metadata is empty"):
        KMeans.load(str(tmp_path))


def test_checkpoints_that_the_driver_cannot_reach_are_removed_by_an_executor(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = os.getpid()
    clear = CheckpointStore.clear

    def unreachable(store: CheckpointStore) -> bool:
        if os.getpid() == driver:
            raise OSError("no route to the storage")
        return clear(store)

    monkeypatch.setattr(leftovers.CheckpointStore, "clear", unreachable)
    frame = spark.range(100).select(F.array(F.rand(1), F.rand(2)).alias("features"))
    model = Averaging(epochs=2, num_workers=1, checkpoint_dir=str(tmp_path)).fit(frame)
    assert np.isfinite(model.mean).all()
    assert list(tmp_path.iterdir()) == []

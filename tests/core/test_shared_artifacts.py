"""Artifacts on their way to the executors: whole, shared by the workers of an executor, sent once, and gone in the end."""

from __future__ import annotations

import gc
import os
import pickle
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.core import shared_artifacts
from sparkml_algos.core.shared_artifacts import Broadcasted, Carried, Opened, Shipment, pieces, read, ship

generic = pytest.mark.generic

SMALL = Artifact({"few": np.arange(5)}, {"a": 1})


def large() -> Artifact:
    """More than a function carries, with arrays of odd sizes and none."""
    arrays = {
        "numbers": np.arange(300_001, dtype=np.float32).reshape(-1, 1),
        "bytes": np.arange(7, dtype=np.uint8),
        "none": np.empty((0, 3), np.int64),
        "turned": np.arange(200_000, dtype=np.int64).reshape(2, -1).T,
        "one": np.array(7),
    }
    return Artifact(arrays, {"name": "größer"})


def same(one: Artifact, other: Artifact) -> bool:
    return (
        one.values == other.values
        and list(one.arrays) == list(other.arrays)
        and all(np.array_equal(array, other.arrays[name]) and array.dtype == other.arrays[name].dtype for name, array in one.arrays.items())
    )


class Look:
    """A function that tells which process saw which sum, and the file that is mapped there."""

    def __init__(self, shipment: Shipment) -> None:
        self.shipment = shipment

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        numbers = self.shipment.open().arrays["numbers"]
        mapped = numbers
        while mapped is not None and not isinstance(mapped, np.memmap):
            mapped = mapped.base
        assert self.shipment.open().arrays["numbers"] is numbers
        time.sleep(0.3)  # so that every worker gets a task
        columns = {"pid": [os.getpid()], "total": [float(numbers.sum(dtype=np.float64))], "file": [str(mapped.filename)]}
        for _ in batches:
            pass
        yield pa.RecordBatch.from_pydict(columns)


def seen(spark: SparkSession, shipment: Shipment) -> list:
    return spark.range(3, numPartitions=3).mapInArrow(Look(shipment), "pid long, total double, file string").collect()


def test_a_file_holds_the_artifact_aligned_and_is_the_pickle_of_its_bytes(tmp_path: Path) -> None:
    artifact, path = large(), tmp_path / "artifact"
    path.write_bytes(b"".join(pieces(artifact)))
    found = read(str(path))
    assert same(found, artifact)
    assert all(array.ctypes.data % 64 == 0 for array in found.arrays.values() if array.size)
    assert not found.arrays["numbers"].flags.writeable
    assert pickle.loads(path.read_bytes()) == path.read_bytes()[11:-1]


def test_encrypted_bytes_open_as_well() -> None:
    class Handed:
        value = pickle.loads(b"".join(pieces(large())))

    assert same(Broadcasted(Handed()).open(), large())


def test_a_small_artifact_travels_in_the_function(spark: SparkSession) -> None:
    shipment = ship(SMALL, spark)
    assert isinstance(shipment, Carried) and same(pickle.loads(pickle.dumps(shipment)).open(), SMALL)


@generic
def test_the_workers_of_an_executor_share_one_file(spark: SparkSession) -> None:
    artifact = large()
    shipment = ship(artifact, spark)
    rows = seen(spark, shipment)
    assert {row["total"] for row in rows} == {float(artifact.arrays["numbers"].sum(dtype=np.float64))}
    assert len({row["pid"] for row in rows}) > 1
    assert len({row["file"] for row in rows}) == 1


def test_an_artifact_is_sent_once(spark: SparkSession) -> None:
    artifact = large()
    assert ship(artifact, spark) is ship(artifact, spark)
    assert ship(large(), spark) is not ship(artifact, spark)


def test_an_artifact_that_is_gone_is_forgotten(spark: SparkSession) -> None:
    artifact = large()
    shipment = ship(artifact, spark)
    del artifact
    gc.collect()
    assert all(known is not shipment for _, _, known in shared_artifacts._SHIPPED._made.values())
    # A DataFrame may still need it.
    assert len(seen(spark, shipment)) == 3


@pytest.mark.cluster
def test_the_file_of_an_executor_is_removed_when_nothing_needs_it(spark: SparkSession) -> None:
    shipment = ship(large(), spark)
    paths = {row["file"] for row in seen(spark, shipment)}
    assert all(map(os.path.exists, paths))
    del shipment
    deadline = time.monotonic() + 30
    while any(map(os.path.exists, paths)) and time.monotonic() < deadline:
        gc.collect()
        spark.sparkContext._jvm.System.gc()
        time.sleep(0.2)
    assert not any(map(os.path.exists, paths))


def test_what_is_made_of_an_artifact_is_made_when_it_is_needed_and_once() -> None:
    made = []
    opened = Opened(Carried(SMALL), lambda artifact: made.append(artifact) or artifact.arrays["few"].sum())
    assert made == []
    assert [opened.get(), opened.get()] == [10, 10]
    assert made == [SMALL]

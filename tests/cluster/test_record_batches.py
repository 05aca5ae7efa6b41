"""Rows reach a worker in record batches of bounded bytes, however wide they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import KMeans
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.cluster import launcher
from sparkml_algos.cluster.launcher import BYTES_PER_BATCH, Launch, run_gang
from sparkml_algos.core import inputs as schema

ROWS, WIDTH, LIMIT = 60, 20_000, 1 << 20


@pytest.fixture(scope="module")
def wide(spark: SparkSession) -> DataFrame:
    return spark.range(0, ROWS, 1, 1).select(F.array_repeat(F.col("id").cast("float"), WIDTH).alias("features"))


@pytest.fixture(autouse=True)
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (launcher, schema):
        monkeypatch.setattr(module, "RECORD_BATCH_BYTES", LIMIT)


def bytes_per_batch(data: DataFrame, **settings: object) -> np.ndarray:
    """Of each record batch that the worker of a fit meets."""
    found = KMeans(k=2, **settings).inputs(data)
    rows_per_batch = found.rows_per_record_batch
    outcome = run_gang(data, found.read, count_bytes, Launch(num_workers=1, rows_per_record_batch=rows_per_batch, launch="gang"))
    found = outcome.artifacts["batches"].arrays
    assert found["rows"].sum() == ROWS
    return found["bytes"]


def count_bytes(worker: object, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, Artifact]]:
    worker.connect()
    found = [(batch.num_rows, batch.nbytes) for batch in batches]
    yield "batches", Artifact({"rows": np.array([rows for rows, _ in found]), "bytes": np.array([size for _, size in found])})


def test_of_a_width_that_is_known(wide: DataFrame) -> None:
    sizes = bytes_per_batch(wide, feature_dim=WIDTH)
    assert sizes.max() <= 1.1 * LIMIT
    assert len(sizes) < ROWS


def test_of_a_width_that_nobody_told(wide: DataFrame, spark: SparkSession) -> None:
    if not spark.conf.isModifiable(BYTES_PER_BATCH):
        pytest.skip(f"this Spark has no {BYTES_PER_BATCH}: where feature_dim is not given it counts rows")
    row = 4 * WIDTH
    sizes = bytes_per_batch(wide)
    assert sizes.max() <= 1.1 * LIMIT + row  # Spark ends a batch with the row that reaches the limit
    assert len(sizes) < ROWS

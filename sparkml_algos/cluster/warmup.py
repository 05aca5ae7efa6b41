"""Python workers that are up before the first fit needs them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa
from pyspark.sql import SparkSession

from sparkml_algos.cluster.jobs import described
from sparkml_algos.cluster.resources import inspect_cluster
from sparkml_algos.cluster.shipping import PACKAGE, ensure_importable

# Tasks that each take a moment spread over all slots, instead of one slot taking several.
SECONDS_PER_TASK = 0.5


def warm_up(spark: SparkSession) -> Future[int]:
    """Start Python workers in the background, one for each task slot of the executors that are up, and have them import this package.

    A fresh Python worker starts and imports for seconds. Spark does that when a fit first needs it; called when the session starts, while
    data is still being read, this does it before.

    Parameters
    ----------
    spark : SparkSession
        Classic or Connect.

    Returns
    -------
    Future
        Its result, which need not be waited for, is the number of workers.

    Raises
    ------
    RuntimeError
        By `Future.result`, if executors lack a library.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="sparkml-algos-warm-up")
    started = pool.submit(_start_workers, spark)
    pool.shutdown(wait=False)
    return started


def _start_workers(spark: SparkSession) -> int:
    ensure_importable(spark)
    with described(spark, f"{PACKAGE}: start Python workers"):
        slots = inspect_cluster(spark).running_slots or 1
        return len(set(spark.range(0, slots, 1, slots).mapInArrow(_import_package, "pid long").collect()))


def _import_package(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import os
    import time

    import sparkml_algos.core.estimator  # noqa: F401

    for _ in batches:
        time.sleep(SECONDS_PER_TASK)
        yield pa.RecordBatch.from_pydict({"pid": [os.getpid()]})

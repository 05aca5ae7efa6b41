"""Runs a body on N workers of the cluster at once, waits for them, tries again if one was lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos.arrays.artifact import ITEM_SPARK_SCHEMA, Artifact
from sparkml_algos.cluster.ending import ended_if_failed
from sparkml_algos.cluster.errors import InvalidDataError, TrainingError, training_error
from sparkml_algos.cluster.rendezvous import Meeting
from sparkml_algos.cluster.resources import (
    SECONDS_FOR_EXECUTORS,
    Resources,
    choose_launch,
    choose_num_workers,
    inspect_cluster,
    wait_for_new_executors,
    wait_for_slots,
)
from sparkml_algos.cluster.shipping import ALWAYS, WITH_HOROVOD, WITH_TORCH, ensure_importable
from sparkml_algos.cluster.worker import Body, Gang, run_worker
from sparkml_algos.collectives.addresses import address_towards

logger = logging.getLogger(__name__)

RECORDS_PER_BATCH = "spark.sql.execution.arrow.maxRecordsPerBatch"
# Since Spark 4.1.
BYTES_PER_BATCH = "spark.sql.execution.arrow.maxBytesPerBatch"
# A record batch holds at most this much, so that rows of whatever width neither fill a worker's memory nor meet Arrow's limits.
RECORD_BATCH_BYTES = 64 << 20
SECONDS_BETWEEN_RETRIES = 2.0

# Gangs wait for their turn: two that each hold half of the slots would wait for the other half forever.
_TURN = threading.Lock()


@dataclass(frozen=True)
class Launch:
    """How to start a gang.

    Parameters
    ----------
    num_workers : int or "auto"
    launch : {"auto", "barrier", "gang"}
    data_distribution : {"ShardedByKey", "FullyReplicated"}
    shard_key : str, optional
        Column of the data to shard by.
    rows_per_record_batch : int
    max_retries : int
    start_timeout, collective_timeout : float
    communicator : {"auto", "tcp", "gloo", "nccl", "horovod"}
    use_gpu : bool
    on_progress : callable, optional
    """

    num_workers: int | str = "auto"
    launch: str = "auto"
    data_distribution: str = "ShardedByKey"
    shard_key: str | None = None
    rows_per_record_batch: int = 4096
    max_retries: int = 0
    start_timeout: float = 300.0
    collective_timeout: float = 600.0
    communicator: str = "auto"
    use_gpu: bool = False
    on_progress: Callable[[dict[str, Any]], None] | None = None


@dataclass(frozen=True)
class Outcome:
    """What came back.

    Attributes
    ----------
    artifacts : dict of str to Artifact
        By the names the body gave them.
    num_workers, retries : int
    launch : str
    seconds : float
        From the start of the first attempt, waiting for other gangs not counted.
    """

    artifacts: dict[str, Artifact]
    num_workers: int
    launch: str
    retries: int
    seconds: float


def run_gang(data: DataFrame, columns: Sequence[Column], body: Body, options: Launch) -> Outcome:
    """Run `body` on every worker with its share of `data`.

    Parameters
    ----------
    data : DataFrame
        Rows as they are; they are dealt to the workers in this form.
    columns : sequence of Column
        What a worker reads, computed from its rows once it has them: converting before the shuffle was measured slower.
    body : callable
    options : Launch

    Raises
    ------
    ValueError
        If the cluster cannot run such a gang.
    RuntimeError
        If executors lack a library.
    TrainingError
        If a worker failed, and did so again in every retry.
    """
    spark = data.sparkSession
    if options.num_workers != "auto":
        wait_for_new_executors(spark, options.num_workers)
    resources = inspect_cluster(spark, options.use_gpu)
    mode = choose_launch(options.launch, resources)
    size = choose_num_workers(options.num_workers, resources)
    communicator = ("nccl" if options.use_gpu else "tcp") if options.communicator == "auto" else options.communicator
    ensure_importable(spark, {"tcp": ALWAYS, "horovod": WITH_HOROVOD}.get(communicator, WITH_TORCH))
    placed = place(data, size, options.data_distribution, options.shard_key).select(*columns)
    with _TURN, _settings(spark, {RECORDS_PER_BATCH: options.rows_per_record_batch, BYTES_PER_BATCH: RECORD_BATCH_BYTES}):
        start = time.perf_counter()
        for attempt in range(options.max_retries + 1):
            try:
                rows = _attempt(placed, body, size, mode, resources, communicator, options)
            except TrainingError as error:
                if isinstance(error, InvalidDataError) or attempt == options.max_retries:
                    raise
                logger.warning("attempt %d of %d failed, trying again: %s", attempt + 1, options.max_retries + 1, error)
                time.sleep(SECONDS_BETWEEN_RETRIES)
                wait_for_slots(spark, size, SECONDS_FOR_EXECUTORS)
            else:
                if not rows:
                    # Spark leaves out the stage altogether where it can tell that there is no input.
                    raise InvalidDataError("the dataset is empty: there is no row to train on")
                return Outcome(Artifact.items(rows), size, mode, attempt, time.perf_counter() - start)
    raise AssertionError("unreachable")


def place(data: DataFrame, size: int, data_distribution: str, shard_key: str | None) -> DataFrame:
    """Partition *i* of the result is what worker *i* trains on.

    Rows are dealt by the hash of a running number: as even as round-robin, without the sort Spark puts before one. Should a
    part of the shuffle be computed again, the gang starts anew with it, so no row is lost or seen twice.
    """
    if data_distribution == "FullyReplicated" and size > 1:
        salts = F.array(*(F.lit(salt).cast("long") for salt in _salts(data.sparkSession, size)))
        dealt = data.withColumn(_DEALT, F.explode(salts)).repartition(size, _DEALT)
    elif shard_key:
        return data.repartition(size, "`" + shard_key.replace("`", "``") + "`")
    else:
        dealt = data.withColumn(_DEALT, F.monotonically_increasing_id()).repartition(size, _DEALT)
    return dealt.drop(_DEALT)


_DEALT = "_sparkml_algos_dealt"


def _salts(spark: SparkSession, size: int) -> list[int]:
    """A number for each partition that Spark's hash partitioner sends exactly there."""
    candidates = spark.range(64 * size).select("id", F.expr(f"pmod(hash(id), {size})").alias("partition"))
    found = {row["partition"]: row["id"] for row in candidates.groupBy("partition").agg(F.min("id").alias("id")).collect()}
    return [found[partition] for partition in range(size)]


def _attempt(
    data: DataFrame, body: Body, size: int, mode: str, resources: Resources, communicator: str, options: Launch
) -> list[Any]:
    driver_host = resources.driver_host
    with Meeting(size, address_towards(driver_host), mode, options.start_timeout, options.on_progress) as meeting:
        gang = Gang(size, mode, driver_host, meeting.place, options.collective_timeout, communicator, options.use_gpu)

        def task(batches):  # noqa: ANN001, ANN202 - Spark reads annotations of functions it is given
            return run_worker(gang, body, batches)

        asked = {"profile": resources.profile} if resources.profile else {}  # Spark 3.5 does not know the argument
        trained = data.mapInArrow(task, ITEM_SPARK_SCHEMA, barrier=mode == "barrier", **asked)
        try:
            with ended_if_failed(data.sparkSession, meeting, mode):
                return trained.collect()
        except Exception as error:
            failed = training_error(error, meeting.failures, meeting.seen)
            raise failed from failed.__cause__


@contextmanager
def _settings(spark: SparkSession, wanted: dict[str, int]):  # noqa: ANN202
    """Session settings for the time of one job, those that this Spark has."""
    wanted = {key: value for key, value in wanted.items() if spark.conf.isModifiable(key)}
    before = {key: spark.conf.get(key) for key in wanted}
    for key, value in wanted.items():
        spark.conf.set(key, str(value))
    try:
        yield
    finally:
        for key, value in before.items():
            spark.conf.set(key, value)

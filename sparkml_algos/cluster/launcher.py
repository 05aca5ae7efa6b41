"""Runs a body on N workers of the cluster at once, waits for them, tries again if one was lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos.arrays.artifact import ITEM_SPARK_SCHEMA, Artifact
from sparkml_algos.cluster.ending import ended_if_failed
from sparkml_algos.cluster.errors import (
    Failure,
    InvalidDataError,
    JobCancelled,
    TrainingError,
    is_cancelled,
    training_error,
    with_check,
)
from sparkml_algos.cluster.interruption import interruptible
from sparkml_algos.cluster.jobs import described, quietly
from sparkml_algos.cluster.partitions import keys_of_partitions
from sparkml_algos.cluster.phases import Stopwatch, phases_of_attempt, rounded
from sparkml_algos.cluster.rendezvous import Meeting
from sparkml_algos.cluster.resources import (
    SECONDS_FOR_EXECUTORS,
    Resources,
    choose_lanes,
    choose_launch,
    inspect_cluster,
    wait_for_new_executors,
    wait_for_slots,
)
from sparkml_algos.cluster.shipping import ALWAYS, WITH_HOROVOD, WITH_TORCH, ensure_importable
from sparkml_algos.cluster.worker import FAILED, SECONDS, Body, Gang, run_worker
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
    title : str
        What is trained, for Spark's UI.
    libraries : sequence of str
        What the body imports on the executors, besides what everything does.
    began : float, optional
        When the whole thing began, by `time.perf_counter`; now by default.
    lanes : int
        How many groups of `num_workers` are to train side by side, each with all rows; as many as there are slots for, but one at least.
    on_ask : callable, optional
        ``on_ask(rank, answer)`` is the next task of a worker, see `rendezvous.Meeting`.
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
    title: str = "sparkml_algos"
    libraries: Sequence[str] = ()
    began: float | None = None
    lanes: int = 1
    on_ask: Callable[[int, Any], dict[str, Any]] | None = None

    def titled(self, size: int, what: str) -> str:
        """The description of a job: ``KMeans k=10, 2 workers: train``."""
        return f"{self.title}, {size} worker{'s' * (size > 1)}: {what}"


@dataclass(frozen=True)
class Outcome:
    """What came back.

    Attributes
    ----------
    artifacts : dict of str to Artifact
        By the names the body gave them.
    num_workers, retries : int
        Workers of all lanes together.
    launch : str
    seconds : dict of str to float
        ``total``, since the fit began, and by the phases of `cluster.phases.PHASES`, which add up to it.
    lanes : int
    """

    artifacts: dict[str, Artifact]
    num_workers: int
    launch: str
    retries: int
    seconds: dict[str, float]
    lanes: int = 1


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
        If executors lack a library, or run another Python.
    ConnectionError
        If the driver does not find itself by the name that executors know it by.
    TrainingError
        If a worker failed, and did so again in every retry; if its rows are to blame, or somebody cancelled the job, there is none.
    KeyboardInterrupt
        If it was interrupted, whatever else went wrong then. The workers end at once.
    """
    with interruptible():
        return _run_gang(data, columns, body, options)


def _run_gang(data: DataFrame, columns: Sequence[Column], body: Body, options: Launch) -> Outcome:
    spark, watch = data.sparkSession, Stopwatch("prepare", options.began)
    if options.num_workers != "auto":
        watch.enter("wait")
        wait_for_new_executors(spark, options.num_workers)
        watch.enter("prepare")
    resources = inspect_cluster(spark, options.use_gpu)
    mode = choose_launch(options.launch, resources)
    width, lanes = choose_lanes(options.num_workers, options.lanes, resources)
    size = width * lanes
    communicator = ("nccl" if options.use_gpu else "tcp") if options.communicator == "auto" else options.communicator
    ensure_importable(spark, [*{"tcp": ALWAYS, "horovod": WITH_HOROVOD}.get(communicator, WITH_TORCH), *options.libraries])
    placed = place(data, width, options, lanes).select(*columns)
    watch.enter("wait")
    with _TURN, _settings(spark, {RECORDS_PER_BATCH: options.rows_per_record_batch, BYTES_PER_BATCH: RECORD_BATCH_BYTES}):
        for attempt in range(options.max_retries + 1):
            watch.enter("failed")  # unless it succeeds
            try:
                artifacts, phases = _attempt(placed, body, size, lanes, mode, resources, communicator, options)
            except TrainingError as error:
                if isinstance(error, (InvalidDataError, JobCancelled)) or attempt == options.max_retries:
                    raise
                logger.warning("attempt %d of %d failed, trying again: %s", attempt + 1, options.max_retries + 1, error)
                time.sleep(SECONDS_BETWEEN_RETRIES)
                wait_for_slots(spark, size, SECONDS_FOR_EXECUTORS)
            else:
                watch.split(phases, then="collect")
                return Outcome(artifacts, size, mode, attempt, rounded(watch.seconds()), lanes)
    raise AssertionError("unreachable")


def place(data: DataFrame, size: int, options: Launch, lanes: int = 1) -> DataFrame:
    """Partition *i* of the result is what worker *i* trains on; with lanes, each `size` partitions have all rows.

    Rows are dealt by the hash of a running number: as even as round-robin, without the sort Spark puts before one. Should a
    part of the shuffle be computed again, the gang starts anew with it, so no row is lost or seen twice.
    """
    if lanes > 1:
        return _place_lanes(data, size, options, lanes)
    if options.data_distribution == "FullyReplicated" and size > 1:
        salts = F.array(*(F.lit(salt).cast("long") for salt in keys_of_partitions(size)))
        dealt = data.withColumn(_DEALT, F.explode(salts)).repartition(size, _DEALT)
    elif options.shard_key:
        return data.repartition(size, "`" + options.shard_key.replace("`", "``") + "`")
    else:
        dealt = data.withColumn(_DEALT, F.monotonically_increasing_id()).repartition(size, _DEALT)
    return dealt.drop(_DEALT)


def _place_lanes(data: DataFrame, size: int, options: Launch, lanes: int) -> DataFrame:
    """Every row once in each lane, or on every worker: copied before it is dealt, to salts that lead to the right partitions."""
    salts = F.array(*(F.lit(salt).cast("long") for salt in keys_of_partitions(size * lanes)))
    if options.data_distribution != "FullyReplicated" and size > 1:
        key = F.col("`" + options.shard_key.replace("`", "``") + "`") if options.shard_key else F.monotonically_increasing_id()
        place = F.pmod(F.hash(key), F.lit(size))
        salts = F.array(*(salts[place + F.lit(lane * size)] for lane in range(lanes)))
    return data.withColumn(_DEALT, F.explode(salts)).repartition(size * lanes, _DEALT).drop(_DEALT)


_DEALT = "_sparkml_algos_dealt"


def _attempt(
    data: DataFrame, body: Body, size: int, lanes: int, mode: str, resources: Resources, communicator: str, options: Launch
) -> tuple[dict[str, Artifact], dict[str, float]]:
    """What the body gave, and the seconds of the attempt by phase."""
    spark, driver_host = data.sparkSession, resources.driver_host
    own, ports = _own_address(driver_host), resources.driver_ports
    with Meeting(size, own, mode, options.start_timeout, options.on_progress, options.on_ask, ports) as meeting:
        gang = Gang(size, mode, driver_host, meeting.place, options.collective_timeout, communicator, options.use_gpu, lanes)

        def task(batches):  # noqa: ANN001, ANN202 - Spark reads annotations of functions it is given
            return run_worker(gang, body, batches)

        asked = {"profile": resources.profile} if resources.profile else {}  # Spark 3.5 does not know the argument
        trained = data.mapInArrow(task, ITEM_SPARK_SCHEMA, barrier=mode == "barrier", **asked)
        begun, jobs = time.perf_counter(), None
        try:
            with described(spark, options.titled(size, "train")), ended_if_failed(spark, meeting, mode) as jobs, interruptible():
                artifacts = Artifact.items(trained.collect())
        except Exception as error:
            if meeting.trouble is not None:
                raise meeting.trouble from None
            if is_cancelled(error) and not (jobs and jobs.cancelled):
                raise JobCancelled(error) from None
            failed = training_error(error, meeting.failures, meeting.seen)
            raise failed from failed.__cause__
        whole = time.perf_counter() - begun
    if not artifacts:
        # Spark leaves out the stage altogether where it can tell that there is no input.
        raise InvalidDataError("the dataset is empty: there is no row to train on")
    if refused := [Failure(**artifact.values) for artifact in _of_workers(artifacts, FAILED)]:
        raise training_error(None, [*meeting.failures, *refused], meeting.seen)
    workers = [artifact.values for artifact in _of_workers(artifacts, SECONDS)]
    before_meeting = None if meeting.met_at is None else meeting.met_at - begun
    return artifacts, phases_of_attempt(whole, before_meeting, workers)


def _own_address(driver_host: str) -> str:
    """Where workers call this process, whose host they know by that name."""
    try:
        return address_towards(driver_host)
    except OSError as error:
        message = (
            f"spark.driver.host is {driver_host}, which the driver itself does not find ({error}); set it to a name or address of the "
            "driver that it and the executors know"
        )
        raise ConnectionError(with_check(message)) from error


def _of_workers(artifacts: dict[str, Artifact], what: str) -> list[Artifact]:
    """Taken out of the artifacts: what each worker that has any says of this."""
    return [artifacts.pop(name) for name in list(artifacts) if name.startswith(f"{what}/")]


@contextmanager
def _settings(spark: SparkSession, wanted: Mapping[str, int]) -> Iterator[None]:
    """Session settings for the time of one job, those that this Spark has."""
    wanted = {key: value for key, value in wanted.items() if spark.conf.isModifiable(key)}
    before = {key: spark.conf.get(key) for key in wanted}
    for key, value in wanted.items():
        spark.conf.set(key, str(value))
    try:
        yield
    finally:
        for key, value in before.items():
            quietly(spark.conf.set, key, value)

"""`check`: a session, item by item."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from sparkml_algos.checking import gpus, jvm, pythons, settings, ways
from sparkml_algos.checking.report import WRONG, Finding, Report, in_a_line
from sparkml_algos.checking.steps import Steps
from sparkml_algos.checking.tasks import MOST_TASKS
from sparkml_algos.cluster.resources import Resources, inspect_cluster, wait_for_new_executors
from sparkml_algos.cluster.shipping import ensure_importable
from sparkml_algos.version import __version__

# Seconds for a whole check unless it is told otherwise.
SECONDS = 120.0


def check(
    spark: SparkSession,
    *,
    num_workers: int | str = "auto",
    launch: str = "auto",
    communicator: str = "auto",
    use_gpu: bool = False,
    checkpoint_dir: str | None = None,
    seconds: float = SECONDS,
) -> Report:
    """Inspect a session: what is right, what is wrong, and how to mend it.

    It runs a few small jobs. As a first `fit` would, it sends the package to executors that have none, and has the JVM bridge join the
    session.

    Parameters
    ----------
    spark : SparkSession
        Classic or Connect.
    num_workers : int or "auto", default "auto"
    launch : {"auto", "barrier", "gang"}, default "auto"
    communicator : {"auto", "tcp", "gloo", "nccl", "horovod"}, default "auto"
    use_gpu : bool, default False
    checkpoint_dir : str, optional
        What is to be trained with: Params of the same names.
    seconds : float, default 120
        After which it ends, whatever does not answer. Half of what is left is the longest that it waits for one answer.

    Returns
    -------
    Report
        Prints as a table, in notebooks too; ``report.ok`` says whether all is well, and it iterates over its findings. Nothing that is
        broken is an exception: it is a finding.

    Examples
    --------
    >>> import sparkml_algos
    >>> sparkml_algos.check(spark, num_workers=4, checkpoint_dir="s3://bucket/checkpoints")  # doctest: +SKIP
    """
    wanted, steps = Wanted(num_workers, launch, communicator, use_gpu, checkpoint_dir), Steps(seconds, spark)
    try:
        steps.findings.append(steps.answer(lambda: jvm.spark_version(spark)))
        master = steps.answer(lambda: spark.conf.get("spark.master", "an unknown master") or "")
    except Exception as error:
        remedy = "it was stopped, or its driver is gone: begin a new one"
        return Report(f"sparkml_algos {__version__}", [Finding("Spark", WRONG, f"the session does not answer: {in_a_line(error)}", remedy)])
    resources = _resources(steps, spark, wanted)
    _read_settings(steps, spark, master, resources, wanted)
    if _executors_answer(steps, spark, resources, wanted):
        _ask_executors(steps, spark, resources, wanted)
        steps.add("JVM bridge", lambda: jvm.bridge(spark))
    if use_gpu:
        steps.add("GPUs", lambda: gpus.assigned(spark))
    return Report(f"sparkml_algos {__version__} on Spark {spark.version}, {master}", steps.findings)


@dataclass(frozen=True)
class Wanted:
    """What is to be trained with: the arguments of `check` of the same names."""

    num_workers: int | str
    launch: str
    communicator: str
    use_gpu: bool
    checkpoint_dir: str | None

    @property
    def in_python(self) -> list[str]:
        """Items that only executors which run Python can show."""
        return ["sparkml_algos", ways.DRIVER_REACHED, ways.EXECUTORS_REACHED, *([ways.STORE] if self.checkpoint_dir else [])]


def _resources(steps: Steps, spark: SparkSession, wanted: Wanted) -> Resources | None:
    """What the cluster has, once its executors are there; None where that cannot be seen."""

    def look() -> Resources:
        wait_for_new_executors(spark, 1 if wanted.num_workers == "auto" else int(wanted.num_workers))
        return inspect_cluster(spark)

    try:
        return steps.answer(look)
    except Exception as error:
        found = f"the cluster does not say how many tasks it runs: {in_a_line(error)}"
        steps.findings.append(Finding("executors", WRONG, found, "see in the cluster manager's pages whether it starts any"))
        return None


def _read_settings(steps: Steps, spark: SparkSession, master: str, resources: Resources | None, wanted: Wanted) -> None:
    get = _reader(spark)
    if resources is not None:
        steps.add("workers", lambda: settings.slots(resources, wanted.num_workers))
        steps.add("speculation", lambda: settings.launch(resources, wanted.launch))
    steps.add("memory", lambda: settings.memory(get, master))
    steps.add("Arrow", lambda: settings.arrow(get, spark.version))
    steps.add("Python workers", lambda: settings.worker_reuse(get))
    steps.add("GPUs", lambda: settings.gpus(get, master))


def _reader(spark: SparkSession) -> Callable[[str, str], str]:
    """What a setting is: as it was set, else Spark's default for it, else that of whoever asks."""

    def get(key: str, default: str) -> str:
        # Asked without a default, Spark gives its own; it knows one of SQL's settings only, and of those that this version has.
        known = key.startswith("spark.sql.") and spark.conf.isModifiable(key)
        return (spark.conf.get(key) if known else spark.conf.get(key, default)) or default

    return get


def _executors_answer(steps: Steps, spark: SparkSession, resources: Resources | None, wanted: Wanted) -> bool:
    """Whether executors run anything, which they say by their Java."""
    if resources is not None and not resources.running_slots and not resources.dynamic_allocation:
        remedy = (
            "see in the cluster manager's pages whether it has room for one (spark.executor.memory, spark.executor.cores), and why those "
            "that it started ended: they may not know the driver by spark.driver.host"
        )
        steps.findings.append(Finding("executors", WRONG, "none has registered with the driver", remedy))
    elif steps.add("Java", lambda: jvm.java_of(spark), "executors run nothing: see their logs"):
        return True
    steps.unseen(["Python", *wanted.in_python], "no executor answers")
    return False


def _ask_executors(steps: Steps, spark: SparkSession, resources: Resources | None, wanted: Wanted) -> None:
    """What the Python of executors is like, and the ways to and from it."""
    size, imported = _tasks(resources, wanted), pythons.needed(wanted.communicator, wanted.use_gpu, spark.version)
    try:
        found = steps.answer(lambda: pythons.ask_executors(spark, size))
        driver = steps.answer(lambda: pythons.ask_driver(imported))
    except Exception as error:
        no_answer = error  # the name of the other ends with its block
        steps.add("Python", lambda: pythons.no_answer(spark, no_answer))
        steps.unseen(wanted.in_python, "executors run no Python")
        return
    steps.add("Python", lambda: pythons.interpreters(spark, driver, found))
    steps.add("libraries", lambda: pythons.libraries(spark, driver, found, imported))
    steps.add("sparkml_algos", lambda: pythons.package(__version__, found))
    if not steps.add(ways.DRIVER_REACHED, lambda: _try_ways(spark, size, resources, wanted.checkpoint_dir, found)):
        steps.unseen(wanted.in_python[2:], "executors have not tried")


def _tasks(resources: Resources | None, wanted: Wanted) -> int:
    """How many tasks are sent: one for each slot, or for each worker where executors come as they are asked for."""
    running = resources.running_slots if resources else 1
    if resources and resources.dynamic_allocation and wanted.num_workers != "auto":
        workers = int(wanted.num_workers)
        running = max(running, min(workers, resources.slots or workers))
    return max(1, min(running, MOST_TASKS))


def _try_ways(
    spark: SparkSession, size: int, resources: Resources | None, checkpoint_dir: str | None, executors: list[dict[str, Any]]
) -> Iterator[Finding]:
    if any(one["package"] is None for one in executors):
        ensure_importable(spark, ())
    if resources is None:
        return ways.try_ways(spark, size, spark.conf.get("spark.driver.host", "127.0.0.1") or "127.0.0.1", checkpoint_dir)
    return ways.try_ways(spark, size, resources.driver_host, checkpoint_dir, resources.driver_ports)

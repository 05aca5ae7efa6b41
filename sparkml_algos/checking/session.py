"""`check`: a session, item by item."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pyspark.sql import SparkSession

from sparkml_algos.checking import jvm, pythons, settings, ways
from sparkml_algos.checking.report import RIGHT, WRONG, Finding, Report
from sparkml_algos.checking.steps import Steps
from sparkml_algos.checking.tasks import MOST_TASKS
from sparkml_algos.cluster.gpus import GPU
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
    steps = Steps(seconds, spark)
    try:
        steps.findings.append(steps.answer(lambda: jvm.spark_version(spark)))
        master = steps.answer(lambda: spark.conf.get("spark.master", "an unknown master"))
    except Exception as error:
        found = f"the session does not answer: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        remedy = "it was stopped, or its driver is gone: begin a new one"
        return Report(f"sparkml_algos {__version__}", [Finding("Spark", WRONG, found, remedy)])
    title = f"sparkml_algos {__version__} on Spark {spark.version}, {master}"
    get = _reader(spark)
    resources = _resources(steps, spark, num_workers)
    _read_settings(steps, spark, get, resources, num_workers, launch)
    alive = _ask_executors(steps, spark, resources, communicator, use_gpu, checkpoint_dir, num_workers)
    if use_gpu:
        steps.add("GPUs", lambda: _gpus(spark))
    if alive:
        steps.add("JVM bridge", lambda: jvm.bridge(spark))
    return Report(title, steps.findings)


def _reader(spark: SparkSession) -> Callable[[str, str], str]:
    """What a setting is: as it was set, else Spark's default for it, else that of whoever asks."""

    def get(key: str, default: str) -> str:
        # Asked without a default, Spark gives its own; it knows one of SQL's settings only, and of those that this version has.
        known = key.startswith("spark.sql.") and spark.conf.isModifiable(key)
        return (spark.conf.get(key) if known else spark.conf.get(key, default)) or default

    return get


def _resources(steps: Steps, spark: SparkSession, num_workers: int | str) -> Resources | None:
    """What the cluster has, once its executors are there."""

    def look() -> Resources:
        wait_for_new_executors(spark, 1 if num_workers == "auto" else int(num_workers))
        return inspect_cluster(spark)

    try:
        return steps.answer(look)
    except Exception as error:
        found = f"the cluster does not say how many tasks it runs: {type(error).__name__}: {str(error).strip().splitlines()[0]}"
        steps.findings.append(Finding("executors", WRONG, found, "see in the cluster manager's pages whether it starts any"))
        return None


def _read_settings(
    steps: Steps, spark: SparkSession, get: Callable[[str, str], str], resources: Resources | None, num_workers: int | str, launch: str
) -> None:
    master = get("spark.master", "")
    if resources is not None:
        steps.add("workers", lambda: settings.slots(resources, num_workers))
        steps.add("speculation", lambda: settings.launch(resources, launch))
    steps.add("memory", lambda: settings.memory(get, master))
    steps.add("Arrow", lambda: settings.arrow(get, spark.version))
    steps.add("Python workers", lambda: settings.worker_reuse(get))
    steps.add("GPUs", lambda: settings.gpus(get, master))


def _ask_executors(
    steps: Steps,
    spark: SparkSession,
    resources: Resources | None,
    communicator: str,
    use_gpu: bool,
    checkpoint_dir: str | None,
    num_workers: int | str,
) -> bool:
    """Whether executors run anything; what their Java, their Python and the ways to and from them are like."""
    in_python = ["sparkml_algos", ways.DRIVER_REACHED, ways.EXECUTORS_REACHED, *([ways.STORE] if checkpoint_dir else [])]
    none_runs = resources is not None and not resources.running_slots and not resources.dynamic_allocation
    if none_runs:
        none = "none has registered with the driver"
        remedy = (
            "see in the cluster manager's pages whether it has room for one (spark.executor.memory, spark.executor.cores), and why those "
            "that it started ended: they may not know the driver by spark.driver.host"
        )
        steps.findings.append(Finding("executors", WRONG, none, remedy))
    if none_runs or not steps.add("Java", lambda: jvm.java_of(spark), "executors run nothing: see their logs"):
        steps.unseen(["Python", *in_python], "no executor answers")
        return False
    size = _tasks(resources, num_workers)
    try:
        found = steps.answer(lambda: pythons.ask_executors(spark, size))
    except Exception as error:
        steps.findings.append(pythons.no_answer(spark, error))
        steps.unseen(in_python, "executors run no Python")
        return True
    wanted = pythons.needed(communicator, use_gpu, spark.version)
    driver = pythons.ask_driver(wanted)
    steps.add("Python", lambda: pythons.interpreters(spark, driver, found))
    steps.add("libraries", lambda: pythons.libraries(spark, driver, found, wanted))
    steps.add("sparkml_algos", lambda: pythons.package(__version__, found))
    if not steps.add(ways.DRIVER_REACHED, lambda: _try_ways(spark, size, resources, checkpoint_dir, found)):
        steps.unseen(in_python[2:], "executors have not tried")
    return True


def _tasks(resources: Resources | None, num_workers: int | str) -> int:
    """How many tasks are sent: one for each slot, or for each worker where executors come as they are asked for."""
    running = resources.running_slots if resources else 1
    if resources and resources.dynamic_allocation and num_workers != "auto":
        running = max(running, min(int(num_workers), resources.slots or int(num_workers)))
    return max(1, min(running, MOST_TASKS))


def _try_ways(
    spark: SparkSession, size: int, resources: Resources | None, checkpoint_dir: str | None, executors: list[dict[str, Any]]
) -> Iterator[Finding]:
    if any(one["package"] is None for one in executors):
        ensure_importable(spark, ())
    host = resources.driver_host if resources else spark.conf.get("spark.driver.host", "127.0.0.1") or "127.0.0.1"
    return ways.try_ways(spark, size, host, checkpoint_dir)


def _gpus(spark: SparkSession) -> Iterator[Finding]:
    """Whether Spark can assign a GPU to each worker, and whether each worker then finds it."""
    import pyarrow as pa

    from sparkml_algos.cluster.jobs import described

    try:
        resources = inspect_cluster(spark, use_gpu=True)
    except ValueError as error:
        complaint = str(error).partition("; sparkml_algos.check")[0]  # which this is
        yield Finding("GPUs", WRONG, *complaint.partition(": ")[::2])
        return
    size = max(1, min(resources.running_slots, MOST_TASKS))

    def claim(batches):  # noqa: ANN001, ANN202 - sent as code
        from sparkml_algos.checking.visit import trouble
        from sparkml_algos.cluster.gpus import claim_gpu

        for _ in batches:
            pass
        yield pa.RecordBatch.from_pydict({"trouble": [trouble(claim_gpu) or ""]})

    asked: dict[str, Any] = {"profile": resources.profile} if resources.profile else {}  # Spark 3.5 does not know the argument
    with described(spark, "sparkml_algos: see what GPUs tasks are assigned"):
        said = [row["trouble"] for row in spark.range(0, size, 1, size).mapInArrow(claim, "trouble string", **asked).collect()]
    if lacking := [one for one in said if one]:
        found = f"{len(lacking)} of {len(said)} tasks have no {GPU.upper()} to train on: {lacking[0]}"
        yield Finding("GPUs", WRONG, found, "install 'sparkml-algos[torch]' with CUDA there; nvidia-smi lists the GPUs that a host has")
    else:
        yield Finding("GPUs", RIGHT, f"a GPU for each of {len(said)} tasks")

"""What the cluster has, asked before anything starts."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from sparkml_algos.cluster.errors import with_check
from sparkml_algos.cluster.gpus import PER_EXECUTOR, PER_TASK, check_gpus, gpu_profile
from sparkml_algos.cluster.jobs import described, is_connect
from sparkml_algos.cluster.rendezvous import ANY_PORT, DRIVER_PORTS

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile

logger = logging.getLogger(__name__)

# Workers of a gang under dynamic allocation without an upper bound, when no executor is up to count slots on.
UNBOUNDED_DEFAULT_WORKERS = 2
# In which a cluster brings up executors, at the start of a session or where some were lost.
SECONDS_FOR_EXECUTORS = 30.0
SECONDS_BETWEEN_COUNTS = 0.5


@dataclass(frozen=True)
class Resources:
    """The cluster as configuration and scheduler describe it.

    Attributes
    ----------
    slots : int or None
        Tasks that can run at the same time, with a GPU each where they need one; None if the cluster grows without a known bound.
    running_slots : int
        Slots of the executors that are up now.
    dynamic_allocation, speculation : bool
    driver_host : str
    profile : ResourceProfile or None
        What the stage that trains asks Spark for, where the session's settings do not give every task a GPU.
    driver_ports : sequence of int
        At which workers may meet; 0 lets the system choose.
    """

    slots: int | None
    running_slots: int
    dynamic_allocation: bool
    speculation: bool
    driver_host: str
    profile: ResourceProfile | None = None
    driver_ports: Sequence[int] = ANY_PORT


def inspect_cluster(spark: SparkSession, use_gpu: bool = False) -> Resources:
    """Ask a classic or Connect session.

    Raises
    ------
    ValueError
        If tasks need a GPU each and Spark cannot assign it, or a setting cannot be read.
    """
    conf = _Conf(spark)
    local = re.fullmatch(r"local(?:\[(\d+|\*)(?:,\d+)?\])?", conf.get("spark.master", ""))
    cluster = re.fullmatch(r"local-cluster\[(\d+),(\d+),\d+\]", conf.get("spark.master", "").replace(" ", ""))
    dynamic = conf.flag("spark.dynamicAllocation.enabled") and not local
    cpus = task_cpus(conf.get)
    gpus, profile = None, None
    if use_gpu:
        gpus, per_task = (float(conf.get(key, "0")) for key in (PER_EXECUTOR, PER_TASK))
        check_gpus(bool(local), gpus, per_task, has_profiles=int(spark.version.partition(".")[0]) >= 4)
        profile = gpu_profile(spark, conf.get, own_executors=dynamic) if per_task < 1 else None

    def per_executor(cores: int) -> int:
        return tasks_at_once(cores, cpus) if gpus is None else min(tasks_at_once(cores, cpus), int(gpus))

    slots: int | None
    if local:
        threads = os.cpu_count() if local[1] == "*" else int(local[1] or 1)
        slots = running = max(1, tasks_at_once(threads, cpus))
    elif cluster:
        slots = running = int(cluster[1]) * per_executor(int(cluster[2]))
        if dynamic:
            slots = min(slots, _most_slots(conf, per_executor) or slots)
    else:
        running = _running_slots(spark, cpus, gpus, profile)
        slots = _most_slots(conf, per_executor) if dynamic else running or None  # none yet: executors are still to register
    return Resources(
        slots=slots,
        running_slots=running,
        dynamic_allocation=dynamic,
        speculation=conf.flag("spark.speculation"),
        driver_host=conf.get("spark.driver.host", "127.0.0.1"),
        profile=profile,
        driver_ports=driver_ports(conf.get),
    )


def driver_ports(get: Callable[[str, str], str]) -> Sequence[int]:
    """Ports of the driver at which workers may meet, to be tried in this order; `get(key, default)` is a setting of the session.

    Raises
    ------
    ValueError
        If the setting names none, only one, which a check of the session could not do with, or some that are the system's own.
    """
    given = get(DRIVER_PORTS, "")
    if not given:
        return ANY_PORT
    found = re.fullmatch(r"\s*(\d+)\s*-\s*(\d+)\s*", given)
    if found is None or not 1024 <= int(found[1]) < int(found[2]) < 1 << 16:
        wanted = "the first and the last of some ports from 1024 on, such as 40000-40063"
        raise ValueError(f"the setting {DRIVER_PORTS} must be {wanted}; got {given!r}")
    return range(int(found[1]), int(found[2]) + 1)


def task_cpus(get: Callable[[str, str], str]) -> float:
    """CPUs of a task, whole ones before Spark 4.3; `get(key, default)` is a setting of the session."""
    return float(get("spark.task.cpus", "1"))


def tasks_at_once(cores: int, cpus: float) -> int:
    """How many tasks of so many CPUs run at the same time on so many cores."""
    return int(Fraction(cores) / Fraction(str(cpus)))


def wait_for_new_executors(spark: SparkSession, size: int) -> None:
    """Return once so many tasks can run at the same time, at the latest half a minute after the session has started: until then executors
    register one by one."""
    if is_connect(spark) or spark.sparkContext.master.startswith("local"):
        return
    if (left := SECONDS_FOR_EXECUTORS - (time.time() - spark.sparkContext.startTime / 1000)) > 0:
        wait_for_slots(spark, size, left)


def wait_for_slots(spark: SparkSession, size: int, seconds: float) -> None:
    """Return once so many tasks can run at the same time, or the time is up.

    A fixed number of executors is brought back by the cluster itself, within seconds of a loss. Under dynamic allocation they come when
    tasks ask for them.
    """
    conf = _Conf(spark)
    if re.match(r"local(\[|$)", conf.get("spark.master", "")) or conf.flag("spark.dynamicAllocation.enabled"):
        return
    deadline = time.monotonic() + seconds
    while _running_slots(spark, task_cpus(conf.get)) < size and time.monotonic() < deadline:
        time.sleep(SECONDS_BETWEEN_COUNTS)


def choose_launch(launch: str, resources: Resources) -> str:
    """``barrier`` or ``gang``; says why where the choice is ours.

    Raises
    ------
    ValueError
        If the cluster's configuration rules the mode out.
    """
    mode = launch
    if launch == "auto":
        mode = "gang" if resources.dynamic_allocation else "barrier"
        reason = "Spark refuses barrier stages under dynamic allocation" if mode == "gang" else "executors are fixed"
        logger.info("launch=auto chose %s: %s", mode, reason)
    if mode == "barrier" and resources.dynamic_allocation:
        refused = (
            "launch='barrier' cannot run with spark.dynamicAllocation.enabled=true: Spark refuses barrier stages there "
            "(SPARK-24942); use launch='gang' or 'auto'"
        )
        raise ValueError(with_check(refused, launch=mode))
    if mode == "gang" and resources.speculation:
        refused = "launch='gang' cannot run with spark.speculation=true: Spark would start second copies of workers; set it to false" + (
            "" if resources.dynamic_allocation else " or use launch='barrier'"
        )
        raise ValueError(with_check(refused, launch=mode))
    return mode


def choose_num_workers(num_workers: int | str, resources: Resources) -> int:
    """Workers to start: as many as asked for, or one per slot.

    Raises
    ------
    ValueError
        If the cluster cannot run so many tasks at once.
    """
    if num_workers == "auto":
        return resources.slots or resources.running_slots or UNBOUNDED_DEFAULT_WORKERS
    if resources.slots is not None and num_workers > resources.slots:
        refused = (
            f"num_workers={num_workers} but the cluster runs {resources.slots} task(s) at a time; lower num_workers or give the "
            "session more cores (spark.executor.instances, spark.executor.cores, spark.task.cpus, or local[n])"
        )
        raise ValueError(with_check(refused, num_workers=num_workers))
    return int(num_workers)


def choose_lanes(num_workers: int | str, lanes: int, resources: Resources) -> tuple[int, int]:
    """Workers of a lane, and how many lanes train side by side: as many as asked for, if there are slots for them. Where the number of
    workers is the cluster's choice, the lanes share its slots.

    Raises
    ------
    ValueError
        If the cluster cannot run one lane.
    """
    width = choose_num_workers(num_workers, resources)
    if num_workers == "auto":
        lanes = max(1, min(lanes, width))
        return width // lanes, lanes
    if resources.slots is None and resources.dynamic_allocation:
        return width, lanes  # executors come when tasks ask for them
    slots = resources.slots or max(resources.running_slots, width)
    return width, max(1, min(lanes, slots // width))


def max_result_bytes(spark: SparkSession) -> int | None:
    """Bytes that the driver takes as the result of one job; None without limit."""
    size = _Conf(spark).get("spark.driver.maxResultSize", "1g")
    number, unit = re.fullmatch(r"(\d+)\s*([kmgtp]?)b?", size.strip().lower()).groups()
    return int(number) * 1024 ** " kmgtp".index(unit or " ") or None


class _Conf:
    """Spark's configuration; in a Connect session the server's, which the session's SQL configuration contains."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    def get(self, key: str, default: str) -> str:
        return self._spark.conf.get(key, default) or default

    def flag(self, key: str) -> bool:
        return self.get(key, "false").lower() == "true"


def _running_slots(spark: SparkSession, cpus: float, gpus: float | None = None, profile: ResourceProfile | None = None) -> int:
    """Task slots of the registered executors."""
    if is_connect(spark):
        # A range has as many partitions as the scheduler has cores, unless spark.default.parallelism says otherwise.
        from pyspark.sql import functions as F

        with described(spark, "sparkml_algos: count the slots"):
            cores = spark.range(1 << 16).select(F.spark_partition_id()).distinct().count()
        slots = max(1, tasks_at_once(cores, cpus))
        return slots if gpus is None else min(slots, int(gpus) * _running_executors(spark, slots))
    scheduler = spark.sparkContext._jsc.sc()
    manager = scheduler.resourceProfileManager()
    if profile is None:
        return int(scheduler.maxNumConcurrentTasks(manager.defaultResourceProfile()))
    manager.addResourceProfile(profile._java_resource_profile)
    return int(scheduler.maxNumConcurrentTasks(profile._java_resource_profile))


def _running_executors(spark: SparkSession, slots: int) -> int:
    """Executors, by the daemons that their Python workers are children of."""

    def answer(batches):  # noqa: ANN001, ANN202 - a nested function is sent as code, not by the name of its module
        import os
        import socket
        import time

        import pyarrow as pa

        for _ in batches:
            time.sleep(0.5)  # so that one slot does not take the tasks of several
        yield pa.RecordBatch.from_pydict({"executor": [f"{socket.gethostname()} {os.getppid()}"]})

    with described(spark, "sparkml_algos: count the executors"):
        return spark.range(0, slots, 1, slots).mapInArrow(answer, "executor string").distinct().count()


def _most_slots(conf: _Conf, per_executor: Callable[[int], int]) -> int | None:
    """Slots when dynamic allocation has started all it may."""
    most = int(conf.get("spark.dynamicAllocation.maxExecutors", str(2**31 - 1)))
    cores = int(conf.get("spark.executor.cores", "1"))
    return None if most == 2**31 - 1 else most * per_executor(cores)

"""What the settings of a session say: how many workers can run, and with what launch, memory and record batches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from sparkml_algos.checking.report import ADVICE, RIGHT, WRONG, Finding
from sparkml_algos.cluster.gpus import DISCOVERY_SCRIPT, PER_EXECUTOR
from sparkml_algos.cluster.resources import Resources, task_cpus, tasks_at_once

#: ``get(key, default)`` is a setting of the session.
Get = Callable[[str, str], str]

# What a Python worker takes: NumPy, SciPy, Arrow and an algorithm 300 MB (measured with boosted trees on 1,600,000 rows: 420 MB).
LEAST_WORKER_BYTES = 512 << 20
# Address space, which spark.executor.pyspark.memory bounds, is more than what is in memory: libraries that are mapped, and the stacks and
# arenas of their threads. NumPy, SciPy and Arrow take 454 MB of it on two cores before there is any row.
LEAST_ADDRESS_SPACE = 1 << 30
# An Arrow array of 2 GiB is at its limit, and a batch is in memory several times on its way; a batch of rows of so many numbers is to be
# held at once.
MOST_BATCH_BYTES, WIDE_ROW_BYTES = 1 << 30, 8 * 1000
DEFAULT_RECORDS, DEFAULT_BATCH_BYTES = 10_000, 64 << 20

DYNAMIC, MOST_EXECUTORS = "spark.dynamicAllocation.enabled", "spark.dynamicAllocation.maxExecutors"
OVERHEAD, OVERHEAD_FACTOR = "spark.executor.memoryOverhead", "spark.executor.memoryOverheadFactor"
PYTHON_MEMORY = "spark.executor.pyspark.memory"
RECORDS, BATCH_BYTES = "spark.sql.execution.arrow.maxRecordsPerBatch", "spark.sql.execution.arrow.maxBytesPerBatch"
ARROW_PYSPARK, WORKER_REUSE = "spark.sql.execution.arrow.pyspark.enabled", "spark.python.worker.reuse"


def slots(resources: Resources, num_workers: int | str) -> Finding:
    """Whether so many workers can run at the same time."""
    known, running = resources.slots, resources.running_slots
    bound = f"{running} now, of any number" if known is None else f"{running} now" if known != running else f"{running}"
    more = "spark.executor.instances, spark.executor.cores, spark.task.cpus, or local[n]"
    if num_workers != "auto" and known is not None and num_workers > known:
        at_most = f"the session runs {known} task{'s' * (known != 1)} at a time, num_workers is {num_workers}"
        return Finding("workers", WRONG, at_most, f"lower num_workers, or give the session more cores ({more})")
    if known == 1:
        return Finding("workers", ADVICE, "one task at a time: every training has one worker", f"for more, give it more cores ({more})")
    return Finding("workers", RIGHT, f"tasks at a time: {bound}")


def launch(resources: Resources, wanted: str) -> Iterator[Finding]:
    """Dynamic allocation and speculation against the way that workers are started."""
    dynamic = resources.dynamic_allocation
    if dynamic and wanted == "barrier":
        found = f"{DYNAMIC} is true, and launch='barrier': Spark refuses barrier stages then (SPARK-24942)"
        yield Finding("dynamic allocation", WRONG, found, f"use launch='gang' or 'auto', or set {DYNAMIC} to false")
    elif dynamic and resources.slots is None:
        found = f"on, and {MOST_EXECUTORS} is not set: num_workers='auto' takes the slots of the executors that happen to be up"
        yield Finding("dynamic allocation", ADVICE, found, f"set {MOST_EXECUTORS}, or num_workers")
    else:
        yield Finding("dynamic allocation", RIGHT, "on; workers are ordinary tasks (launch='gang')" if dynamic else "off")
    if not resources.speculation:
        yield Finding("speculation", RIGHT, "off")
    elif dynamic or wanted == "gang":
        found = "spark.speculation is true: Spark would start second copies of workers, and launch='gang' refuses to run"
        yield Finding("speculation", WRONG, found, "set spark.speculation to false")
    else:
        found = "spark.speculation is true: barrier stages are left alone, but what reads and scores rows may run twice"
        yield Finding("speculation", ADVICE, found, "set spark.speculation to false")


def memory(get: Get, master: str) -> Finding:
    """What a container leaves for each Python worker, where the cluster manager bounds it."""
    cores = _whole(get("spark.executor.cores", "1"))
    workers = max(1, tasks_at_once(cores, task_cpus(get)))
    if bounded := get(PYTHON_MEMORY, ""):
        each = _bytes(bounded, "m") // max(1, cores)
        found = f"{PYTHON_MEMORY} {bounded} bounds each Python worker to {_mib(each)} of address space"
        if each < LEAST_ADDRESS_SPACE:
            return Finding("memory", WRONG, found, f"raise it to {_mib(LEAST_ADDRESS_SPACE)} or more for each core, or leave it unset")
        return Finding("memory", RIGHT, found)
    if master != "yarn" and not master.startswith("k8s://"):
        return Finding("memory", RIGHT, "no setting bounds the memory of Python workers")
    heap = _bytes(get("spark.executor.memory", "1g"), "m")
    least = _bytes(get("spark.executor.minMemoryOverhead", "384m"), "m")
    factor = float(get(OVERHEAD_FACTOR, get("spark.kubernetes.memoryOverheadFactor", "0.4") if master != "yarn" else "0.1"))
    given = get(OVERHEAD, "")
    overhead = _bytes(given, "m") if given else max(least, int(factor * heap))
    each = overhead // workers
    found = f"beside the heap a container has {_mib(overhead)} ({OVERHEAD}{'' if given else ', by default'}), {_mib(each)} for each of "
    found += f"{workers} Python worker{'s' * (workers > 1)}"
    if each < LEAST_WORKER_BYTES:
        wanted = _mib(workers * 2 * LEAST_WORKER_BYTES)
        remedy = f"set {OVERHEAD} to {wanted}, or to 3 times an executor's rows as float32 if that is more; or raise spark.task.cpus"
        return Finding("memory", WRONG, found + ": the cluster kills executors that take more", remedy)
    return Finding("memory", RIGHT, found)


def arrow(get: Get, spark_version: str) -> Iterator[Finding]:
    """Record batches, and what of Spark's own work goes by Arrow."""
    records = _whole(get(RECORDS, str(DEFAULT_RECORDS)))
    knows_bytes = tuple(map(int, re.findall(r"\d+", spark_version)[:2])) >= (4, 1)
    most = _bytes(get(BATCH_BYTES, str(DEFAULT_BATCH_BYTES)), "b") if knows_bytes else -1
    largest = records * WIDE_ROW_BYTES if records > 0 else None
    if most > 0:
        largest = min(largest or most, most)
    bound = f"{RECORDS} is {records}" + (f", {BATCH_BYTES} {most}" if knows_bytes else "")
    if largest is None or largest > MOST_BATCH_BYTES:
        size = "all rows of a partition" if largest is None else f"{largest >> 20} MiB of rows of 1,000 numbers"
        smaller = f" and {BATCH_BYTES} to 64m or less" if knows_bytes else ", or less for wide rows"
        remedy = f"set {RECORDS} to {DEFAULT_RECORDS}{smaller}"
        yield Finding("Arrow batches", WRONG, f"a record batch may hold {size}: {bound}", remedy)
    else:
        yield Finding("Arrow batches", RIGHT, bound)
    if get(ARROW_PYSPARK, "true" if int(spark_version.partition(".")[0]) >= 4 else "false").lower() == "true":
        yield Finding("Arrow", RIGHT, "on")
    else:
        found = f"{ARROW_PYSPARK} is false: toPandas and createDataFrame go row by row; fit and transform take Arrow all the same"
        yield Finding("Arrow", ADVICE, found, f"set {ARROW_PYSPARK} to true")


def worker_reuse(get: Get) -> Finding:
    """Whether Python workers stay."""
    if get(WORKER_REUSE, "true").lower() == "true":
        return Finding("Python workers", RIGHT, "are used again")
    found = f"{WORKER_REUSE} is false: every task starts a Python, which imports for a second or two"
    return Finding("Python workers", ADVICE, found, f"set {WORKER_REUSE} to true")


def gpus(get: Get, master: str) -> Finding | None:
    """Executors that are to have GPUs which nobody tells them of; None where that is not so."""
    if float(get(PER_EXECUTOR, "0")) < 1 or get(DISCOVERY_SCRIPT, "") or master.startswith(("spark://", "local-cluster")):
        return None  # the workers of a standalone cluster find them
    found = f"{PER_EXECUTOR} is {get(PER_EXECUTOR, '0')}, but {DISCOVERY_SCRIPT} is not set: executors do not find their GPUs"
    return Finding("GPUs", WRONG, found, f"set {DISCOVERY_SCRIPT} to the path of spark-conf/find-gpus.sh on the executors")


def _whole(text: str) -> int:
    return int(float(text))


def _bytes(text: str, unit: str) -> int:
    """Of a size as Spark writes it; `unit` is that of numbers without one."""
    number, given = re.fullmatch(r"(-?\d+)\s*([bkmgtp]?)i?b?", text.strip().lower()).groups()
    return int(number) * 1024 ** "bkmgtp".index(given or unit)


def _mib(nbytes: int) -> str:
    return f"{nbytes >> 20}m"

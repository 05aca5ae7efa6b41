"""A GPU for each worker: Spark assigns it to the worker's task, and the worker uses that one.

The stage that trains asks for it by a resource profile, so that other stages take none. On Spark 3.5, where functions over DataFrames have
no profiles, every task of the session must ask (``spark.task.resource.gpu.amount=1``). GPUs come with the executors: Spark runs a discovery
script on each (``spark-conf/find-gpus.sh``), whose addresses are what `claim_gpu` finds.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from sparkml_algos.cluster.errors import with_check

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile

#: Spark's name for GPUs.
GPU = "gpu"
PER_EXECUTOR, PER_TASK = f"spark.executor.resource.{GPU}.amount", f"spark.task.resource.{GPU}.amount"
DISCOVERY_SCRIPT, VENDOR = f"spark.executor.resource.{GPU}.discoveryScript", f"spark.executor.resource.{GPU}.vendor"
# The GPUs CUDA shows to a process, in the order in which it counts them; all where it is not set.
VISIBLE = "CUDA_VISIBLE_DEVICES"

_profiles: weakref.WeakKeyDictionary[SparkSession, ResourceProfile] = weakref.WeakKeyDictionary()


class NoUsableGpu(RuntimeError):
    """A worker has no GPU to train on."""


def check_gpus(is_local: bool, per_executor: float, per_task: float, has_profiles: bool) -> None:
    """Whether Spark can assign a GPU to each worker.

    Parameters
    ----------
    is_local : bool
        Whether executors are threads of the driver's process.
    per_executor, per_task : float
        GPUs by the session's settings.
    has_profiles : bool
        Whether a stage can ask for resources of its own.

    Raises
    ------
    ValueError
        If it cannot, with what to change.
    """
    if is_local:
        raise _refused(
            "use_gpu=True needs a GPU per task, and a local session assigns none: on a single machine, .master('local-cluster[1,4,8192]') "
            "starts an executor of 4 cores and 8 GiB that may have GPUs"
        )
    if per_executor < 1:
        raise _refused(
            f"use_gpu=True needs a GPU per task, and executors with GPUs: set {PER_EXECUTOR} and {DISCOVERY_SCRIPT} "
            f"(spark-conf/find-gpus.sh); {PER_EXECUTOR} is {per_executor:g}"
        )
    if per_task < 1 and not has_profiles:
        raise _refused(
            f"use_gpu=True needs a GPU per task, which before Spark 4 only the session's settings ask for: set {PER_TASK}=1; "
            f"it is {per_task:g}"
        )


def _refused(why: str) -> ValueError:
    return ValueError(with_check(why, use_gpu=True))


def gpu_profile(spark: SparkSession, get: Callable[[str, str], str], own_executors: bool) -> ResourceProfile:
    """What a stage asks of Spark whose tasks need a GPU each, besides their CPUs.

    Parameters
    ----------
    spark : SparkSession
        Classic or Connect.
    get : callable
        ``get(key, default)`` is a setting of the session.
    own_executors : bool
        Whether Spark starts executors for the stage, as under dynamic allocation, where none runs a stage of another profile; they are like
        the session's. Else it takes those that there are.
    """
    from pyspark.resource import ExecutorResourceRequests, ResourceProfileBuilder, TaskResourceRequests

    if spark in _profiles:  # each new one is kept by Spark for good
        return _profiles[spark]
    cpus = float(get("spark.task.cpus", "1"))
    # Spark before 4.3 takes whole numbers only.
    profile = ResourceProfileBuilder().require(TaskResourceRequests().cpus(int(cpus) if cpus.is_integer() else cpus).resource(GPU, 1))
    if own_executors:
        executor = ExecutorResourceRequests().cores(int(get("spark.executor.cores", "1")))
        profile.require(executor.resource(GPU, int(get(PER_EXECUTOR, "1")), get(DISCOVERY_SCRIPT, ""), get(VENDOR, "")))
    _profiles[spark] = profile.build
    return _profiles[spark]


def claim_gpu() -> str:
    """The CUDA device, as torch and xgboost call it, of the GPU that Spark has assigned to this task.

    Raises
    ------
    NoUsableGpu
        If there is none, or CUDA cannot use it.
    """
    position = _position(assigned_address(), os.environ.get(VISIBLE))
    # Count as nvidia-smi does, and with it the discovery script; by default CUDA counts the fastest first.
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    found, cuda = cuda_devices()
    if position >= found:
        raise NoUsableGpu(f"Spark assigned it GPU {assigned_address()}, but {cuda} finds {found or 'no'} GPU{'s' * (found > 1)} there")
    return f"cuda:{position}"


def assigned_address() -> str:
    """The address of the GPU that Spark has assigned to this task.

    Raises
    ------
    NoUsableGpu
        If it has assigned none.
    """
    from pyspark import TaskContext

    resources = TaskContext.get().resources()
    if GPU not in resources or not resources[GPU].addresses:
        raise NoUsableGpu("Spark assigned it none")
    return resources[GPU].addresses[0].strip()


def cuda_devices() -> tuple[int, str]:
    """How many GPUs CUDA shows to this process, and who says so."""
    try:
        import torch
    except ImportError as error:
        return 0, f"without torch ({error}) this Python"
    return torch.cuda.device_count() if torch.cuda.is_available() else 0, f"torch {torch.__version__}"


def _position(address: str, visible: str | None) -> int:
    """Where CUDA counts a GPU, from 0: addresses are nvidia-smi's, of which CUDA may be shown some only."""
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        if address not in names:
            raise NoUsableGpu(f"Spark assigned it GPU {address}, which {VISIBLE}={visible} hides")
        return names.index(address)
    if not address.isdecimal():
        raise NoUsableGpu(f"Spark assigned it GPU {address}, which is not a number and not in {VISIBLE}")
    return int(address)

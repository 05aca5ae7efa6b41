"""What can go wrong with a training, and how it is made to. Each fault strikes when its context is entered; what can be repaired is
repaired when it is left."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from sparkml_algos.cluster.rendezvous import TASK_TAKEN_AWAY
from tests.cluster.hosts import Host, StandaloneCluster
from tests.cluster.leftovers import training_processes

DELAY, LOSS = 0.005, 0.01
# A straggler runs for a fifth of each such period.
STRAGGLER_PERIOD, STRAGGLER_STOPPED = 0.05, 0.8
PREEMPTED = "preempted by a queue of higher priority"


@dataclass(frozen=True)
class Scene:
    """Where a fault strikes.

    Parameters
    ----------
    cluster : StandaloneCluster
    checkpoints : Path
    spark : SparkSession, optional
        Of the training, where it is this process's.
    """

    cluster: StandaloneCluster
    checkpoints: Path
    spark: SparkSession | None = None

    @property
    def host(self) -> Host:
        """One that trains."""
        return next(host for host in reversed(self.cluster.hosts) if training_processes(host))


@contextmanager
def executor_killed(scene: Scene) -> Iterator[None]:
    os.kill(scene.host.processes("CoarseGrainedExecutorBackend")[0], signal.SIGKILL)
    yield


@contextmanager
def worker_killed(scene: Scene) -> Iterator[None]:
    os.kill(training_processes(scene.host)[0], signal.SIGKILL)
    yield


@contextmanager
def worker_stopped(scene: Scene) -> Iterator[None]:
    os.kill(training_processes(scene.host)[0], signal.SIGSTOP)
    yield


@contextmanager
def host_unplugged(scene: Scene) -> Iterator[None]:
    host = scene.host
    host.unplug()
    try:
        yield
    finally:
        host.plug_in()
        scene.cluster.wait_for_workers(len(scene.cluster.hosts))


@contextmanager
def task_preempted(scene: Scene) -> Iterator[None]:
    """A scheduler that wants the slot for another has Spark kill the task."""
    context, address = scene.spark.sparkContext._jsc.sc(), scene.host.address
    store = context.statusStore()
    stages = store.activeStages()
    for stage in (stages.apply(index) for index in range(stages.size())):
        tasks = store.taskList(stage.stageId(), stage.attemptId(), 100)
        for task in (tasks.apply(index) for index in range(tasks.size())):
            if task.status() == "RUNNING" and task.host() == address:
                assert context.killTaskAttempt(task.taskId(), True, PREEMPTED)
                yield
                return
    raise LookupError(f"no task runs on {address}")


@contextmanager
def host_slow(scene: Scene) -> Iterator[None]:
    with scene.host.slow(DELAY, LOSS):
        yield


@contextmanager
def worker_straggles(scene: Scene) -> Iterator[None]:
    """As if four others wanted its core."""
    pid, over = training_processes(scene.host)[0], threading.Event()

    def hinder() -> None:
        with suppress(ProcessLookupError):
            while not over.is_set():
                os.kill(pid, signal.SIGSTOP)
                time.sleep(STRAGGLER_STOPPED * STRAGGLER_PERIOD)
                os.kill(pid, signal.SIGCONT)
                time.sleep((1 - STRAGGLER_STOPPED) * STRAGGLER_PERIOD)

    thread = threading.Thread(target=hinder)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def store_gone(scene: Scene) -> Iterator[None]:
    """A file is where the directory was, so that it cannot be made again either."""
    away = scene.checkpoints.with_name("away")
    scene.checkpoints.rename(away)
    while scene.checkpoints.is_dir() or not scene.checkpoints.exists():
        shutil.rmtree(scene.checkpoints, ignore_errors=True)  # a training that saves just now has made it anew
        scene.checkpoints.touch()
    try:
        yield
    finally:
        scene.checkpoints.unlink()
        away.rename(scene.checkpoints)


@dataclass(frozen=True)
class Fault:
    """A fault.

    Parameters
    ----------
    name : str
    strike : callable
    says : str
        Pattern of what the user is told.
    """

    name: str
    strike: Callable[[Scene], AbstractContextManager[None]]
    says: str = ""


DIED = r"worker \d on 198\.18\.78\.\d+ failed in phase train: its process died"
TAKEN = DIED.replace("its process died", f"(its process died|{TASK_TAKEN_AWAY})")
SILENT = r"worker \d stopped answering; noticed by worker \d on 198\.18\.78\.\d+ in phase train"

#: They end an attempt; training is started again and goes on from its last checkpoint.
FATAL = {
    fault.name: fault
    for fault in (
        Fault("executor JVM killed", executor_killed, DIED),
        Fault("Python worker killed", worker_killed, DIED),
        Fault("worker stopped (SIGSTOP)", worker_stopped, SILENT),
        Fault("host unplugged", host_unplugged, SILENT),
        Fault("task preempted", task_preempted, TAKEN),
    )
}
#: They cost time.
LASTING = {
    fault.name: fault
    for fault in (Fault("host slow (5 ms, 1 % loss)", host_slow), Fault("a straggler (stopped 80 % of the time)", worker_straggles))
}

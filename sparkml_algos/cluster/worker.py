"""A worker: one Spark task of a gang, from the rendezvous to its results or its last words."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.cluster.errors import Failure, WorkerFailed
from sparkml_algos.cluster.gpus import NoUsableGpu, claim_gpu
from sparkml_algos.cluster.imported import spare_imported
from sparkml_algos.cluster.phases import Stopwatch
from sparkml_algos.cluster.rendezvous import Line, MeetingPlace, Rendezvous, TurnedAway
from sparkml_algos.collectives.addresses import address_towards, listen
from sparkml_algos.collectives.communicator import CommunicationError, Communicator, SingleProcess, is_timeout
from sparkml_algos.collectives.mesh import Mesh
from sparkml_algos.collectives.tcp import TcpCommunicator
from sparkml_algos.rows.kinds import InvalidRows

logger = logging.getLogger(__name__)

#: What a worker runs: ``body(worker, batches)`` yields named artifacts.
Body = Callable[["SparkWorker", Iterator[pa.RecordBatch]], Iterator[tuple[str, Artifact]]]

# A worker that lost touch with another says so at once, then waits so long for the true cause to reach the driver before it ends. Spark
# notices a dead process within a second or two; after a timeout every worker that lives has timed out too.
GRACE_SECONDS = 8.0
GRACE_SECONDS_AFTER_TIMEOUT = 2.0
# Share of the collective timeout given to the collective; the rest is for finding out who did not answer.
COLLECTIVE_SHARE = 0.8
SECONDS_BETWEEN_REPORTS = 0.2
# A worker that waits for a task looks so often whether it is dismissed.
SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True)
class Gang:
    """What every worker of a gang is told.

    Parameters
    ----------
    size : int
    launch : {"barrier", "gang"}
    driver_host : str
        As executors know it.
    meeting : MeetingPlace
    collective_timeout : float
    communicator : {"tcp", "gloo", "nccl", "horovod"}
    use_gpu : bool
    lanes : int
        Into how many groups of equal size the gang is divided, each with collectives of its own.
    """

    size: int
    launch: str
    driver_host: str
    meeting: MeetingPlace
    collective_timeout: float
    communicator: str = "tcp"
    use_gpu: bool = False
    lanes: int = 1


#: Names of what a worker yields besides the artifacts of its body: its seconds by phase, and its failure.
SECONDS, FAILED = "seconds", "failed"


class Dismissed(Exception):
    """The driver has no more use for this worker."""


def run_worker(gang: Gang, body: Body, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The function Spark runs in each task.

    Rows that cannot be trained on are no failure of the task: Spark would tell the user of it at length. The worker that has found them
    tells the driver and says so in place of its results; the others are dismissed, and end without any.
    """
    spare_imported()
    worker = SparkWorker(gang)
    try:
        worker.meet()
        for item, artifact in body(worker, worker.until_dismissed(batches)):
            yield from _rows(item, artifact)
        yield from _rows(f"{SECONDS}/{worker.rank}", Artifact(values=worker.seconds()))
        worker.leave()
    except Exception as error:
        failure = worker.fail(error)
        if not worker.may_end_quietly(failure):
            raise WorkerFailed(failure) from None
        worker.abandon()
        if failure.invalid_data:
            yield from _rows(f"{FAILED}/{worker.rank}", Artifact(values=asdict(failure)))


def _rows(item: str, artifact: Artifact) -> list[pa.RecordBatch]:
    return artifact.to_item(item).to_batches(max_chunksize=8)


class SparkWorker:
    """The surroundings of the training in a Spark task; implements `training.run.Worker`."""

    def __init__(self, gang: Gang) -> None:
        self._gang, self._phase, self._watch = gang, "start", Stopwatch("start")
        self.rank, self.size, self.workers_on_host, self.device = 0, gang.size, 1, "cpu"
        self.host = address_towards(gang.driver_host)
        self._line: Line | None = None
        self._listener: socket.socket | None = None
        self._communicator: Communicator = SingleProcess()
        self._reported = 0.0

    @property
    def phase(self) -> str:
        """What the worker is doing, for error messages; the driver knows it too, in case the worker cannot say it."""
        return self._phase

    @phase.setter
    def phase(self, phase: str) -> None:
        self._phase = phase
        self._watch.enter(phase)
        if self._line:
            self._line.send({"phase": phase})

    @property
    def rank_in_lane(self) -> int:
        """This worker among those it has collectives with, counted from 0."""
        return self.rank % (self.size // self._gang.lanes)

    def seconds(self) -> dict[str, float]:
        """By phase, since the workers have met."""
        return self._watch.seconds()

    @property
    def spill_dir(self) -> str | None:
        """Spark's scratch directory on this host."""
        return next((path for path in os.environ.get("SPARK_LOCAL_DIRS", "").split(",") if os.path.isdir(path)), None)

    def meet(self) -> None:
        """The one rendezvous: workers tell each other where they listen, and whether they have what they need. The sockets are open before
        anyone hears of them."""
        rendezvous = Rendezvous(self._gang.meeting, self.size, self._gang.launch)
        self.rank, self._line = rendezvous.rank, rendezvous.line
        self._listener = listen(self.host)
        lacks = self._claim_gpu() if self._gang.use_gpu else None
        message = json.dumps([self.host, self._listener.getsockname()[1], lacks])
        messages = rendezvous.all_gather(message, on_dismissal=self._call_off)
        self._watch = Stopwatch(self._phase)
        hosts, ports, lacking = zip(*map(json.loads, messages), strict=True)
        if lacks:
            raise NoUsableGpu(lacks)
        if any(lacking):
            rank, reason = next((rank, reason) for rank, reason in enumerate(lacking) if reason)
            raise CommunicationError(f"worker {rank} on {hosts[rank]} has {reason}", peer=rank)
        self._addresses = list(zip(hosts, ports, strict=True))
        self.workers_on_host = hosts.count(self.host)
        if self._gang.communicator != "tcp" and self.size > 1:
            threading.Thread(target=_import_torch, daemon=True).start()

    def until_dismissed(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The record batches, of which there are no more once the driver has no more use for this worker.

        Raises
        ------
        Dismissed
        """
        for batch in batches:
            if self._is_dismissed:
                raise Dismissed
            yield batch

    def _claim_gpu(self) -> str | None:
        """Train on the GPU that Spark has assigned; what keeps the worker from it, None if nothing does."""
        try:
            self.device = claim_gpu()
        except NoUsableGpu as error:
            return f"no usable GPU: {error}"
        return None

    def connect(self) -> Communicator:
        """Wait until every worker has its rows, however long that takes, then open the collectives.

        No time limit holds for the wait: Spark ends it when a task dies, and rows may take hours to compute.
        """
        width = self.size // self._gang.lanes
        if width == 1:
            self._listener.close()
            return self._communicator
        timeout = COLLECTIVE_SHARE * self._gang.collective_timeout
        first = self.rank // width * width
        addresses = self._addresses[first : first + width]
        mesh = Mesh(self.rank - first, addresses, self._listener, self._gang.meeting.secret, timeout)
        self._communicator = TcpCommunicator(mesh)
        if self._gang.communicator == "horovod":
            from sparkml_algos.collectives.horovod import HorovodCommunicator

            self._communicator = HorovodCommunicator(self._communicator, self.host)
        elif self._gang.communicator in ("gloo", "nccl"):
            from sparkml_algos.collectives.torch import TorchCommunicator

            self._communicator = TorchCommunicator(self._communicator, self.host, self.device)
        return self._communicator

    def report(self, progress: dict[str, Any]) -> None:
        """Send progress to the driver's bar, a few times a second at most."""
        now = time.monotonic()
        if self._line and now - self._reported > SECONDS_BETWEEN_REPORTS:
            self._reported = now
            self._line.send({"progress": progress})

    def ask(self, answer: Any) -> dict[str, Any]:
        """The next task, from the driver, who is told what came of the one before.

        Raises
        ------
        ConnectionError
            If the executors cannot reach the driver, or it is gone.
        Dismissed
        """
        if self._line is None or not self._line.is_heard:
            raise ConnectionError(f"worker {self.rank} cannot reach the driver, which hands out the trainings of a search")
        self._line.send({"ask": answer})
        while not self._is_dismissed:
            with contextlib.suppress(queue.Empty):
                task = self._line.tasks.get(timeout=SECONDS_BETWEEN_LOOKS)
                if task is None:
                    raise ConnectionError("the driver is gone, which hands out the trainings of a search")
                return task
        raise Dismissed

    def warn(self, message: str) -> None:
        """Let the user read it, where the driver logs."""
        if self._line:
            self._line.send({"warning": message})
        else:
            logger.warning("worker %d on %s: %s", self.rank, self.host, message)

    def leave(self) -> None:
        """All is done."""
        self._communicator.close()
        if self._line:
            self._line.close()

    def fail(self, error: Exception) -> Failure:
        """Tell the driver about an exception. The first cause counts: a worker that only noticed another's trouble gives it time."""
        peer, invalid = isinstance(error, CommunicationError), isinstance(error, InvalidRows)
        failure = Failure(
            rank=self.rank,
            host=self.host,
            phase=self.phase,
            message=str(error) if invalid else f"{type(error).__name__}: {error}",
            invalid_data=invalid,
            peer=peer,
            trace="" if invalid else "".join(traceback.format_exception(error)),  # what is wrong with rows is not in the program
            waited_for=error.peer if peer else None,
            late=isinstance(error, TurnedAway),
        )
        if self._line and not self._is_dismissed:
            self._line.send({"failed": asdict(failure)})
        if peer:
            grace = GRACE_SECONDS_AFTER_TIMEOUT if is_timeout(str(error)) else GRACE_SECONDS
            (self._line.dismissed if self._line else threading.Event()).wait(grace)
        return failure

    def may_end_quietly(self, failure: Failure) -> bool:
        """Whether the driver knows all there is to know, and the others will hear of it from the driver."""
        return self._is_dismissed or (failure.invalid_data and self._line is not None and self._line.is_heard)

    def abandon(self) -> None:
        """Leave the others, who notice it if they wait for this worker: its process may go on to other tasks."""
        self._call_off()
        self._communicator.abandon()
        if self._line:
            self._line.close()

    @property
    def _is_dismissed(self) -> bool:
        return self._line is not None and self._line.dismissed.is_set()

    def _call_off(self) -> None:
        """Nobody can connect to this worker any more, nor does it wait for anybody to do so."""
        if self._listener:
            with contextlib.suppress(OSError):  # it is closed already
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()


def _import_torch() -> None:
    """Takes over a second in a fresh process; done while rows arrive."""
    import torch.distributed  # noqa: F401

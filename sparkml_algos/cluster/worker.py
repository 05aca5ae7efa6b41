"""A worker: one Spark task of a gang, from the rendezvous to its results or its last words."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sparkml_algos.cluster.errors import Failure, WorkerFailed, decode_failures
from sparkml_algos.cluster.rendezvous import Line, MeetingPlace, Rendezvous, address_towards, interface_of
from sparkml_algos.training.artifact import Artifact
from sparkml_algos.training.batch import InvalidRows
from sparkml_algos.training.communicator import CommunicationError, Communicator, SingleProcess, TorchCommunicator

if TYPE_CHECKING:
    from torch.distributed import Store

#: What a worker runs: ``body(worker, batches)`` yields named artifacts.
Body = Callable[["SparkWorker", Iterator[pa.RecordBatch]], Iterator[tuple[str, Artifact]]]

# A worker that lost touch with another waits so long for the true cause to reach the driver before it reports its own trouble. Spark
# notices a dead process within a second or two; a slow one says itself what is wrong.
GRACE_SECONDS = 8.0
# Share of the collective timeout given to the collective; the rest is for finding out who did not answer.
COLLECTIVE_SHARE = 0.8
STORE_TIMEOUT = 3600.0 * 24
SECONDS_BETWEEN_REPORTS = 0.2


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
    use_gpu : bool
    """

    size: int
    launch: str
    driver_host: str
    meeting: MeetingPlace
    collective_timeout: float
    use_gpu: bool = False


def run_worker(gang: Gang, body: Body, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The function Spark runs in each task."""
    worker = SparkWorker(gang)
    try:
        worker.meet()
        for item, artifact in body(worker, batches):
            yield from artifact.to_item(item).to_batches(max_chunksize=8)
        worker.leave()
    except Exception as error:
        raise WorkerFailed(worker.fail(error)) from None


class SparkWorker:
    """The surroundings of the training in a Spark task; implements `training.run.Worker`."""

    def __init__(self, gang: Gang) -> None:
        self._gang, self._phase = gang, "start"
        self.rank, self.size, self.workers_on_host, self.device = 0, gang.size, 1, "cpu"
        self.host = address_towards(gang.driver_host)
        self._line: Line | None = None
        self._store: Store | None = None
        self._communicator: Communicator | None = None
        self._reported = 0.0
        self._import = _Background(_import_torch) if gang.size > 1 else None

    @property
    def phase(self) -> str:
        """What the worker is doing, for error messages; the driver knows it too, in case the worker cannot say it."""
        return self._phase

    @phase.setter
    def phase(self, phase: str) -> None:
        self._phase = phase
        if self._line:
            self._line.send({"phase": phase})

    @property
    def spill_dir(self) -> str | None:
        """Spark's scratch directory on this host."""
        return next((path for path in os.environ.get("SPARK_LOCAL_DIRS", "").split(",") if os.path.isdir(path)), None)

    def meet(self) -> None:
        """The one rendezvous: worker 0 tells where its store will listen. Its socket is open before anyone hears of it."""
        rendezvous = Rendezvous(self._gang.meeting, self.size, self._gang.launch)
        self.rank, self._line = rendezvous.rank, rendezvous.line
        self._listener = socket.create_server(("", 0), backlog=4096) if self.rank == 0 and self.size > 1 else None
        port = self._listener.getsockname()[1] if self._listener else 0
        peers = [message.rsplit(":", 1) for message in rendezvous.all_gather(f"{self.host}:{port}")]
        self._store_host, self._store_port = peers[0][0], int(peers[0][1])
        self.workers_on_host = sum(host == self.host for host, _ in peers)
        self.device = f"cuda:{_assigned_gpu()}" if self._gang.use_gpu else "cpu"

    def connect(self) -> Communicator:
        """Wait until every worker has its rows, however long that takes, then open the collectives.

        No time limit holds for the wait: Spark ends it when a task dies, and rows may take hours to compute.
        """
        if self.size == 1:
            self._communicator = SingleProcess()
            return self._communicator
        self._import.result()
        self._store = self._open_store()
        self._store.set(f"ready/{self.rank}", "")
        for rank in range(self.size):
            self._store.wait([f"ready/{rank}"])
        if interface := interface_of(self.host):
            os.environ["GLOO_SOCKET_IFNAME"] = interface
        timeout = COLLECTIVE_SHARE * self._gang.collective_timeout
        self._communicator = TorchCommunicator(self._store, self.rank, self.size, timeout, self.device)
        return self._communicator

    def report(self, progress: dict[str, Any]) -> None:
        """Send progress to the driver's bar, a few times a second at most."""
        now = time.monotonic()
        if self._line and now - self._reported > SECONDS_BETWEEN_REPORTS:
            self._reported = now
            self._line.send({"progress": progress})

    def leave(self) -> None:
        """All is done. Worker 0 keeps the store open until the others have left too."""
        if self._store is not None:
            self._communicator.close()
            self._store.set(f"left/{self.rank}", "")
            if self.rank == 0:
                for rank in range(self.size):
                    self._store.wait([f"left/{rank}"])
            self._store = None
        if self._line:
            self._line.close()

    def fail(self, error: Exception) -> Failure:
        """What to tell the driver about an exception. The first cause counts: a worker that only noticed another's trouble looks for it."""
        peer = isinstance(error, CommunicationError)
        failure = Failure(
            rank=self.rank,
            host=self.host,
            phase=self.phase,
            message=f"{type(error).__name__}: {error}" if not isinstance(error, InvalidRows) else str(error),
            invalid_data=isinstance(error, InvalidRows),
            peer=peer,
            trace="".join(traceback.format_exception(error)),
        )
        if self._store is not None:
            failure = _Autopsy(self._store, self.rank, self.size).first_cause(failure)
        if self._line:
            self._line.send({"failed": asdict(failure)})
        return failure

    def _open_store(self) -> Store:
        import torch.distributed as dist

        options: dict[str, Any] = {"master_listen_fd": self._listener.detach()} if self._listener else {}
        return dist.TCPStore(
            self._store_host,
            self._store_port,
            is_master=self.rank == 0,
            wait_for_workers=False,
            timeout=timedelta(seconds=STORE_TIMEOUT),
            **options,
        )


class _Autopsy:
    """Finds, through the store, which worker failed first."""

    def __init__(self, store: Store, rank: int, size: int) -> None:
        self._store, self._rank, self._size = store, rank, size

    def first_cause(self, own: Failure) -> Failure:
        """Tell the others of the own failure; if that is only a lost peer, wait for theirs and return the cause found."""
        answers: queue.Queue[Failure] = queue.Queue()
        # The store may be the very thing that does not answer, so it is asked from a thread that may be left behind.
        threading.Thread(target=lambda: answers.put(self._ask(own)), daemon=True).start()
        try:
            return answers.get(timeout=GRACE_SECONDS + 2)
        except queue.Empty:
            return _blame(own, [0])

    def _ask(self, own: Failure) -> Failure:
        try:
            self._store.set(self._key(self._rank), own.encode())
            if not own.peer:
                return own
            return self._wait_for_cause(own)
        except RuntimeError:
            time.sleep(GRACE_SECONDS)  # worker 0, which holds the store, is gone: let Spark say how
            return _blame(own, [0])

    def _wait_for_cause(self, own: Failure) -> Failure:
        silent = set(range(self._size))
        # After a timeout every live worker has timed out too and says so at once: whoever stays silent is the cause.
        timed_out = "imed out" in own.message or "imeout" in own.message
        deadline = time.monotonic() + (2.0 if timed_out else GRACE_SECONDS)
        while silent and time.monotonic() < deadline:
            for rank in sorted(silent):
                if self._store.check([self._key(rank)]):
                    silent.discard(rank)
                    found = decode_failures(self._store.get(self._key(rank)).decode())[0]
                    if not found.peer:
                        return found
            time.sleep(0.1)
        return _blame(own, sorted(silent))

    @staticmethod
    def _key(rank: int) -> str:
        return f"failed/{rank}"


def _blame(own: Failure, silent: list[int]) -> Failure:
    if not silent:
        return own
    who = ", ".join(f"worker {rank}" for rank in silent)
    what = f"{who} stopped answering; noticed by worker {own.rank} ({own.message})"
    return Failure(own.rank, own.host, own.phase, what, peer=True, trace=own.trace)


class _Background:
    """A call in a thread of its own; `result` waits for it and raises what it raised."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._answer: queue.Queue[tuple[Any, Exception | None]] = queue.Queue()
        threading.Thread(target=self._run, args=(function,), daemon=True).start()

    def _run(self, function: Callable[[], Any]) -> None:
        try:
            self._answer.put((function(), None))
        except Exception as error:
            self._answer.put((None, error))

    def result(self) -> Any:
        value, error = self._answer.get()
        if error is not None:
            raise error
        return value


def _import_torch() -> None:
    """Takes over a second in a fresh process; done while rows arrive."""
    import torch.distributed  # noqa: F401


def _assigned_gpu() -> str:
    from pyspark import TaskContext

    return TaskContext.get().resources()["gpu"].addresses[0]

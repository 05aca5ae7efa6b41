"""How the tasks of a gang find each other: one exchange of a message through the driver.

Spark's own all-gather of a barrier stage takes a second, for it polls, and waiting in it while another task dies costs an executor. It
serves where the driver cannot be reached from the executors.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import queue
import select
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sparkml_algos.cluster.errors import Failure, first_cause, with_check
from sparkml_algos.collectives.addresses import family_of
from sparkml_algos.collectives.handshake import admit, introduce, new_secret

logger = logging.getLogger(__name__)

# A line of the meeting protocol; longer ones are not ours. What a worker answers to a task has a figure per epoch.
MAX_LINE_BYTES = 1 << 24
CONNECT_TIMEOUT = 5.0
# Tasks of a barrier stage start together. If not all have reached the driver this long after the first, some cannot, and all use
# Spark's all-gather.
BARRIER_PATIENCE = 15.0
POLL_SECONDS = 0.2
GIVEN_UP, DISMISSED = "given up", "dismissed"
#: The setting of a session that names the ports of the driver at which workers meet, where the system is not to choose them.
DRIVER_PORTS = "spark.sparkml_algos.driver.ports"
ANY_PORT = (0,)
TASK_TAKEN_AWAY = "Spark ended its task and started it again, as it does after preemption or the loss of an executor"


@dataclass(frozen=True)
class MeetingPlace:
    """Address of the driver's `Meeting`, and the secret by which the workers of one gang and their driver know each other."""

    host: str
    port: int
    secret: str


class NoFreePort(OSError):
    """Other trainings of this driver, or other programs, have all the ports at which its workers may meet."""


class TurnedAway(ConnectionError):
    """This is a second attempt of a worker whose gang has come together without it: Spark retries ordinary tasks."""


class Rendezvous:
    """A worker's end.

    Parameters
    ----------
    place : MeetingPlace
    size : int
    launch : {"barrier", "gang"}

    Attributes
    ----------
    rank : int
    line : Line or None
        The open connection to the driver; None where there is none.
    """

    def __init__(self, place: MeetingPlace, size: int, launch: str) -> None:
        from pyspark import BarrierTaskContext, TaskContext

        self._context = BarrierTaskContext.get() if launch == "barrier" else TaskContext.get()
        self.rank, self.line, self._barrier = self._context.partitionId(), None, launch == "barrier"
        try:
            self.line = Line(place, self.rank)
        except OSError as error:
            if not self._barrier:
                raise ConnectionError(
                    f"worker {self.rank} cannot reach the driver at {place.host}:{place.port} ({error}); launch='gang' needs a driver that "
                    f"executors can connect to, at ports that {DRIVER_PORTS} may name"
                ) from error

    def all_gather(self, message: str, on_dismissal: Callable[[], None] = lambda: None) -> list[str]:
        """Exchange a message with all workers; called once, first thing in the task.

        Parameters
        ----------
        message : str
        on_dismissal : callable
            See `Line.end_with_the_gang`.

        Raises
        ------
        ConnectionError
            With the driver's reason, if the gang did not come together.
        TurnedAway
            With what the first attempt ended with.
        """
        answer = self._ask_driver(message) if self.line else {}
        if "messages" in answer:
            self.line.end_with_the_gang(on_dismissal)
            return answer["messages"]
        if self._barrier:
            return list(self._context.allGather(message))
        if "turned away" in answer:
            raise TurnedAway(answer["turned away"])
        raise ConnectionError(answer.get("refused", "the driver closed the connection"))

    def _ask_driver(self, message: str) -> dict[str, Any]:
        self.line.send({"join": message})
        return self.line.receive()


class Line:
    """A worker's connection to the driver: what it says is progress, phases, warnings, failure; what it hears is the answer to its
    joining, the tasks that it asks for, and perhaps that it is dismissed or that the gang is given up.

    Attributes
    ----------
    dismissed : threading.Event
        Set when the driver has no more use for the worker, which is to end by itself, soon and without an error.
    is_heard : bool
        Whether the worker listens for that: the gang came together over the driver.
    tasks : Queue
        What the driver has answered to ``ask``; None once the connection has ended.
    """

    def __init__(self, place: MeetingPlace, rank: int) -> None:
        self.dismissed, self.is_heard = threading.Event(), False
        self.tasks: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._socket = socket.create_connection((place.host, place.port), CONNECT_TIMEOUT)
        try:
            introduce(self._socket, place.secret)
        except BaseException:
            self._socket.close()
            raise
        self._socket.settimeout(None)
        self._file = self._socket.makefile("rb")
        self._lock = threading.Lock()
        self.send({"rank": rank})

    def send(self, message: dict[str, Any]) -> None:
        """Send one line; a driver that is gone is no longer interested."""
        try:
            with self._lock:
                self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            logger.debug("the driver no longer listens")

    def receive(self) -> dict[str, Any]:
        line = self._file.readline(MAX_LINE_BYTES)
        return json.loads(line) if line else {}

    def end_with_the_gang(self, on_dismissal: Callable[[], None]) -> None:
        """From now on this process ends as soon as the driver gives the gang up, whatever it is waiting in.

        Spark, too, ends the tasks of a stage that failed or was cancelled, but seconds later; until then they hold the slots that a retry,
        or the next fit, needs. That the driver merely falls silent ends nothing. Dismissal only sets `dismissed` and calls `on_dismissal`,
        in another thread.
        """
        self.is_heard = True
        threading.Thread(target=self._await_the_end, args=(on_dismissal,), daemon=True).start()

    def _await_the_end(self, on_dismissal: Callable[[], None]) -> None:
        try:
            while message := self.receive():
                if GIVEN_UP in message:
                    os._exit(1)
                if "task" in message:
                    self.tasks.put(message["task"])
                if DISMISSED in message:
                    self.dismissed.set()
                    on_dismissal()
        except (OSError, ValueError):  # closed, by this worker or by the network
            return
        finally:
            self.tasks.put(None)

    def close(self) -> None:
        self.send({"done": True})
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that listens; closing its file would wait for it
        self._socket.close()


class Meeting:
    """The driver's end: brings the workers of one gang together and hears their progress, failures and deaths.

    Parameters
    ----------
    size : int
        Workers to wait for.
    host : str
        The driver's own address towards the executors; strangers who call it are turned away.
    launch : {"barrier", "gang"}
    timeout : float
        Seconds from the first worker's arrival until the last must have come.
    on_progress : callable, optional
        Receives the progress of worker 0.
    on_ask : callable, optional
        ``on_ask(rank, answer)`` is the next task of a worker that asks for one, with what came of the task before.
    ports : sequence of int, optional
        The first of these that is free is where workers call; by default the system chooses.

    Raises
    ------
    NoFreePort
        If none of the ports is free.

    Attributes
    ----------
    trouble : Exception or None
        What `on_ask` has raised; the gang is given up then.
    failures : list of Failure
        In the order they were heard.
    failed : threading.Event
        Set with the first of them: the gang cannot succeed any more.
    seen : dict of int to (str, str)
        Host and phase of each worker that called.
    met_at : float or None
        When the gang came together here, by `time.perf_counter`.
    dismissed : bool
        Whether the workers have been told to end by themselves, for one of them has rows that cannot be trained on.
    """

    def __init__(
        self,
        size: int,
        host: str,
        launch: str,
        timeout: float,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
        on_ask: Callable[[int, Any], dict[str, Any]] | None = None,
        ports: Sequence[int] = ANY_PORT,
    ) -> None:
        self._size, self._barrier, self._on_progress, self._on_ask = size, launch == "barrier", on_progress, on_ask
        self.trouble: Exception | None = None
        self._timeout = min(timeout, BARRIER_PATIENCE) if self._barrier else timeout
        self._changed = threading.Condition()
        self._messages: dict[int, str] = {}
        self._first_arrival: float | None = None
        self._verdict: dict[str, Any] | None = None
        self._streams: dict[int, socketserver.StreamRequestHandler] = {}
        self.failures: list[Failure] = []
        self.failed = threading.Event()
        self.seen: dict[int, tuple[str, str]] = {}
        self.met_at: float | None = None
        self.dismissed = False
        secret = new_secret()
        self._server = _at_a_free_port(ports, lambda port: _Server((host, port), secret, self._serve))
        self.place = MeetingPlace(host, self._server.server_address[1], secret)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": POLL_SECONDS / 4}, daemon=True).start()

    def __enter__(self) -> Meeting:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            self._give_up()
        self._server.shutdown()
        self._server.server_close()

    def _give_up(self) -> None:
        with self._changed:
            self._tell_all(GIVEN_UP)

    def _dismiss(self) -> None:
        with self._changed:
            self.dismissed = True
            self._tell_all(DISMISSED)

    def _tell_all(self, what: str) -> None:
        for stream in self._streams.values():
            _tell(stream, {what: True})

    def _serve(self, stream: socketserver.StreamRequestHandler) -> None:
        """One worker's connection, from its first line to its last."""
        hello = json.loads(stream.rfile.readline(MAX_LINE_BYTES))
        rank, host, joined, over = int(hello["rank"]), stream.client_address[0], False, False
        if rank not in self._messages:
            self.seen[rank] = host, "start"
        while line := _readline(stream):
            message = json.loads(line)
            if "join" in message:
                answer = self._join(rank, message["join"], stream.connection)
                joined, over = "messages" in answer, "turned away" in answer
                _tell(stream, answer)
                if joined:
                    self._listens(rank, stream)
            elif "phase" in message:
                self.seen[rank] = host, message["phase"]
            elif "progress" in message and self._on_progress:
                self._on_progress(message["progress"])
            elif "ask" in message and self._on_ask:
                self._answer(rank, message["ask"], stream)
            elif "warning" in message:
                logger.warning("worker %d on %s: %s", rank, host, message["warning"])
            elif "failed" in message:
                self._hear(Failure(**message["failed"]))
            over = over or "done" in message or "failed" in message
        if joined and not over:
            self._hear(Failure(rank, *self.seen[rank], "its process died without a word", silent=True))

    def _answer(self, rank: int, answer: Any, stream: socketserver.StreamRequestHandler) -> None:
        try:
            task = self._on_ask(rank, answer)
        except Exception as error:
            self.trouble = self.trouble or error
            self._give_up()
        else:
            _tell(stream, {"task": task})

    def _listens(self, rank: int, stream: socketserver.StreamRequestHandler) -> None:
        with self._changed:
            self._streams[rank] = stream
            if self.dismissed:
                _tell(stream, {DISMISSED: True})

    def _hear(self, failure: Failure) -> None:
        if failure.late:
            return
        self.failures.append(failure)
        if failure.invalid_data:
            self._dismiss()
        self.failed.set()

    def _join(self, rank: int, message: str, connection: socket.socket) -> dict[str, Any]:
        """Wait for the whole gang, for as long as the worker itself does; what is decided holds for all who come later."""
        with self._changed:
            if self._verdict is not None or rank in self._messages:
                return self._turned_away(rank)
            self._messages[rank] = message
            self._first_arrival = self._first_arrival or time.monotonic()
            if len(self._messages) == self._size:
                self.met_at = time.perf_counter()
                self._verdict = {"messages": [self._messages[rank] for rank in range(self._size)]}
            self._changed.notify_all()
            while self._verdict is None:
                if _is_closed(connection):
                    del self._messages[rank]
                    return {}
                if time.monotonic() - self._first_arrival > self._timeout:
                    self._verdict = {
                        "refused": f"only {len(self._messages)} of {self._size} workers had started {self._timeout:g} s after the first: "
                        "the cluster has too few free slots; lower num_workers or raise start_timeout"
                    }
                    self._changed.notify_all()
                self._changed.wait(POLL_SECONDS)
            return self._verdict

    def _turned_away(self, rank: int) -> dict[str, Any]:
        """The answer to a worker that comes too late or a second time: with ordinary tasks, why it must.

        Spark starts a task again only when it has given the first attempt up, which may not know that yet.
        """
        if self._verdict and "refused" in self._verdict:
            return self._verdict
        if self._verdict and not self._barrier and not self.failures:
            self._hear(Failure(rank, *self.seen[rank], TASK_TAKEN_AWAY, silent=True))
        cause = first_cause(self.failures)
        return {"turned away": cause.describe() if cause else f"worker {rank} was started twice"}


def _at_a_free_port(ports: Sequence[int], listen: Callable[[int], _Server]) -> _Server:
    for port in ports:
        try:
            return listen(port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    taken = f"all of the driver's ports {ports[0]}-{ports[-1]} are taken, of which each training needs one while it runs"
    raise NoFreePort(with_check(f"{taken}: name more in {DRIVER_PORTS}"))


def _tell(stream: socketserver.StreamRequestHandler, message: dict[str, Any]) -> None:
    try:
        stream.wfile.write(json.dumps(message).encode() + b"\n")
    except (OSError, ValueError):
        logger.debug("this worker has gone by itself")


def _readline(stream: socketserver.StreamRequestHandler) -> bytes:
    """The next line; nothing at the end, also when that is a reset, as after a killed process."""
    try:
        return stream.rfile.readline(MAX_LINE_BYTES)
    except OSError:
        return b""


def _is_closed(connection: socket.socket) -> bool:
    readable, _, _ = select.select([connection], [], [], 0)
    try:
        return bool(readable) and not connection.recv(1, socket.MSG_PEEK)
    except OSError:
        return True


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], secret: str, serve: Callable[[Any], None]) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    admit(self.connection, secret)
                    serve(self)
                except (OSError, ValueError, KeyError, AttributeError, TypeError):
                    logger.debug("a stranger called, or a worker that is gone, which Spark notices too")

        self.address_family = family_of(address[0])
        super().__init__(address, Handler)

"""How the tasks of a gang find each other: one all-gather of a message, through Spark's barrier or through the driver."""

from __future__ import annotations

import hmac
import json
import secrets
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from sparkml_algos.cluster.errors import Failure

# A line of the meeting protocol; longer ones are not ours.
MAX_LINE_BYTES = 1 << 20
CONNECT_TIMEOUT = 10.0


class Rendezvous(Protocol):
    """Seen from a worker."""

    rank: int
    size: int

    def all_gather(self, message: str) -> list[str]:
        """Exchange a message with all workers, in order of rank."""


class BarrierRendezvous:
    """The workers are the tasks of a barrier stage. `all_gather` may be called once, first thing in the task: a task that dies while others
    wait in it costs them their executor."""

    def __init__(self) -> None:
        from pyspark import BarrierTaskContext

        self._context = BarrierTaskContext.get()
        self.rank = self._context.partitionId()
        self.size = len(self._context.getTaskInfos())

    def all_gather(self, message: str) -> list[str]:
        return list(self._context.allGather(message))


@dataclass(frozen=True)
class MeetingPlace:
    """Address of the driver's `Meeting`, and the secret that admits to it."""

    host: str
    port: int
    token: str


class DriverRendezvous:
    """The workers are ordinary tasks that meet at the driver."""

    def __init__(self, place: MeetingPlace, size: int, timeout: float) -> None:
        from pyspark import TaskContext

        context = TaskContext.get()
        self.rank, self.size, self._timeout = context.partitionId(), size, timeout
        self.line = Line(place, self.rank)

    def all_gather(self, message: str) -> list[str]:
        self.line.send({"join": message})
        # The driver ends the waiting; the margin only covers a driver that is gone.
        answer = self.line.receive(self._timeout + CONNECT_TIMEOUT)
        if "messages" not in answer:
            raise ConnectionError(answer.get("refused", "the driver closed the connection"))
        return answer["messages"]


class Line:
    """A worker's connection to the driver."""

    def __init__(self, place: MeetingPlace, rank: int) -> None:
        try:
            self._socket = socket.create_connection((place.host, place.port), CONNECT_TIMEOUT)
        except OSError as error:
            raise ConnectionError(
                f"worker {rank} cannot reach the driver at {place.host}:{place.port} ({error}); "
                "gang launch needs a driver that executors can connect to"
            ) from error
        self._file = self._socket.makefile("rb")
        self._lock = threading.Lock()
        self.send({"token": place.token, "rank": rank})

    def send(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, timeout: float) -> dict[str, Any]:
        self._socket.settimeout(timeout)
        line = self._file.readline(MAX_LINE_BYTES)
        return json.loads(line) if line else {}

    def report(self, progress: dict[str, Any]) -> None:
        self.send({"progress": progress})

    def fail(self, failure: Failure) -> None:
        self.send({"failed": asdict(failure)})

    def close(self) -> None:
        self.send({"done": True})
        self._file.close()
        self._socket.close()


class Meeting:
    """The driver's end: brings the workers of one gang together and hears their progress and failures.

    Parameters
    ----------
    size : int
        Workers to wait for.
    host : str
        Address of this driver as executors know it.
    timeout : float
        Seconds from the first worker's arrival until the last must have come.
    on_progress : callable, optional
        Receives the progress of worker 0.

    Attributes
    ----------
    failures : list of Failure
        In the order they were heard.
    """

    def __init__(
        self, size: int, host: str, timeout: float, on_progress: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        self._size, self._timeout, self._on_progress = size, timeout, on_progress
        self._token = secrets.token_hex(16)
        self._changed = threading.Condition()
        self._messages: dict[int, str] = {}
        self._first_arrival: float | None = None
        self.failures: list[Failure] = []
        self._server = _Server(("", 0), self._serve)
        self.place = MeetingPlace(host, self._server.server_address[1], self._token)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Meeting:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _serve(self, stream: Any) -> None:
        """One worker's connection, from its first line to its last."""
        rank, joined, done = None, False, False
        while line := stream.rfile.readline(MAX_LINE_BYTES):
            try:
                message = json.loads(line)
            except ValueError:
                return
            if rank is None:
                if not hmac.compare_digest(str(message.get("token", "")), self._token):
                    return
                rank = int(message["rank"])
            elif "join" in message:
                answer = self._join(rank, message["join"])
                joined = "messages" in answer
                stream.wfile.write(json.dumps(answer).encode() + b"\n")
            elif "progress" in message and self._on_progress:
                self._on_progress(message["progress"])
            elif "failed" in message:
                self.failures.append(Failure(**message["failed"]))
            done = done or "done" in message or "failed" in message
        if joined and not done:
            host = stream.client_address[0]
            self.failures.append(Failure(rank, host, "train", "its process died without a word"))

    def _join(self, rank: int, message: str) -> dict[str, Any]:
        """Wait for the whole gang; a worker that was there before is refused with the reason why it must come again."""
        with self._changed:
            if rank in self._messages:
                causes = [failure for failure in self.failures if not failure.peer] or self.failures
                reason = causes[0].describe() if causes else f"worker {rank} was started twice"
                return {"refused": reason}
            self._messages[rank] = message
            self._first_arrival = self._first_arrival or time.monotonic()
            deadline = self._first_arrival + self._timeout
            self._changed.notify_all()
            complete = self._changed.wait_for(lambda: len(self._messages) == self._size, deadline - time.monotonic())
            if complete:
                return {"messages": [self._messages[rank] for rank in range(self._size)]}
            arrived = len(self._messages)
            return {
                "refused": f"only {arrived} of {self._size} workers had started {self._timeout:g} s after the first: the cluster "
                "has too few free slots; lower num_workers or raise start_timeout"
            }


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], serve: Callable[[Any], None]) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    serve(self)
                except (OSError, ValueError, KeyError):
                    return  # a stranger, or a worker that is gone; the latter is noticed by Spark too

        super().__init__(address, Handler)


def address_towards(host: str) -> str:
    """This machine's own address on the way to `host`: never 127.0.1.1, and right where a machine has several."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, 9))
        return probe.getsockname()[0]


def interface_of(address: str) -> str | None:
    """Name of the network interface with this address; None where the system cannot tell."""
    import fcntl
    import struct

    siocgifaddr = 0x8915
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                reply = fcntl.ioctl(probe.fileno(), siocgifaddr, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue
            if socket.inet_ntoa(reply[20:24]) == address:
                return name
    return None

"""A connection between every two workers of a gang, over which they send each other messages."""

from __future__ import annotations

import contextlib
import logging
import queue
import select
import socket
import struct
import threading
from collections.abc import Collection, Generator, Iterator, Sequence

from sparkml_algos.collectives.addresses import endpoint
from sparkml_algos.collectives.communicator import CommunicationError
from sparkml_algos.collectives.handshake import admit, introduce

logger = logging.getLogger(__name__)

# Before each message: the step it belongs to, and its bytes.
_HEADER = struct.Struct("<QQ")
_RANK = struct.Struct("<I")
# A host that vanishes while its peers wait for it to join is noticed after about a minute.
_KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 20), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 4))


class Mesh:
    """Connections to all other workers, each of which has shown that it knows the secret.

    The constructor returns when every worker has called its own, however long that takes: the wait for one that has died is ended from
    outside, by shutting the listener. Strangers who call meanwhile are turned away.

    Parameters
    ----------
    rank : int
        This worker.
    addresses : sequence of (str, int)
        Where each worker listens, in order of rank.
    listener : socket.socket
        This worker's end of its own address; it is closed once all have called.
    secret : str
    timeout : float
        Seconds for which a transfer may rest.

    Attributes
    ----------
    bytes_sent : int
        In messages, since the beginning.

    Raises
    ------
    CommunicationError
        If another worker cannot be reached, or the listener is shut.
    """

    def __init__(self, rank: int, addresses: Sequence[tuple[str, int]], listener: socket.socket, secret: str, timeout: float) -> None:
        self.rank, self.size, self.timeout, self.bytes_sent = rank, len(addresses), timeout, 0
        self._connections: dict[int, socket.socket] = {}
        try:
            self._connect(addresses, listener, secret)
        except BaseException:
            self.close()
            raise
        finally:
            with contextlib.suppress(OSError):  # it was shut from outside
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that answers
            listener.close()
        for connection in self._connections.values():
            connection.setblocking(False)

    def _connect(self, addresses: Sequence[tuple[str, int]], listener: socket.socket, secret: str) -> None:
        """A worker calls those before it and is called by those after it."""
        callers: queue.Queue[tuple[int, socket.socket] | None] = queue.Queue()
        threading.Thread(target=_answer_calls, args=(listener, secret, callers), daemon=True).start()
        for peer in range(self.rank):
            self._connections[peer] = _call(peer, addresses[peer], self.rank, secret, self.timeout)
        while len(self._connections) < self.size - 1:
            caller = callers.get()
            if caller is None:
                raise CommunicationError("the wait for the other workers was ended")
            self._connections[caller[0]] = caller[1]

    def exchange(
        self,
        step: int,
        *,
        to: int | None = None,
        message: memoryview | bytes = b"",
        source: int | None = None,
        into: memoryview | None = None,
    ) -> memoryview:
        """Send a message to one worker and, at the same time, receive one from another or the same.

        Parameters
        ----------
        step : int
            What the message belongs to; the same at both ends.
        to : int, optional
            Who is sent `message`; nobody by default.
        message : bytes-like
        source : int, optional
            Whose message is received; nobody's by default.
        into : memoryview, optional
            Of bytes: where it goes, which it must fill. By default a message of any size is received into memory of its own.

        Returns
        -------
        memoryview
            What was received.

        Raises
        ------
        CommunicationError
            If the other worker is gone, lets the transfer rest for too long, or is at another step.
        """
        received: list[memoryview] = []
        pending: dict[Iterator[None], tuple[int, int]] = {}
        if to is not None:
            self.bytes_sent += len(message)
            pending[self._sending(to, step, message)] = to, select.POLLOUT
        if source is not None:
            pending[self._receiving(source, step, into, received)] = source, select.POLLIN
        while True:
            for transfer in list(pending):
                if next(transfer, self) is self:
                    del pending[transfer]
            if not pending:
                return received[0] if received else memoryview(b"")
            self._wait(pending.values())

    def _wait(self, pending: Collection[tuple[int, int]]) -> None:
        """Until one of some transfers, each of a worker and an event, can go on."""
        poll, events = select.poll(), {}
        for peer, event in pending:
            events[peer] = events.get(peer, 0) | event
        for peer, event in events.items():
            poll.register(self._connections[peer], event)
        if not poll.poll(1000 * self.timeout):
            peer = max(pending, key=lambda transfer: transfer[1] == select.POLLIN)[0]
            raise CommunicationError(f"timed out after {self.timeout:g} s of waiting for worker {peer}", peer)

    def _sending(self, peer: int, step: int, message: memoryview | bytes) -> Iterator[None]:
        """Send as much as the connection takes at a time."""
        header, count = _HEADER.pack(step, len(message)), 0
        while count < len(header) + len(message):
            rest = [header[count:], message] if count < len(header) else [message[count - len(header) :]]
            try:
                count += self._connections[peer].sendmsg(rest)
            except BlockingIOError:
                yield
            except OSError as error:
                raise _lost(peer, error) from error

    def _receiving(self, peer: int, step: int, into: memoryview | None, received: list[memoryview]) -> Iterator[None]:
        """Receive as much as is there at a time; at the end there is a message in `received`."""
        header, payload, count = memoryview(bytearray(_HEADER.size)), [] if into is None else [into], 0
        while count < len(header):
            count += yield from self._reading(peer, [header[count:], *payload])
        their_step, nbytes = _HEADER.unpack(header)
        if their_step != step or (into is not None and nbytes != len(into)):
            wanted = "a message" if into is None else f"{len(into)} bytes"
            sent = f"worker {peer} sent {nbytes} bytes in step {their_step}"
            raise CommunicationError(f"workers are out of step: {sent}, expected is {wanted} in step {step}")
        into = memoryview(bytearray(nbytes)) if into is None else into
        count -= len(header)
        while count < nbytes:
            count += yield from self._reading(peer, [into[count:]])
        received.append(into)

    def _reading(self, peer: int, buffers: list[memoryview]) -> Generator[None, None, int]:
        """Read what is there, as soon as there is something; the number of bytes."""
        while True:
            try:
                count = self._connections[peer].recvmsg_into(buffers)[0]
            except BlockingIOError:
                yield
            except OSError as error:
                raise _lost(peer, error) from error
            else:
                if count == 0:
                    raise _lost(peer, "it was closed")
                return count

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()


def _call(peer: int, address: tuple[str, int], rank: int, secret: str, timeout: float) -> socket.socket:
    """A connection to another worker, which may take any time to answer once it is reached."""
    connection: socket.socket | None = None
    try:
        connection = socket.create_connection((address[0], address[1]), timeout)
        _prepare(connection)
        introduce(connection, secret)
        connection.sendall(_RANK.pack(rank))
    except OSError as error:
        if connection:
            connection.close()
        raise CommunicationError(f"cannot reach worker {peer} at {endpoint(address[0], address[1])}: {error}", peer) from error
    return connection


def _answer_calls(listener: socket.socket, secret: str, callers: queue.Queue[tuple[int, socket.socket] | None]) -> None:
    """Until the listener is closed, which None says; strangers cost a thread each, for some seconds."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_answer, args=(connection, secret, callers), daemon=True).start()
    callers.put(None)


def _answer(connection: socket.socket, secret: str, callers: queue.Queue[tuple[int, socket.socket] | None]) -> None:
    try:
        _prepare(connection)
        admit(connection, secret)
        callers.put((_RANK.unpack(connection.recv(_RANK.size, socket.MSG_WAITALL))[0], connection))
    except (OSError, struct.error) as error:
        logger.info("a stranger called: %s", error)
        connection.close()


def _prepare(connection: socket.socket) -> None:
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEP_ALIVE:
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _lost(peer: int, why: object) -> CommunicationError:
    return CommunicationError(f"lost the connection to worker {peer}: {why}", peer)

"""Workers that know the secret come together, whoever else may call; what goes wrong later is said of the right one."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from sparkml_algos.cluster.rendezvous import Line, MeetingPlace
from sparkml_algos.collectives import handshake
from sparkml_algos.collectives.addresses import listen
from sparkml_algos.collectives.communicator import CommunicationError
from sparkml_algos.collectives.handshake import StrangerError, admit, introduce, new_secret
from sparkml_algos.collectives.mesh import Mesh

TIMEOUT = 1.0


def gather(size: int, before=lambda addresses: None, secret: str = "secret") -> list[Mesh]:
    """Meshes of threads; `before` may do something to the addresses before the workers call each other."""
    listeners = [listen("127.0.0.1") for _ in range(size)]
    addresses = [listener.getsockname() for listener in listeners]
    before(addresses)
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(lambda rank: Mesh(rank, addresses, listeners[rank], secret, TIMEOUT), range(size)))


@pytest.fixture
def pair():
    meshes = gather(2)
    yield meshes
    for mesh in meshes:
        mesh.close()


def together(*calls):
    """Results of calls in threads of their own, an exception as itself."""
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(call) for call in calls]
    return [future.exception() or future.result() for future in futures]


class TestHandshake:
    def shake(self, theirs: str, ours: str):
        with socket.create_server(("127.0.0.1", 0)) as server:
            caller = socket.create_connection(server.getsockname())
            called, _ = server.accept()
        with caller, called:
            caller.settimeout(5)

            def call():
                try:
                    introduce(caller, theirs)
                finally:
                    caller.shutdown(socket.SHUT_WR)

            def answer():
                try:
                    admit(called, ours)
                finally:
                    called.shutdown(socket.SHUT_WR)

            return together(call, answer)

    def test_both_ends_are_content_with_the_same_secret(self):
        assert self.shake("same", "same") == [None, None]

    def test_neither_is_with_different_ones(self):
        for outcome in self.shake("one", "another"):
            assert isinstance(outcome, ConnectionError)

    def test_who_calls_finds_out_that_it_is_answered_by_something_else(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(100))
            with pytest.raises(StrangerError):
                introduce(ours, "secret")

    def test_an_answer_that_was_overheard_is_worth_nothing(self):
        """What one caller said does not admit another: every call has its own challenge."""
        recorded = []
        for replay in (False, True):
            ours, theirs = socket.socketpair()
            with ours, theirs, ThreadPoolExecutor(1) as pool:
                admitted = pool.submit(admit, theirs, "secret")
                if replay:
                    ours.sendall(b"".join(recorded))
                    ours.settimeout(5)
                    assert isinstance(admitted.exception(), StrangerError)
                else:
                    introduce(_Recording(ours, recorded), "secret")
                    admitted.result()

    def test_secrets_differ(self):
        assert len({new_secret() for _ in range(100)}) == 100 and len(new_secret()) >= 32


class _Recording:
    """A socket that keeps what is sent."""

    def __init__(self, connection: socket.socket, recorded: list[bytes]) -> None:
        self._connection, self._recorded = connection, recorded

    def sendall(self, message: bytes) -> None:
        self._recorded.append(message)
        self._connection.sendall(message)

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)


def say_nonsense(connection: socket.socket) -> None:
    connection.sendall(random.randbytes(32))


def say_what_was_said(connection: socket.socket) -> None:
    connection.sendall(connection.recv(64, socket.MSG_WAITALL)[32:])


def say_nothing(connection: socket.socket) -> None:
    connection.recv(64, socket.MSG_WAITALL)
    connection.shutdown(socket.SHUT_WR)


@pytest.fixture(params=[say_nonsense, say_what_was_said, say_nothing])
def impostor(request: pytest.FixtureRequest):
    """Where somebody listens who greets as a worker does and does not know the secret."""
    with listen("127.0.0.1") as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(handshake._GREETING + bytes(32))
                request.param(connection)
                while connection.recv(1000):  # until the caller has had enough
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()
        thread.join(10)
        assert not thread.is_alive()


class TestImpostors:
    """Who answers is not trusted before it has shown that it knows the secret."""

    def test_a_caller_refuses_them(self, impostor):
        with socket.create_connection(impostor, 5) as caller, pytest.raises(ConnectionError):
            introduce(caller, "secret")

    def test_a_worker_does_not_train_with_them(self, impostor):
        with pytest.raises(CommunicationError, match=r"cannot reach worker 0 at 127\.0\.0\.1:\d+: the other end") as caught:
            Mesh(1, [impostor, ("127.0.0.1", 1)], listen("127.0.0.1"), "secret", TIMEOUT)
        assert caught.value.peer == 0

    def test_a_worker_does_not_tell_them_anything(self, impostor):
        with pytest.raises(ConnectionError):
            Line(MeetingPlace(*impostor, "secret"), rank=0)


def drip(connection: socket.socket, message: bytes) -> None:
    """Send a byte at a time, each well within the patience."""
    with contextlib.suppress(OSError):  # until the other end has had enough
        for byte in message:
            connection.sendall(bytes([byte]))
            time.sleep(0.1)


class TestDeadline:
    """There is one for all that two ends say to introduce themselves, not one for every byte."""

    @pytest.mark.parametrize(
        ("shake", "message"),
        [(admit, bytes(64)), (introduce, handshake._GREETING + bytes(64))],
        ids=["of a caller", "of who is called"],
    )
    def test_a_byte_at_a_time_is_too_slow(self, monkeypatch, shake: Callable, message: bytes):
        monkeypatch.setattr(handshake, "PATIENCE", 0.5)
        ours, theirs = socket.socketpair()
        with ours, theirs, ThreadPoolExecutor(1) as pool:
            dripping = pool.submit(drip, theirs, message)
            start = time.monotonic()
            with pytest.raises(TimeoutError):
                shake(ours, "secret")
            assert time.monotonic() - start < 2
            ours.close()
            dripping.result()

    def test_who_is_called_may_take_any_time_to_begin(self, monkeypatch):
        monkeypatch.setattr(handshake, "PATIENCE", 0.5)
        ours, theirs = socket.socketpair()

        def begin_late() -> None:
            time.sleep(1)
            admit(theirs, "secret")

        with ours, theirs:
            assert together(lambda: introduce(ours, "secret"), begin_late) == [None, None]

    def test_the_connection_keeps_its_own_timeout(self):
        ours, theirs = socket.socketpair()
        ours.settimeout(7)
        with ours, theirs:
            together(lambda: introduce(ours, "secret"), lambda: admit(theirs, "secret"))
            assert (ours.gettimeout(), theirs.gettimeout()) == (7, None)

    def test_a_caller_with_a_timeout_does_not_wait_longer(self):
        ours, theirs = socket.socketpair()
        ours.settimeout(0.3)
        with ours, theirs, pytest.raises(TimeoutError):
            introduce(ours, "secret")


class TestStrangers:
    @pytest.mark.parametrize("words", [b"", b"GET / HTTP/1.1\r\n\r\n", bytes(10_000), b"sparkml_algos/1\n" + bytes(64)])
    def test_do_not_keep_workers_from_each_other(self, words):
        strangers = []

        def call_first(addresses):
            for address in addresses:
                for _ in range(3):
                    strangers.append(socket.create_connection(address))
                    strangers[-1].sendall(words)

        start = time.monotonic()
        meshes = gather(3, call_first)
        assert time.monotonic() - start < 5
        for mesh in meshes:
            mesh.close()
        for stranger in strangers:
            stranger.close()

    def test_who_says_nothing_is_not_waited_for_long(self, monkeypatch):
        monkeypatch.setattr(handshake, "PATIENCE", 0.2)
        ours, theirs = socket.socketpair()
        with ours, theirs, pytest.raises(TimeoutError):
            admit(theirs, "secret")

    def test_a_worker_of_another_job_is_turned_away(self):
        listeners = [listen("127.0.0.1") for _ in range(2)]
        addresses = [listener.getsockname() for listener in listeners]
        with ThreadPoolExecutor(1) as pool:
            right = pool.submit(Mesh, 0, addresses, listeners[0], "secret", TIMEOUT)
            with pytest.raises(CommunicationError, match="cannot reach worker 0"):
                Mesh(1, addresses, listen("127.0.0.1"), "another secret", TIMEOUT)
            Mesh(1, addresses, listeners[1], "secret", TIMEOUT).close()
            right.result().close()

    def test_nobody_is_answered_once_all_workers_are_there(self):
        addresses = []
        meshes = gather(2, addresses.extend)
        for address in addresses:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address, 1)
        for mesh in meshes:
            mesh.close()


class TestExchange:
    def test_messages_of_any_size_cross_at_once(self, pair):
        random.seed(0)
        for step, size in enumerate([0, 1, 1000, 5_000_000]):
            messages = [random.randbytes(size) for _ in pair]
            calls = [
                lambda mesh=mesh, step=step, messages=messages: mesh.exchange(
                    step, to=1 - mesh.rank, message=messages[mesh.rank], source=1 - mesh.rank
                )
                for mesh in pair
            ]
            assert [bytes(received) for received in together(*calls)] == messages[::-1]

    def test_workers_at_different_steps_are_told_so(self, pair):
        pair[1].exchange(7, to=0, message=b"1234")
        with pytest.raises(CommunicationError, match="worker 1 sent 4 bytes in step 7, expected is 4 bytes in step 8"):
            pair[0].exchange(8, source=1, into=memoryview(bytearray(4)))

    def test_a_message_of_another_size_than_expected_is_refused(self, pair):
        pair[1].exchange(7, to=0, message=b"1234")
        with pytest.raises(CommunicationError, match="sent 4 bytes in step 7, expected is 3 bytes"):
            pair[0].exchange(7, source=1, into=memoryview(bytearray(3)))

    def test_a_silent_worker_is_named_after_the_timeout(self, pair):
        start = time.monotonic()
        with pytest.raises(CommunicationError, match="timed out after 1 s of waiting for worker 1") as caught:
            pair[0].exchange(0, source=1)
        assert caught.value.peer == 1 and 0.9 < time.monotonic() - start < 3

    def test_a_worker_that_is_gone_is_named_at_once(self, pair):
        pair[1].close()
        with pytest.raises(CommunicationError, match="lost the connection to worker 1") as caught:
            pair[0].exchange(0, source=1)
        assert caught.value.peer == 1

    def test_a_worker_that_does_not_read_is_named_after_the_timeout(self, pair):
        with pytest.raises(CommunicationError, match="worker 1") as caught:
            pair[0].exchange(0, to=1, message=bytes(100_000_000))
        assert caught.value.peer == 1

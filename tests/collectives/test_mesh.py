"""Workers that know the secret come together, whoever else may call; what goes wrong later is said of the right one."""

from __future__ import annotations

import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

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

    def recv(self, count: int) -> bytes:
        return self._connection.recv(count)


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

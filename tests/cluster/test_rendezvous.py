"""The meeting at the driver, without Spark: threads call as workers do."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sparkml_algos.cluster.errors import Failure
from sparkml_algos.cluster.rendezvous import DRIVER_PORTS, Line, Meeting, MeetingPlace, NoFreePort
from sparkml_algos.collectives.handshake import introduce
from tests.gang import needs_version_6


def meeting(size: int, launch: str = "gang", timeout: float = 10.0, **options) -> Meeting:
    return Meeting(size, "127.0.0.1", launch, timeout, **options)


def call(place: MeetingPlace, rank: int) -> tuple[Line, dict]:
    line = Line(place, rank)
    line.send({"join": f"I am {rank}"})
    return line, line.receive()


def until(condition) -> None:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def failure(rank: int, **fields) -> Failure:
    return Failure(rank, "host", "train", "boom", **fields)


def test_everyone_hears_everyone_in_order_of_rank() -> None:
    with meeting(3) as held, ThreadPoolExecutor(3) as pool:
        answers = [answer for _, answer in pool.map(lambda rank: call(held.place, rank), [2, 0, 1])]
    assert answers == [{"messages": ["I am 0", "I am 1", "I am 2"]}] * 3


@needs_version_6
def test_drivers_may_have_addresses_of_version_6_only() -> None:
    with Meeting(1, "::1", "gang", 10.0) as held:
        _, answer = call(held.place, 0)
        assert (held.place.host, held.seen) == ("::1", {0: ("::1", "start")})
    assert answer == {"messages": ["I am 0"]}


def test_workers_meet_at_the_first_of_the_named_ports_that_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        first = taken.getsockname()[1]
        with meeting(1, ports=range(first, first + 50)) as held:
            _, answer = call(held.place, 0)
            assert first < held.place.port < first + 50 and answer == {"messages": ["I am 0"]}
        with pytest.raises(NoFreePort, match=rf"ports {first}-{first} are taken, .*: name more in {DRIVER_PORTS}; sparkml_algos\.check"):
            meeting(1, ports=range(first, first + 1))


def test_who_is_missing_is_told_after_the_timeout() -> None:
    with meeting(2, timeout=0.5) as held:
        _, answer = call(held.place, 0)
    assert answer["refused"].startswith("only 1 of 2 workers had started 0.5 s after the first")


def test_a_worker_that_comes_again_is_told_the_first_cause() -> None:
    with meeting(1) as held:
        line, _ = call(held.place, 0)
        line.send({"failed": vars(failure(0))})
        until(lambda: held.failures)
        _, answer = call(held.place, 0)
    assert answer == {"turned away": "worker 0 on host failed in phase train: boom"}


def test_a_second_attempt_says_that_the_first_is_lost_and_nothing_else() -> None:
    with meeting(1) as held:
        line, _ = call(held.place, 0)
        line.send({"phase": "train"})
        until(lambda: held.seen[0][1] == "train")
        second, answer = call(held.place, 0)
        assert "failed in phase train: Spark ended its task and started it again" in answer["turned away"]
        second.send({"failed": vars(failure(0, late=True))})
        second._socket.shutdown(socket.SHUT_RDWR)
        time.sleep(0.3)
        assert [(one.rank, one.phase, one.silent) for one in held.failures] == [(0, "train", True)]
        assert held.failed.is_set()


def test_warnings_reach_the_driver_s_log(caplog: pytest.LogCaptureFixture) -> None:
    with meeting(1) as held:
        line, _ = call(held.place, 0)
        line.send({"warning": "no checkpoint"})
        until(lambda: "worker 0 on 127.0.0.1: no checkpoint" in caplog.text)


def test_a_worker_lost_before_the_gang_is_complete_may_come_again() -> None:
    with meeting(2) as held:
        lost = Line(held.place, 1)
        lost.send({"join": "lost"})
        lost._socket.shutdown(socket.SHUT_RDWR)
        time.sleep(1)
        with ThreadPoolExecutor(2) as pool:
            calls = list(pool.map(lambda rank: call(held.place, rank), [0, 1]))
        assert [answer for _, answer in calls] == [{"messages": ["I am 0", "I am 1"]}] * 2
        assert held.failures == []


def test_a_death_is_heard_with_the_phase_it_happened_in() -> None:
    with meeting(1) as held:
        line, _ = call(held.place, 0)
        line.send({"phase": "ingest"})
        line._socket.shutdown(socket.SHUT_RDWR)
        until(lambda: held.failures)
    assert (held.failures[0].phase, held.failures[0].silent) == ("ingest", True)


def wait_in(place: MeetingPlace, joined: Any) -> None:
    """A worker that joins and then waits for something that never comes."""
    line, _ = call(place, 0)
    line.end_with_the_gang(on_dismissal=lambda: None)
    joined.set()
    time.sleep(60)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_gang_that_is_given_up_ends_at_once(error: type[BaseException]) -> None:
    context = multiprocessing.get_context("fork")
    joined = context.Event()
    with pytest.raises(error), meeting(1) as held:
        worker = context.Process(target=wait_in, args=(held.place, joined), daemon=True)
        worker.start()
        assert joined.wait(10)
        raise error
    worker.join(10)
    assert worker.exitcode == 1


def test_a_driver_that_falls_silent_ends_no_worker() -> None:
    context = multiprocessing.get_context("fork")
    joined = context.Event()
    with meeting(1) as held:
        worker = context.Process(target=wait_in, args=(held.place, joined), daemon=True)
        worker.start()
        assert joined.wait(10)
    worker.join(1)
    assert worker.is_alive()
    worker.kill()


def test_a_worker_that_listens_can_leave() -> None:
    with meeting(1) as held:
        line, _ = call(held.place, 0)
        line.end_with_the_gang(on_dismissal=lambda: None)
        line.close()
        time.sleep(0.2)
    assert held.failures == []


def test_rows_that_cannot_be_trained_on_dismiss_all_workers() -> None:
    """One says so before the other listens; each hears of it once, and neither process is ended."""
    heard: list[int] = []
    with meeting(2) as held:
        with ThreadPoolExecutor(2) as pool:
            (first, _), (second, _) = pool.map(lambda rank: call(held.place, rank), [0, 1])
        first.send({"failed": vars(failure(0, invalid_data=True))})
        until(lambda: held.dismissed)
        for line in (first, second):
            line.end_with_the_gang(on_dismissal=lambda line=line: heard.append(id(line)))
            assert line.dismissed.wait(5) and line.is_heard
            line.close()
        until(lambda: len(heard) == 2)
        assert held.failed.is_set() and len(held.failures) == 1


def test_other_failures_dismiss_nobody() -> None:
    with meeting(1) as held:
        line, _ = call(held.place, 0)
        line.end_with_the_gang(on_dismissal=lambda: None)
        line.send({"failed": vars(failure(0))})
        assert held.failed.wait(5)
        assert not line.dismissed.wait(0.3) and not held.dismissed
        line.close()


def test_when_the_gang_came_together_is_known() -> None:
    with meeting(1) as held:
        assert held.met_at is None
        before = time.perf_counter()
        call(held.place, 0)
        assert before <= held.met_at <= time.perf_counter()


def test_leaving_is_no_death() -> None:
    with meeting(1) as held:
        line, _ = call(held.place, 0)
        line.close()
        time.sleep(0.3)
        assert held.failures == []


def test_progress_is_passed_on() -> None:
    heard: list[dict] = []
    with meeting(1, on_progress=heard.append) as held:
        line, _ = call(held.place, 0)
        line.send({"progress": {"done": 1}})
        until(lambda: heard == [{"done": 1}])


STRANGERS = [b"GET / HTTP/1.1\r\n\r\n", b"\x00\xff\xfe" * 1000, b'{"rank": 0}\n{"join": "me"}\n', b"[]\n", b""]


@pytest.mark.parametrize("words", STRANGERS)
def test_strangers_are_not_heard(words: bytes) -> None:
    with meeting(1) as held:
        with socket.create_connection(("127.0.0.1", held.place.port)) as stranger:
            stranger.sendall(words)
            with contextlib.suppress(OSError):  # it may have been turned away already
                stranger.shutdown(socket.SHUT_WR)
            stranger.settimeout(5)
            assert until_closed(stranger)
        _, answer = call(held.place, 0)
    assert answer == {"messages": ["I am 0"]}
    assert held.failures == []


def until_closed(connection: socket.socket) -> bool:
    """Read the greeting, and whatever else; whether that ends. Bytes that nobody has read make the end a reset."""
    try:
        while connection.recv(1000):
            pass
    except ConnectionResetError:
        return True
    return True


def test_who_knows_another_secret_is_not_heard() -> None:
    with meeting(1) as held:
        with pytest.raises(OSError):
            Line(MeetingPlace(held.place.host, held.place.port, "another"), 0)
        assert held.seen == {}


def test_nothing_listens_once_the_meeting_is_over() -> None:
    before = threading.active_count()
    with meeting(1) as held:
        place = held.place
    with pytest.raises(OSError):
        Line(place, 0)
    until(lambda: threading.active_count() <= before)


def test_messages_are_json_lines() -> None:
    with meeting(1) as held, socket.create_connection(("127.0.0.1", held.place.port)) as raw:
        introduce(raw, held.place.secret)
        raw.sendall(b'{"rank": 0}\n{"join": "plain"}\n')
        assert json.loads(raw.makefile().readline()) == {"messages": ["plain"]}

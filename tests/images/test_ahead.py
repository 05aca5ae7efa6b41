"""Threads prepare what is next, in order, while the loop is busy; the iterable is advanced by the loop's own thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from sparkml_algos.images.ahead import Waiting, prepared_ahead, threads_of_task


def whole(item: int, threads: int) -> list[int]:
    return [item]


def first(parts: list[int]) -> int:
    return parts[0]


def test_items_come_in_order_whatever_they_take() -> None:
    def prepare(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item * item

    assert list(prepared_ahead(range(40), whole, prepare, first, threads=4)) == [item * item for item in range(40)]


def test_the_iterable_is_advanced_by_whoever_iterates() -> None:
    seen = []

    def items() -> Iterator[int]:
        for item in range(10):
            seen.append(threading.current_thread())
            yield item

    worked = set(prepared_ahead(items(), whole, lambda item: threading.current_thread(), first, threads=2))
    assert set(seen) == {threading.current_thread()} and threading.current_thread() not in worked


def test_parts_of_an_item_are_joined_in_order() -> None:
    parts = prepared_ahead(
        [list(range(10))], lambda item, threads: [item[:4], item[4:]], lambda part: [2 * x for x in part], sum_of, threads=2
    )
    assert list(parts) == [[2 * x for x in range(10)]]


def sum_of(parts: list[list[int]]) -> list[int]:
    return [x for part in parts for x in part]


def test_what_is_next_is_prepared_while_the_loop_is_busy() -> None:
    waiting = Waiting()
    for _ in prepared_ahead(range(10), whole, lambda item: time.sleep(0.01), first, threads=1, waiting=waiting):
        time.sleep(0.03)
    assert waiting.items == 10 and waiting.seconds < 0.06  # of which the first has nothing before it


def test_no_more_is_begun_than_is_allowed() -> None:
    begun = []
    found = prepared_ahead(range(100), whole, begun.append, first, threads=2, depth=3)
    next(found)
    assert len(begun) <= 3
    found.close()


def test_the_first_error_in_order_is_raised_where_its_item_was_due() -> None:
    def prepare(item: int) -> int:
        if item in (3, 5):
            raise ValueError(f"item {item}")
        return item

    found = prepared_ahead(range(10), whole, prepare, first, threads=4)
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="item 3"):
        next(found)


def test_nothing_gives_nothing() -> None:
    assert list(prepared_ahead([], whole, lambda item: item, first)) == []


@pytest.mark.parametrize(("said", "threads"), [("1", 1), ("3", 3), ("99", 16)])
def test_a_task_has_the_threads_that_spark_gives_it(monkeypatch: pytest.MonkeyPatch, said: str, threads: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert threads_of_task() == threads

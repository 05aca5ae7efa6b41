"""Threads that prepare what a loop needs next while it is still busy with what it has."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
S = TypeVar("S")
U = TypeVar("U")
V = TypeVar("V")

# More wait for Python's interpreter lock, which decoding lets go of and the rest does not.
_MOST_THREADS = 16
# Items that are prepared, or on the way, while the loop is busy.
DEPTH = 3


def threads_of_task() -> int:
    """Threads that a task may have: as many as Spark gives it CPUs (``spark.task.cpus``), which it says in OMP_NUM_THREADS; those of the
    machine where nothing is said."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return min(_MOST_THREADS, int(said) if said.isdigit() and int(said) else os.cpu_count() or 1)


@dataclass
class Waiting:
    """How long a loop has stood still for what it needed next.

    Attributes
    ----------
    seconds : float
    items : int
    """

    seconds: float = 0.0
    items: int = 0


def prepared_ahead(
    items: Iterable[T],
    split: Callable[[T, int], Sequence[S]],
    prepare: Callable[[S], U],
    join: Callable[[Sequence[U]], V],
    *,
    threads: int | None = None,
    depth: int = DEPTH,
    waiting: Waiting | None = None,
) -> Iterator[V]:
    """Items, prepared in threads while whoever iterates is busy, in their order.

    Parameters
    ----------
    items : iterable
        Advanced in the thread of whoever iterates alone, in the order of what is given: it may use collectives.
    split : callable
        ``split(item, threads)``: parts of an item that threads may share.
    prepare : callable
        What a thread does with a part. The first error, in the order of the parts, is raised where the item was to be given.
    join : callable
        The item, of its prepared parts.
    threads : int, optional
        `threads_of_task` by default.
    depth : int
        Items that are begun before the first of them is asked for.
    waiting : Waiting, optional
        Counts what was waited for.
    """
    threads = threads or threads_of_task()
    source, begun = iter(items), deque[list[Future[U]]]()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="prepare-ahead")
    try:
        while True:
            for item in _up_to(source, depth - len(begun)):
                begun.append([pool.submit(prepare, part) for part in split(item, threads)])
            if not begun:
                return
            start = time.perf_counter()
            parts = [part.result() for part in begun.popleft()]
            if waiting is not None:
                waiting.seconds += time.perf_counter() - start
                waiting.items += 1
            yield join(parts)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _up_to(source: Iterator[T], count: int) -> Iterator[T]:
    for _ in range(count):
        try:
            yield next(source)
        except StopIteration:
            return

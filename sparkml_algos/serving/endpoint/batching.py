"""Rows of requests that come at the same time are scored together.

All is done in one event loop. What comes while a model is at work waits, and is then scored at once, by the kind of its columns. Work that
is known to be short is done in the loop itself, which is quicker than a thread; longer work goes to one thread per model.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from sparkml_algos.serving.answers import Columns
from sparkml_algos.serving.contract import Servable, Work
from sparkml_algos.serving.endpoint.metrics import Metrics
from sparkml_algos.serving.servable import cut, joined

# Work that takes no longer than so many seconds is done in the loop, which answers nothing else meanwhile. A thread would have to wait for
# the interpreter's lock, up to five milliseconds.
SHORT_SECONDS = 0.002
# The quickest of so many calls says how long one takes: what else the machine does makes some longer, none shorter.
REMEMBERED = 8
# Rows of a call whose time is a call's own, more or less.
FEW_ROWS = 8


class Overloaded(Exception):
    """More rows wait than may."""


@dataclass
class _Waiting:
    model: Servable
    work: Work
    found: asyncio.Future[Columns]


class Batcher:
    """Scores the rows of requests to one model, whatever version of it.

    Parameters
    ----------
    max_batch_rows, max_waiting_rows : int
    metrics : Metrics
    """

    def __init__(self, max_batch_rows: int, max_waiting_rows: int, metrics: Metrics) -> None:
        self._max_batch, self._max_waiting, self._metrics = max_batch_rows, max_waiting_rows, metrics
        self._waiting: dict[Hashable, list[_Waiting]] = {}
        self._rows = 0
        self._busy = self._scheduled = False
        self._thread: ThreadPoolExecutor | None = None
        # Seconds of calls with few rows, and of each row of calls with many, as last seen.
        self._calls: deque[float] = deque(maxlen=REMEMBERED)
        self._rows_of_calls: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def rows(self) -> int:
        """That wait."""
        return self._rows

    def submit(self, model: Servable, work: Work) -> asyncio.Future[Columns]:
        """Have rows scored.

        Raises
        ------
        Overloaded
        """
        if self._rows and self._rows + work.rows > self._max_waiting:
            raise Overloaded(f"{self._rows} rows wait to be scored")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Columns] = loop.create_future()
        self._waiting.setdefault((id(model), work.key), []).append(_Waiting(model, work, found))
        self._wait(work.rows)
        if not self._busy and not self._scheduled:
            # After whatever else has come by now has been read.
            self._scheduled = True
            loop.call_soon(self._next)
        return found

    def close(self) -> None:
        """Let the thread go; further work has another."""
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None

    def _wait(self, rows: int) -> None:
        self._rows += rows
        self._metrics.add("waiting_rows", rows)

    def _next(self) -> None:
        self._scheduled = False
        while self._waiting and not self._busy:
            batch = self._take()
            if not batch:
                continue
            rows = sum(one.work.rows for one in batch)
            if self._expected(rows) < SHORT_SECONDS:
                self._give(batch, _run(batch))
                continue
            self._busy = True
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "sparkml-algos-model")
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(self._thread, _run, batch)
            running.add_done_callback(partial(self._finished, batch))

    def _expected(self, rows: int) -> float:
        """Seconds that a call will take; of a model that is not known yet, and of many rows while no such call is, too many."""
        if rows <= FEW_ROWS:
            return min(self._calls, default=SHORT_SECONDS)
        return rows * min(self._rows_of_calls, default=SHORT_SECONDS)

    def _finished(self, batch: list[_Waiting], done: asyncio.Future[tuple[list[Columns | Exception], float]]) -> None:
        self._busy = False
        self._give(batch, done.result())
        self._next()

    def _take(self) -> list[_Waiting]:
        """The rows that have waited longest, with others of their kind."""
        key = next(iter(self._waiting))
        waiting = self._waiting.pop(key)
        rows = count = 0
        for one in waiting:
            if count and rows + one.work.rows > self._max_batch:
                break
            rows, count = rows + one.work.rows, count + 1
        if waiting[count:]:
            self._waiting[key] = waiting[count:]
        self._wait(-rows)
        return [one for one in waiting[:count] if not one.found.done()]

    def _give(self, batch: list[_Waiting], outcome: tuple[list[Columns | Exception], float]) -> None:
        found, seconds = outcome
        rows = sum(one.work.rows for one in batch)
        self._metrics.batch(len(batch), rows, seconds)
        if rows <= FEW_ROWS:
            self._calls.append(seconds)
        else:
            self._rows_of_calls.append(seconds / rows)
        for one, columns in zip(batch, found, strict=True):
            if one.found.done():
                continue
            if isinstance(columns, Exception):
                one.found.set_exception(columns)
            else:
                one.found.set_result(columns)


def _run(batch: list[_Waiting]) -> tuple[list[Columns | Exception], float]:
    """What is found for each, and the seconds it took. Where one has rows that the model refuses, each is scored by itself."""
    started = time.perf_counter()
    model, variant = batch[0].model, batch[0].work.variant
    score = model.score
    try:
        columns = score(joined([one.work.columns for one in batch]), variant)
        found: list[Columns | Exception] = []
        if len(batch) == 1:
            found.append(columns)
        else:
            start = 0
            for one in batch:
                found.append(cut(columns, slice(start, start + one.work.rows)))
                start += one.work.rows
    except Exception as error:
        found = [error] if len(batch) == 1 else [_alone(score, one) for one in batch]
    return found, time.perf_counter() - started


def _alone(score: Callable[..., Columns], one: _Waiting) -> Columns | Exception:
    try:
        return score(one.work.columns, one.work.variant)
    except Exception as error:
        return error

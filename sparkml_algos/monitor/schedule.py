"""Monitors that look by themselves: in this process by a thread, or by a line for another scheduler."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from sparkml_algos.monitor.captured import window
from sparkml_algos.monitor.cron import NOW, Cron, utc
from sparkml_algos.monitor.history import Execution
from sparkml_algos.monitor.monitor import Monitor

logger = logging.getLogger("sparkml_algos.monitor")

# The longest that the thread sleeps at a time: a clock may be set.
_MOST_SECONDS = 60.0


class Schedule:
    """Runs a monitor at the times of an expression.

    Parameters
    ----------
    monitor : Monitor
        With a source.
    cron : Cron or str
        Six fields, or ``NOW``, for one time, which needs both offsets.
    start_offset, end_offset : str, optional
        Durations of ISO 8601 from the scheduled time, such as ``-P8D`` and ``-P1D``, where labels come later than predictions; by default a
        window goes from the time before to this one.

    Attributes
    ----------
    status : {"Pending", "Scheduled", "Stopped"}
        Before it was started, while it runs, after that; also where the expression has no further time.

    Raises
    ------
    ValueError
        If the expression is none, one offset is there without the other, or the monitor has no source.

    Examples
    --------
    >>> schedule = Schedule(monitor, hourly()).start()  # doctest: +SKIP
    >>> schedule.stop()  # doctest: +SKIP
    """

    def __init__(self, monitor: Monitor, cron: Cron | str, *, start_offset: str | None = None, end_offset: str | None = None) -> None:
        if monitor.source is None:
            raise ValueError(f"the monitor {monitor.name!r} has no source of rows, which a schedule needs")
        if (start_offset is None) != (end_offset is None):
            raise ValueError("start_offset and end_offset come together")
        self.monitor = monitor
        self.cron = None if cron == NOW else Cron(cron) if isinstance(cron, str) else cron
        if self.cron is None and start_offset is None:
            raise ValueError("NOW needs start_offset and end_offset: there is no time before")
        self.start_offset, self.end_offset = start_offset, end_offset
        self.status = "Pending"
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None
        self._clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
        if start_offset is not None and end_offset is not None:
            window(self._clock(), start_offset, end_offset)  # which says what is wrong with them

    def window(self, at: datetime) -> tuple[datetime, datetime]:
        """What an execution looks at.

        Parameters
        ----------
        at : datetime
            Its scheduled time.

        Returns
        -------
        (datetime, datetime)
        """
        if self.start_offset is not None and self.end_offset is not None:
            return window(utc(at), self.start_offset, self.end_offset)
        assert self.cron is not None
        try:
            return self.cron.last(utc(at) - timedelta(microseconds=1)), utc(at)
        except ValueError as error:
            raise ValueError(f"{error}, from which the first window would go: give start_offset and end_offset") from None

    def run_due(self, since: datetime, now: datetime | None = None) -> list[Execution]:
        """Run what was scheduled after a time and up to another, one after the other.

        Parameters
        ----------
        since : datetime
        now : datetime, optional
            By default the time that it is.

        Returns
        -------
        list of Execution
            Without those that have failed, which are logged; of those whose window was read, `Monitor.run` tells and keeps it, too.
        """
        now = self._clock() if now is None else utc(now)
        times = [now] if self.cron is None else self.cron.between(since, now)
        found = []
        for at in times:
            try:
                found.append(self.monitor.run(*self.window(at)))
            except Exception:
                logger.exception("the monitor %r failed at %s", self.monitor.name, at)
        return found

    def start(self) -> Schedule:
        """Run it from now on, in a thread that does not keep the program alive; ``NOW`` is run before this returns.

        Raises
        ------
        RuntimeError
            If it runs already.
        """
        if self._thread is not None and self._thread.is_alive():
            raise RuntimeError("the schedule runs already")
        if self.cron is None:
            self.run_due(self._clock())
            self.status = "Stopped"
            return self
        self._ends.clear()
        self.status = "Scheduled"
        self._thread = threading.Thread(
            target=self._loop, args=(self.cron, self._clock()), name=f"monitor {self.monitor.name}", daemon=True
        )
        self._thread.start()
        return self

    def stop(self, timeout: float | None = None) -> None:
        """End it; an execution that runs comes to its end first.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait for that.
        """
        self._ends.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
        self.status = "Stopped"

    def describe(self) -> dict[str, Any]:
        """What it is, by the service's names."""
        last = self.monitor.executions()[-1:]
        expression = NOW if self.cron is None else self.cron.expression
        following = self._following(self.cron, self._clock()) if self.cron is not None and self.status == "Scheduled" else None
        return {
            "MonitoringScheduleName": self.monitor.name,
            "MonitoringScheduleStatus": self.status,
            "ScheduleConfig": {"ScheduleExpression": expression},
            "LastMonitoringExecutionSummary": last[0].to_dict() if last else None,
            "NextExecutionTime": following,
        }

    def _loop(self, cron: Cron, since: datetime) -> None:
        while not self._ends.is_set():
            at = self._following(cron, since)
            if at is None:  # of an expression of some years
                self.status = "Stopped"
                return
            wait = (at - self._clock()).total_seconds()
            if wait > 0:
                self._ends.wait(min(wait, _MOST_SECONDS))
                continue
            self.run_due(since, at)
            since = at

    def _following(self, cron: Cron, time: datetime) -> datetime | None:
        try:
            return cron.following(time)
        except ValueError:
            return None

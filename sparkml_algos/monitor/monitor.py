"""A monitor: what is looked at, how, what is kept of it, and what is done when something is wrong; of windows and of streams."""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.types import DateType, TimestampNTZType, TimestampType

from sparkml_algos.core.columns import column, find, is_number, needed
from sparkml_algos.monitor.actions import Action, Alert, tell
from sparkml_algos.monitor.constraints import Baseline
from sparkml_algos.monitor.cron import Cron, utc
from sparkml_algos.monitor.data_quality import check_data_quality, limit_of_drift
from sparkml_algos.monitor.detectors import Adwin
from sparkml_algos.monitor.history import FAILED, IN_ALERT, OK, Execution, History, alert_of, batch_key, window_key
from sparkml_algos.monitor.pages import history_page
from sparkml_algos.monitor.statistics import statistics
from sparkml_algos.monitor.violations import MonitorReport, Violation
from sparkml_algos.monitor.windows import OpenWindows

logger = logging.getLogger("sparkml_algos.monitor")

Check = Callable[[DataFrame], MonitorReport]
Source = Callable[[datetime, datetime], DataFrame]
Notify = Literal["change", "always"]
# Of the service.
_MOST_DATAPOINTS = 100
_KIND_OF_BASELINE, _KIND_UNKNOWN = "DataQuality", "Unknown"
_EACH_MINUTE, _A_MOMENT = {"processingTime": "1 minute"}, timedelta(microseconds=1)
_A_SECOND = timedelta(seconds=1)  # executions are called by the seconds that their windows begin and end at


class NoRows(ValueError):
    """A window has no rows, of which nothing can be said."""


class Monitor:
    """Looks at rows again and again.

    Parameters
    ----------
    name : str
        What its executions are kept under.
    check : Baseline or callable
        What rows must be like, for `check_data_quality`; or what makes a `MonitorReport` from rows, such as
        ``lambda rows: check_model_quality(model_quality(rows, …), constraints)``.
    source : callable, optional
        Gives the rows of a window from its start and its end; see `rows_between`. Needed by `run`, not by `look` and `on_stream`.
    actions : sequence of Action
        What is done when the state of the monitor changes, or an execution fails: instances of `Callback`, `Email`, `File`, `Log`,
        `Webhook`, or functions of an `Alert`.
    history : History, optional
        By default one in memory.
    datapoints_to_alert, evaluation_period : int
        The monitor is in alert where so many of the last executions, of these so many, have violations; each from 1 to 100.
    notify : {"change", "always"}
        Whether actions are taken when the monitor gets into alert or out of it, or at each execution that it is in alert after, too.

    Raises
    ------
    ValueError
        If a setting is not what it may be.

    Notes
    -----
    Executions that fail are kept and told, and count for nothing: the state stays what it was. Actions are not taken again for a window
    that is looked at again with the same result.

    Examples
    --------
    >>> monitor = Monitor("customers", baseline, source=rows_between(rows, "time"), actions=[Log()])  # doctest: +SKIP
    >>> monitor.run(datetime(2026, 1, 1), datetime(2026, 1, 2)).status  # doctest: +SKIP
    """

    def __init__(
        self,
        name: str,
        check: Baseline | Check,
        *,
        source: Source | None = None,
        actions: Sequence[Action] = (),
        history: History | None = None,
        datapoints_to_alert: int = 1,
        evaluation_period: int = 1,
        notify: Notify = "change",
    ) -> None:
        if not name:
            raise ValueError("name must not be empty: executions are kept under it")
        if not 1 <= datapoints_to_alert <= evaluation_period <= _MOST_DATAPOINTS:
            said = f"got {datapoints_to_alert} of {evaluation_period}"
            raise ValueError(f"datapoints_to_alert is 1 or more and at most evaluation_period, which is at most {_MOST_DATAPOINTS}; {said}")
        if notify not in ("change", "always"):
            raise ValueError(f"notify is 'change' or 'always', not {notify!r}")
        self.name, self.source, self.actions = name, source, tuple(actions)
        self.history = History() if history is None else history
        self.datapoints_to_alert, self.evaluation_period, self.notify = datapoints_to_alert, evaluation_period, notify
        self._check = check

    @property
    def state(self) -> str:
        """``OK`` or ``InAlert``, after the last execution."""
        there = self.executions()
        return there[-1].alert if there else OK

    def executions(self) -> list[Execution]:
        """What has been found so far, in the order of the windows."""
        return self.history.executions(self.name)

    def run(self, start: datetime, end: datetime, *, act: bool = True) -> Execution:
        """Look at the rows of a window.

        Parameters
        ----------
        start, end : datetime
            From `start` on, before `end`; without a zone they are UTC.
        act : bool
            Whether actions are taken.

        Returns
        -------
        Execution
            Kept in the history, in the place of an earlier one of this window.

        Raises
        ------
        NoRows
            If there are none. This and whatever else goes wrong is kept and told as an execution that has failed, and raised.
        ValueError
            If the monitor has no source, or the window no length.
        """
        if self.source is None:
            raise ValueError(f"the monitor {self.name!r} has no source of rows: give it one, or look at rows that you have")
        start, end = utc(start), utc(end)
        if end <= start:
            raise ValueError(f"the window ends before it starts: {start} to {end}")
        source = self.source
        return self._execute(window_key(start, end), start, end, lambda: source(start, end), act)

    def look(self, rows: DataFrame, start: datetime, end: datetime, *, act: bool = True) -> Execution:
        """The same of rows that are given, for a window that they are said to be of.

        Parameters
        ----------
        rows : DataFrame
        start, end : datetime
        act : bool

        Returns
        -------
        Execution
        """
        return self._execute(window_key(start, end), utc(start), utc(end), lambda: rows, act)

    def backfill(self, cron: Cron | str, start: datetime, end: datetime, *, again: bool = False) -> list[Execution]:
        """Look at all windows of a schedule in a time that has gone by; no action is taken.

        Parameters
        ----------
        cron : Cron or str
        start, end : datetime
            Windows begin at `start` or later and end at `end` or earlier.
        again : bool
            Whether windows that have been looked at are looked at again.

        Returns
        -------
        list of Execution
            Also those that have failed.
        """
        times = (Cron(cron) if isinstance(cron, str) else cron).between(utc(start) - _A_MOMENT, end)
        known = {one.key: one for one in self.executions()}
        found = []
        for first, last in itertools.pairwise(times):
            key = window_key(first, last)
            if key in known and not again and known[key].status != FAILED:
                found.append(known[key])
                continue
            try:
                found.append(self.run(first, last, act=False))
            except Exception:
                logger.exception("the monitor %r failed from %s to %s", self.name, first, last)
                failed = self.history.find(self.name, key)
                found += [] if failed is None else [failed]
        return found

    def on_stream(
        self,
        rows: DataFrame,
        *,
        detectors: Mapping[str, Adwin] | None = None,
        order: str | None = None,
        window: timedelta | None = None,
        time: str | None = None,
        delay: timedelta = timedelta(0),
        checkpoint: str | None = None,
        trigger: Mapping[str, Any] | None = None,
    ) -> StreamingQuery:
        """Look at each micro-batch of a stream, or at windows of the times of its rows.

        Parameters
        ----------
        rows : DataFrame
            Of a stream; its columns are those that are checked, and those of the detectors.
        detectors : mapping of str to Adwin, optional
            By the name of a column of numbers or booleans, such as whether a prediction was wrong: a detector that remembers across
            micro-batches, and so sees what moves more slowly than one of them tells. Their values come to the driver.
        order : str, optional
            Column, such as a time, by which the rows that are looked at together are put in order for the detectors; of windows `time` by
            default.
        window : timedelta, optional
            Length of the windows that are looked at, such as an hour, of whole seconds; each is looked at once it is over. By default what
            is looked at are micro-batches. Windows begin at multiples of their length since 1970, in UTC. Their rows are kept below the
            checkpoint until then. For windows of the time at which rows arrive, let micro-batches be as long:
            ``trigger={"processingTime": "1 hour"}``.
        time : str, optional
            Column of dates or timestamps: when rows were, of which windows are made. It is checked only where the baseline knows it.
        delay : timedelta
            A window is over once a row has come that is so much later than its end. Rows that come for it still are logged, and left out.
        checkpoint : str, optional
            Folder where the query remembers which rows it has seen, which windows need; what detectors remember is in memory only. Without
            it a query that is started again begins with micro-batch 0, whose execution takes the place of the earlier one in the history.
        trigger : mapping, optional
            Of `DataStreamWriter.trigger`; ``{"processingTime": "1 minute"}`` by default. ``{"availableNow": True}`` takes what is there and
            ends.

        Returns
        -------
        StreamingQuery
            Started. Executions are called by their windows, as those of `run`, or ``batch-`` and the number of the micro-batch; what has no
            rows is passed over.

        Raises
        ------
        ValueError
            If the rows are no stream, a column is missing or not of its kind, or a window has no time or no checkpoint.

        Notes
        -----
        What cannot be checked ends the query, as an error within `foreachBatch` does; it is kept and told before. With Spark Connect,
        checks and actions run where the server is. The last windows of a stream that ends stay open, and are looked at when more has come.
        """
        if not rows.isStreaming:
            raise ValueError("rows are not those of a stream; run and look take others")
        watched = dict(detectors or {})
        for name in (*watched, *(one for one in (order, time) if one is not None)):
            if name not in rows.columns:
                raise ValueError(f"there is no column {name!r}; the columns are {', '.join(rows.columns)}")
        for name in watched:
            type_ = rows.schema[name].dataType
            if not is_number(type_):
                raise ValueError(f"column {name!r} is {type_.simpleString()}; detectors watch numbers and booleans")
        windows = self._windows(rows, window, time, delay, checkpoint)

        def look(batch: DataFrame, number: int) -> None:
            if batch.isEmpty():
                return
            if windows is not None:
                for start, end in windows.add(batch, number):
                    of_window = functools.partial(windows.rows, (start, end))
                    self._execute(window_key(start, end), start, end, of_window, True, watched, order or time)
                    windows.forget((start, end))
                return
            kept = batch.persist()
            try:
                self._execute(batch_key(number), None, None, lambda: kept, True, watched, order)
            finally:
                kept.unpersist()

        writer = rows.writeStream.foreachBatch(look).queryName(f"monitor: {self.name}").trigger(**(trigger or _EACH_MINUTE))
        return (writer.option("checkpointLocation", checkpoint) if checkpoint else writer).start()

    def _windows(
        self, rows: DataFrame, window: timedelta | None, time: str | None, delay: timedelta, checkpoint: str | None
    ) -> OpenWindows | None:
        if window is None:
            if time is not None:
                raise ValueError("time is the column that windows are made of; give their length, too: window=timedelta(hours=1)")
            return None
        if time is None or checkpoint is None:
            raise ValueError("windows need time, the column of their rows' times, and checkpoint, below which rows are kept")
        if window < _A_SECOND or window % _A_SECOND or delay < timedelta(0):
            raise ValueError(f"window is one second or more, of whole ones, and delay not negative; got {window} and {delay}")
        type_ = rows.schema[time].dataType
        if not isinstance(type_, DateType | TimestampType | TimestampNTZType):
            raise ValueError(f"column {time!r} is {type_.simpleString()}; windows are of dates and timestamps")

        def is_done(known: tuple[datetime, datetime]) -> bool:
            found = self.history.find(self.name, window_key(*known))
            return found is not None and found.status != FAILED

        return OpenWindows(f"{checkpoint.rstrip('/')}/windows", rows.schema, time, window, delay, is_done)

    def to_html(self, title: str | None = None) -> str:
        """A page of its own: executions, the drift of each feature over time, and the other metrics.

        Parameters
        ----------
        title : str, optional

        Returns
        -------
        str
        """
        limits = {}
        if isinstance(self._check, Baseline):
            for one in self._check.constraints.features:
                config = self._check.constraints.config.changed(one.overrides)
                limits[f"feature_baseline_drift_{one.name}"] = limit_of_drift(one.inferred_type == "String", config)[1]
        return history_page(self.executions(), title or f"Monitor: {self.name}", limits)

    def save_html(self, path: str | Path, title: str | None = None) -> None:
        """Write the page of `to_html`.

        Parameters
        ----------
        path : str or Path
        title : str, optional
        """
        Path(path).write_text(self.to_html(title), encoding="utf-8")

    def _repr_html_(self) -> str:
        return self.to_html()

    def _execute(
        self, key: str, start: datetime | None, end: datetime | None, rows: Callable[[], DataFrame], act: bool,
        detectors: Mapping[str, Adwin] | None = None, order: str | None = None,
    ) -> Execution:  # fmt: skip
        try:
            found = rows()
            beside = self._beside([*(detectors or {}), *([order] if order else [])])
            checked = found.drop(*beside) if beside else found
            report = self._report(checked, key)
            report = _with_detectors(report, found, detectors, order) if detectors else report
        except Exception as error:
            kind = _KIND_OF_BASELINE if isinstance(self._check, Baseline) else _KIND_UNKNOWN
            self._finished(Execution(self.name, key, kind, start, end, FAILED, failure_reason=f"{type(error).__name__}: {error}"), act)
            raise
        return self._finished(Execution.of(self.name, key, report, start, end), act)

    def _beside(self, names: Sequence[str]) -> list[str]:
        """Those of these columns that the check is not to see: a baseline would call them extra ones."""
        if not isinstance(self._check, Baseline):
            return []
        known = {one.name for one in self._check.constraints.features}
        return [name for name in names if name not in known]

    def _report(self, rows: DataFrame, key: str) -> MonitorReport:
        if isinstance(self._check, Baseline):
            found = statistics(rows)
            if not found.item_count:
                raise NoRows(f"there are no rows of {key}")
            return check_data_quality(found, self._check)
        if rows.isEmpty():
            raise NoRows(f"there are no rows of {key}")
        return self._check(rows)

    def _finished(self, execution: Execution, act: bool) -> Execution:
        """Keep an execution, and take actions if the state has changed."""
        counted: list[Execution] = []
        was: str | None = None
        for one in self.history.before(self.name, execution.key):
            was = one.alert if was is None else was
            counted += [one] if one.status != FAILED else []
            if len(counted) >= self.evaluation_period:
                break
        was = OK if was is None else was
        known = self.history.find(self.name, execution.key)
        failed = execution.status == FAILED
        state = was if failed else alert_of(counted[::-1], execution.is_bad, self.datapoints_to_alert, self.evaluation_period)
        execution = replace(execution, alert=state)
        self.history.add(execution)
        told = FAILED if failed else state
        is_new = known is None or (known.alert, known.status) != (execution.alert, execution.status)
        wanted = failed or state != was or (self.notify == "always" and state == IN_ALERT)
        if act and is_new and wanted:
            tell(self.actions, Alert(execution, told))
        return execution


def rows_between(rows: DataFrame | Callable[[], DataFrame], time: str, columns: Sequence[str] | None = None) -> Source:
    """The rows of a window out of a table with a column of times.

    Parameters
    ----------
    rows : DataFrame or callable
        The table; or what reads it anew for each window, where new files come.
    time : str
        Column of dates or timestamps.
    columns : sequence of str, optional
        What is checked; by default all but `time`. Those that the table has not are left to the check, which says that they are missing.

    Returns
    -------
    callable
        For the `source` of a `Monitor`: rows from the start on, before the end.
    """

    def source(start: datetime, end: datetime) -> DataFrame:
        table = rows() if callable(rows) else rows
        at = needed(table, time, "time").column.cast("timestamp")
        kept = table.where((at >= F.lit(utc(start))) & (at < F.lit(utc(end))))
        if columns is None:
            return kept.drop(time)
        known = {name: there.column for name in columns if (there := find(table, name)) is not None}
        if not known:
            raise ValueError(f"there is none of the columns {', '.join(columns)}; the columns are {', '.join(table.columns)}")
        return kept.select(*(there.alias(name) for name, there in known.items()))

    return source


def _with_detectors(report: MonitorReport, rows: DataFrame, detectors: Mapping[str, Adwin], order: str | None) -> MonitorReport:
    """What detectors say of further rows, beside what was found."""
    violations, metrics = list(report.violations), dict(report.metrics)
    ordered = rows.orderBy(column(order)) if order else rows
    collected = ordered.select(*(column(name).cast("double").alias(f"c{i}") for i, name in enumerate(detectors))).collect()
    for i, (name, detector) in enumerate(detectors.items()):
        before = detector.mean
        changes = detector.update([row[i] for row in collected if row[i] is not None])
        metrics[f"stream_mean_{name}"], metrics[f"stream_width_{name}"] = detector.mean, float(detector.width)
        if changes:
            text = f"The mean has changed {len(changes)} times within these rows; it was {before:.4g} and is {detector.mean:.4g} now."
            violations.append(Violation(name, "stream_drift_check", text, detector.mean, before, None))
    return replace(report, violations=tuple(violations), metrics=metrics)

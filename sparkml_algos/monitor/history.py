"""What monitors have found, execution by execution: files in a folder, rows for Spark, a page, and points in a run of experiments."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sparkml_algos.monitor.cron import utc
from sparkml_algos.monitor.violations import MonitorReport, Violation

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

logger = logging.getLogger("sparkml_algos.monitor")

FAILED, IN_ALERT, OK = "Failed", "InAlert", "OK"
_WITHOUT: list[tuple[str | None, float | None]] = [(None, None)]
_SCHEMA = "monitor string, execution string, start timestamp, end timestamp, status string, alert string, metric string, value double"
_UNSAFE = re.compile(r"[^\w.-]+")
# What the service's metrics are of, by the kind of the monitor.
_NAMESPACES = {
    "DataQuality": "data-metrics",
    "ModelQuality": "model-metrics",
    "ModelBias": "bias-metrics",
    "ModelExplainability": "explainability-metrics",
}


class Tracks(Protocol):
    """A run of experiments, of which a history needs this alone."""

    def log_metric(self, name: str, value: float, timestamp: datetime | None = None, step: int | None = None) -> Any:
        """Note a point of a metric."""


@dataclass(frozen=True)
class Execution:
    """One look of a monitor.

    Attributes
    ----------
    monitor : str
        Its name.
    key : str
        What tells executions apart, in the order of their rows: the window's times, or ``batch-`` and the number of a micro-batch.
    kind : str
        See `MonitorReport`.
    start, end : datetime or None
        The window, in UTC.
    status : {"Completed", "CompletedWithViolations", "Failed"}
    alert : {"OK", "InAlert"}
        State of the monitor after this.
    violations : tuple of Violation
    metrics : dict of str to float
    failure_reason : str or None
    """

    monitor: str
    key: str
    kind: str
    start: datetime | None
    end: datetime | None
    status: str
    alert: str = OK
    violations: tuple[Violation, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    failure_reason: str | None = None

    @property
    def is_bad(self) -> bool:
        """Whether it counts for an alert: something was violated, or it failed."""
        return self.status != "Completed"

    def to_dict(self) -> dict[str, Any]:
        """What the history keeps; the same rows give the same."""
        violations = [{**one.to_dict(), "subject": one.subject} for one in self.violations]
        answer: dict[str, Any] = {"monitor": self.monitor, "execution": self.key, "kind": self.kind}
        answer |= {"start": _written(self.start), "end": _written(self.end), "status": self.status, "alert": self.alert}
        answer |= {"violations": violations, "metrics": {name: _number(value) for name, value in self.metrics.items()}}
        return answer if self.failure_reason is None else {**answer, "failure_reason": self.failure_reason}

    @classmethod
    def from_dict(cls, read: Mapping[str, Any]) -> Execution:
        """What a file of the history says."""
        known = ("subject", "constraint_check_type", "description", "observed", "expected", "threshold", "feature_name")
        violations = tuple(
            Violation(
                one["subject"], one["constraint_check_type"], one["description"], one.get("observed"), one.get("expected"),
                one.get("threshold"), {key: value for key, value in one.items() if key not in known},
            )
            for one in read["violations"]
        )  # fmt: skip
        metrics = {name: float(value) for name, value in read["metrics"].items()}
        start, end = (None if read[key] is None else utc(datetime.fromisoformat(read[key])) for key in ("start", "end"))
        return cls(
            read["monitor"], read["execution"], read["kind"], start, end, read["status"], read["alert"], violations, metrics,
            read.get("failure_reason"),
        )  # fmt: skip

    @classmethod
    def of(cls, monitor: str, key: str, report: MonitorReport, start: datetime | None, end: datetime | None) -> Execution:
        """An execution that has come to its end."""
        return cls(monitor, key, report.kind, start, end, report.status, OK, report.violations, report.metrics)

    def metric_records(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """Metrics as the service publishes them.

        Parameters
        ----------
        endpoint : str, optional
            Name, for the dimension ``Endpoint``.

        Returns
        -------
        list of dict
            ``MetricName``, ``Timestamp`` (the end of the window), ``Dimensions``, ``Value``, ``Unit`` and ``Namespace``; those that are not
            finite are left out.
        """
        dimensions = [{"Name": "MonitoringSchedule", "Value": self.monitor}]
        dimensions += [{"Name": "Endpoint", "Value": endpoint}] if endpoint else []
        space, at = _NAMESPACES.get(self.kind, self.kind), _written(self.end)
        return [
            {"Namespace": space, "MetricName": name, "Timestamp": at, "Dimensions": dimensions, "Value": value, "Unit": "None"}
            for name, value in self.metrics.items()
            if math.isfinite(value)
        ]


class History:
    """The executions of monitors, in a folder.

    Parameters
    ----------
    folder : str or Path, optional
        A file of JSON for each execution, ``folder/monitor/key.json``, on a disk that this process writes; made where it is not there. A
        monitor whose name has other signs than letters, digits, ``_``, ``.`` and ``-`` has ``-`` in their place, and a digest behind.
        Without a folder, executions are kept in memory.
    run : Tracks, optional
        A run of experiments: whatever has ``log_metric(name, value, timestamp=…, step=…)``. It gets every metric, under the monitor's name
        and the metric's, and ``violations``, the number of these. Where it cannot be told them, that is logged.

    Notes
    -----
    An execution of the same key takes the place of the one before, so a window may be looked at again.
    """

    def __init__(self, folder: str | Path | None = None, run: Tracks | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        self.run = run
        self._kept: dict[tuple[str, str], Execution] = {}

    def add(self, execution: Execution) -> None:
        """Keep an execution.

        Parameters
        ----------
        execution : Execution
        """
        if self.folder is None:
            self._kept[execution.monitor, execution.key] = execution
        else:
            _write(self._file(execution.monitor, execution.key), json.dumps(execution.to_dict(), indent=1, ensure_ascii=False) + "\n")
        if self.run is not None:
            try:
                self._log(self.run, execution)
            except Exception:  # a store that does not answer keeps no alarm from being told
                logger.exception("the metrics of the monitor %r could not be logged to the run of experiments", execution.monitor)

    def _log(self, run: Tracks, execution: Execution) -> None:
        step = self._number_before(execution.monitor, execution.key)
        points = {**execution.metrics, "violations": float(len(execution.violations))}
        for name, value in points.items():
            if math.isfinite(value):
                run.log_metric(f"{execution.monitor}/{name}", value, timestamp=execution.end, step=step)

    def executions(self, monitor: str | None = None) -> list[Execution]:
        """Those that there are, in the order of their windows.

        Parameters
        ----------
        monitor : str, optional
            Of one monitor.

        Returns
        -------
        list of Execution
        """
        if self.folder is None:
            found = [one for one in self._kept.values() if monitor in (None, one.monitor)]
        else:
            files = sorted(self.folder.glob("*/*.json")) if monitor is None else self._files(monitor)
            found = [one for one in map(_read, files) if monitor in (None, one.monitor)]
        return sorted(found, key=lambda one: (one.monitor, one.key))

    def find(self, monitor: str, key: str) -> Execution | None:
        """An execution, if there is one of this key.

        Parameters
        ----------
        monitor, key : str

        Returns
        -------
        Execution or None
        """
        if self.folder is None:
            return self._kept.get((monitor, key))
        path = self._file(monitor, key)
        return _read(path) if path.exists() else None

    def before(self, monitor: str, key: str) -> Iterator[Execution]:
        """Executions of a monitor before one, the latest first; files are read as far as they are asked for.

        Parameters
        ----------
        monitor, key : str

        Returns
        -------
        iterator of Execution
        """
        if self.folder is None:
            yield from reversed([one for one in self.executions(monitor) if one.key < key])
            return
        yield from (_read(path) for path in reversed(self._files(monitor)) if path.stem < _safe(key))

    def metrics(self, monitor: str) -> dict[str, list[float | None]]:
        """How each metric went: a value for each execution, None where it was not there.

        Parameters
        ----------
        monitor : str

        Returns
        -------
        dict of str to list of float or None
        """
        there = self.executions(monitor)
        names = dict.fromkeys(name for one in there for name in one.metrics)
        return {name: [one.metrics.get(name) for one in there] for name in names}

    def to_dataframe(self, spark: SparkSession, monitor: str | None = None) -> DataFrame:
        """A row for every metric of every execution.

        Parameters
        ----------
        spark : SparkSession
        monitor : str, optional

        Returns
        -------
        DataFrame
            Columns ``monitor``, ``execution``, ``start``, ``end``, ``status``, ``alert``, ``metric``, ``value``; an execution without
            metrics has a row with null in the last two.
        """
        rows = [
            (one.monitor, one.key, one.start, one.end, one.status, one.alert, name, value)
            for one in self.executions(monitor)
            for name, value in (one.metrics.items() or _WITHOUT)
        ]
        return spark.createDataFrame(rows, _SCHEMA)

    def delete(self, monitor: str) -> None:
        """Forget the executions of a monitor.

        Parameters
        ----------
        monitor : str
        """
        for one in self.executions(monitor):
            if self.folder is None:
                del self._kept[one.monitor, one.key]
            else:
                self._file(one.monitor, one.key).unlink()

    def _files(self, monitor: str) -> list[Path]:
        """In the order of the keys."""
        return sorted(((self.folder or Path()) / _safe(monitor)).glob("*.json"))

    def _number_before(self, monitor: str, key: str) -> int:
        if self.folder is None:
            return sum(one.key < key for one in self.executions(monitor))
        return sum(path.stem < _safe(key) for path in self._files(monitor))

    def _file(self, monitor: str, key: str) -> Path:
        return (self.folder or Path()) / _safe(monitor) / f"{_safe(key)}.json"


def window_key(start: datetime, end: datetime) -> str:
    """What an execution of a window is called; keys are in the order of the windows."""
    return "_".join(utc(time).strftime("%Y-%m-%dT%H-%M-%S") for time in (start, end))


def batch_key(number: int) -> str:
    """What an execution of a micro-batch is called."""
    return f"batch-{number:010d}"


def _safe(name: str) -> str:
    """A name of a file. What has signs that no file may have, or is a way upwards, ends with its digest, that no two names are one."""
    found = _UNSAFE.sub("-", name)
    if found == name and name.strip("."):
        return name
    return f"{found.strip('.')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _read(path: Path) -> Execution:
    return Execution.from_dict(json.loads(path.read_text(encoding="utf-8")))


def _write(path: Path, text: str) -> None:
    """In one step, so that nobody reads half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _written(time: datetime | None) -> str | None:
    return None if time is None else utc(time).isoformat()


def _number(value: float) -> float | str:
    """JSON has no infinite numbers."""
    return value if math.isfinite(value) else str(value)


def alert_of(before: Sequence[Execution], bad: bool, datapoints: int, period: int) -> str:
    """State of a monitor after an execution: ``InAlert`` where so many of the last `period`, this one included, were bad."""
    last = [one.is_bad for one in before][-(period - 1) :] if period > 1 else []
    return IN_ALERT if sum(last) + bad >= datapoints else OK

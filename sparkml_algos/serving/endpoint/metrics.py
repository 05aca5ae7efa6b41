"""Counters of an endpoint in Prometheus' text format, of all its worker processes together.

They are numbers in memory that the processes share: each has a row of its own, so none waits for another, and whichever is asked adds up.
"""

from __future__ import annotations

import mmap
import os
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

CODES = (200, 400, 401, 404, 405, 406, 408, 413, 415, 500, 503)
#: Upper ends of the classes of latencies, in seconds.
LATENCIES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
#: Upper ends of the classes of batches, in rows.
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 100_000)

_NAMES = (
    *(f"code:{code}" for code in CODES),
    *(f"latency:{end}" for end in (*LATENCIES, "+Inf")),
    "latency_sum",
    "overhead_sum",
    *(f"batch:{end}" for end in (*BATCHES, "+Inf")),
    "batch_sum",
    "model_seconds",
    "rows",
    "in_flight",
    "waiting_rows",
    "reloads",
    "failed_reloads",
    "captured",
    "not_captured",
    "models",
    "cpu_seconds",
    "resident_bytes",
)
_PLACE = {name: place for place, name in enumerate(_NAMES)}
_CODE = {code: _PLACE[f"code:{code}"] for code in CODES}
_LATENCY, _BATCH = _PLACE[f"latency:{LATENCIES[0]}"], _PLACE[f"batch:{BATCHES[0]}"]


class Shared:
    """The memory of the counters of so many processes; made before they are."""

    def __init__(self, processes: int = 1) -> None:
        self._memory = mmap.mmap(-1, processes * len(_NAMES) * 8)
        self.rows = np.frombuffer(self._memory, np.float64).reshape(processes, len(_NAMES))

    def row(self, process: int) -> memoryview[float]:
        """The counters of a process, which count quicker than an array."""
        return memoryview(self._memory).cast("d")[process * len(_NAMES) : (process + 1) * len(_NAMES)]

    def set(self, process: int, name: str, value: float) -> None:
        """Set a counter of a process."""
        self.rows[process][_PLACE[name]] = value


class Metrics:
    """The counters of one process.

    Parameters
    ----------
    shared : Shared
    process : int
        Its row.
    """

    def __init__(self, shared: Shared | None = None, process: int = 0) -> None:
        self._shared = shared or Shared()
        self._own = self._shared.row(process)
        # What lives with the process starts anew with it.
        for name in ("in_flight", "waiting_rows", "models"):
            self._own[_PLACE[name]] = 0

    def add(self, name: str, value: float = 1.0) -> None:
        self._own[_PLACE[name]] += value

    def set(self, name: str, value: float) -> None:
        self._own[_PLACE[name]] = value

    def request(self, code: int, seconds: float, model_seconds: float, rows: int) -> None:
        """A request was answered."""
        own = self._own
        own[_CODE.get(code, _CODE[500])] += 1
        own[_LATENCY + bisect_left(LATENCIES, seconds)] += 1
        own[_PLACE["latency_sum"]] += seconds
        own[_PLACE["overhead_sum"]] += max(seconds - model_seconds, 0.0)
        own[_PLACE["rows"]] += rows

    def batch(self, requests: int, rows: int, seconds: float) -> None:
        """A batch of rows was scored."""
        self._own[_BATCH + bisect_left(BATCHES, rows)] += 1
        self._own[_PLACE["batch_sum"]] += rows
        self._own[_PLACE["model_seconds"]] += seconds

    def text(self, endpoint: str, variant: str) -> str:
        """All of them as Prometheus reads them."""
        used = os.times()
        self.set("cpu_seconds", used.user + used.system)
        self.set("resident_bytes", _resident())
        total = self._shared.rows.sum(axis=0)
        labels = f'EndpointName="{_escaped(endpoint)}",VariantName="{_escaped(variant)}"'

        def value(name: str) -> str:
            return f"{total[_PLACE[name]]:.12g}"

        lines = [
            *_head("sparkml_algos_invocations_total", "counter", "Requests by the code of their answer."),
            *(f'sparkml_algos_invocations_total{{{labels},code="{code}"}} {value(f"code:{code}")}' for code in CODES),
            *_head("sparkml_algos_invocation_seconds", "histogram", "From the first byte of a request to the last of its answer."),
            *_histogram("sparkml_algos_invocation_seconds", labels, total, "latency", LATENCIES, value("latency_sum")),
            *_head("sparkml_algos_batch_rows", "histogram", "Rows that were scored together."),
            *_histogram("sparkml_algos_batch_rows", labels, total, "batch", BATCHES, value("batch_sum")),
        ]
        for name, kind, of, doc in (
            ("model_seconds_total", "counter", "model_seconds", "Seconds that models took."),
            ("overhead_seconds_total", "counter", "overhead_sum", "Seconds of requests that were not a model's."),
            ("rows_total", "counter", "rows", "Rows of requests."),
            ("in_flight_requests", "gauge", "in_flight", "Requests that are being answered."),
            ("waiting_rows", "gauge", "waiting_rows", "Rows that wait for a model: the depth of the queue."),
            ("loaded_models", "gauge", "models", "Models loaded, in all workers."),
            ("reloads_total", "counter", "reloads", "Models that were replaced by a new version."),
            ("failed_reloads_total", "counter", "failed_reloads", "New versions that could not be loaded."),
            ("captured_total", "counter", "captured", "Requests that were written down."),
            ("not_captured_total", "counter", "not_captured", "Requests that were to be written down and were not."),
            ("cpu_seconds_total", "counter", "cpu_seconds", "Processor time of the workers, as each was last asked."),
            (
                "resident_memory_bytes",
                "gauge",
                "resident_bytes",
                "Memory of the workers, as each was last asked; what they share counts in each.",
            ),
        ):
            lines += [*_head(f"sparkml_algos_{name}", kind, doc), f"sparkml_algos_{name}{{{labels}}} {value(of)}"]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, doc: str) -> list[str]:
    return [f"# HELP {name} {doc}", f"# TYPE {name} {kind}"]


def _histogram(name: str, labels: str, total: np.ndarray, of: str, ends: Sequence[float], sum_: str) -> list[str]:
    first = _PLACE[f"{of}:{ends[0]}"]
    cumulated = np.cumsum(total[first : first + len(ends) + 1])
    lines = [f'{name}_bucket{{{labels},le="{end}"}} {count:.12g}' for end, count in zip([*ends, "+Inf"], cumulated, strict=True)]
    return [*lines, f"{name}_sum{{{labels}}} {sum_}", f"{name}_count{{{labels}}} {cumulated[-1]:.12g}"]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _resident() -> float:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * mmap.PAGESIZE
    except OSError:
        return 0.0

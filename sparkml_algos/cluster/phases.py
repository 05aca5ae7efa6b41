"""Where the time of a fit went, as its driver saw it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

#: In the order in which they come. They follow each other without a gap, so they add up to the whole.
PHASES = {
    "prepare": "the driver: checking columns and cluster, what Python the executors have, how rows are dealt",
    "wait": "for other fits of this driver that hold the workers' slots, and for executors of a new session to come up",
    "failed": "attempts that failed, and the pauses after them",
    "start": "Spark plans, computes the rows, deals them to the workers and starts their Python, until all of them have met",
    "ingest": "rows from Spark to arrays, on the worker that was the last to have its own",
    "setup": "connecting the workers",
    "train": "training",
    "finish": "handing the results to Spark",
    "collect": "the results on their way to the driver",
}
# Of a worker: what it does once it is done with everything else.
DONE = "done"


class Stopwatch:
    """Seconds by phase; each lasts from when it is entered until the next one is.

    Parameters
    ----------
    phase : str
        The first.
    began : float, optional
        When, by `time.perf_counter`; now by default.
    """

    def __init__(self, phase: str, began: float | None = None) -> None:
        self._phase, self._since = phase, time.perf_counter() if began is None else began
        self._seconds: dict[str, float] = {}

    def enter(self, phase: str) -> None:
        """End the phase under way and begin another, or the same again."""
        now = time.perf_counter()
        self._add(self._phase, now - self._since)
        self._phase, self._since = phase, now

    def split(self, parts: Mapping[str, float], then: str) -> None:
        """End the phase under way and begin another: its time counts as that of these parts, what they leave of it as the next one's."""
        for phase, seconds in parts.items():
            self._add(phase, seconds)
        self._phase, self._since = then, self._since + sum(parts.values())

    def seconds(self) -> dict[str, float]:
        """Of each phase so far, that under way included."""
        self.enter(self._phase)
        return dict(self._seconds)

    def _add(self, phase: str, seconds: float) -> None:
        self._seconds[phase] = self._seconds.get(phase, 0.0) + seconds


def phases_of_attempt(whole: float, before_meeting: float | None, workers: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The parts of an attempt that succeeded: before the workers met, on the slowest of them, and after it was done.

    Parameters
    ----------
    whole : float
        Seconds from submitting the job to having its results.
    before_meeting : float or None
        Seconds from submitting the job until the workers met; None where they met without the driver. What came after they were done then
        counts as ``start`` too, for the two cannot be told apart.
    workers : iterable of mapping of str to float
        Seconds by phase of each worker from when they met, one after the other without a gap.

    Returns
    -------
    dict of str to float
        They add up to `whole`. The workers meet together and end their training together, so the phases of each fill the time between; what
        they differ in is how long each had to wait for the rows of the slowest, which is the one that did not.
    """
    slowest = dict(max(workers, key=lambda worker: worker.get("ingest", 0.0), default={}))
    slowest["finish"] = slowest.get("finish", 0.0) + slowest.pop(DONE, 0.0)
    rest = max(0.0, whole - sum(slowest.values()))
    start = rest if before_meeting is None else min(before_meeting, rest)
    slowest["start"] = slowest.get("start", 0.0) + start
    return {**slowest, "collect": rest - start}


def rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    """Milliseconds of the total and of every phase, in order; ``failed`` only where there was such an attempt."""
    names = dict.fromkeys([*(phase for phase in PHASES if phase in seconds or phase != "failed"), *seconds])
    return {"total": round(sum(seconds.values()), 3), **{phase: round(seconds.get(phase, 0.0), 3) for phase in names}}

"""Whoever wants to know how searches go on, such as what keeps a record of them."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.ml import Estimator
    from pyspark.sql import DataFrame

    from sparkml_algos.tuning.job import TuningJob
    from sparkml_algos.tuning.trial import Trial

logger = logging.getLogger(__name__)


class TuningListener:
    """Base of listeners, whose methods do nothing; see `add_listener`.

    `on_search_start` and `on_search_end` are called in the thread that searches, the others in a thread of the listener's own, in order,
    so that a slow listener holds up no worker. All of a search have been called before `on_search_end` is. What a listener raises is
    logged and costs the search nothing.
    """

    def on_search_start(self, job: TuningJob, tuner: Estimator, dataset: DataFrame) -> None:
        """A search begins; of one that goes on from its store, `job.trials` has those that are over already."""

    def on_trial_start(self, job: TuningJob, trial: Trial) -> None:
        """A trial has been handed out; again, if it has lost its workers before, or goes on from a rung of Hyperband's."""

    def on_trial_end(self, job: TuningJob, trial: Trial) -> None:
        """A trial is over, see `trial.status`, `trial.objective`, `trial.series` and `trial.metrics`."""

    def on_search_end(self, job: TuningJob) -> None:
        """A search is over, see `job.status` and `job.failure`; `job.model` is the best model, None if it has failed."""


_LISTENERS: list[TuningListener] = []
_LOCK = threading.Lock()


def add_listener(listener: TuningListener) -> None:
    """Let a listener know of every search of this process that begins from now on.

    Parameters
    ----------
    listener : TuningListener
    """
    with _LOCK:
        if listener not in _LISTENERS:
            _LISTENERS.append(listener)


def remove_listener(listener: TuningListener) -> None:
    """Let a listener know of no more searches; one that is not known is no error.

    Parameters
    ----------
    listener : TuningListener
    """
    with _LOCK:
        if listener in _LISTENERS:
            _LISTENERS.remove(listener)


class Announcer:
    """Tells the listeners of one search; those of the process that are known when it is made, and some more.

    Parameters
    ----------
    job : TuningJob
    more : sequence of TuningListener
    """

    def __init__(self, job: TuningJob, more: Sequence[TuningListener] = ()) -> None:
        with _LOCK:
            self._listeners = [*_LISTENERS, *(one for one in more if one not in _LISTENERS)]
        self._job = job
        self._events: queue.SimpleQueue[tuple[str, tuple[Any, ...]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def search_starts(self, tuner: Estimator, dataset: DataFrame) -> None:
        """Tell that it begins."""
        self._tell("on_search_start", (tuner, dataset))
        if self._listeners:
            self._thread = threading.Thread(target=self._work, name=f"listeners of {self._job.name}", daemon=True)
            self._thread.start()

    def trial_starts(self, trial: Trial) -> None:
        """Tell it of a trial, when there is time."""
        self._put("on_trial_start", trial)

    def trial_ends(self, trial: Trial) -> None:
        """Tell it of a trial, when there is time."""
        self._put("on_trial_end", trial)

    def search_ends(self) -> None:
        """Tell that it is over, once all else has been told."""
        if self._thread is not None:
            self._events.put(None)
            self._thread.join()
            self._thread = None
        self._tell("on_search_end", ())

    def _put(self, name: str, trial: Trial) -> None:
        if self._thread is not None:
            self._events.put((name, (trial,)))

    def _work(self) -> None:
        while (event := self._events.get()) is not None:
            self._tell(*event)

    def _tell(self, name: str, arguments: tuple[Any, ...]) -> None:
        for listener in self._listeners:
            method: Callable[..., None] = getattr(listener, name)
            try:
                method(self._job, *arguments)
            except Exception:
                logger.warning("%s of %s has failed; the search goes on", name, type(listener).__name__, exc_info=True)

"""Hands out the trials of a tuning job, and takes what comes of them."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sparkml_algos.cluster.errors import Failure
from sparkml_algos.core.trials import END, LATER
from sparkml_algos.training.trials import Stop, Task
from sparkml_algos.tuning.job import TuningJob
from sparkml_algos.tuning.ranges import Ranges, setting_at
from sparkml_algos.tuning.rules import CompletionCriteria, Hyperband, median_bounds
from sparkml_algos.tuning.rungs import Rungs
from sparkml_algos.tuning.store import Store
from sparkml_algos.tuning.strategies import Observation, Strategy
from sparkml_algos.tuning.trial import Trial
from sparkml_algos.tuning.warm_start import scaled

logger = logging.getLogger(__name__)

# Of the name of a job and of a trial.
MOST_NAME = 32
EARLY_STOPPED = "EarlyStopped"
NOT_BEGUN = "the search was stopped before it began"
# What a search is complete by that has begun all of its trials.
ALL_BEGUN = "MaxNumberOfTrainingJobs"
# The key of the rows of a search whose trials all have the same.
SAME_ROWS = ""


@dataclass(frozen=True)
class Limits:
    """When a search is over.

    Parameters
    ----------
    max_jobs : int
        Trials of the job, whosoever search begins them.
    deadline : float, optional
        By `time.time`, after which no trial begins.
    criteria : CompletionCriteria
    retries : int
        How often a trial begins anew of which a worker was lost.
    """

    max_jobs: int
    deadline: float | None
    criteria: CompletionCriteria
    retries: int = 1


@dataclass(frozen=True)
class Events:
    """Who is told of trials; each is called with the trial."""

    on_start: Callable[[Trial], None] = lambda trial: None
    on_wait: Callable[[Trial], None] = lambda trial: None
    on_end: Callable[[Trial], None] = lambda trial: None


class Search:
    """The trials of a job, or those of one of its definitions; implements `core.trials.Scheduler`.

    Parameters
    ----------
    job : TuningJob
        May have trials already: those that were running when a driver was lost begin anew, under the same numbers.
    ranges : mapping of str to ParameterRange
    strategy : Strategy
    limits : Limits
    changes : callable
        ``changes(setting)`` is what is different in the hyperparameters of a trial.
    definition : str
        Whose trials these are, of a job with several definitions.
    parents : sequence of Observation
    warm_start_type : str, optional
    folds : int
        A trial is so many trainings, of each of which other rows are held out; 0: one, whose model is kept if it is the best.
    stops : bool
        Whether trials without hope are stopped.
    hyperband : Hyperband, optional
    store : Store, optional
    key : callable, optional
        ``key(setting)`` is equal for trials that can be trained on the same rows; by default all can.
    pauses : callable, optional
        Whether trials are to begin in another search now.
    events : Events

    Attributes
    ----------
    emitted : set of str
        Names of all metrics that trainings have emitted.
    """

    def __init__(
        self,
        job: TuningJob,
        ranges: Ranges,
        strategy: Strategy,
        limits: Limits,
        changes: Callable[[Mapping[str, Any]], dict[str, Any]],
        *,
        definition: str = "",
        parents: Sequence[Observation] = (),
        warm_start_type: str | None = None,
        folds: int = 0,
        stops: bool = False,
        hyperband: Hyperband | None = None,
        store: Store | None = None,
        key: Callable[[Mapping[str, Any]], str] = lambda setting: SAME_ROWS,
        pauses: Callable[[], bool] = lambda: False,
        events: Events = Events(),
    ) -> None:
        self._job, self._ranges, self._strategy, self._limits, self._changes = job, ranges, strategy, limits, changes
        self._definition, self._objectives = definition, job.objectives(definition)
        self._parents, self._warm_start_type, self._folds = list(parents), warm_start_type, folds
        self._stops, self._hyperband, self._store = stops, hyperband, store
        self._rungs = None if hyperband is None else Rungs(hyperband, self._objectives[0])
        self._key, self._pauses, self._events = key, pauses, events
        self._rows = SAME_ROWS
        self._waiting: list[Task] = []
        self._running: set[int] = set()  # numbers of tasks
        self._held: dict[int, set[int]] = {}  # by lane, the models that it keeps
        self._attempts: dict[int, int] = {}  # by task
        self._measured: dict[int, dict[int, float]] = {}  # of a trial, by fold
        self.emitted: set[str] = set()
        for trial in self._own():
            if not trial.is_over and self._rungs is not None and trial.series:
                self._rungs.wait(trial, None)
            elif not trial.is_over:
                self._waiting += self._tasks(trial)
        if job.finished:
            self._judge()

    # -- what the driver calls, between gangs

    def wants(self) -> dict[str, Any] | None:
        """The setting of the next trial, which is proposed if none is waiting; None if none is to begin."""
        if self._job.is_stopped:
            self._give_up()
        if not self._next_waiting() and not self._promote(None) and not self._begin():
            self._end_at_rungs()
            return None
        return self._trial(self._waiting[0]).setting

    def begins_on(self, setting: Mapping[str, Any]) -> None:
        """A new gang holds the rows of this setting."""
        self._rows = self._key(setting)
        self._let_go()

    def fail_waiting(self, setting: Mapping[str, Any], reason: str) -> None:
        """The rows of this setting cannot be had, or not be trained on: trials that wait for them have failed."""
        for task in list(self._waiting):
            trial = self._trial(task)
            if self._key(trial.setting) == self._key(setting):
                self._waiting.remove(task)
                if not trial.is_over:
                    self._fail(trial, reason)

    # -- what lanes call

    def next(self, lane: int) -> Task:
        forget = [*self._no_longer_best(lane), *(self._rungs.crowded_out(lane) if self._rungs else ())]
        task = self._task(lane)
        self._running |= {number for number, _, _ in task.settings}
        if task.keeps:
            self._held[lane] |= {number for number, _, _ in task.settings}
        if task.settings and task.fold in (None, 0):
            self._events.on_start(self._trial(task))
        return replace(task, forget=forget)

    def take(self, lane: int, answer: list[dict[str, Any]]) -> None:
        for one in answer:
            number, fold = self._split(one["trial"])
            self._running.discard(one["trial"])
            trial = self._job.trials[number]
            if trial.is_over:  # another fold of it has failed
                continue
            if "error" in one:
                self._fail(trial, one["error"])
            else:
                self._note(trial, fold, one, lane)

    def lost(self, lane: int | None, task: Task, failure: Failure | None, suspected: bool = True) -> bool:
        self._let_go()
        settled = False
        for one, _, _ in task.settings:
            number, _ = self._split(one)
            trial = self._job.trials[number]
            self._running.discard(one)
            self._attempts[one] = self._attempts.get(one, 0) + (failure is None and suspected)
            if trial.is_over:  # another fold of it has failed
                settled |= failure is not None
            elif failure is not None or self._attempts[one] > self._limits.retries:
                self._fail(trial, failure.message if failure else "the workers were lost", retryable=failure is None)
                settled = True
            else:
                self._waiting.insert(0, task)
        return settled

    # -- what is tried

    def _task(self, lane: int) -> Task:
        if not self._next_waiting() and not self._promote(lane) and not self._begin():
            if self._running and self._may_promote and self._rungs is not None and self._rungs.holds(lane):
                return LATER  # what comes of the others may let one go on that waits there
            self._let_go(lane)
            return END
        serves = self._key(self._trial(self._waiting[0]).setting) == self._rows
        return self._waiting.pop(0) if serves else END

    def _next_waiting(self) -> bool:
        """Whether a task waits; those of trials that are over are dropped."""
        while self._waiting and self._trial(self._waiting[0]).is_over:
            self._waiting.pop(0)
        return bool(self._waiting)

    def _promote(self, lane: int | None) -> bool:
        """Let a trial that waits at a rung wait for a lane instead, if one is to go on."""
        if self._rungs is None or not self._may_promote:
            return False
        trial = self._rungs.promoted(self._own(), lane, last=len(self._job.trials) >= self._limits.max_jobs)
        if trial is not None:
            self._waiting += self._tasks(trial)
        return trial is not None

    @property
    def _may_promote(self) -> bool:
        return not self._job.is_stopped and not self._is_late and self._job.completion in (None, ALL_BEGUN)

    def _begin(self) -> bool:
        """Let another trial wait, if there is to be one."""
        while self._may_begin():
            trial = self._propose()
            self._job.trials.append(trial)
            try:
                self._waiting += self._tasks(trial)
            except Exception as error:
                self._events.on_start(trial)
                self._fail(trial, f"{type(error).__name__}: {error}")
                continue
            self._job.save_trial(self._store, trial)
            return True
        return False

    def _may_begin(self) -> bool:
        job, limits = self._job, self._limits
        if job.is_stopped or job.completion is not None:
            return False
        if len(job.trials) >= limits.max_jobs:
            job.completion = ALL_BEGUN
        elif self._is_late:
            job.completion = "MaxRuntimeInSeconds"
        return job.completion is None and not self._pauses()

    @property
    def _is_late(self) -> bool:
        return self._limits.deadline is not None and time.time() >= self._limits.deadline

    def _give_up(self) -> None:
        """No trial that waits is to begin any more."""
        for task in self._waiting:
            trial = self._trial(task)
            if not trial.is_over:
                began = bool(trial.series)  # and was to go on
                trial.status, trial.reason, trial.ended = "Stopped", EARLY_STOPPED if began else NOT_BEGUN, time.time()
                self._ended(trial)
        self._waiting.clear()

    def _end_at_rungs(self) -> None:
        """Trials that wait at a rung are not to go on any more: they were stopped there."""
        if self._rungs is None:
            return
        for trial in list(self._rungs.waiting.values()):
            del self._rungs.waiting[trial.number]
            trial.status, trial.reason = "Stopped", EARLY_STOPPED
            self._ended(trial)

    def _no_longer_best(self, lane: int) -> list[int]:
        """Models that a lane keeps and need not keep any more."""
        held, best = self._held.get(lane, set()), self._job.best
        self._held[lane] = held & ({best.number} if best else set())
        waiting = self._rungs.waiting.keys() if self._rungs else set()
        return sorted(held - self._held[lane] - waiting)

    def _let_go(self, lane: int | None = None) -> None:
        """A lane has ended, or all of them, and with it what it held."""
        if lane is None:
            self._held.clear()
        if self._rungs is not None:
            self._rungs.let_go(lane)

    def _propose(self) -> Trial:
        number = len(self._job.trials)
        units = self._strategy.propose(len(self._own()), self.known())
        setting = setting_at(self._ranges, units)
        name = f"{self._job.name[: MOST_NAME - 4]}-{number + 1:03d}"
        return Trial(number, name, setting, units, created=time.time(), definition=self._definition)

    def _own(self) -> list[Trial]:
        return [trial for trial in self._job.trials if trial.definition == self._definition]

    def known(self) -> list[Observation]:
        """What a strategy may know: trials of parents, of this search, and those that are running."""
        succeeded = [trial for trial in self._own() if trial.succeeded]
        values = scaled([trial.value for trial in succeeded], self._warm_start_type, self._objectives[0].larger_is_better)
        running = [Observation(trial.units, None) for trial in self._own() if not trial.is_over]
        own = [Observation(trial.units, value, self._more(trial)) for trial, value in zip(succeeded, values, strict=True)]
        return [*self._parents, *own, *running]

    def _more(self, trial: Trial) -> tuple[float, ...]:
        """The further objectives of a trial, the smaller the better."""
        return tuple(trial.objectives[one.metric] * (-1 if one.larger_is_better else 1) for one in self._objectives[1:])

    def _tasks(self, trial: Trial) -> list[Task]:
        changes = self._changes(trial.setting)
        if self._folds:
            return [Task([(trial.number * self._folds + fold, 0, changes)], fold) for fold in range(self._folds)]
        until = self._rungs.until(trial) if self._rungs else None
        return [Task([(trial.number, 0, changes)], None, keeps=True, stop=self._stop(trial), until=until)]

    def _split(self, number: int) -> tuple[int, int]:
        return divmod(number, self._folds) if self._folds else (number, 0)

    def _trial(self, task: Task) -> Trial:
        return self._job.trials[self._split(task.settings[0][0])[0]]

    def _stop(self, trial: Trial) -> Stop | None:
        if self._rungs is not None:
            return self._rungs.ending()
        if not self._stops:
            return None
        objective = self._objectives[0]
        earlier = [one.series for one in self._own() if one.succeeded and one.number != trial.number]
        return Stop(objective.metric, median_bounds(earlier), objective.larger_is_better)

    # -- what came of it

    def _note(self, trial: Trial, fold: int, one: dict[str, Any], lane: int) -> None:
        metrics = {**one["last"], **one["metrics"]}
        self.emitted |= set(metrics)
        trial.ended = time.time()
        trial.started = trial.started or trial.ended - one["seconds"]
        trial.seconds = (trial.seconds or 0.0) + one["seconds"]
        trial.epochs += one["trained"]
        first = self._objectives[0].metric
        if self._folds:
            measured = self._measured.setdefault(trial.number, {})
            measured[fold] = one["measured"]
            if len(measured) < self._folds:
                return
            found = {first: sum(measured.values()) / self._folds}
            trial.metrics = {f"fold {fold}": value for fold, value in sorted(measured.items())}
        else:
            scored = {} if one.get("measured") is None else {first: one["measured"]}
            found = {**metrics, **scored}
            trial.series, trial.metrics = one["series"], metrics
        for wanted in self._objectives:
            value = found.get(wanted.metric)
            if value is None:
                emits = ", ".join(sorted(self.emitted)) or "none"
                self._fail(trial, f"the objective metric {wanted.metric!r} was not emitted; metrics are {emits}")
                return
            if not math.isfinite(value):
                trial.objective = float(value) if wanted.metric == first else trial.objective
                self._fail(trial, f"the objective {wanted.metric} is {value}")
                return
        trial.objective = float(found[first])
        if len(self._objectives) > 1:
            trial.objectives = {wanted.metric: float(found[wanted.metric]) for wanted in self._objectives}
        if self._hyperband is not None and all(value is None for value in trial.series):
            emits = ", ".join(sorted(one["last"])) or "none"
            self._fail(trial, f"Hyperband needs {first!r} after each epoch; metrics of epochs are {emits}")
            return
        if self._stops and trial.number == 0 and all(value is None for value in trial.series):
            said = "%s is not emitted after each epoch: early_stopping_type='Auto' has nothing to stop trials by"
            logger.warning(said, first)
        if one["waits"] and not self._limits.criteria.is_reached_by(trial.objective, self._objectives[0].larger_is_better):
            assert self._rungs is not None
            self._rungs.wait(trial, lane)
            self._job.save_trial(self._store, trial)
            self._events.on_wait(trial)
            return
        stopped = one["waits"] or one["was_stopped"] and not self._reached_all(one)
        trial.status, trial.reason = ("Stopped", EARLY_STOPPED) if stopped else ("Completed", None)
        self._ended(trial)

    def _reached_all(self, one: dict[str, Any]) -> bool:
        """Whether a trial was stopped because it had all of Hyperband's resource."""
        return self._hyperband is not None and one["epochs"] >= self._hyperband.max_resource

    def _fail(self, trial: Trial, reason: str, retryable: bool = False) -> None:
        trial.status, trial.reason, trial.retryable, trial.ended = "Failed", reason, retryable, time.time()
        self._ended(trial)

    def _ended(self, trial: Trial) -> None:
        job = self._job
        job.finished.append(trial.number)
        job.save_trial(self._store, trial)
        self._judge()
        self._events.on_end(trial)

    def _judge(self) -> None:
        """End the search where what has ended meets a criterion."""
        job = self._job
        if job.completion is None:
            values = [job.trials[number].objective if job.trials[number].succeeded else None for number in job.finished]
            job.completion = self._limits.criteria.reason(values, self._objectives[0].larger_is_better, len(self._ranges))
            if job.completion == "ConvergenceDetected":
                job.converged = time.time()


def begins_anew(trial: Trial) -> Trial:
    """A trial of a search that goes on: one that was kept from beginning, for the search was stopped, is not over."""
    return replace(trial, status="InProgress", reason=None, ended=None) if trial.reason == NOT_BEGUN else trial


def stop_as(trial: Trial, job: TuningJob, hyperband: Hyperband | None = None) -> Stop | None:
    """What ends a training after as many epochs as a trial had that was stopped; None if it ended by itself."""
    had_all = hyperband is not None and len(trial.series) >= hyperband.max_resource
    if not had_all and trial.reason != EARLY_STOPPED:
        return None
    objective = job.objectives(trial.definition)[0]
    bounds = {len(trial.series): math.inf if objective.larger_is_better else -math.inf}
    return Stop(objective.metric, bounds, objective.larger_is_better)


class Once:
    """Hands out a single training on all rows, whose model is kept; implements `core.trials.Scheduler`.

    Parameters
    ----------
    changes : dict
        What is different in its hyperparameters.
    stop : Stop, optional
    """

    def __init__(self, changes: dict[str, Any], stop: Stop | None = None) -> None:
        self._task: Task | None = Task([(0, 0, changes)], None, keeps=True, stop=stop)
        self._again = self._task

    def next(self, lane: int) -> Task:
        task, self._task = self._task, None
        return task or END

    def take(self, lane: int, answer: list[dict[str, Any]]) -> None:
        if "error" in answer[0]:
            raise RuntimeError(f"the best setting could not be trained again: {answer[0]['error']}")

    def lost(self, lane: int | None, task: Task, failure: Failure | None, suspected: bool = True) -> bool:
        self._task = self._again
        return False

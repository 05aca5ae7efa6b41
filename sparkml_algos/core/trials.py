"""Many trainings of one Estimator in one gang, on rows that are read once: what `tuning` stands on."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparkml_algos.arrays.evaluation import Measure
from sparkml_algos.arrays.hyperparameters import InvalidParams
from sparkml_algos.cluster.errors import Failure, InvalidDataError, JobCancelled, TrainingError
from sparkml_algos.cluster.interruption import interruptible
from sparkml_algos.cluster.launcher import SECONDS_BETWEEN_RETRIES, Outcome, run_gang
from sparkml_algos.core.bridge import packed_vectors
from sparkml_algos.core.estimator import AlgorithmEstimator, launch_of, model_of, training_plan
from sparkml_algos.core.inputs import Inputs
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.rows.recurring import FOLD
from sparkml_algos.training.trials import Task, TrialsPlan, run_trials

logger = logging.getLogger(__name__)

END = Task(end=True)
#: There is nothing to do for a lane as yet; it asks again.
LATER = Task()


class Scheduler(Protocol):
    """What hands out trainings. Its methods are called by one thread at a time."""

    def next(self, lane: int) -> Task:
        """What a lane is to do now; a task with `end` once there is nothing more for it."""

    def take(self, lane: int, answer: list[dict[str, Any]]) -> None:
        """What came of the last task of a lane: a dictionary for each training, see `training.trials`."""

    def lost(self, lane: int | None, task: Task, failure: Failure | None, suspected: bool = True) -> bool:
        """A gang has ended while a lane was at a task. Whether the task is settled with that, as one that failed; else it is to be handed
        out again. The failure is None for lanes that did not report it; they are not suspected either where another lane did."""


@dataclass(frozen=True)
class Rows:
    """How the rows of a dataset serve trainings.

    Parameters
    ----------
    fold : Column, optional
        The number of the fold in which a row is held out, negative for rows that never are.
    folds : int
    measure : Measure, optional
        What held out rows are scored by.
    """

    fold: Column | None = None
    folds: int = 0
    measure: Measure | None = None


class Trials:
    """Trainings of estimators that agree in all but hyperparameters.

    Parameters
    ----------
    estimators : sequence of AlgorithmEstimator
        Tasks start from their settings.
    dataset : DataFrame
    rows : Rows
    lanes : int
        How many trainings run side by side, if there are slots for them.
    series : str, optional
        The metric that is answered epoch by epoch.
    survives : bool
        Whether a training that fails is an answer like others.
    retries : int
        How often in a row a gang that was lost is started anew without any training having ended in between.
    title : str
        What the search is called in Spark's UI.

    Attributes
    ----------
    outcome : Outcome or None
        Of the last gang.

    Raises
    ------
    InvalidParams
        If the dataset does not fit the estimators.
    """

    def __init__(
        self,
        estimators: Sequence[AlgorithmEstimator],
        dataset: DataFrame,
        rows: Rows = Rows(),
        *,
        lanes: int = 1,
        series: str | None = None,
        survives: bool = False,
        retries: int = 0,
        title: str = "",
    ) -> None:
        problems = [problem for estimator in estimators for problem in estimator._problems(dataset)]
        if problems:
            raise InvalidParams(type(estimators[0]).__name__, list(dict.fromkeys(problems)))
        self.estimators, self.dataset, self._rows = list(estimators), dataset, rows
        self._lanes, self._series, self._survives, self._retries = lanes, series, survives, retries
        self._title = title or f"{type(estimators[0]).__name__}, {len(estimators)} settings"
        self.outcome: Outcome | None = None
        self._found: Inputs = estimators[0].inputs(dataset)

    @interruptible()
    def run(self, scheduler: Scheduler) -> dict[int, Any]:
        """Do what the scheduler hands out, until it has nothing more.

        Returns
        -------
        dict of int to Artifact
            The models that tasks wanted to be kept, by the number of the training; see `model`.

        Raises
        ------
        TrainingError
            If gangs are lost more often in a row than `retries` says.
        """
        first, began = self.estimators[0], time.perf_counter()
        dealt, read, key = self._found.dealt(functools.partial(packed_vectors, self.dataset))
        if self._rows.fold is not None:
            dealt, read = [*dealt, self._rows.fold.cast("int").alias(_FOLD)], [*read, F.col(_FOLD).alias(FOLD)]
        plan = TrialsPlan(
            training_plan(self.estimators, self.dataset, self._found),
            self._rows.folds,
            self._rows.measure,
            self._series,
            self._survives,
        )
        failed = 0
        while True:
            desk = _Desk(scheduler)
            options = launch_of(first, self._found, key, title=self._title, began=began, lanes=self._lanes, on_ask=desk.ask, max_retries=0)
            try:
                self.outcome = run_gang(self.dataset.select(*dealt), read, functools.partial(run_trials, plan), options)
            except TrainingError as error:
                settled = desk.lost(error.failure if self._survives else None)
                failed = (0 if desk.has_answers else failed) + (not settled)
                final = isinstance(error, JobCancelled) or isinstance(error, InvalidDataError) and not settled
                if final or failed > self._retries:
                    raise
                logger.warning("a gang was lost, what it had not finished is tried again: %s", error)
                time.sleep(0 if settled else SECONDS_BETWEEN_RETRIES)
                began = time.perf_counter()
            else:
                models = {name: artifact for name, artifact in self.outcome.artifacts.items() if name.startswith("model/")}
                return {int(name.removeprefix("model/")): artifact for name, artifact in models.items()}

    def model(self, estimator: AlgorithmEstimator, artifact: Any) -> AlgorithmModel:
        """The model of an artifact that `run` gave, as `fit` of the estimator would have given it."""
        return model_of(estimator, artifact, artifact.values.pop("reports"), self._found, self.outcome)


class _Desk:
    """Where workers ask for tasks: the scheduler's, by lane instead of by worker."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.has_answers = False
        self._lock = threading.Lock()
        self._tasks: dict[int, Task] = {}

    def ask(self, rank: int, answer: list[dict[str, Any]] | None) -> dict[str, Any]:
        """The next task of the lane whose first worker this is."""
        with self._lock:
            if answer is not None:
                self._scheduler.take(rank, answer)
                self._tasks.pop(rank, None)
                self.has_answers |= bool(answer)
            task = self._scheduler.next(rank)
            if not task.end:
                self._tasks[rank] = task
            return task.to_dict()

    def lost(self, failure: Failure | None) -> bool:
        """The gang has ended with a failure: give back what its lanes were at. Whether a task is to blame."""
        ranks = sorted(self._tasks)
        told = failure is not None and not failure.silent and not failure.peer
        blamed = max((rank for rank in ranks if rank <= failure.rank), default=None) if failure is not None and told else None
        settled = False
        for rank in ranks:
            settled |= self._scheduler.lost(rank, self._tasks[rank], failure if rank == blamed else None, blamed is None)
        return settled


_FOLD = "_sparkml_algos_fold"

"""A search under way: gangs that train for the searches of its Estimators, one after the other, until the best model is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

from pyspark.ml import Model
from pyspark.ml.evaluation import Evaluator
from pyspark.sql import DataFrame

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.cluster.errors import JobCancelled
from sparkml_algos.core.progress import ProgressBar
from sparkml_algos.tuning import warm_start
from sparkml_algos.tuning.definitions import Definition, Ready, Stand
from sparkml_algos.tuning.job import TuningJob
from sparkml_algos.tuning.listeners import Announcer
from sparkml_algos.tuning.rules import CompletionCriteria, Hyperband
from sparkml_algos.tuning.search import Events, Limits, Once, Search, stop_as
from sparkml_algos.tuning.store import Store
from sparkml_algos.tuning.strategies import LEAST_INITIAL, Bayesian, Grid, Random, Strategy
from sparkml_algos.tuning.trial import Trial
from sparkml_algos.tuning.turns import Turns
from sparkml_algos.tuning.warm_start import WarmStartConfig


class Settings(Protocol):
    """What a search is told; see `HyperparameterTuner`, whose names these are."""

    strategy: str
    engine: str
    random_seed: int | None
    evaluator: Evaluator | None
    num_folds: int
    max_jobs: int | None
    max_parallel_jobs: int
    max_retries: int
    max_runtime_in_seconds: int | None
    completion_criteria: CompletionCriteria
    early_stopping_type: str
    warm_start_config: WarmStartConfig | None


@dataclass(frozen=True)
class Running:
    """A search under way.

    Parameters
    ----------
    settings : Settings
    definitions : sequence of Definition
    job : TuningJob
        May have trials already.
    store : Store, optional
    hyperband : mapping of str to Hyperband
        By definition, where that is the strategy.
    """

    settings: Settings
    definitions: Sequence[Definition]
    job: TuningJob
    store: Store | None
    hyperband: Mapping[str, Hyperband]

    def search(self, dataset: DataFrame, bar: ProgressBar, announcer: Announcer) -> Model:
        """Run trials until there are no more; the model of the best one.

        Raises
        ------
        RuntimeError
            If no trial has an objective.
        """
        definitions, job = {one.name: one for one in self.definitions}, self.job
        turns = self._turns(bar, announcer)
        kept: _Kept | None = None
        with ExitStack() as stack:
            stands = {name: stack.enter_context(self._stand(one, dataset)) for name, one in definitions.items()}
            while (turn := turns.next()) is not None:
                name, setting = turn
                try:
                    ready = stands[name].ready(setting)
                    turns.searches[name].begins_on(setting)
                    artifacts = ready.trials.run(turns.searches[name])
                except Exception as error:
                    if isinstance(error, JobCancelled) or not definitions[name].inner:
                        raise
                    turns.searches[name].fail_waiting(setting, f"{type(error).__name__}: {error}")
                    continue
                if job.best is not None and job.best.number in artifacts:
                    kept = _Kept(job.best.number, artifacts[job.best.number], ready)
            best = job.best
            if best is None:
                reasons = list(dict.fromkeys(trial.reason for trial in job.trials if trial.reason))
                raise RuntimeError(f"no trial of tuning job {job.name} has an objective: {'; '.join(reasons[:3]) or 'none was begun'}")
            definition, stand = definitions[best.definition], stands[best.definition]
            if kept is None or kept.number != best.number:
                ready = stand.ready(best.setting)
                once = Once(definition.changes(best.setting), stop_as(best, job, self.hyperband.get(best.definition)))
                kept = _Kept(best.number, ready.trials.run(once)[0], ready)
            return stand.model(kept.ready, kept.artifact, best.setting)

    def _stand(self, definition: Definition, dataset: DataFrame) -> Stand:
        settings = self.settings
        return Stand(
            definition,
            dataset,
            evaluator=settings.evaluator,
            folds=settings.num_folds,
            seed=settings.random_seed if settings.random_seed is not None else 0,
            recurs=len(self.definitions) > 1,
            lanes=settings.max_parallel_jobs,
            retries=max(settings.max_retries, definition.tail.value("max_retries")),
            title=f"{self.job.name}: {type(definition.tail).__name__}",
        )

    def _turns(self, bar: ProgressBar, announcer: Announcer) -> Turns:
        """The search of each Estimator, and whose turn it is."""
        settings, definitions, job = self.settings, self.definitions, self.job
        seed, jobs = int(job.facts["seed"]), settings.max_jobs or 1
        shares: dict[str, int] | None = None
        if settings.strategy == "Grid":
            shares = {one.name: Grid(one.ranges, None).combinations for one in definitions}
        elif settings.strategy != "Bayesian":
            shares = {one.name: (jobs + place) // len(definitions) for place, one in enumerate(reversed(definitions))}
        initial = max(1, min(max(LEAST_INITIAL, 2 * settings.max_parallel_jobs), jobs // len(definitions)))
        turns = Turns(job, shares, initial, seed)

        def show(trial: Trial) -> None:
            if bar.enabled:
                best = {} if job.best is None else {"best": job.best.objective}
                bar.update({"done": sum(one.is_over or one.objective is not None for one in job.trials), "total": jobs, **best})

        def on_end(trial: Trial) -> None:
            show(trial)
            announcer.trial_ends(trial)

        deadline = None if settings.max_runtime_in_seconds is None else job.created + settings.max_runtime_in_seconds
        for place, one in enumerate(definitions):
            turns.searches[one.name] = Search(
                job,
                one.ranges,
                self._strategy(one, seed + place),
                Limits(jobs, deadline, settings.completion_criteria, settings.max_retries),
                one.changes,
                definition=one.name,
                parents=warm_start.observations(settings.warm_start_config, one.ranges, one.objectives[0].larger_is_better),
                warm_start_type=job.facts.get("warm_start_type"),
                folds=settings.num_folds,
                stops=settings.early_stopping_type == "Auto",
                hyperband=self.hyperband.get(one.name),
                store=self.store,
                key=one.key,
                pauses=partial(turns.pauses, one.name),
                events=Events(announcer.trial_starts, on_wait=show, on_end=on_end),
            )
        return turns

    def _strategy(self, definition: Definition, seed: int) -> Strategy:
        settings = self.settings
        if settings.strategy == "Grid":
            return Grid(definition.ranges, None)
        if settings.strategy == "Bayesian":
            return Bayesian(definition.ranges, seed, settings.max_parallel_jobs, settings.engine)
        return Random(definition.ranges, seed)


class _Kept(NamedTuple):
    """The model of the best trial so far."""

    number: int
    artifact: Artifact
    ready: Ready

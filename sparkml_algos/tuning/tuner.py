"""Automatic model tuning: an Estimator that finds hyperparameters of others."""

from __future__ import annotations

import contextvars
import copy
import functools
import hashlib
import json
import logging
import re
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyspark.ml import Estimator, Model
from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import Param
from pyspark.ml.util import MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import DataFrame

from sparkml_algos.arrays.hyperparameters import InvalidParams
from sparkml_algos.cluster.jobs import inheriting
from sparkml_algos.core import recording
from sparkml_algos.core.progress import ProgressBar
from sparkml_algos.tuning import warm_start
from sparkml_algos.tuning.autotune import AUTOTUNE_JOBS, ranges_around
from sparkml_algos.tuning.checks import problems_of
from sparkml_algos.tuning.config import described, description, of_definition
from sparkml_algos.tuning.definitions import OWNER, Definition, last_stage, params_of
from sparkml_algos.tuning.job import TuningJob
from sparkml_algos.tuning.listeners import Announcer, TuningListener
from sparkml_algos.tuning.ranges import NumericParameter, Ranges, check_ranges
from sparkml_algos.tuning.recorded import RecordedTrials
from sparkml_algos.tuning.rules import EPOCHS_NAMES, CompletionCriteria, Hyperband
from sparkml_algos.tuning.running import Running
from sparkml_algos.tuning.saving import TunerReader, TunerWriter
from sparkml_algos.tuning.search import MOST_NAME, begins_anew
from sparkml_algos.tuning.store import Store
from sparkml_algos.tuning.strategies import Grid
from sparkml_algos.tuning.trial import Objective, Trial
from sparkml_algos.tuning.warm_start import WarmStartConfig

logger = logging.getLogger(__name__)

MOST_JOBS = {"Bayesian": 750, "Hyperband": 750, "Grid": 750, "Random": 10_000}


class HyperparameterTuner(Estimator, MLReadable, MLWritable):
    """Search over the hyperparameters of Estimators of this package, by the service's names and rules. Its Model is the best model.

    The rows are read once: workers that hold them train trial after trial, in one Spark job.

    Parameters
    ----------
    estimator : AlgorithmEstimator or Pipeline, or dict of str to these
        What is tuned; of a Pipeline the last stage and, where `hyperparameter_ranges` has them, stages before it. Stages are fitted on the
        rows that are not for validation: those before the first tuned one once, the others for each of their settings. Of several
        Estimators, by name, each has ranges and an objective of its own, and the Model is the best of all.
    objective_metric_name : str, list of str or dict of str to str
        A metric that the training emits, such as ``validation:auc``, of the rows that the Estimator's `validationIndicatorCol` marks; with
        an `evaluator` any name. Where an algorithm has a hyperparameter ``eval_metric`` that lacks the metric, it is added. A list is of
        several objectives, of which the first decides on the best model, see `TuningJob.pareto_front`. A dict is by Estimator, of several.
    hyperparameter_ranges : dict of str or Param to ParameterRange, or dict of str to these
        By the names of hyperparameters, of which the Estimator's other ones stay as they are. Those of stages before the last one by Param,
        as ``{pca.k: IntegerParameter(2, 9)}``, or as ``"PCA.k"``. Of several Estimators a dict for each. Required unless `autotune`.
    objective_type : {"Maximize", "Minimize"}, or a list of these
        Of several objectives one for each, or one for all.
    strategy : {"Bayesian", "Random", "Grid", "Hyperband"}
        ``Hyperband`` for long iterative trainings, ``Bayesian`` for few expensive trials, ``Random`` for many side by side, ``Grid`` to try
        everything.
    strategy_config : dict, optional
        Of Hyperband ``{"MinResource": 1, "MaxResource": 81}``, in epochs; the latter is by default the Estimator's ``epochs``.
    max_jobs : int, optional
        Trials; 1 by default, of several Estimators one for each, with ``Grid`` all.
    max_parallel_jobs : int
        Trials side by side, as far as there are slots: each on `num_workers` workers of its own, which share the slots where that is
        ``auto``. Every one has all rows. Trials of several Estimators, or of several settings of stages before the last one, take turns.
    max_runtime_in_seconds : int, optional
        After which no trial begins.
    early_stopping_type : {"Off", "Auto"}
        ``Auto`` stops a trial, where it runs and after any epoch, whose objective is worse than the median of the running means of three
        earlier trials or more.
    completion_criteria_config : CompletionCriteria or dict, optional
        When the search is over before; a dict as the service has it.
    warm_start_config : WarmStartConfig, optional
    random_seed : int, optional
        With it, and one trial at a time, a search is exactly reproducible; ``Random`` and ``Grid`` try the same settings however many
        trials are side by side.
    evaluator : Evaluator, optional
        Scores the rows for validation in place of a metric; one of Spark's for classes or numbers, with label and weight of the Estimator.
    num_folds : int
        With an evaluator: each trial is a training for each fold, and the best setting is trained on all rows. 0: a single training.
    base_tuning_job_name : str, optional
        What names of jobs begin with.
    store : str, optional
        Directory on storage that outlives the driver. A search with the same name, ranges, columns and settings goes on where it was:
        trials that ended count, those that were running begin anew. Rows are not compared: name a search of other rows otherwise.
    tags : dict of str to str, optional
        Kept with the job, and inherited by every trial.
    autotune : bool
        Let ranges be chosen around hints, or around the Estimator's own values; limits and early stopping, too, where they are not given.
    auto_parameters : dict of str to value, optional
        Hints, with `autotune`; the hyperparameters that `hyperparameter_ranges` has keep these ranges.
    hyperparameters_to_keep_static : list of str, optional
        With `autotune`; none of those that have a range or a hint.
    max_retries : int
        How often a trial begins anew that has lost a worker.
    engine : {"auto", "gp", "tpe"}
        What proposes in a Bayesian search: a Gaussian process where torch is installed, up to 20 ranges and 250 trials, else a Parzen
        estimator.
    progress : {"auto", "on", "off"}
    listeners : sequence of TuningListener, optional
        Who is told of this tuner's trials, besides those of `listeners.add_listener`; not saved.

    Attributes
    ----------
    latest_tuning_job : TuningJob or None
        Of the last `fit` or `start`.

    Raises
    ------
    ValueError
        If settings contradict each other.

    Notes
    -----
    A trial that fails is a failed trial; the search fails if no trial has an objective. Where a trial runs on several workers, one that
    fails ends the gang, which begins anew without it.

    Trials of several workers, or several trials side by side, end in an order that no seed tells: Bayesian proposals then depend on it.

    Hyperband's trials wait when they come to a rung, and go on from there when they are among the best third, see `rules.Hyperband`. One
    whose workers are lost meanwhile begins anew should it be its turn.

    Several Estimators share the trials: equally if the strategy does not learn; else, after some for each, the next trial is for the one
    that expects the largest improvement of the best of all, see `turns.Turns`. One gang runs at a time, so none waits for slots that
    another holds.

    Examples
    --------
    >>> from sparkml_algos.tuning import ContinuousParameter, HyperparameterTuner, IntegerParameter
    >>> tuner = HyperparameterTuner(
    ...     XGBoostClassifier(validationIndicatorCol="held_out", num_round=100),
    ...     "validation:auc",
    ...     {"eta": ContinuousParameter(0.01, 0.5), "max_depth": IntegerParameter(2, 10)},
    ...     max_jobs=30,
    ...     random_seed=1,
    ... )  # doctest: +SKIP
    >>> model = tuner.fit(dataframe)  # doctest: +SKIP
    >>> tuner.latest_tuning_job.analytics()  # doctest: +SKIP
    """

    def __init__(
        self,
        estimator: Estimator | Mapping[str, Estimator] | None = None,
        objective_metric_name: str | Sequence[str] | Mapping[str, str] | None = None,
        hyperparameter_ranges: Mapping[Any, Any] | None = None,
        objective_type: str | Sequence[str] = "Maximize",
        *,
        strategy: str = "Bayesian",
        strategy_config: Mapping[str, Any] | None = None,
        max_jobs: int | None = None,
        max_parallel_jobs: int = 1,
        max_runtime_in_seconds: int | None = None,
        early_stopping_type: str | None = None,
        completion_criteria_config: CompletionCriteria | Mapping[str, Any] | None = None,
        warm_start_config: WarmStartConfig | None = None,
        random_seed: int | None = None,
        evaluator: Evaluator | None = None,
        num_folds: int = 0,
        base_tuning_job_name: str | None = None,
        store: str | Path | None = None,
        tags: Mapping[str, str] | None = None,
        autotune: bool = False,
        auto_parameters: Mapping[str, Any] | None = None,
        hyperparameters_to_keep_static: Sequence[str] | None = None,
        max_retries: int = 1,
        engine: str = "auto",
        progress: str = "auto",
        listeners: Sequence[TuningListener] = (),
    ) -> None:
        super().__init__()
        self.estimator: Any = dict(estimator) if isinstance(estimator, Mapping) else estimator
        self.objective_metric_name, self.objective_type = objective_metric_name, objective_type
        self.strategy, self.strategy_config = strategy, dict(strategy_config or {})
        self.max_parallel_jobs, self.max_runtime_in_seconds = max_parallel_jobs, max_runtime_in_seconds
        criteria = completion_criteria_config or CompletionCriteria()
        self.completion_criteria = criteria if isinstance(criteria, CompletionCriteria) else CompletionCriteria.from_json(criteria)
        self.warm_start_config, self.random_seed = warm_start_config, random_seed
        self.evaluator, self.num_folds = evaluator, num_folds
        self.base_tuning_job_name, self.store = base_tuning_job_name, None if store is None else str(store)
        self.tags, self.autotune, self.auto_parameters = dict(tags or {}), autotune, dict(auto_parameters or {})
        self.hyperparameters_to_keep_static = list(hyperparameters_to_keep_static or [])
        self.max_retries, self.engine, self.progress = max_retries, engine, progress
        self.listeners = list(listeners)
        self.latest_tuning_job: TuningJob | None = None
        self.hyperparameter_ranges: dict[Any, Any] = dict(hyperparameter_ranges or {})
        self.early_stopping_type = early_stopping_type or ("Auto" if autotune and strategy != "Hyperband" else "Off")
        self.max_jobs = max_jobs
        if estimator is not None:  # None only for a moment, while it is loaded
            self._settle()

    @classmethod
    def create(
        cls,
        estimator_dict: Mapping[str, Estimator],
        objective_metric_name_dict: Mapping[str, str],
        hyperparameter_ranges_dict: Mapping[str, Mapping[Any, Any]],
        **options: Any,
    ) -> HyperparameterTuner:
        """A tuner of several Estimators, as the service's SDK makes it.

        Parameters
        ----------
        estimator_dict : dict of str to Estimator
        objective_metric_name_dict : dict of str to str
        hyperparameter_ranges_dict : dict of str to dict of str to ParameterRange
        **options
            Further arguments of the constructor.
        """
        return cls(estimator_dict, objective_metric_name_dict, hyperparameter_ranges_dict, **options)

    def _settle(self) -> None:
        """Check all settings, and fill in what follows from others."""
        definitions = self._definitions()
        problems = problems_of(self, definitions)
        first = definitions[0]
        if self.autotune and not problems and (self.auto_parameters or not first.ranges):
            found: Ranges = ranges_around(first.tail, self.auto_parameters, self.hyperparameters_to_keep_static)
            self.hyperparameter_ranges = {**found, **first.ranges}
            definitions = self._definitions()
            first = definitions[0]
        problems += [
            f"autotune finds nothing to tune in {type(one.tail).__name__} as it is: give auto_parameters, numbers to look around"
            if self.autotune
            else f"hyperparameter_ranges{f' of {one.name!r}' if one.name else ''} is required and must not be empty, unless autotune=True"
            for one in definitions
            if not one.ranges
        ]
        if problems:
            raise InvalidParams(OWNER, problems)
        for one in definitions:
            check_ranges(one.ranges)
            problems += one.problems()
        if problems:
            raise InvalidParams(OWNER, problems)
        self.hyperparameter_ranges = {one.name: one.ranges for one in definitions} if first.name else first.ranges
        self._settle_numbers(definitions)
        if self.strategy == "Hyperband":
            self._hyperband(first)
        if self.warm_start_config is not None:
            warm_start.check(self.warm_start_config, first.ranges, self._facts(definitions), first.objectives[0].to_json(), self.strategy)

    def _settle_numbers(self, definitions: Sequence[Definition]) -> None:
        if self.strategy == "Grid" and len(definitions) > 1:
            combinations = sum(Grid(one.ranges, None).combinations for one in definitions)
            if self.max_jobs not in (None, combinations):
                said = f"the grids have {combinations} combinations; max_jobs must be that or be left out, got {self.max_jobs}"
                raise InvalidParams(OWNER, [said])
            self.max_jobs = combinations
        elif self.strategy == "Grid":
            self.max_jobs = Grid(definitions[0].ranges, self.max_jobs).combinations
        self.max_jobs = self.max_jobs or (AUTOTUNE_JOBS if self.autotune else len(definitions))
        if self.max_jobs + warm_start.counted(self.warm_start_config) > MOST_JOBS[self.strategy]:
            most = MOST_JOBS[self.strategy]
            raise InvalidParams(OWNER, [f"strategy {self.strategy!r} has {most} trials at most, those of parents included"])

    def _definitions(self) -> list[Definition]:
        """What is tuned; of a single Estimator the only one has no name."""
        if not isinstance(self.estimator, Mapping):
            return [Definition(self.estimator, self.hyperparameter_ranges, self._objectives(""))]
        if not self.estimator or not all(isinstance(name, str) and name for name in self.estimator):
            raise InvalidParams(OWNER, ["a dict of estimators has one or more, each with a name"])
        found = []
        for name, estimator in self.estimator.items():
            ranges = self.hyperparameter_ranges.get(name, {})
            if not isinstance(ranges, Mapping):
                raise InvalidParams(OWNER, [f"hyperparameter_ranges of several estimators is a dict for each, got {ranges!r} of {name!r}"])
            found.append(Definition(estimator, ranges, self._objectives(name), name))
        return found

    def _objectives(self, name: str) -> list[Objective]:
        """What is sought, of a definition; nonsense, which `problems_of` names, as whatever it looks like."""
        given = self.objective_metric_name
        if isinstance(given, Mapping):
            metrics = [str(given.get(name, ""))]
        else:
            metrics = [given] if isinstance(given, str) else [str(one) for one in given or [""]]
        types = [self.objective_type] * len(metrics) if isinstance(self.objective_type, str) else list(self.objective_type)
        return [Objective(metric, types[place] == "Maximize" if place < len(types) else True) for place, metric in enumerate(metrics)]

    # -- running

    def _fit(self, dataset: DataFrame) -> Model:
        return self._run(dataset, self._new_job(), recording.recorder)

    def start(self, dataset: DataFrame) -> TuningJob:
        """Begin to search, in a thread; the job can be watched, stopped, and waited for, and has the best model in the end.

        Parameters
        ----------
        dataset : DataFrame

        Returns
        -------
        TuningJob
        """
        job, recorder = self._new_job(), recording.recorder
        self.latest_tuning_job = job

        def work() -> None:
            try:
                self._run(dataset, job, recorder)
            except BaseException:
                logger.debug("tuning job %s has failed; wait() raises what of", job.name, exc_info=True)

        begun_in = contextvars.copy_context()  # a run of `tracking` that is current here is so there
        target = functools.partial(begun_in.run, inheriting(dataset.sparkSession, work))
        threading.Thread(target=target, name=f"tuning {job.name}", daemon=True).start()
        return job

    @classmethod
    def attach(cls, name: str, store: str | Path) -> TuningJob:
        """The job of this name that is kept in a store, as a parent of others or to be looked at.

        Raises
        ------
        FileNotFoundError
        """
        return TuningJob.attach(Store(store, name))

    def best_training_job(self) -> str:
        """Name of the best trial of the latest job.

        Raises
        ------
        ValueError
            If there is none.
        """
        return self._best().name

    def best_estimator(self) -> Estimator:
        """What was tuned, with the setting of the best trial of the latest job.

        Raises
        ------
        ValueError
            If there is none.
        """
        return self.estimator_of(self._best())

    def estimator_of(self, trial: Trial) -> Estimator:
        """What was tuned, with the setting of a trial, such as one of `TuningJob.pareto_front`.

        Raises
        ------
        ValueError
            If the trial is of none of the Estimators.
        """
        for definition in self._definitions():
            if definition.name == trial.definition:
                return definition.estimator_with(trial.setting)
        raise ValueError(f"{trial.name} is a trial of {trial.definition!r}, which is none of the estimators")

    def _best(self) -> Trial:
        best = self.latest_tuning_job.best if self.latest_tuning_job else None
        if best is None:
            raise ValueError("no trial of this tuner has an objective yet")
        return best

    def identical_dataset_and_algorithm_tuner(self, *additional_parents: TuningJob) -> HyperparameterTuner:
        """A tuner like this one that starts from what this one, and others, have found on the same data."""
        return self._child(warm_start.IDENTICAL, additional_parents)

    def transfer_learning_tuner(self, *additional_parents: TuningJob, estimator: Estimator | None = None) -> HyperparameterTuner:
        """A tuner like this one, perhaps of another Estimator, that starts from what this one, and others, have found on other data."""
        child = self._child(warm_start.TRANSFER, additional_parents)
        child.estimator = estimator or child.estimator
        child._settle()
        return child

    def _child(self, type_: str, others: Sequence[TuningJob]) -> HyperparameterTuner:
        if self.latest_tuning_job is None:
            raise ValueError("this tuner has not searched yet")
        child = self.copy()
        child.warm_start_config = WarmStartConfig(type_, [self.latest_tuning_job, *others])
        child.latest_tuning_job = None
        child._settle()
        return child

    def _run(self, dataset: DataFrame, job: TuningJob, recorder: recording.Recorder | None) -> Model:
        try:
            return self._recorded(dataset, job, recorder)
        except BaseException as error:
            if job.error is None:  # it was not the search that has failed
                job.end("Failed", error)
            raise
        finally:
            job.let_go()

    def _recorded(self, dataset: DataFrame, job: TuningJob, recorder: recording.Recorder | None) -> Model:
        if recorder is None:
            return self._searched(dataset, job, self.listeners)
        settings = {**self.to_config(), "tags": self.tags}
        with recorder.searching("tuning", job.name, self._definitions()[0].tail, dataset, settings, self.store is not None) as record:
            model = self._searched(dataset, job, [*self.listeners, *([RecordedTrials(record)] if record else [])])
            if record is not None and job.best is not None:
                record.take(model, {"best": job.best.name, "completion": job.completion})
        return model

    def _searched(self, dataset: DataFrame, job: TuningJob, listeners: Sequence[TuningListener]) -> Model:
        self.latest_tuning_job = job
        tuned = ", ".join(type(one.tail).__name__ for one in self._definitions())
        bar = ProgressBar(f"{type(self).__name__} of {tuned}", self.progress, "trials")
        announcer = Announcer(job, listeners)
        announcer.search_starts(self, dataset)

        def end(status: str, error: BaseException | None = None) -> None:
            bar.close()
            job.end(status, error)
            announcer.search_ends()
            self._keep_end(job)

        try:
            model = job.model = self._search(dataset, job, bar, announcer)
        except BaseException as error:
            end("Failed", error)
            raise
        end("Stopped" if job.is_stopped else "Completed")
        return model

    def _search(self, dataset: DataFrame, job: TuningJob, bar: ProgressBar, announcer: Announcer) -> Model:
        definitions = self._definitions()
        hyperband = {one.name: self._hyperband(one) for one in definitions} if self.strategy == "Hyperband" else {}
        return Running(self, definitions, job, self._store_of(job), hyperband).search(dataset, bar, announcer)

    def _hyperband(self, definition: Definition) -> Hyperband:
        config = self.strategy_config.get("HyperbandStrategyConfig", self.strategy_config)
        if unknown := sorted(set(config) - {"MinResource", "MaxResource"}):
            raise InvalidParams(OWNER, [f"strategy_config has {', '.join(unknown)}; it takes MinResource and MaxResource"])
        most = config.get("MaxResource")
        if most is None:
            tail = definition.tail
            names = [name for name in EPOCHS_NAMES if name in tail.declared and name not in definition.ranges]
            most = tail.value(names[0]) if names else None
        if most is None:
            wanted = f"one of {', '.join(EPOCHS_NAMES)}"
            raise InvalidParams(OWNER, [f"Hyperband needs MaxResource: the estimator has no static hyperparameter {wanted}"])
        return Hyperband(int(config.get("MinResource", 1)), int(most))

    # -- the job

    def _new_job(self) -> TuningJob:
        definitions = self._definitions()
        config, facts = self.to_config()["HyperParameterTuningJobConfig"], self._facts(definitions)
        seed = self.random_seed if self.random_seed is not None else int.from_bytes(uuid.uuid4().bytes[:4], "big")
        tuned = type(definitions[0].tail).__name__ if len(definitions) == 1 else type(self).__name__
        base = re.sub(r"[^A-Za-z0-9-]+", "-", self.base_tuning_job_name or tuned)
        if self.store is not None:
            told = [config, facts, self.num_folds, self._beside_the_config(definitions)]
            digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:8]
            name = f"{base[: MOST_NAME - 9]}-{digest}"
        else:
            name = f"{base[: MOST_NAME - 14]}-{time.strftime('%y%m%d-%H%M%S', time.gmtime())}"
        parents = self.warm_start_config.parents if self.warm_start_config else []
        scaling = {
            f"{one.name}: {name}" if one.name else name: found.scaling
            for one in definitions
            for name, found in one.ranges.items()
            if isinstance(found, NumericParameter)
        }
        job = TuningJob(name, config, {**facts, "seed": seed, "scaling": scaling}, parents)
        store = self._store_of(job)
        if store is None:
            return job
        if not store.exists():
            store.append(job.beginning())
            return job
        known = TuningJob.attach(store)
        job.facts["seed"], job.trials = known.facts["seed"], [begins_anew(trial) for trial in known.trials]
        job.finished = [number for number in known.finished if job.trials[number].is_over]
        logger.info("tuning job %s goes on: %d trials are over", name, len(job.finished))
        return job

    def _store_of(self, job: TuningJob) -> Store | None:
        return None if self.store is None else Store(self.store, job.name)

    def _keep_end(self, job: TuningJob) -> None:
        if (store := self._store_of(job)) is not None:
            store.append(job.ending())

    def _beside_the_config(self, definitions: Sequence[Definition]) -> list[Any]:
        """What makes this another search, and is neither in its config nor among its facts."""
        evaluator = self.evaluator and [
            type(self.evaluator).__name__,
            {param.name: value for param, value in self.evaluator.extractParamMap().items()},
        ]
        parents = [parent.name for parent in self.warm_start_config.parents] if self.warm_start_config else []
        return [[one.beside_the_config() for one in definitions], evaluator, parents, self.engine]

    def _facts(self, definitions: Sequence[Definition]) -> dict[str, Any]:
        if definitions[0].name:
            return {"definitions": [of_definition(one) for one in definitions], "tags": self.tags}
        (one,) = definitions
        found: dict[str, Any] = {"algorithm": type(one.tail).__name__, "static": one.static(), "tags": self.tags}
        if len(one.objectives) > 1:
            found["objectives"] = [objective.to_json() for objective in one.objectives]
        return found | ({"warm_start_type": self.warm_start_config.warm_start_type} if self.warm_start_config else {})

    # -- as the service describes it

    def to_config(self) -> dict[str, Any]:
        """The service's description of this search: ``HyperParameterTuningJobConfig``, and the static hyperparameters as
        ``TrainingJobDefinition``, or of several Estimators ``TrainingJobDefinitions``. Numbers of ranges are strings there. Of several
        objectives it has the first."""
        definitions = self._definitions()
        return description(self, definitions, self._hyperband(definitions[0]) if self.strategy == "Hyperband" else None)

    @classmethod
    def from_config(cls, estimator: Estimator | Mapping[str, Estimator], config: Mapping[str, Any], **options: Any) -> HyperparameterTuner:
        """A tuner from the service's description.

        Parameters
        ----------
        estimator : AlgorithmEstimator or Pipeline, or dict of str to these
            Its hyperparameters are set to those of ``StaticHyperParameters``. Several are by the ``DefinitionName`` of
            ``TrainingJobDefinitions``.
        config : mapping
            A whole request, or its ``HyperParameterTuningJobConfig``.
        **options
            Further arguments of the constructor, or others in place of those that the description has.

        Raises
        ------
        ValueError
            If it does not describe a search, or one of other Estimators, or one that starts from others: of these, give
            `warm_start_config`.
        """
        names = list(estimator) if isinstance(estimator, Mapping) else []
        arguments, static = described(config, "warm_start_config" in options, names)
        if isinstance(estimator, Mapping):
            tuned: Any = {name: _with_static(one, static[name]) for name, one in estimator.items()}
        else:
            tuned = _with_static(estimator, static[""])
        return cls(tuned, **{**arguments, **options})

    # -- as an Estimator

    def copy(self, extra: Mapping[Param, Any] | None = None) -> HyperparameterTuner:
        """A copy, whose Estimators have the extra Params that are their own.

        Parameters
        ----------
        extra : mapping of Param to value, optional
        """
        copied, params = copy.copy(self), dict(extra or {})
        if isinstance(self.estimator, Mapping):
            copied.estimator = {name: one.copy(params) for name, one in self.estimator.items()}
        else:
            copied.estimator = self.estimator.copy(params)
        return copied

    def write(self) -> MLWriter:
        """A writer: ``write().overwrite().save(path)``."""
        return TunerWriter(self)

    @classmethod
    def read(cls) -> MLReader:
        """A reader: ``read().load(path)``."""
        return TunerReader(cls)


HyperparameterTuner.__module__ = "sparkml_algos.tuning"


def _with_static(estimator: Estimator, static: Mapping[str, Any]) -> Estimator:
    """What is tuned, whose last stage has static hyperparameters of a description."""
    last = last_stage(estimator)
    return estimator.copy(params_of(last, static)) if static and hasattr(last, "declared") else estimator

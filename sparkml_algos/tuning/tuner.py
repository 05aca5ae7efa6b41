"""Automatic model tuning: an Estimator that finds hyperparameters of another."""

from __future__ import annotations

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

from pyspark.ml import Estimator, Model, Pipeline, PipelineModel, Transformer
from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import Param
from pyspark.ml.util import MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkml_algos.arrays.hyperparameters import Hyperparameter, InvalidParams
from sparkml_algos.cluster.jobs import inheriting
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.progress import ProgressBar
from sparkml_algos.core.trials import Rows, Trials
from sparkml_algos.tuning import warm_start
from sparkml_algos.tuning.autotune import AUTOTUNE_JOBS, ranges_around
from sparkml_algos.tuning.config import described, description
from sparkml_algos.tuning.job import Trial, TuningJob
from sparkml_algos.tuning.measures import measure_of
from sparkml_algos.tuning.ranges import NumericParameter, Ranges, check_ranges, unfit
from sparkml_algos.tuning.rules import EPOCHS_NAMES, CompletionCriteria, Hyperband
from sparkml_algos.tuning.saving import TunerReader, TunerWriter
from sparkml_algos.tuning.search import MOST_NAME, Limits, Once, Search, stop_as
from sparkml_algos.tuning.store import Store
from sparkml_algos.tuning.strategies import ENGINES, Bayesian, Grid, Random, Strategy
from sparkml_algos.tuning.warm_start import WarmStartConfig

logger = logging.getLogger(__name__)

STRATEGIES = ("Bayesian", "Random", "Grid", "Hyperband")
MOST_JOBS = {"Bayesian": 750, "Hyperband": 750, "Grid": 750, "Random": 10_000}
_FOLD, _RANDOM = "_sparkml_algos_held_out", "_sparkml_algos_random"


class HyperparameterTuner(Estimator, MLReadable, MLWritable):
    """Search over the hyperparameters of an Estimator of this package, by the service's names and rules. Its Model is the best model.

    The rows are read once: workers that hold them train trial after trial, in one Spark job.

    Parameters
    ----------
    estimator : AlgorithmEstimator or Pipeline
        What is tuned; of a Pipeline the last stage. Stages before it are fitted once, on the rows that are not for validation.
    objective_metric_name : str
        A metric that the training emits, such as ``validation:auc``, of the rows that the Estimator's `validationIndicatorCol` marks; with
        an `evaluator` any name. Where an algorithm has a hyperparameter ``eval_metric`` that lacks the metric, it is added.
    hyperparameter_ranges : dict of str to ParameterRange, optional
        By the names of hyperparameters, of which the Estimator's other ones stay as they are. Required unless `autotune`.
    objective_type : {"Maximize", "Minimize"}
    strategy : {"Bayesian", "Random", "Grid", "Hyperband"}
        ``Hyperband`` for long iterative trainings, ``Bayesian`` for few expensive trials, ``Random`` for many side by side, ``Grid`` to try
        everything.
    strategy_config : dict, optional
        Of Hyperband ``{"MinResource": 1, "MaxResource": 81}``, in epochs; the latter is by default the Estimator's ``epochs``.
    max_jobs : int, optional
        Trials; 1 by default, with ``Grid`` all.
    max_parallel_jobs : int
        Trials side by side, as far as there are slots: each on `num_workers` workers of its own, which share the slots where that is
        ``auto``. Every one has all rows.
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

    Hyperband's trials are judged when they come to a rung, see `rules.Hyperband`.

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
        estimator: Estimator | None = None,
        objective_metric_name: str | None = None,
        hyperparameter_ranges: Ranges | None = None,
        objective_type: str = "Maximize",
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
    ) -> None:
        super().__init__()
        self.estimator, self.objective_metric_name, self.objective_type = estimator, objective_metric_name, objective_type
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
        self.latest_tuning_job: TuningJob | None = None
        self.hyperparameter_ranges: dict[str, Any] = dict(hyperparameter_ranges or {})
        self.early_stopping_type = early_stopping_type or ("Auto" if autotune and strategy != "Hyperband" else "Off")
        self.max_jobs = max_jobs
        if estimator is not None:  # None only for a moment, while it is loaded
            self._settle()

    def _settle(self) -> None:
        """Check all settings, and fill in what follows from others."""
        tail, problems = self._tail(), []
        if not self.objective_metric_name:
            problems.append("objective_metric_name is required: a metric that the training emits")
        if self.objective_type not in ("Maximize", "Minimize"):
            problems.append(f"objective_type must be 'Maximize' or 'Minimize', got {self.objective_type!r}")
        if self.strategy not in STRATEGIES:
            problems.append(f"strategy must be one of {', '.join(STRATEGIES)}, got {self.strategy!r}")
        if self.early_stopping_type not in ("Off", "Auto"):
            problems.append(f"early_stopping_type must be 'Off' or 'Auto', got {self.early_stopping_type!r}")
        if self.strategy == "Hyperband" and self.early_stopping_type != "Off":
            problems.append("early_stopping_type must be 'Off' with strategy 'Hyperband', which stops trials itself")
        if self.strategy_config and self.strategy != "Hyperband":
            problems.append("strategy_config is for strategy 'Hyperband' only")
        if self.num_folds and (self.num_folds < 2 or self.evaluator is None):
            problems.append("num_folds must be 2 or more and needs an evaluator")
        if self.num_folds and (self.strategy == "Hyperband" or self.early_stopping_type != "Off"):
            problems.append("trials of several folds cannot be stopped early: leave num_folds out, or early stopping and Hyperband")
        if self.evaluator is not None and (self.strategy == "Hyperband" or self.early_stopping_type != "Off"):
            problems.append("an evaluator scores finished models only: early stopping and Hyperband need a metric that the training emits")
        for name in ("max_parallel_jobs", "max_jobs", "max_runtime_in_seconds"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                problems.append(f"{name} must be an int >= 1, got {value!r}")
        if not isinstance(self.max_retries, int) or self.max_retries < 0:
            problems.append(f"max_retries must be an int >= 0, got {self.max_retries!r}")
        if self.progress not in ("auto", "on", "off"):
            problems.append(f"progress must be 'auto', 'on' or 'off', got {self.progress!r}")
        if self.engine not in ENGINES:
            problems.append(f"engine must be one of {', '.join(ENGINES)}, got {self.engine!r}")
        marks = tail.value("validationIndicatorCol") if "validationIndicatorCol" in tail.declared else None
        if not marks and self.evaluator is not None and not self.num_folds:
            problems.append("an evaluator needs rows to score: name the estimator's validationIndicatorCol, or give num_folds")
        if self.random_seed is not None and (not isinstance(self.random_seed, int) or self.random_seed < 0):
            problems.append(f"random_seed must be an int >= 0, got {self.random_seed!r}")
        static = self.hyperparameters_to_keep_static
        if (static or self.auto_parameters) and not self.autotune:
            problems.append("hyperparameters_to_keep_static and auto_parameters are for autotune=True only")
        if len(set(static)) < len(static):
            problems.append(f"hyperparameters_to_keep_static names some twice: {static}")
        if both := [name for name in static if name in self.hyperparameter_ranges or name in self.auto_parameters]:
            problems.append(f"{', '.join(both)} cannot be both kept static and tuned")
        problems += [
            f"{name} is no hyperparameter of {type(tail).__name__}"
            for name in (*static, *self.auto_parameters)
            if name not in tail.declared
        ]
        if self.autotune and not problems and (self.auto_parameters or not self.hyperparameter_ranges):
            self.hyperparameter_ranges = {**ranges_around(tail, self.auto_parameters, static), **self.hyperparameter_ranges}
        if not self.hyperparameter_ranges:
            problems.append(
                f"autotune finds nothing to tune in {type(tail).__name__} as it is: give auto_parameters, numbers to look around"
                if self.autotune
                else "hyperparameter_ranges is required and must not be empty, unless autotune=True"
            )
        if problems:
            raise InvalidParams(type(self).__name__, problems)
        check_ranges(self.hyperparameter_ranges)
        for name, one in self.hyperparameter_ranges.items():
            param = tail.declared.get(name)
            if not isinstance(param, Hyperparameter):
                problems.append(f"{name} is no hyperparameter of {type(tail).__name__}")
            elif problem := unfit(one, param):
                problems.append(problem)
        if problems:
            raise InvalidParams(type(self).__name__, problems)
        if self.strategy == "Grid":
            self.max_jobs = Grid(self.hyperparameter_ranges, self.max_jobs).combinations
        self.max_jobs = self.max_jobs or (AUTOTUNE_JOBS if self.autotune else 1)
        if self.max_jobs + warm_start.counted(self.warm_start_config) > MOST_JOBS[self.strategy]:
            most = MOST_JOBS[self.strategy]
            raise InvalidParams(type(self).__name__, [f"strategy {self.strategy!r} has {most} trials at most, those of parents included"])
        if self.strategy == "Hyperband":
            self._hyperband()
        if self.evaluator is not None and measure_of(self.evaluator, tail) is None:
            raise InvalidParams(
                type(self).__name__,
                ["evaluator must be Spark's for classes or numbers, with label, weight and output column of the estimator"],
            )
        if self.warm_start_config is not None:
            objective = {"MetricName": self.objective_metric_name, "Type": self.objective_type}
            warm_start.check(self.warm_start_config, self.hyperparameter_ranges, self._facts(), objective, self.strategy)

    # -- running

    def _fit(self, dataset: DataFrame) -> Model:
        return self._run(dataset, self._new_job())

    def start(self, dataset: DataFrame) -> TuningJob:
        """Begin to search, in a thread; the job can be watched, stopped, and waited for, and has the best model in the end.

        Parameters
        ----------
        dataset : DataFrame

        Returns
        -------
        TuningJob
        """
        job = self.latest_tuning_job = self._new_job()

        def work() -> None:
            try:
                self._run(dataset, job)
            except BaseException:
                logger.debug("tuning job %s has failed; wait() raises what of", job.name, exc_info=True)

        threading.Thread(target=inheriting(dataset.sparkSession, work), name=f"tuning {job.name}", daemon=True).start()
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
        tail = self._tail()
        return self.estimator.copy(_params(tail, self._best().setting))

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

    def _run(self, dataset: DataFrame, job: TuningJob) -> Model:
        self.latest_tuning_job = job
        bar = ProgressBar(f"{type(self).__name__} of {type(self._tail()).__name__}", self.progress, "trials")
        try:
            model = self._search(dataset, job, bar)
        except BaseException as error:
            job.end("Failed", error)
            self._keep_end(job)
            raise
        finally:
            bar.close()
        job.model = model
        job.end("Stopped" if job.is_stopped else "Completed")
        self._keep_end(job)
        return model

    def _search(self, dataset: DataFrame, job: TuningJob, bar: ProgressBar) -> Model:
        before, rows, tail = self._prepared(dataset)
        seed = int(job.facts["seed"])
        hyperband = self._hyperband() if self.strategy == "Hyperband" else None
        deadline = None if self.max_runtime_in_seconds is None else job.created + self.max_runtime_in_seconds
        began = {trial.number for trial in job.trials if trial.is_over}

        def on_change(job: TuningJob) -> None:
            if bar.enabled:
                best = {} if job.best is None else {"best": job.best.objective}
                bar.update({"done": len(job.finished), "total": self.max_jobs, **best})

        search = Search(
            job,
            self.hyperparameter_ranges,
            self._strategy(seed),
            Limits(self.max_jobs, deadline, self.completion_criteria, self.max_retries),
            functools.partial(_changes, tail),
            parents=warm_start.observations(self.warm_start_config, self.hyperparameter_ranges, self.objective_type == "Maximize"),
            warm_start_type=job.facts.get("warm_start_type"),
            folds=self.num_folds,
            stops=self.early_stopping_type == "Auto",
            hyperband=hyperband,
            store=self._store_of(job),
            on_change=on_change,
        )
        trials = self._trials(tail, rows, f"{job.name}: {type(tail).__name__}")
        artifacts = trials.run(search)
        if job.best is None:
            reasons = list(dict.fromkeys(trial.reason for trial in job.trials if trial.reason))
            raise RuntimeError(f"no trial of tuning job {job.name} has an objective: {'; '.join(reasons[:3]) or 'none was begun'}")
        number = job.best.number
        if self.num_folds or number not in artifacts or number in began:
            artifacts, number = trials.run(Once(_changes(tail, job.best.setting), stop_as(job.best, job, hyperband))), 0
        model = trials.model(tail.copy(_params(tail, job.best.setting)), artifacts[number])
        return PipelineModel([*before, model]) if isinstance(self.estimator, Pipeline) else model

    def _trials(self, tail: AlgorithmEstimator, rows: DataFrame, title: str) -> Trials:
        measure = None if self.evaluator is None else measure_of(self.evaluator, tail)
        where = Rows(F.col(_FOLD), self.num_folds, measure) if self.num_folds else Rows(measure=measure)
        series = None if self.evaluator is not None else self.objective_metric_name
        return Trials(
            [tail],
            rows,
            where,
            lanes=self.max_parallel_jobs,
            series=series,
            survives=True,
            retries=max(self.max_retries, tail.value("max_retries")),
            title=title,
        )

    def _prepared(self, dataset: DataFrame) -> tuple[list[Transformer], DataFrame, AlgorithmEstimator]:
        """Fitted stages before the Estimator that is tuned, the rows that it reads, and itself."""
        tail = self._with_metric(self._tail())
        if self._lacks_validation(tail):
            said = f"the objective {self.objective_metric_name!r} is of rows for validation: name the estimator's validationIndicatorCol"
            raise InvalidParams(type(self).__name__, [said])
        if self.num_folds:
            seed = self.random_seed if self.random_seed is not None else 0
            dataset = dataset.withColumn(_RANDOM, F.rand(seed))
            dataset = dataset.withColumn(_FOLD, F.least(F.floor(F.col(_RANDOM) * self.num_folds), F.lit(self.num_folds - 1)).cast("int"))
            dataset = dataset.drop(_RANDOM)
        stages = self.estimator.getStages()[:-1] if isinstance(self.estimator, Pipeline) else []
        if not stages:
            return [], dataset, tail
        if self.num_folds and not all(isinstance(stage, Transformer) for stage in stages):
            raise InvalidParams(type(self).__name__, ["with num_folds, stages before the last one must have nothing to learn"])
        marks = tail.value("validationIndicatorCol") if "validationIndicatorCol" in tail.declared else None
        learned = dataset.filter(~F.col(marks)) if marks else dataset
        fitted = Pipeline(stages=stages).fit(learned)
        return list(fitted.stages), fitted.transform(dataset), tail

    def _lacks_validation(self, tail: AlgorithmEstimator) -> bool:
        """Whether no trial would have the objective, for want of a column."""
        wanted = self.evaluator is None and str(self.objective_metric_name).startswith("validation:")
        return wanted and "validationIndicatorCol" in tail.declared and not tail.value("validationIndicatorCol")

    def _tail(self) -> AlgorithmEstimator:
        """What is tuned."""
        last = _last_stage(self.estimator)
        if not isinstance(last, AlgorithmEstimator):
            given = "an empty Pipeline" if last is None else type(last).__name__
            raise InvalidParams(
                type(self).__name__, [f"estimator must be one of this package, or a Pipeline that ends with one, got {given}"]
            )
        return last

    def _with_metric(self, tail: AlgorithmEstimator) -> AlgorithmEstimator:
        """The Estimator, whose training emits the objective."""
        name = self.objective_metric_name.partition(":")[2]
        if self.evaluator is not None or not name or "eval_metric" not in tail.declared:
            return tail
        given = tail.value("eval_metric")
        metrics = list(given) if isinstance(given, (list, tuple)) else [one.strip() for one in str(given or "").split(",") if one.strip()]
        if name in metrics:
            return tail
        added = (
            [*metrics, name]
            if isinstance(given, (list, tuple)) or tail.declared["eval_metric"].type is list
            else ",".join([*metrics, name])
        )
        return tail.copy({tail.getParam("eval_metric"): added})

    def _strategy(self, seed: int) -> Strategy:
        ranges = self.hyperparameter_ranges
        if self.strategy == "Grid":
            return Grid(ranges, self.max_jobs)
        if self.strategy == "Bayesian":
            return Bayesian(ranges, seed, self.max_parallel_jobs, self.engine)
        return Random(ranges, seed)

    def _hyperband(self) -> Hyperband:
        config = self.strategy_config.get("HyperbandStrategyConfig", self.strategy_config)
        if unknown := sorted(set(config) - {"MinResource", "MaxResource"}):
            raise InvalidParams(type(self).__name__, [f"strategy_config has {', '.join(unknown)}; it takes MinResource and MaxResource"])
        most = config.get("MaxResource")
        if most is None:
            tail = self._tail()
            names = [name for name in EPOCHS_NAMES if name in tail.declared and name not in self.hyperparameter_ranges]
            most = tail.value(names[0]) if names else None
        if most is None:
            wanted = f"one of {', '.join(EPOCHS_NAMES)}"
            raise InvalidParams(type(self).__name__, [f"Hyperband needs MaxResource: the estimator has no static hyperparameter {wanted}"])
        return Hyperband(int(config.get("MinResource", 1)), int(most))

    # -- the job

    def _new_job(self) -> TuningJob:
        config, facts = self.to_config()["HyperParameterTuningJobConfig"], self._facts()
        seed = self.random_seed if self.random_seed is not None else int.from_bytes(uuid.uuid4().bytes[:4], "big")
        base = re.sub(r"[^A-Za-z0-9-]+", "-", self.base_tuning_job_name or type(self._tail()).__name__)
        if self.store is not None:
            told = [config, facts, self.num_folds, self._beside_the_config()]
            digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:8]
            name = f"{base[: MOST_NAME - 9]}-{digest}"
        else:
            name = f"{base[: MOST_NAME - 14]}-{time.strftime('%y%m%d-%H%M%S', time.gmtime())}"
        parents = self.warm_start_config.parents if self.warm_start_config else []
        scaling = {name: one.scaling for name, one in self.hyperparameter_ranges.items() if isinstance(one, NumericParameter)}
        job = TuningJob(name, config, {**facts, "seed": seed, "scaling": scaling}, parents)
        store = self._store_of(job)
        if store is None:
            return job
        if not store.exists():
            store.append({"job": {"name": name, "config": config, "facts": job.facts, "created": job.created}})
            return job
        known = TuningJob.attach(store)
        job.trials, job.finished, job.facts["seed"] = known.trials, known.finished, known.facts["seed"]
        logger.info("tuning job %s goes on: %d trials are over", name, len(job.finished))
        return job

    def _store_of(self, job: TuningJob) -> Store | None:
        return None if self.store is None else Store(self.store, job.name)

    def _keep_end(self, job: TuningJob) -> None:
        if (store := self._store_of(job)) is not None:
            store.append({"end": {"status": job.status, "ended": job.ended, "completion": job.completion}})

    def _beside_the_config(self) -> list[Any]:
        """What makes this another search, and is neither in its config nor among its facts."""
        columns = {param.name: value for param, value in self._tail().extractParamMap().items() if param.name.endswith(("Col", "Cols"))}
        evaluator = self.evaluator and [
            type(self.evaluator).__name__,
            {param.name: value for param, value in self.evaluator.extractParamMap().items()},
        ]
        conditions = {name: dict(one.when) for name, one in self.hyperparameter_ranges.items()}
        parents = [parent.name for parent in self.warm_start_config.parents] if self.warm_start_config else []
        return [columns, evaluator, conditions, parents, self.engine]

    def _facts(self) -> dict[str, Any]:
        tail = self._tail()
        given = {name: value for name, value in tail.hyperparameters().items() if name not in self.hyperparameter_ranges}
        static = json.loads(json.dumps(given, default=str))
        found: dict[str, Any] = {"algorithm": type(tail).__name__, "static": static, "tags": self.tags}
        return found | ({"warm_start_type": self.warm_start_config.warm_start_type} if self.warm_start_config else {})

    # -- as the service describes it

    def to_config(self) -> dict[str, Any]:
        """The service's description of this search: ``HyperParameterTuningJobConfig``, and the static hyperparameters as
        ``TrainingJobDefinition``. Numbers of ranges are strings there."""
        return description(self, self._tail(), self._hyperband() if self.strategy == "Hyperband" else None)

    @classmethod
    def from_config(cls, estimator: Estimator, config: Mapping[str, Any], **options: Any) -> HyperparameterTuner:
        """A tuner from the service's description.

        Parameters
        ----------
        estimator : AlgorithmEstimator or Pipeline
            Its hyperparameters are set to those of ``StaticHyperParameters``.
        config : mapping
            A whole request, or its ``HyperParameterTuningJobConfig``.
        **options
            Further arguments of the constructor.

        Raises
        ------
        ValueError
            If it does not describe a search, or one of several algorithms, or one that starts from others: of these, give
            `warm_start_config`.
        """
        arguments, static = described(config, knows_parents="warm_start_config" in options)
        tail = _last_stage(estimator)
        if static and isinstance(tail, AlgorithmEstimator):
            estimator = estimator.copy(_params(tail, static))
        return cls(estimator, **arguments, **options)

    # -- as an Estimator

    def copy(self, extra: Mapping[Param, Any] | None = None) -> HyperparameterTuner:
        """A copy, whose Estimator has the extra Params that are its own.

        Parameters
        ----------
        extra : mapping of Param to value, optional
        """
        import copy

        copied = copy.copy(self)
        copied.estimator = self.estimator.copy(dict(extra or {}))
        return copied

    def write(self) -> MLWriter:
        """A writer: ``write().overwrite().save(path)``."""
        return TunerWriter(self)

    @classmethod
    def read(cls) -> MLReader:
        """A reader: ``read().load(path)``."""
        return TunerReader(cls)


HyperparameterTuner.__module__ = "sparkml_algos.tuning"


def _last_stage(estimator: Any) -> Any:
    stages = estimator.getStages() if isinstance(estimator, Pipeline) else [estimator]
    return stages[-1] if stages else None


def _params(estimator: AlgorithmEstimator, setting: Mapping[str, Any]) -> dict[Param, Any]:
    aliases = {alias: name for name, param in estimator.declared.items() for alias in param.aliases}
    return {estimator.getParam(aliases.get(name, name)): value for name, value in setting.items()}


def _changes(estimator: AlgorithmEstimator, setting: Mapping[str, Any]) -> dict[str, Any]:
    """What is different in the hyperparameters of a trial.

    Raises
    ------
    ValueError
        If the Estimator refuses them, or reads other columns with them.
    """
    changed = estimator.copy(_params(estimator, setting))
    if problems := changed.problems():
        raise InvalidParams(type(estimator).__name__, problems)
    if changed._job_key() != estimator._job_key():
        raise ValueError(f"with {dict(setting)} other rows are read, or read otherwise, than without: tune what training alone depends on")
    before = estimator.hyperparameters()
    return {name: value for name, value in changed.hyperparameters().items() if value != before[name]}

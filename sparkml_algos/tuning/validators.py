"""Spark's `CrossValidator` and `TrainValidationSplit`, whose trainings share a gang and its rows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from typing import Any

import numpy as np
import pyspark.ml.tuning as spark_tuning
from pyspark.ml import Estimator, Pipeline, PipelineModel, Transformer
from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import Param
from pyspark.ml.tuning import CrossValidatorModel, TrainValidationSplitModel
from pyspark.ml.util import MLReader, MLWriter
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.cluster.errors import Failure
from sparkml_algos.cluster.jobs import inheriting
from sparkml_algos.core import recording
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.trials import END, Rows, Trials
from sparkml_algos.training.trials import Task
from sparkml_algos.tuning.measures import measure_of
from sparkml_algos.tuning.rules import place_of_best
from sparkml_algos.tuning.saving import Reader, Writer

logger = logging.getLogger(__name__)

ParamMap = dict[Param, Any]


class CrossValidator(spark_tuning.CrossValidator):
    """Spark's `CrossValidator`, with all of its Params, of which all trainings run in one gang on one ingest of the rows.

    An Estimator of this package, alone or as the last stage of a Pipeline, is trained for every fold and param map where the rows are, and
    what was held out is scored there, too, if the evaluator is one of Spark's for classes or numbers, with label and weight of the
    Estimator. The best setting is then trained on all rows, in the same gang. Folds are those that Spark makes of the same rows and seed.

    Parameters
    ----------
    estimator : Estimator
        What the gain is for ends with an Estimator of this package. Stages before it in a Pipeline run once if they have nothing to learn,
        else once for each fold. Any other Estimator, and maps with Params of earlier stages, are left to Spark's own way.
    estimatorParamMaps : list of dict of Param to value
        Those that differ in hyperparameters only share a gang.
    evaluator : Evaluator
        With another than named above, models are scored by Spark, `parallelism` at a time.
    numFolds : int, default 3
    seed : int, optional
    parallelism : int, default 1
        Trainings side by side, as far as there are slots: each on `num_workers` workers of its own, which share the slots where that is
        ``auto``. Every one has all rows, so memory is taken as often.
    collectSubModels : bool, default False
    foldCol : str, optional

    Notes
    -----
    Metrics are Spark's to rounding, with one exception: the area under a curve in ``numBins`` points has these in Spark per partition of
    the scores, here of all scores; ``numBins=0`` is exact in both.

    A setting whose metric is NaN, for its training has diverged or the evaluator cannot tell, is never the best while another has a number;
    in Spark it is, for ``numpy.argmax`` and ``argmin`` take NaN for the extreme.

    A gang that is lost is started again, `max_retries` times in a row (a Param of the Estimator); what was measured is not measured again.
    `checkpoint_dir` and ``input_mode="Pipe"`` are of no use here: rows are read time and again.

    Examples
    --------
    >>> from sparkml_algos.tuning import CrossValidator  # in place of pyspark.ml.tuning
    >>> search = CrossValidator(estimator=learner, estimatorParamMaps=grid, evaluator=evaluator, parallelism=2)  # doctest: +SKIP
    >>> search.fit(dataframe).bestModel  # doctest: +SKIP
    """

    def _fit(self, dataset: DataFrame) -> CrossValidatorModel:
        search = _Search.of(self)
        if search is None:
            return super()._fit(dataset)
        folds = self.getNumFolds()
        with search.recorded(self, dataset) as record:
            dataset = self._with_folds(dataset)
            found = search.run(dataset, folds)
            metrics = np.array(found.metrics)
            averages, deviations = metrics.mean(axis=0), metrics.std(axis=0)
            best = found.model or search.fit(dataset.drop(_FOLD), search.best(averages))
            search.record(record, metrics, best)
        return self._copyValues(CrossValidatorModel(best, list(averages), found.models, list(deviations)))

    def _with_folds(self, dataset: DataFrame) -> DataFrame:
        folds, column = self.getNumFolds(), self.getFoldCol()
        if column:
            number = F.col(column)
            had = F.coalesce(number.cast("string"), F.lit("null"))
            message = F.concat(F.lit(f"foldCol={column!r} must be in [0, {folds}), but a row has "), had)
            checked = F.when((number >= 0) & (number < folds), number.cast("int")).otherwise(F.raise_error(message).cast("int"))
            return dataset.withColumn(_FOLD, checked)
        random, share = F.col(_RANDOM), 1.0 / folds
        number = F.lit(-1)
        for fold in range(folds):  # in Spark's own words, for the sake of its rounding
            number = F.when((random >= fold * share) & (random < (fold + 1) * share), F.lit(fold)).otherwise(number)
        return dataset.select("*", F.rand(self.getSeed()).alias(_RANDOM)).withColumn(_FOLD, number).drop(_RANDOM)

    def write(self) -> MLWriter:
        """A writer: ``write().overwrite().save(path)``."""
        return Writer(self)

    @classmethod
    def read(cls) -> MLReader:  # type: ignore[override]
        """A reader: ``read().load(path)``, of what Spark's class has saved, too."""
        return Reader(cls)


class TrainValidationSplit(spark_tuning.TrainValidationSplit):
    """Spark's `TrainValidationSplit`, with all of its Params, of which all trainings run in one gang on one ingest of the rows.

    See `CrossValidator`, of which all holds here.

    Parameters
    ----------
    estimator : Estimator
    estimatorParamMaps : list of dict of Param to value
    evaluator : Evaluator
    trainRatio : float, default 0.75
    parallelism : int, default 1
    collectSubModels : bool, default False
    seed : int, optional
    """

    def _fit(self, dataset: DataFrame) -> TrainValidationSplitModel:
        search = _Search.of(self)
        if search is None:
            return super()._fit(dataset)
        held_out = F.when(F.col(_RANDOM) >= self.getTrainRatio(), F.lit(0)).otherwise(F.lit(-1))
        marked = dataset.select("*", F.rand(self.getSeed()).alias(_RANDOM)).withColumn(_FOLD, held_out).drop(_RANDOM)
        with search.recorded(self, dataset) as record:
            found = search.run(marked, 1)
            (metrics,) = found.metrics
            best = found.model or search.fit(dataset, search.best(np.array(metrics)))
            search.record(record, np.array([metrics]), best)
        return self._copyValues(TrainValidationSplitModel(best, list(metrics), found.models[0] if found.models else None))

    def write(self) -> MLWriter:
        """A writer: ``write().overwrite().save(path)``."""
        return Writer(self)

    @classmethod
    def read(cls) -> MLReader:  # type: ignore[override]
        """A reader: ``read().load(path)``, of what Spark's class has saved, too."""
        return Reader(cls)


# What is saved names its class by where users find it.
CrossValidator.__module__ = TrainValidationSplit.__module__ = "sparkml_algos.tuning"

_RANDOM, _FOLD = "_sparkml_algos_random", "_sparkml_algos_held_out"
# Of a validator, what is recorded with its search.
_RECORDED = ("numFolds", "trainRatio", "seed", "parallelism", "foldCol")


@dataclass
class _Found:
    """What a search has found: metrics by fold and map, the best model if it was trained already, all models if they are wanted."""

    metrics: list[list[float]]
    model: Any = None
    models: list[list[Any]] | None = None


class _Search:
    """All trainings of a validator.

    Parameters
    ----------
    whole : Estimator
        The validator's: the Estimator, or a Pipeline that ends with it.
    stages : sequence of Estimator or Transformer
        What comes before the Estimator in a Pipeline.
    estimator : AlgorithmEstimator
    maps : sequence of dict
    evaluator : Evaluator
    lanes : int
    keeps_models : bool
    """

    def __init__(
        self,
        whole: Estimator,
        stages: Sequence[Estimator | Transformer],
        estimator: AlgorithmEstimator,
        maps: Sequence[ParamMap],
        evaluator: Evaluator,
        lanes: int,
        keeps_models: bool,
    ) -> None:
        self._whole, self._stages, self._maps, self._evaluator = whole, list(stages), list(maps), evaluator
        self._estimators = [estimator.copy(one) for one in maps]
        self._lanes, self._keeps = lanes, keeps_models
        self._larger_is_better = evaluator.isLargerBetter()

    @classmethod
    def of(cls, validator: Any) -> _Search | None:
        """The search of a validator; None where its Estimator has no part that could gain from it."""
        whole, maps = validator.getEstimator(), validator.getEstimatorParamMaps()
        stages = whole.getStages() if isinstance(whole, Pipeline) else [whole]
        last = stages[-1] if stages else None
        ours = last if isinstance(last, AlgorithmEstimator) else None
        if not maps or ours is None or not all(param.parent == ours.uid for one in maps for param in one):
            logger.info("%s is left to Spark: it does not end with an Estimator of this package, or maps name other stages", whole)
            return None
        return cls(whole, stages[:-1], ours, maps, validator.getEvaluator(), validator.getParallelism(), validator.getCollectSubModels())

    def best(self, metrics: np.ndarray) -> int:
        """Place of the best setting."""
        if np.isnan(metrics).all():
            logger.warning("no setting has a metric that is a number; the first one is taken")
        return place_of_best(metrics, self._larger_is_better)

    def fit(self, dataset: DataFrame, index: int) -> Any:
        """The model of a setting, of all rows."""
        return self._whole.fit(dataset, self._maps[index])

    def recorded(self, validator: Any, dataset: DataFrame) -> AbstractContextManager[recording.Search | None]:
        """Around the search, where it is recorded."""
        if (recorder := recording.recorder) is None:
            return nullcontext()
        settings = {param.name: str(value) for param, value in validator.extractParamMap().items() if param.name in _RECORDED}
        name = f"{type(validator).__name__} of {type(self._estimators[0]).__name__}"
        return recorder.searching("validation", name, self._estimators[0], dataset, settings)

    def record(self, record: recording.Search | None, metrics: np.ndarray, best: Transformer) -> None:
        """Every setting with its metrics by fold, and the best model."""
        if record is None:
            return
        name, means = self._metric(), metrics.mean(axis=0)
        for index, one in enumerate(self._maps):
            by_fold = {f"{name}:fold {fold}": float(values[index]) for fold, values in enumerate(metrics)} if len(metrics) > 1 else {}
            setting = {param.name: value for param, value in one.items()}
            found = {name: float(means[index]), **by_fold}
            record.trial(index, f"{type(self._estimators[0]).__name__} {index + 1}", setting, status="Completed", metrics=found)
        record.take(best, {"best": self.best(means) + 1})

    def _metric(self) -> str:
        """What held out rows are scored by."""
        named = self._evaluator.hasParam("metricName") and self._evaluator.getOrDefault("metricName")
        return f"validation:{named or type(self._evaluator).__name__}"

    def run(self, dataset: DataFrame, folds: int) -> _Found:
        """Train every setting for every fold, whose numbers are in the column `_FOLD`."""
        if all(isinstance(stage, Transformer) for stage in self._stages):
            return self._in_one(
                PipelineModel([stage for stage in self._stages if isinstance(stage, Transformer)]), dataset, folds, range(folds)
            )
        found = _Found([], None, [] if self._keeps else None)
        for fold in range(folds):
            before = Pipeline(stages=self._stages).fit(dataset.filter(F.col(_FOLD) != fold).drop(_FOLD))
            one = self._in_one(before, dataset, folds, [fold], refit=False)
            found.metrics += one.metrics
            if found.models is not None and one.models is not None:
                found.models += one.models
        return found

    def _in_one(self, before: PipelineModel, dataset: DataFrame, folds: int, wanted: Sequence[int], refit: bool = True) -> _Found:
        """Train for some folds; maps that differ in more than hyperparameters have a gang for each kind."""
        transformed = before.transform(dataset)
        groups: dict[str, list[int]] = {}
        for index, estimator in enumerate(self._estimators):
            groups.setdefault(estimator._job_key(), []).append(index)
        metrics = [[float("nan")] * len(self._maps) for _ in wanted]
        models: list[list[Any]] = [[None] * len(self._maps) for _ in wanted]
        model = None
        for group in groups.values():
            found = self._group(group, before, transformed, folds, wanted, refit and len(groups) == 1)
            for place in range(len(wanted)):
                for index, metric, one in zip(group, found.metrics[place], (found.models or [])[place], strict=True):
                    metrics[place][index], models[place][index] = metric, one
            model = found.model
        return _Found(metrics, model, models if self._keeps else None)

    def _group(
        self, group: Sequence[int], before: PipelineModel, dataset: DataFrame, folds: int, wanted: Sequence[int], refit: bool
    ) -> _Found:
        estimators = [self._estimators[index] for index in group]
        measure = measure_of(self._evaluator, estimators[0])
        keeps = self._keeps or measure is None
        grid = _Grid(estimators, wanted, keeps, self.best if refit and measure is not None else None)
        title = f"{type(estimators[0]).__name__}: {len(wanted)} folds, {len(group)} settings"
        retries = estimators[0].value("max_retries")
        trials = Trials(estimators, dataset, Rows(F.col(_FOLD), folds, measure), lanes=self._lanes, retries=retries, title=title)
        artifacts = trials.run(grid)
        if missing := [number for number in grid.kept if number not in artifacts]:
            raise RuntimeError(f"a worker was lost with {len(missing)} models; fit again, or leave collectSubModels out")

        def whole(index: int, number: int) -> Any:
            model = trials.model(estimators[index], artifacts[number])
            return PipelineModel([*before.stages, model]) if isinstance(self._whole, Pipeline) else model

        models = [
            [whole(index, grid.number(place, index)) if keeps else None for index in range(len(group))] for place in range(len(wanted))
        ]
        metrics = grid.metrics if measure is not None else self._by_spark(dataset, before, models, wanted)
        refitted = whole(grid.best, grid.last) if grid.best is not None else None
        return _Found(metrics, refitted, models)

    def _by_spark(
        self, dataset: DataFrame, before: PipelineModel, models: Sequence[Sequence[Any]], wanted: Sequence[int]
    ) -> list[list[float]]:
        """Score what was held out in Spark."""
        metrics = []
        with ThreadPool(min(self._lanes, len(models[0]))) as pool:
            for fold, of_fold in zip(wanted, models, strict=True):
                held_out = dataset.filter(F.col(_FOLD) == fold).drop(_FOLD).cache()
                lasts = [model.stages[-1] if isinstance(model, PipelineModel) else model for model in of_fold]

                def evaluate(model: Transformer, rows: DataFrame = held_out) -> float:
                    return self._evaluator.evaluate(model.transform(rows))

                try:
                    metrics.append(pool.map(inheriting(dataset.sparkSession, evaluate), lasts))
                finally:
                    held_out.unpersist()
        return metrics


class _Grid:
    """Hands out the trainings of all folds and settings, and after them that of the best setting on all rows.

    Parameters
    ----------
    estimators : sequence of AlgorithmEstimator
    folds : sequence of int
    keeps : bool
        Whether models are kept.
    choose : callable, optional
        Of the means over folds, the place of the best; without it there is no last training.

    Attributes
    ----------
    metrics : list of list of float
        By fold and setting.
    best : int or None
        The setting that was trained last, on all rows.
    kept : list of int
        Numbers of trainings whose models there must be in the end.
    """

    def __init__(self, estimators: Sequence[AlgorithmEstimator], folds: Sequence[int], keeps: bool, choose: Any = None) -> None:
        self._choose, self._count = choose, len(estimators)
        settings = [Hyperparameters(**estimator.hyperparameters()) for estimator in estimators]
        shared = estimators[0].algorithm().groups(settings)
        self._waiting = [
            Task([(self.number(place, index), index, {}) for index in group], fold, keeps)
            for place, fold in enumerate(folds)
            for group in shared
        ]
        self.metrics = [[float("nan")] * self._count for _ in folds]
        self.best: int | None = None
        self.last = len(folds) * self._count
        self.kept = list(range(self.last)) if keeps else []
        self._open = self.last
        self._folds: dict[int, int | None] = {}

    def number(self, place: int, index: int) -> int:
        """Of the training for a fold, by its place, and a setting."""
        return place * self._count + index

    def next(self, lane: int) -> Task:
        if self._waiting:
            task = self._nearest(lane)
            self._waiting.remove(task)
            self._folds[lane] = task.fold
            return task
        if self._open == 0 and self._choose is not None and self.best is None:
            self.best = self._choose(np.mean(self.metrics, axis=0))
            self.kept.append(self.last)
            return Task([(self.last, self.best, {})], None, keeps=True)
        return END

    def _nearest(self, lane: int) -> Task:
        """The first task on the rows that a lane has at hand; else on those that no other lane has, so that each fold's are made once."""
        elsewhere = {fold for other, fold in self._folds.items() if other != lane}
        return min(self._waiting, key=lambda task: (task.fold != self._folds.get(lane), task.fold in elsewhere))

    def take(self, lane: int, answer: list[dict[str, Any]]) -> None:
        for one in answer:
            if one["trial"] != self.last:
                place, index = divmod(one["trial"], self._count)
                measured = one.get("measured")
                self.metrics[place][index] = float("nan") if measured is None else measured
                self._open -= 1

    def lost(self, lane: int | None, task: Task, failure: Failure | None, suspected: bool = True) -> bool:
        if task.fold is None:
            self.best = None
            self.kept.remove(self.last)
        else:
            self._waiting.insert(0, task)
        return False

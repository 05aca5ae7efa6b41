"""What is tuned: an Estimator, or a Pipeline that ends with one, with ranges and objectives; and the rows that its trials see."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from pyspark.ml import Estimator, Model, Pipeline, PipelineModel, Transformer
from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import Param
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameter, InvalidParams
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.params import DeclaredParams
from sparkml_algos.core.trials import Rows, Trials
from sparkml_algos.tuning.measures import measure_of
from sparkml_algos.tuning.ranges import ParameterRange, examples, unfit
from sparkml_algos.tuning.trial import Objective

OWNER = "HyperparameterTuner"
_FOLD, _RANDOM = "_sparkml_algos_held_out", "_sparkml_algos_random"

GivenRanges = Mapping[Any, ParameterRange]


class Definition:
    """An Estimator, the ranges of its hyperparameters, and what is sought.

    Parameters
    ----------
    estimator : AlgorithmEstimator or Pipeline
    ranges : mapping of str or Param to ParameterRange
        By the names of hyperparameters of the Estimator or, of a Pipeline, of its last stage; by Param, or as ``"PCA.k"``, of any stage.
    objectives : sequence of Objective
    name : str
        Empty where there is only one.

    Attributes
    ----------
    ranges : dict of str to ParameterRange
        By name, which of stages before the last one is that of the class and of the Param.

    Raises
    ------
    InvalidParams
        If there is no such Estimator, or a Param is one of no stage.
    """

    def __init__(self, estimator: Any, ranges: GivenRanges, objectives: Sequence[Objective], name: str = "") -> None:
        self.estimator, self.objectives, self.name = estimator, list(objectives), name
        last = last_stage(estimator)
        if not isinstance(last, AlgorithmEstimator):
            given = "an empty Pipeline" if last is None else type(last).__name__
            raise InvalidParams(OWNER, [f"estimator{self._of} must be one of this package, or a Pipeline that ends with one, got {given}"])
        self.tail: AlgorithmEstimator = last
        self.stages: list[Any] = list(estimator.getStages()[:-1]) if isinstance(estimator, Pipeline) else []
        self._labels = _labels(self.stages)
        self.ranges: dict[str, ParameterRange] = {self._name(key): one for key, one in ranges.items()}

    # -- ranges

    @property
    def _of(self) -> str:
        return f" {self.name!r}" if self.name else ""

    def _name(self, key: Any) -> str:
        """Of a range that is given by name or by Param."""
        if not isinstance(key, Param):
            return str(key)
        if key.parent == self.tail.uid:
            return key.name
        for label, stage in self._labels.items():
            if key.parent == stage.uid:
                return f"{label}.{key.name}"
        raise InvalidParams(OWNER, [f"{key.name} of {key.parent} is a Param of no stage that is tuned"])

    def _stage_param(self, name: str) -> tuple[Any, Param] | None:
        """The stage before the last one, and its Param, that a name stands for."""
        label, _, param = name.rpartition(".")
        stage = self._labels.get(label)
        return (stage, stage.getParam(param)) if stage is not None and stage.hasParam(param) else None

    def problems(self) -> list[str]:
        """What is wrong with the ranges."""
        found = []
        for name, one in self.ranges.items():
            inner = self._stage_param(name)
            if inner is not None:
                problem = _unfit_of_stage(one, name, *inner)
            elif not isinstance(param := self.tail.declared.get(name), Hyperparameter):
                stages = f", nor is it a Param of {', '.join(self._labels)}" if self._labels else ""
                problem = f"{name} is no hyperparameter of {type(self.tail).__name__}{stages}"
            else:
                problem = unfit(one, param)
            found += [problem] if problem else []
        return found

    @property
    def inner(self) -> dict[str, ParameterRange]:
        """The ranges of stages before the last one, with which the rows change."""
        return {name: one for name, one in self.ranges.items() if self._stage_param(name) is not None}

    @property
    def first_tuned(self) -> int:
        """The place of the first stage before the last one that has a range; their number if none has."""
        tuned = {found[0].uid for name in self.ranges if (found := self._stage_param(name)) is not None}
        return next((place for place, stage in enumerate(self.stages) if stage.uid in tuned), len(self.stages))

    # -- settings

    def key(self, setting: Mapping[str, Any]) -> str:
        """Equal for settings that are trained on the same rows."""
        inner = {name: value for name, value in setting.items() if name in self.inner}
        return json.dumps(inner, sort_keys=True, default=str) if inner else ""

    def changes(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """What is different in the hyperparameters of the last stage.

        Raises
        ------
        ValueError
            If the Estimator refuses them, or reads other columns with them.
        """
        changed = self.tail_with(setting)
        if problems := changed.problems():
            raise InvalidParams(type(self.tail).__name__, problems)
        if changed._job_key() != self.tail._job_key():
            raise ValueError(
                f"with {dict(setting)} other rows are read, or read otherwise, than without: tune what training alone depends on"
            )
        before = self.tail.hyperparameters()
        return {name: value for name, value in changed.hyperparameters().items() if value != before[name]}

    def tail_with(self, setting: Mapping[str, Any]) -> AlgorithmEstimator:
        """The last stage, with what a setting has of it."""
        return self.tail.copy(self.params(setting))

    def stages_with(self, setting: Mapping[str, Any]) -> list[Any]:
        """The stages before it, with what a setting has of them."""
        return [stage.copy(self.params(setting)) for stage in self.stages]

    def estimator_with(self, setting: Mapping[str, Any]) -> Estimator:
        """What is tuned, with a setting."""
        return self.estimator.copy(self.params(setting))

    def params(self, setting: Mapping[str, Any]) -> dict[Param, Any]:
        inner = {name: found[1] for name in setting if (found := self._stage_param(name)) is not None}
        own = params_of(self.tail, {name: value for name, value in setting.items() if name not in inner})
        return own | {param: _converted(param, setting[name]) for name, param in inner.items()}

    # -- as others know it

    def static(self) -> dict[str, Any]:
        """Hyperparameters of the last stage that have no range, as JSON has them."""
        given = {name: value for name, value in self.tail.hyperparameters().items() if name not in self.ranges}
        return json.loads(json.dumps(given, default=str))

    def beside_the_config(self) -> list[Any]:
        """What makes this another search, and is neither in its description nor among its facts."""
        columns = {param.name: value for param, value in self.tail.extractParamMap().items() if param.name.endswith(("Col", "Cols"))}
        conditions = {name: {key: list(values) for key, values in one.when.items()} for name, one in self.ranges.items()}
        stages = [
            [
                label,
                {param.name: value for param, value in sorted(stage._paramMap.items(), key=lambda item: item[0].name) if _is_plain(value)},
            ]
            for label, stage in self._labels.items()
        ]
        return [columns, conditions, *([stages] if stages else [])]

    def with_metric(self) -> AlgorithmEstimator:
        """The last stage, whose training emits the objectives."""
        tail = self.tail
        for objective in self.objectives:
            tail = _emitting(tail, objective.metric)
        return tail

    def lacks_validation(self) -> str | None:
        """The objective that no trial would have, for want of a column."""
        wanted = [one.metric for one in self.objectives if one.metric.startswith("validation:")]
        lacks = "validationIndicatorCol" in self.tail.declared and not self.tail.value("validationIndicatorCol")
        return wanted[0] if wanted and lacks else None


class Ready(NamedTuple):
    """Trials on rows that stages before the last one have made, and these stages."""

    trials: Trials
    before: list[Transformer]


class Stand:
    """A definition on the rows of a dataset; a context, at whose end what it has cached is let go.

    Parameters
    ----------
    definition : Definition
    dataset : DataFrame
    evaluator : Evaluator, optional
    folds : int
    seed : int
        Of the folds.
    recurs : bool
        Whether gangs are to be started time and again, for which rows are cached.
    **options
        Of `Trials`.

    Raises
    ------
    InvalidParams
        If the dataset does not fit, where all trials have the same rows.
    """

    def __init__(
        self,
        definition: Definition,
        dataset: DataFrame,
        *,
        evaluator: Evaluator | None = None,
        folds: int = 0,
        seed: int = 0,
        recurs: bool = False,
        **options: Any,
    ) -> None:
        self.definition, self._evaluator, self._folds, self._options = definition, evaluator, folds, options
        self._tail = definition.with_metric() if evaluator is None else definition.tail
        if evaluator is None and (metric := definition.lacks_validation()):
            said = f"the objective {metric!r} is of rows for validation: name the estimator's validationIndicatorCol"
            raise InvalidParams(OWNER, [said])
        if folds and not all(isinstance(stage, Transformer) for stage in definition.stages):
            raise InvalidParams(OWNER, ["with num_folds, stages before the last one must have nothing to learn"])
        self._cached: list[DataFrame] = []
        self._fixed = definition.first_tuned
        rows = _with_folds(dataset, folds, seed) if folds else dataset
        self._before, self._rows = self._fitted(definition.stages[: self._fixed], rows)
        if (recurs or definition.inner) and not _is_cached(self._rows):
            self._cached.append(self._rows.persist())
        self._last: tuple[str, Ready] | None = None
        if not definition.inner:
            try:
                self.ready({})
            except BaseException:
                self._let_go()
                raise

    def __enter__(self) -> Stand:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._let_go()

    def _let_go(self) -> None:
        for frame in self._cached:
            frame.unpersist()
        self._cached.clear()

    def ready(self, setting: Mapping[str, Any]) -> Ready:
        """Trials on the rows of a setting. Stages before the first tuned one were fitted once; the others are fitted when the setting has
        changed what they are."""
        key = self.definition.key(setting)
        if self._last is None or self._last[0] != key:
            stages, rows = self._fitted(self.definition.stages_with(setting)[self._fixed :], self._rows)
            self._last = (key, Ready(self._trials(rows), [*self._before, *stages]))
        return self._last[1]

    def model(self, ready: Ready, artifact: Artifact, setting: Mapping[str, Any]) -> Model:
        """The model of a trial, behind the stages that made its rows."""
        model = ready.trials.model(self._tail.copy(self.definition.params(setting)), artifact)
        return PipelineModel([*ready.before, model]) if isinstance(self.definition.estimator, Pipeline) else model

    def _fitted(self, stages: Sequence[Any], rows: DataFrame) -> tuple[list[Transformer], DataFrame]:
        """Stages that have learned from the rows that are not for validation, and what they make of all."""
        if not stages:
            return [], rows
        marks = self._tail.value("validationIndicatorCol") if "validationIndicatorCol" in self._tail.declared else None
        fitted = Pipeline(stages=list(stages)).fit(rows.filter(~F.col(marks)) if marks else rows)
        return list(fitted.stages), fitted.transform(rows)

    def _trials(self, rows: DataFrame) -> Trials:
        measure = None if self._evaluator is None else measure_of(self._evaluator, self._tail)
        where = Rows(F.col(_FOLD), self._folds, measure) if self._folds else Rows(measure=measure)
        series = None if self._evaluator is not None else self.definition.objectives[0].metric
        return Trials([self._tail], rows, where, series=series, survives=True, **self._options)


def last_stage(estimator: Any) -> Any:
    """The last stage of a Pipeline, None if it has none; or the Estimator itself."""
    stages = estimator.getStages() if isinstance(estimator, Pipeline) else [estimator]
    return stages[-1] if stages else None


def params_of(estimator: AlgorithmEstimator, setting: Mapping[str, Any]) -> dict[Param, Any]:
    """The Params that hyperparameters, by name or another name of theirs, are."""
    aliases = {alias: name for name, param in estimator.declared.items() for alias in param.aliases}
    return {estimator.getParam(aliases.get(name, name)): value for name, value in setting.items()}


def _labels(stages: Sequence[Any]) -> dict[str, Any]:
    """Stages by the name of their class, of which the second is ``PCA_2``."""
    found: dict[str, Any] = {}
    for stage in stages:
        name, count = type(stage).__name__, 1
        while (label := name if count == 1 else f"{name}_{count}") in found:
            count += 1
        found[label] = stage
    return found


def _unfit_of_stage(one: ParameterRange, name: str, stage: Any, param: Param) -> str | None:
    """What is wrong with a range of a stage before the last one; None if nothing is."""
    if isinstance(stage, DeclaredParams):
        return unfit(one, stage.declared[param.name])
    for value in examples(one):
        try:
            _converted(param, value)
        except (TypeError, ValueError) as error:
            return f"the range of {name} has values that it does not take: {error}"
    return None


def _converted(param: Param, value: Any) -> Any:
    """What a Param of Spark takes a value for; text, as descriptions of the service have it, may be a number or a truth."""
    try:
        return param.typeConverter(value)
    except TypeError:
        if not isinstance(value, str):
            raise
    if value.lower() in ("true", "false"):
        return param.typeConverter(value.lower() == "true")
    return param.typeConverter(json.loads(value))


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool)) or isinstance(value, (list, tuple)) and all(map(_is_plain, value))


def _emitting(tail: AlgorithmEstimator, metric: str) -> AlgorithmEstimator:
    """The Estimator, with a metric among its ``eval_metric`` where it has these."""
    name = metric.partition(":")[2]
    if not name or "eval_metric" not in tail.declared:
        return tail
    given = tail.value("eval_metric")
    metrics = list(given) if isinstance(given, (list, tuple)) else [one.strip() for one in str(given or "").split(",") if one.strip()]
    if name in metrics:
        return tail
    is_list = isinstance(given, (list, tuple)) or tail.declared["eval_metric"].type is list
    return tail.copy({tail.getParam("eval_metric"): [*metrics, name] if is_list else ",".join([*metrics, name])})


def _with_folds(dataset: DataFrame, folds: int, seed: int) -> DataFrame:
    """The rows, each with the number of the fold in which it is held out."""
    number = F.least(F.floor(F.col(_RANDOM) * folds), F.lit(folds - 1)).cast("int")
    return dataset.withColumn(_RANDOM, F.rand(seed)).withColumn(_FOLD, number).drop(_RANDOM)


def _is_cached(rows: DataFrame) -> bool:
    level = rows.storageLevel
    return bool(level.useMemory or level.useDisk)

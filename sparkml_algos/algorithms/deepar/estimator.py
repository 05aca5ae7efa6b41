"""DeepAR: Estimator and Model.

One recurrent network is trained on many series together. Of each step it is given the values at lags, what the calendar says, features of
the user's, and embeddings of the series' categories, and says the parameters of a distribution of its value. Forecasts are paths: a value
is drawn, and given to the network as that of the step before, and so on to the end of the horizon.

References
----------
D. Salinas, V. Flunkert, J. Gasthaus, T. Januschowski, "DeepAR: probabilistic forecasting with autoregressive recurrent networks",
International Journal of Forecasting 36(3), 2020. D. Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations",
ICLR 2017.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DateType, TimestampType

from sparkml_algos.algorithms.deepar import metrics
from sparkml_algos.algorithms.deepar.frequency import Frequency
from sparkml_algos.algorithms.deepar.long_form import DYNAMIC_COLUMN, LongForm, in_steps, naming_series
from sparkml_algos.algorithms.deepar.params import CAT, DETERMINISTIC, DYNAMIC, DeepARParams, is_read
from sparkml_algos.algorithms.deepar.prediction import Forecaster, withheld
from sparkml_algos.algorithms.deepar.training import DEEPAR
from sparkml_algos.arrays.hyperparameters import Hyperparameters, InvalidParams
from sparkml_algos.arrays.params import NetworkParams
from sparkml_algos.core.aggregation import Sums, sum_over_batches
from sparkml_algos.core.columns import column, existing, find
from sparkml_algos.core.estimator import AlgorithmEstimator, Models, fit_all
from sparkml_algos.core.evaluation import evaluation
from sparkml_algos.core.mllib import HasSummary
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.params import DeclaredParams
from sparkml_algos.core.scoring import Output
from sparkml_algos.core.shared_artifacts import Opened, ship
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.fields import Field
from sparkml_algos.training.algorithm import Algorithm

P = TypeVar("P", bound=DeclaredParams)

# Params of a row per step, and those that stand for them once series are gathered.
_LONG = ("timeCol", "valueCol", "keyCols", "dynamicFeatCols")
_GATHERED = ("startCol", "targetCol", "dynamicFeatCol")
# What the time of a step is called where the dataset has no column of times.
_TIME = "time"


class DeepAR(AlgorithmEstimator["DeepARModel"], DeepARParams, NetworkParams):
    """Forecasts of many series by one recurrent network, trained on the executors of a Spark cluster.

    Series come in one of two forms. A row per series has its start (`startCol`), its values as an array (`targetCol`) and, if there are
    such, categories (`catCol`) and dynamic features (`dynamicFeatCol`). A row per step has its time (`timeCol`), its value (`valueCol`),
    what tells series apart (`keyCols`), and a number for each dynamic feature (`dynamicFeatCols`); Spark gathers them, in any order. Steps
    without a row are missing; two rows of a time, and times between steps, are refused.

    {parameters}

    Notes
    -----
    An epoch has as many windows of `context_length` and `prediction_length` steps as there are horizons in all series. A series has a share
    of them by the square root of its length, so that long series do not drown short ones, and where they are cut is random. Those shorter
    than a horizon are not learned from, but may be forecast. Steps before a series begins are as if they were missing: a missing step costs
    nothing, and is given to the network as the last value before it, with a flag.

    Where the specification is silent: values are in units of the mean absolute value of the context (of the whole series where that is
    0), but for ``beta``; the paper adds 1 to it, which hides the changes of small values. Lags are the last 7 steps and those around
    one cycle of the calendar ago, two, and so on: hours, days, weeks, months and years, as far as they are longer than a step. What the
    calendar says is the sine and the cosine of the place in each cycle. A cell that zoneout leaves alone keeps its memory and what it
    says. Of ``student-T`` there are more than 2 degrees of freedom. The loss is over context and horizon. The optimizer is Adam, with
    gradients of a length up to 10 and a rate that falls to a twentieth in the second half of the epochs, or of what early stopping
    leaves of them. Rows that `validationIndicatorCol` marks are watched by their last horizon. Times are those of a clock: columns of
    Spark's ``timestamp`` are read as the session's time zone shows them, and where that has summer time an hour of the year is there
    twice.

    Examples
    --------
    >>> from sparkml_algos import DeepAR
    >>> learner = DeepAR(
    ...     time_freq="H", context_length=72, prediction_length=48, epochs=20, timeCol="time", valueCol="load", keyCols=["meter"]
    ... )
    >>> model = learner.fit(loads)  # doctest: +SKIP
    >>> model.transform(loads).select("meter", "time", "mean", "quantiles").show()  # doctest: +SKIP
    """

    @staticmethod
    def algorithm() -> Algorithm:
        return DEEPAR

    @staticmethod
    def model_class() -> type[DeepARModel]:
        return DeepARModel

    def fields(self) -> list[Field]:
        return _read(self, super().fields())

    def _problems(self, dataset: DataFrame) -> list[str]:
        problems = super()._problems(dataset)
        if not problems and self.value("catCol") and self.value("input_mode") == "Pipe":
            problems.append("catCol needs input_mode='File': categories are counted before the network is made")
        return problems or _without_column(self)

    def _fit(self, dataset: DataFrame) -> DeepARModel:
        return _fitted([self], dataset)[0]

    def fitMultiple(self, dataset: DataFrame, paramMaps: Sequence[dict[Any, Any]]) -> Iterator[tuple[int, DeepARModel]]:
        """Fit a model per param map, see `AlgorithmEstimator.fitMultiple`; a row per step is gathered once for maps that gather alike."""
        estimators = [self.copy(paramMap) for paramMap in paramMaps]
        return Models(lambda: _fitted(estimators, dataset), len(estimators))


class DeepARModel(HasSummary, AlgorithmModel, DeepARParams):
    """A network that forecasts.

    Of a row per series, `transform` appends ``mean`` (array of double), ``quantiles`` (map of text to array of double), ``forecast_start``
    and, if `samplesCol` is named, ``samples`` (array of arrays). Of a row per step it gives a row per series and step that is forecast.
    `forecast_form` asks for either. With dynamic features, what is forecast must have those of the horizon: arrays longer by it, or rows
    without a value at the end of each series, see `forecast`. Paths depend on the series, the model and their number alone.
    """

    outputs = (
        Output("mean", "array<double>", "meanCol"),
        Output("quantiles", "array<array<double>>", "quantilesCol"),
        Output("forecast_start", "timestamp_ntz", "forecastStartCol"),
        Output("samples", "array<array<double>>", "samplesCol"),
    )

    @staticmethod
    def algorithm() -> Algorithm:
        return DEEPAR

    @property
    def served_epoch(self) -> int:
        """The epoch, counted from 1, whose state this model is: the one whose loss was the smallest."""
        return self.artifact.values["epoch"]

    def objective_metric(self) -> str:
        return "final_loss"

    def fields(self) -> list[Field]:
        return _read(self, super().fields())

    def own_outputs(self) -> Sequence[Output]:
        found = super().own_outputs()
        if self.value("likelihood") == DETERMINISTIC:
            return [output for output in found if output.param not in ("quantilesCol", "samplesCol")]
        levels = tuple(self.value("quantiles"))
        return [
            _Quantiles(output.field, output.type, output.param, levels=levels) if output.field == "quantiles" else output
            for output in found
        ]

    def _transform(self, dataset: DataFrame) -> DataFrame:
        if self.value("likelihood") == DETERMINISTIC and self.value("samplesCol"):
            reason = f"samplesCol: likelihood={DETERMINISTIC!r} forecasts points, of which there are no samples; leave it out"
            raise InvalidParams(type(self).__name__, [reason])
        is_long, form = bool(self.value("timeCol")), self.value("forecast_form")
        names, time = [], None
        if is_long:
            of = _checked(self, dataset)
            gathered = of.gathered(dataset, with_horizon=bool(of.features))
            found = super(DeepARModel, _of_gathered(self, of))._transform(gathered)
            names, time = [of.time, of.value, of.cat, DYNAMIC_COLUMN if of.features else None], of.time
        else:
            found = super()._transform(dataset)
            names = [self.value(f"{param}Col") for param in ("start", "target", "cat", "dynamicFeat")]
        if form == "series" or form == "auto" and not is_long:
            return found.drop(*filter(None, names)) if is_long else found
        return self._in_steps(found.drop(*filter(None, names)), time or _TIME, dataset)

    def _in_steps(self, found: DataFrame, time: str, dataset: DataFrame) -> DataFrame:
        """A row per step."""
        by_field = {output.field: self.value(output.param) for output in self.own_outputs()}
        start = by_field.get("forecast_start")
        if start is None:
            raise InvalidParams(type(self).__name__, ["forecastStartCol is required for a row per step, which has its time"])
        numbers, maps, lists = ([by_field[field]] if field in by_field else [] for field in ("mean", "quantiles", "samples"))
        if time == _TIME and (there := existing(found, time)) is not None:
            reason = f"a row per step has its time in a column {time!r}, and the dataset has a column {there!r}: drop or rename it"
            raise InvalidParams(type(self).__name__, [reason])
        steps = in_steps(found, start, numbers, maps, lists, time, _frequency(self), self.value("prediction_length"))
        given = find(dataset, time)
        is_time = given is not None and isinstance(given.type, TimestampType | DateType)
        return steps.withColumn(time, column(time).cast(given.type)) if is_time else steps

    def forecast(self, history: DataFrame, horizon: DataFrame | None = None) -> DataFrame:
        """What `transform` gives, of series and of the dynamic features of their horizons in a DataFrame of its own.

        Parameters
        ----------
        history : DataFrame
            A row per step, as in training.
        horizon : DataFrame, optional
            A row per series and step of the horizon, with the columns of keys, time and dynamic features, and of categories where there are
            such. Needed by models with dynamic features alone.

        Returns
        -------
        DataFrame

        Raises
        ------
        ValueError
            If the model reads a row per series, whose arrays of dynamic features hold the horizon; or a column is missing.
        """
        if horizon is None:
            return self.transform(history)
        if not self.value("timeCol"):
            name = self.value("dynamicFeatCol") or "dynamicFeatCol"
            raise ValueError(f"the model reads a row per series: let the arrays of {name} go on for the horizon, and leave `horizon` out")
        of = _checked(self, history)
        if not of.features:
            raise ValueError("the model has no dynamic features (dynamicFeatCols), which is all that a horizon could tell it; leave it out")
        columns = [*of.keys, of.time, *([of.cat] if of.cat else []), *of.features]
        missing = [name for name in columns if find(horizon, name) is None]
        if missing:
            raise ValueError(f"horizon has no column {', '.join(map(repr, missing))}; it has {', '.join(horizon.columns)}")
        before, later = ([find(frame, name).column.alias(name) for name in columns] for frame in (history, horizon))
        known = history.select(*before, find(history, of.value).column.alias(of.value))
        return self.transform(known.union(horizon.select(*later, F.lit(None).cast("double"))))

    def explain(self, dataset: DataFrame, **settings: Any) -> DataFrame:
        """Say which steps of a series have moved the forecast; see `sparkml_algos.explain.explain_series`.

        Parameters
        ----------
        dataset : DataFrame
            Of the form that was trained on; rows per step are gathered, and a row per series is given.
        **settings
            Of `explain_series`.

        Returns
        -------
        DataFrame
            With ``attributions`` and ``expected``.
        """
        if not self.value("timeCol"):
            return super().explain(dataset, **settings)
        of = _checked(self, dataset)
        return super(DeepARModel, _of_gathered(self, of)).explain(of.gathered(dataset, with_horizon=bool(of.features)), **settings)

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """Withhold the last `prediction_length` steps of each series, forecast them from `num_eval_samples` paths, and compare.

        Series that have no more steps than that are left out.

        Parameters
        ----------
        dataset : DataFrame
            Of the form that was trained on; dynamic features as long as the target.

        Returns
        -------
        dict of str to float
            With y the values withheld, those missing left out, n their number, ŷ the mean of the paths, m their median and q_τ a quantile,
            sums over all series and steps:

            ``test:RMSE``
                √(Σ (ŷ − y)² / n)
            ``test:mean_wQuantileLoss``
                the mean over `test_quantiles` of ``2 Σ ρ_τ(y − q_τ) / Σ |y|``, ρ_τ(d) being τ·d where d > 0, else (τ − 1)·d; not of
                ``deterministic-L1``
            ``test:ND``
                ``Σ |m − y| / Σ |y|``
            ``test:sMAPE``
                in per cent, 200 times the mean of ``|m − y| / (|m| + |y|)`` over the steps of a series, then the mean over series, as the
                M4 competition has it; elsewhere it goes from 0 to 2, or is pooled
            ``test:MASE``
                the mean of ``|m − y|`` over the steps of a series, divided by the mean absolute difference of its values a season apart
                before them, then the mean over series of which that is not 0. The season is a day of minutes or hours, a week of days, a
                year of weeks or months, and 1 where that is no whole number of steps

        Raises
        ------
        ValueError
            If no series is long enough, or one could not be trained on.
        """
        of_series = self
        if self.value("timeCol"):
            of = _checked(self, dataset)
            of_series, dataset = _of_gathered(self, of), of.gathered(dataset)
        settings = Hyperparameters(**self.hyperparameters())
        make = functools.partial(DEEPAR.load, hyperparameters=settings, device="cpu")
        forecaster = Opened(ship(self.artifact, dataset.sparkSession), make)
        with naming_series():
            totals = sum_over_batches(dataset, of_series, functools.partial(_errors, forecaster, settings))
        if not totals["steps"]:
            raise ValueError(
                f"no series has more than prediction_length={settings.prediction_length} steps, of which the last are withheld"
            )
        return {f"test:{name}": value for name, value in metrics.metrics(totals).items()}


@dataclass(frozen=True)
class _Quantiles(Output):
    """Quantiles as a map, which the predictor gives as lists in the order of the levels."""

    levels: tuple[float, ...] = ()

    def column(self, scored: Column) -> Column:
        names = F.array(*(F.lit(str(level)) for level in self.levels))
        return F.map_from_arrays(names, scored[self.field])


def _errors(forecaster: Opened[Forecaster], settings: Hyperparameters, batch: Batch) -> Sums:
    """What series add to the metrics of a model."""
    history, actual = withheld(batch, settings.prediction_length)
    predictor = forecaster.get()
    season, levels = predictor.shape.frequency.season, () if settings.likelihood == DETERMINISTIC else settings.test_quantiles
    found: Sums = {}
    for part, paths in predictor.parts(history, settings.num_eval_samples):
        own = metrics.sums(paths, actual[part], history.take(part).target, season, levels)
        found = {name: found.get(name, 0) + value for name, value in own.items()}
    return found or metrics.nothing(levels)


def _read(params: DeclaredParams, fields: list[Field]) -> list[Field]:
    """Without columns that a hyperparameter leaves out."""
    settings = Hyperparameters(**params.hyperparameters())
    return [field for field in fields if field.role not in (CAT, DYNAMIC) or is_read(field.role, settings)]


def _without_column(params: DeclaredParams) -> list[str]:
    """What is said of columns that are not named."""
    if isinstance(params.value("cardinality"), list) and not params.value("catCol"):
        return [f"cardinality={params.value('cardinality')} is of categories, and needs catCol: their column"]
    if isinstance(params.value("num_dynamic_feat"), int) and not params.value("dynamicFeatCol"):
        number = params.value("num_dynamic_feat")
        return [f"num_dynamic_feat={number} is of dynamic features, and needs dynamicFeatCol or, of a row per step, dynamicFeatCols"]
    return []


def _frequency(params: DeclaredParams) -> Frequency:
    return Frequency.parse(params.value("time_freq"))


def _long_form(params: DeclaredParams) -> LongForm:
    """The columns of a row per step."""
    settings = Hyperparameters(**params.hyperparameters())
    return LongForm(
        params.value("timeCol"),
        params.value("valueCol"),
        params.value("keyCols") or [],
        params.value("catCol") if is_read(CAT, settings) else None,
        (params.value("dynamicFeatCols") or []) if is_read(DYNAMIC, settings) else [],
        _frequency(params),
        params.value("prediction_length"),
    )


def _checked(params: DeclaredParams, dataset: DataFrame) -> LongForm:
    """The same, which the dataset has.

    Raises
    ------
    InvalidParams
        With all that is wrong.
    """
    problems = params.problems()
    of = None
    if not problems:
        of = _long_form(params)
        problems = of.problems(dataset)
    if problems or of is None:
        raise InvalidParams(type(params).__name__, problems)
    return of


def _of_gathered(params: P, of: LongForm) -> P:
    """A copy that reads what is gathered."""
    copy = params.copy()
    for name in _LONG:
        copy._paramMap.pop(copy.getParam(name), None)
    return copy._set(startCol=of.time, targetCol=of.value, **({"dynamicFeatCol": DYNAMIC_COLUMN} if of.features else {}))


def _fitted(estimators: Sequence[DeepAR], dataset: DataFrame) -> list[DeepARModel]:
    """Models of a row per series, or of a row per step, which is gathered once for all that gather alike."""
    forms = [_checked(one, dataset) if one.value("timeCol") else None for one in estimators]
    groups: dict[object, list[int]] = {}
    for place, of in enumerate(forms):
        groups.setdefault(of and of.gathers, []).append(place)
    models: dict[int, DeepARModel] = {}
    for places in groups.values():
        of, own = forms[places[0]], [estimators[place] for place in places]
        if of is None:
            found = fit_all(own, dataset)
        else:
            with naming_series():
                found = fit_all([_of_gathered(one, of) for one in own], of.gathered(dataset))
            found = [_named_as(model, one) for model, one in zip(found, own, strict=True)]
        models.update(zip(places, found, strict=True))
    return [models[place] for place in range(len(estimators))]


def _named_as(model: DeepARModel, estimator: DeepAR) -> DeepARModel:
    """The model, which reads rows per step, as the Estimator does."""
    for name in _GATHERED:
        model._paramMap.pop(model.getParam(name), None)
    return model._set(**{name: estimator.value(name) for name in _LONG if estimator.isSet(name)})

"""Hyperparameters of DeepAR, by the service's names, and the columns it reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparkml_algos.algorithms.deepar.frequency import Frequency
from sparkml_algos.arrays.hyperparameters import ColumnParam, Declarations, Hyperparameter, Hyperparameters, OwnHyperparameter
from sparkml_algos.rows import fields
from sparkml_algos.rows.categories import Categories
from sparkml_algos.rows.fields import Field
from sparkml_algos.rows.kinds import Kind, Time
from sparkml_algos.rows.series import Series, SeriesOfRows

#: Roles of the columns that are read.
START, TARGET, CAT, DYNAMIC = "start", "target", "cat", "dynamic_feat"
#: What drops a column whatever its name.
IGNORED = ("ignore", "")
DETERMINISTIC = "deterministic-L1"
#: As the service's batch inference has them.
QUANTILES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]

_READ = {"scoring": True, "evaluating": True}
FIELDS = (
    Field(
        START, Time(of_clock=True), "Time of the first step: a timestamp, a date, or a text of one; without a time zone.", START, **_READ
    ),
    Field(TARGET, Series(), "The series, an array of numbers in order of time; null or NaN is a missing step.", TARGET, **_READ),
    Field(CAT, Categories(), "Categories of the series, an array of whole numbers from 0, or one.", **_READ),
    Field(
        DYNAMIC,
        SeriesOfRows(),
        "Features that change with time: an array with an array for each, as long as the target and, to forecast, longer by the horizon.",
        **_READ,
    ),
    fields.validation(),
)


class DeepARParams(Declarations):
    """Hyperparameters and columns of `DeepAR` and `DeepARModel`."""

    reads = FIELDS

    context_length = Hyperparameter(
        int, "Steps the network reads before it forecasts; lags reach further back. Best near prediction_length.", required=True, minimum=1
    )
    epochs = Hyperparameter(int, "Passes over the training data at most.", required=True, minimum=1)
    prediction_length = Hyperparameter(int, "Steps that are forecast, the horizon.", required=True, minimum=1)
    time_freq = Hyperparameter(
        str, "From step to step: M (month), W, D, H or min, with a number in front where it is several, such as 5min.", required=True
    )
    cardinality = Hyperparameter(
        list,
        "Number of categories of each feature in catCol; auto finds out, ignore or an empty string leaves the column out.",
        of=int,
        default="auto",
        minimum=1,
        special=["auto", *IGNORED],
    )
    num_dynamic_feat = Hyperparameter(
        int,
        "Number of features in dynamicFeatCol; auto finds out, ignore or an empty string leaves the column out.",
        default="auto",
        minimum=1,
        special=["auto", *IGNORED],
    )
    likelihood = Hyperparameter(
        str,
        "Distribution of a step: gaussian (real values), beta (from 0 to 1), negative-binomial (counts), student-T (bursty real values), "
        "deterministic-L1 (none, a point forecast).",
        default="student-T",
        choices=["gaussian", "beta", "negative-binomial", "student-T", DETERMINISTIC],
    )
    num_cells = Hyperparameter(int, "Cells of each recurrent layer.", default=40, minimum=1)
    num_layers = Hyperparameter(int, "Recurrent layers.", default=2, minimum=1)
    embedding_dimension = Hyperparameter(int, "Numbers of a category's embedding.", default=10, minimum=1)
    dropout_rate = Hyperparameter(
        float,
        "Zoneout: share of the cells that stay as they are in a step of the training.",
        default=0.1,
        minimum=0,
        maximum=1,
        max_exclusive=True,
    )
    learning_rate = Hyperparameter(float, "Learning rate.", default=0.001, minimum=0, min_exclusive=True)
    mini_batch_size = Hyperparameter(int, "Windows per mini-batch, of all workers together.", default=128, minimum=1)
    early_stopping_patience = Hyperparameter(
        int,
        "Epochs in a row without a smaller loss after which training ends, on validation rows where there are such; never without it.",
        minimum=1,
    )
    num_eval_samples = Hyperparameter(int, "Paths that `evaluate` draws for each series.", default=100, minimum=1, on_model=True)
    test_quantiles = Hyperparameter(
        list,
        "Quantiles whose loss `evaluate` computes.",
        of=float,
        default=list(QUANTILES),
        minimum=0,
        maximum=1,
        min_exclusive=True,
        max_exclusive=True,
        on_model=True,
    )
    num_samples = OwnHyperparameter(int, "Paths that `transform` draws for each series.", default=100, minimum=1, on_model=True)
    quantiles = OwnHyperparameter(
        list,
        "Quantiles that `transform` gives.",
        of=float,
        default=list(QUANTILES),
        minimum=0,
        maximum=1,
        min_exclusive=True,
        max_exclusive=True,
        on_model=True,
    )

    forecast_form = OwnHyperparameter(
        str,
        "What `transform` gives: a row per series, or per step that is forecast; auto is the form of what it is given.",
        default="auto",
        choices=["auto", "series", "steps"],
        on_model=True,
    )

    timeCol = ColumnParam("Of a row per step: its time, a timestamp, a date or a text of one. Without it there is a row per series.")
    valueCol = ColumnParam("Of a row per step: its value, numeric; null or NaN is missing, as steps without a row are.")
    keyCols = ColumnParam("Of a row per step: columns that tell series apart; without them there is one series.", type=list)
    dynamicFeatCols = ColumnParam("Of a row per step: numeric columns of features that change with time.", type=list)
    forecastStartCol = ColumnParam("Output column: the time of the first step that is forecast.", default="forecast_start")
    meanCol = ColumnParam("Output column: the mean of the paths, a number for each step.", default="mean")
    quantilesCol = ColumnParam("Output column: a map from the quantile, as text, to a number for each step.", default="quantiles")
    samplesCol = ColumnParam("Output column: the paths themselves, an array for each; not given unless it is named.")

    def problems(self) -> list[str]:
        found = super().problems()
        if found:
            return found
        try:
            Frequency.parse(self.value("time_freq"))
        except ValueError as error:
            found.append(str(error))
        if self.value("timeCol") and not self.value("valueCol"):
            found.append("valueCol is required with timeCol: the column of the values")
        if not self.value("timeCol"):
            lost = [name for name in ("valueCol", "keyCols", "dynamicFeatCols") if self.value(name)]
            found += [f"{name} is of a row per step, and needs timeCol: the column of the times" for name in lost]
        elif self.value("dynamicFeatCol"):
            found.append("dynamicFeatCol is of a row per series; with timeCol name the features in dynamicFeatCols")
        for name in ("quantiles", "test_quantiles"):
            if len(set(self.value(name))) < len(self.value(name)):
                found.append(f"{name} names one more than once: {', '.join(map(str, self.value(name)))}")
        return found


def kinds(hyperparameters: Hyperparameters) -> Mapping[str, Kind]:
    """What the columns are, by role."""
    found: dict[str, Any] = {}
    hint = f" with likelihood={hyperparameters.likelihood!r}"
    if hyperparameters.likelihood == "beta":
        found[TARGET] = Series(minimum=0, maximum=1, hint=hint)
    if hyperparameters.likelihood == "negative-binomial":
        found[TARGET] = Series(minimum=0, whole=True, hint=hint)
    if isinstance(hyperparameters.cardinality, list):
        found[CAT] = Categories(tuple(hyperparameters.cardinality), f"cardinality={hyperparameters.cardinality}")
    if isinstance(hyperparameters.num_dynamic_feat, int):
        found[DYNAMIC] = SeriesOfRows(hyperparameters.num_dynamic_feat, f"num_dynamic_feat={hyperparameters.num_dynamic_feat}")
    return found


def is_read(role: str, hyperparameters: Hyperparameters) -> bool:
    """Whether a column is read, if it is named."""
    says = {CAT: hyperparameters.cardinality, DYNAMIC: hyperparameters.num_dynamic_feat}
    return says.get(role) not in IGNORED

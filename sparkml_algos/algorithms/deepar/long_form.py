"""A row per step as a row per series, gathered by Spark without a row in Python; and a forecast per series as a row per step."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DateType, StringType, TimestampNTZType, TimestampType

from sparkml_algos.algorithms.deepar.frequency import Frequency
from sparkml_algos.cluster.errors import InvalidDataError
from sparkml_algos.core.columns import Found, column, find, is_number, is_ordered
from sparkml_algos.core.inputs import column_problem

#: What the gathered dynamic features are called.
DYNAMIC_COLUMN = "dynamic_feat"
# Around what is wrong with a series, in an error of Spark's.
_OPEN, _CLOSE = "«series: ", "»"
_SECONDS_OF_DAY = 86_400
# Steps of a series at most, 19 years of minutes: what is longer has a time that is wrong, and its gap would fill the memory.
LONGEST = 10_000_000


class LongForm:
    """The columns of a row per step.

    Parameters
    ----------
    time, value : str
    keys : sequence of str
        What tells series apart; none of a single series.
    cat : str, optional
        The same in all rows of a series.
    features : sequence of str
        Dynamic features, a number each.
    frequency : Frequency
    horizon : int
    """

    def __init__(
        self, time: str, value: str, keys: Sequence[str], cat: str | None, features: Sequence[str], frequency: Frequency, horizon: int
    ) -> None:
        self.time, self.value, self.keys, self.cat, self.features = time, value, list(keys), cat, list(features)
        self._frequency, self._horizon = frequency, horizon

    @property
    def gathers(self) -> tuple[object, ...]:
        """What decides what is gathered."""
        return self.time, self.value, (*self.keys,), self.cat, (*self.features,), self._frequency

    def problems(self, dataset: DataFrame) -> list[str]:
        """What is wrong with the columns; an empty list if nothing."""
        found = [
            column_problem(dataset, self.time, "timeCol", _is_time, "a timestamp, a date or a text of one"),
            column_problem(dataset, self.value, "valueCol", is_number, "numeric"),
            *(column_problem(dataset, name, "keyCols", is_ordered, "of a type that Spark makes groups by") for name in self.keys),
            *(column_problem(dataset, name, "catCol", is_ordered, "a whole number, or an array of such") for name in [self.cat] if name),
            *(column_problem(dataset, name, "dynamicFeatCols", is_number, "numeric") for name in self.features),
        ]
        taken = [name for name in self.keys if name in (self.time, self.value, self.cat)]
        found += [f"keyCols names {name!r}, which is another column of the series too" for name in taken]
        return [problem for problem in found if problem]

    def gathered(self, dataset: DataFrame, *, with_horizon: bool = False) -> DataFrame:
        """A row per series: the keys; under the name of the time its start; under that of the value the series, where steps without a row
        are null; the categories; and ``dynamic_feat``.

        Parameters
        ----------
        dataset : DataFrame
            In any order.
        with_horizon : bool
            Whether the last steps, as many as are forecast, have dynamic features alone.
        """

        def read(name: str) -> Column:
            return find(dataset, name).column

        moment = _moment(find(dataset, self.time))
        step = F.struct(
            self._grid(moment).alias("grid"),
            self._offset(moment).alias("offset"),
            moment.alias("time"),
            F.dayofmonth(moment).alias("day"),
            F.dayofmonth(F.last_day(moment)).alias("last_day"),
            read(self.value).cast("float").alias("value"),
            F.array(*(read(name).cast("float") for name in self.features)).cast("array<float>").alias("features"),
        )
        keys = [read(name).alias(name) for name in self.keys]
        collected = [F.sort_array(F.collect_list(step)).alias("_steps"), F.max(moment.isNull()).alias("_timeless")]
        if self.cat:
            cat = read(self.cat)
            collected += [F.min(cat).alias("_cat"), F.max(cat).alias("_other"), F.count(cat).alias("_with_cat")]
        grouped = (dataset.groupBy(*keys) if keys else dataset.groupBy()).agg(*collected)
        steps = F.col("_steps")
        values = self._filled(steps, lambda one: one["value"])
        problem = self._problem(steps)
        found = grouped.where(F.size(steps) > 0).withColumn("_problem", problem)
        if with_horizon:
            values, late = self._without_horizon(values)
            found = found.withColumn("_problem", F.coalesce(F.col("_problem"), late))
        refused = F.raise_error(F.concat(F.lit(_OPEN), F.col("_problem"), F.lit(_CLOSE))).cast("array<float>")
        columns = [
            *(column(name) for name in self.keys),
            steps[0]["time"].alias(self.time),
            F.when(F.col("_problem").isNotNull(), refused).otherwise(values).alias(self.value),
        ]
        if self.cat:
            columns.append(F.col("_cat").alias(self.cat))
        if self.features:
            series = [self._filled(steps, lambda one, place=place: one["features"][place]) for place in range(len(self.features))]
            columns.append(F.array(*series).alias(DYNAMIC_COLUMN))
        return found.select(*columns)

    def _grid(self, moment: Column) -> Column:
        """Whole seconds, or months, since 1970."""
        if self._frequency.seconds is None:
            return (F.year(moment) * 12 + F.month(moment)).cast("long")
        days = F.datediff(F.to_date(moment), F.lit("1970-01-01").cast("date")).cast("long")
        return days * _SECONDS_OF_DAY + F.hour(moment) * 3600 + F.minute(moment) * 60 + F.second(moment)

    def _offset(self, moment: Column) -> Column:
        """What is the same in all steps: the rest of a second, or the time of the day."""
        return F.date_format(moment, "SSSSSS" if self._frequency.seconds is not None else "HH:mm:ss SSSSSS")

    def _is_odd(self, one: Column, first: Column) -> Column:
        """Whether a step is not a whole number of steps after the first."""
        found = ((one["grid"] - first["grid"]) % self._apart != 0) | (one["offset"] != first["offset"])
        if self._frequency.seconds is not None:
            return found
        # As `Frequency.times` has it.
        day = F.when(first["day"] == first["last_day"], one["last_day"]).otherwise(F.least(first["day"], one["last_day"]))
        return found | (one["day"] != day)

    @property
    def _apart(self) -> int:
        """Seconds, or months, from step to step."""
        return self._frequency.seconds or self._frequency.multiple

    def _filled(self, steps: Column, value_of: Callable[[Column], Column]) -> Column:
        """A number for each step, null where there is no row."""

        def before_and_own(one: Column, place: Column) -> Column:
            previous = F.when(place == 0, one["grid"] - self._apart).otherwise(steps[place - 1]["grid"])
            missing = F.greatest(((one["grid"] - previous) / self._apart).cast("int") - 1, F.lit(0))
            return F.concat(F.array_repeat(F.lit(None).cast("float"), missing), F.array(value_of(one)))

        return F.flatten(F.transform(steps, before_and_own))

    def _problem(self, steps: Column) -> Column:
        """What is wrong with a series, null if nothing."""
        places = F.when(F.size(steps) > 1, F.sequence(F.lit(1), F.size(steps) - 1)).otherwise(F.array().cast("array<int>"))
        first, last = steps[0], F.element_at(steps, -1)
        twice = F.filter(places, lambda place: steps[place]["time"] == steps[place - 1]["time"])
        odd = F.filter(places, lambda place: self._is_odd(steps[place], first))
        name = f"of column {self.time!r}"
        series = self._name()
        checks = [
            F.when(F.col("_timeless"), F.concat(series, F.lit(f" has a row whose time {name} is null"))),
            F.when(
                F.size(twice) > 0, F.concat(series, F.lit(" has two rows of the time "), _text(steps[twice[0]]["time"]), F.lit(f" {name}"))
            ),
            F.when(
                F.size(odd) > 0,
                F.concat(
                    series,
                    F.lit(" has the time "),
                    _text(steps[odd[0]]["time"]),
                    F.lit(f" {name}, which is not a whole number of steps (time_freq={str(self._frequency)!r}) after its first, "),
                    _text(first["time"]),
                ),
            ),
            F.when(
                (last["grid"] - first["grid"]) / self._apart >= LONGEST,
                F.concat(
                    series,
                    F.lit(" reaches from "),
                    _text(first["time"]),
                    F.lit(" to "),
                    _text(last["time"]),
                    F.lit(f" {name}, which are more than {LONGEST:,} steps (time_freq={str(self._frequency)!r})"),
                ),
            ),
        ]
        if self.cat:
            some_have = (F.col("_with_cat") > 0) & (F.col("_with_cat") < F.size(steps))
            differ = (F.col("_cat") != F.col("_other")) | some_have
            checks.append(F.when(differ, F.concat(series, F.lit(f" has rows of different categories in column {self.cat!r}"))))
        return F.coalesce(*checks)

    def _name(self) -> Column:
        """What a series is called in messages."""
        if not self.keys:
            return F.lit("the series")
        parts = [F.concat(F.lit(f"{name}="), F.coalesce(column(name).cast("string"), F.lit("null"))) for name in self.keys]
        return F.concat(F.lit("the series "), F.concat_ws(", ", *parts))

    def _without_horizon(self, values: Column) -> tuple[Column, Column]:
        """The values before the horizon, and what is wrong with it."""
        kept = F.size(values) - self._horizon
        known = F.slice(values, 1, F.greatest(kept, F.lit(0)))
        rest = F.slice(values, F.greatest(kept, F.lit(0)) + 1, self._horizon)
        needs = f" must end with {self._horizon} steps that have dynamic features and no value in column {self.value!r}, the horizon"
        short = F.when(kept < 1, F.concat(self._name(), F.lit(needs), F.lit("; it has "), F.size(values).cast("string"), F.lit(" steps")))
        filled = F.when(F.exists(rest, lambda value: value.isNotNull()), F.concat(self._name(), F.lit(needs)))
        return known, F.coalesce(short, filled)


def in_steps(
    forecasts: DataFrame,
    start: str,
    outputs: Sequence[str],
    maps: Sequence[str],
    lists: Sequence[str],
    time: str,
    frequency: Frequency,
    horizon: int,
) -> DataFrame:
    """A row per step that is forecast.

    Parameters
    ----------
    forecasts : DataFrame
        A row per series.
    start : str
        Column of the time of the first step.
    outputs, maps, lists : sequence of str
        Columns of a number per step, of maps of such, and of lists of such.
    time : str
        What the time of a step is called.
    frequency : Frequency
    horizon : int
    """
    place = F.col("_step")
    kept = [column(name) for name in forecasts.columns if name not in (start, *outputs, *maps, *lists)]
    told = forecasts.withColumn("_step", F.explode(F.sequence(F.lit(0), F.lit(horizon - 1))))
    if frequency.seconds is None:
        moved = column(start) + F.make_ym_interval(F.lit(0), place * frequency.multiple)
        is_last = F.to_date(column(start)) == F.last_day(column(start))
        later = moved + F.make_dt_interval(F.when(is_last, F.datediff(F.last_day(moved), F.to_date(moved))).otherwise(F.lit(0)))
    else:
        seconds = (place.cast("long") * frequency.seconds).cast("decimal(18,6)")
        later = column(start) + F.make_dt_interval(F.lit(0), F.lit(0), F.lit(0), seconds)
    return told.select(
        *kept,
        later.alias(time),
        *(F.element_at(column(name), place + 1).alias(name) for name in outputs),
        *(F.transform_values(column(name), lambda _, values: F.element_at(values, place + 1)).alias(name) for name in maps),
        *(F.transform(column(name), lambda path: F.element_at(path, place + 1)).alias(name) for name in lists),
    )


@contextmanager
def naming_series() -> Iterator[None]:
    """What Spark says of a series that cannot be gathered is one short error.

    Raises
    ------
    InvalidDataError
    """
    try:
        yield
    except Exception as error:
        text, cause = str(error), error.__cause__
        found = re.search(f"{_OPEN}(.*?){_CLOSE}", f"{text}\n{cause or ''}", re.DOTALL)
        if found is None:
            raise
        raise InvalidDataError(found[1]) from None


def _moment(found: Found) -> Column:
    """A time as a clock shows it; of a text that is none null."""
    time = F.try_to_timestamp(found.column) if isinstance(found.type, StringType) else found.column
    return time.cast("timestamp_ntz")


def _text(time: Column) -> Column:
    return time.cast("string")


def _is_time(type_: DataType) -> bool:
    return isinstance(type_, TimestampType | TimestampNTZType | DateType | StringType)

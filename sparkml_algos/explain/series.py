"""Attributions of forecasts: which steps of a series have moved what is forecast of it, by asymmetric Shapley values.

C. Frye, C. Rowat, I. Feige, "Asymmetric Shapley values: incorporating causal knowledge into model-agnostic explainability", NeurIPS 2020:
of all orders in which features are added only those count that time allows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparkml_algos.cluster.jobs import described
from sparkml_algos.cluster.shipping import ensure_importable
from sparkml_algos.core.columns import column

Direction = Literal["chronological", "anti_chronological", "bidirectional"]
Granularity = Literal["timewise", "fine_grained"]
_DIRECTIONS, _GRANULARITIES, _BASELINES = (
    ("chronological", "anti_chronological", "bidirectional"), ("timewise", "fine_grained"), ("zero", "mean"),
)  # fmt: skip
_ROW, _ID, _STEP, _MEMBERS, _SIDE, _FOUND = (f"_sparkml_algos_{name}" for name in ("row", "id", "step", "members", "side", "found"))
ATTRIBUTIONS, EXPECTED = "attributions", "expected"
TARGET = 0  # among the series of a row; those that are related come after it


@dataclass(frozen=True)
class SeriesExplanation:
    """Attributions of steps.

    Attributes
    ----------
    dataframe : DataFrame
        The rows with ``attributions`` and ``expected`` (the forecast where every step is the baseline's, a number for each step of the
        horizon), from which attributions add up to the mean of the forecast. ``attributions`` has for each step an array of a number for
        each step of the horizon; of ``fine_grained`` for each step and series, the target first. With dynamic features, steps go on over
        the horizon.
    direction : {"chronological", "anti_chronological", "bidirectional"}
    granularity : {"timewise", "fine_grained"}
    """

    dataframe: DataFrame
    direction: Direction
    granularity: Granularity


def explain_series(
    model: Any,
    dataset: DataFrame,
    *,
    direction: Direction = "chronological",
    granularity: Granularity = "timewise",
    num_samples: int | None = None,
    baseline: Literal["zero", "mean"] = "zero",
    seed: int = 0,
) -> SeriesExplanation:
    """Say how much each step of a series has moved the forecast.

    Parameters
    ----------
    model : DeepARModel
        That reads a row per series.
    dataset : DataFrame
        A row for each series to explain.
    direction : {"chronological", "anti_chronological", "bidirectional"}
        Whether steps are added from the first on, from the last on, or as the mean of both.
    granularity : {"timewise", "fine_grained"}
        Whether a step is one feature, or the target and each dynamic feature of the step are features of their own, which are added in all
        orders within the step.
    num_samples : int, optional
        Orders within a step that are drawn, of ``fine_grained``, which needs it; where there are not so many, all are taken.
    baseline : {"zero", "mean"}
        What stands for a step that is left out: 0, or the mean of the row's own series.
    seed : int
        Of the orders that are drawn.

    Returns
    -------
    SeriesExplanation

    Raises
    ------
    ValueError
        If settings do not go together, or a column is missing.

    Notes
    -----
    A series of n steps is forecast n + 1 times, twice that of ``bidirectional``; of ``fine_grained`` up to once more for each step, order
    and series. Categories stay what they are. Rows without a series are left out.
    """
    for name, value, choices in (
        ("direction", direction, _DIRECTIONS), ("granularity", granularity, _GRANULARITIES), ("baseline", baseline, _BASELINES),
    ):  # fmt: skip
        if value not in choices:
            raise ValueError(f"{name} is one of {', '.join(choices)}, not {value!r}")
    fine = granularity == "fine_grained"
    if fine and direction != "chronological":
        raise ValueError(f"granularity 'fine_grained' is for direction 'chronological', not {direction!r}")
    if fine != (num_samples is not None):
        raise ValueError(f"num_samples is for granularity 'fine_grained', which needs it; {granularity!r} {'lacks' if fine else 'has'} it")
    if num_samples is not None and num_samples < 1:
        raise ValueError(f"num_samples is 1 or more, not {num_samples!r}")
    if not hasattr(model, "getTargetCol") or model.value("timeCol"):
        raise ValueError(f"{type(model).__name__} does not read a row per series here; model.explain gathers rows per step")
    target = model.value("targetCol")
    related = model.value("dynamicFeatCol") if any(field.role == "dynamic_feat" for field in model.fields()) else None
    for name in filter(None, (target, related)):
        if name not in dataset.columns:
            raise ValueError(f"there is no column {name!r}; the columns are {', '.join(dataset.columns)}")
    spark = dataset.sparkSession
    ensure_importable(spark)
    with described(spark, "explain series"):
        orders = _orders(dataset, related, num_samples, seed) if num_samples is not None else [(TARGET,)]
        # The size of null is null, or -1 with the settings of Spark 3.5.
        rows = dataset.where(column(target).isNotNull()).select(
            F.monotonically_increasing_id().alias(_ID), F.struct(*map(column, dataset.columns)).alias(_ROW), "*"
        )
        mixed = _mixed(rows, target, related, direction, _subsets(orders) if fine else [()], baseline, dataset.columns)
        scored = model.only("mean", _FOUND)._set(forecast_form="series").transform(mixed)
        parts = F.collect_list(F.struct(_SIDE, _STEP, _MEMBERS, _FOUND))
        solved = scored.groupBy(_ID).agg(F.first(_ROW).alias(_ROW), parts.alias(_FOUND))
        deep = "array<array<array<double>>>" if fine else "array<array<double>>"
        solve = F.udf(lambda found: explained(found, orders if fine else None), f"struct<{ATTRIBUTIONS}:{deep},{EXPECTED}:array<double>>")
        told = solved.select(_ROW, solve(_FOUND).alias(_FOUND))
        return SeriesExplanation(told.select(f"{_ROW}.*", f"{_FOUND}.{ATTRIBUTIONS}", f"{_FOUND}.{EXPECTED}"), direction, granularity)


def _orders(dataset: DataFrame, related: str | None, samples: int, seed: int) -> list[tuple[int, ...]]:
    """Orders in which the series of a step are added."""
    count = 1
    if related:
        first = dataset.where(column(related).isNotNull()).select(F.size(column(related)).alias("n")).first()
        if first is None:
            raise ValueError(f"there are no rows to explain: none has dynamic features in column {related!r}")
        count += first["n"]
    if math.factorial(count) <= samples:
        return list(itertools.permutations(range(count)))
    random = np.random.default_rng(seed)
    return [tuple(random.permutation(count).tolist()) for _ in range(samples)]


def _subsets(orders: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """What is there, of a step, before each series is added; the whole step is the beginning of the next one."""
    return sorted({tuple(sorted(order[:place])) for order in orders for place in range(len(order))})


def _mixed(
    rows: DataFrame, target: str, related: str | None, direction: Direction, subsets: Sequence[tuple[int, ...]], baseline: str,
    names: Sequence[str],
) -> DataFrame:  # fmt: skip
    """Each row with steps left out, by the number of steps that are there before, or on the other side after."""
    series = column(target).cast("array<double>")
    steps = F.size(series)
    others = column(related).cast("array<array<double>>") if related else None
    if others is not None:
        steps = F.greatest(steps, F.coalesce(F.array_max(F.transform(others, lambda one: F.size(one))), F.lit(0)))
    sides = [side for side, of in ((0, "chronological"), (1, "anti_chronological")) if direction in (of, "bidirectional")]
    exploded = rows.withColumn(_STEP, F.explode(F.sequence(F.lit(0), steps))).withColumn(_SIDE, F.explode(F.array(*map(F.lit, sides))))
    sets = F.array(*(F.array(*map(F.lit, members)).cast("array<int>") for members in subsets))
    # Of the last number of steps all are there, and nothing is begun.
    begun = F.when(F.col(_STEP) < steps, sets).otherwise(F.slice(sets, 1, 1))
    exploded = exploded.withColumn(_MEMBERS, F.explode(begun))

    def left_in(place: Column, of: int | Column) -> Column:
        before = place < F.col(_STEP)
        first = F.when(F.col(_SIDE) == 0, before).otherwise(~before)
        return first | ((place == F.col(_STEP)) & (F.col(_SIDE) == 0) & F.array_contains(F.col(_MEMBERS), of))

    def mixture(values: Column, of: int | Column) -> Column:
        known = F.filter(values, lambda value: value.isNotNull() & ~F.isnan(value))
        total = F.aggregate(known, F.lit(0.0), lambda one, other: one + other)
        base = F.lit(0.0) if baseline == "zero" else total / F.greatest(F.size(known), F.lit(1))
        return F.transform(values, lambda value, place: F.when(left_in(place, of), value).otherwise(base))

    replaced = {target: mixture(series, F.lit(TARGET))}
    if related and others is not None:
        replaced[related] = F.transform(others, lambda values, j: mixture(values, j + F.lit(1)))
    kept = [replaced[name].alias(name) if name in replaced else column(name) for name in names]
    return exploded.select(_ID, _ROW, _SIDE, _STEP, _MEMBERS, *kept)


def explained(found: Sequence[Any], orders: Sequence[tuple[int, ...]] | None) -> tuple[list[Any], list[float]]:
    """Attributions out of the forecasts of a series with steps left out, and the forecast without any step."""
    by_key = {(one[_SIDE], one[_STEP], tuple(sorted(one[_MEMBERS]))): np.asarray(one[_FOUND], np.float64) for one in found}
    sides, steps = sorted({key[0] for key in by_key}), max(key[1] for key in by_key)
    if orders is None:
        of_sides = []
        for side in sides:
            forecasts = np.array([by_key[side, step, ()] for step in range(steps + 1)])
            of_sides.append(np.diff(forecasts, axis=0) * (1 if side == 0 else -1))
        return np.mean(of_sides, axis=0).tolist(), by_key[(0, 0, ()) if 0 in sides else (1, steps, ())].tolist()
    values = np.zeros((steps, len(orders[0]), len(by_key[0, 0, ()])))
    for step in range(steps):
        for order in orders:
            for place, one in enumerate(order):
                whole = place + 1 == len(order)
                after = by_key[0, step + 1, ()] if whole else by_key[0, step, tuple(sorted(order[: place + 1]))]
                values[step, one] += (after - by_key[0, step, tuple(sorted(order[:place]))]) / len(orders)
    return values.tolist(), by_key[0, 0, ()].tolist()

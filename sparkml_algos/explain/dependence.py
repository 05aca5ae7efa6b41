"""Partial dependence: what a model answers on average as one feature goes through its values, all others being what they are.

J. Friedman, "Greedy function approximation: a gradient boosting machine", Annals of Statistics 29(5), 2001.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pyspark.ml.functions import array_to_vector
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, IntegralType, StringType

from sparkml_algos.cluster.jobs import described
from sparkml_algos.core.columns import column, is_number, is_vector
from sparkml_algos.explain.attribution import Explanation, as_array_of, features_of, outputs_of

DataType = Literal["numerical", "categorical", "free_text"]
# Of the service.
TOP_K_FEATURES, GRID_RESOLUTION = 10, 15
# Strings of more distinct values are texts.
MOST_CATEGORIES = 100
_GRID, _VALUE = "_sparkml_algos_grid", "_sparkml_algos_value"


@dataclass(frozen=True)
class PartialDependence:
    """What a model answers on average, by the value of one feature.

    Attributes
    ----------
    feature_name : str
    data_type : {"numerical", "categorical", "free_text"}
    feature_values : tuple
        Centres of buckets of equal width of numbers, or all values.
    model_predictions : tuple of tuple of float
        For each output its mean at each value.
    data_distribution : tuple of float
        Share of the rows in each bucket, or with each value; of those that have a finite number, or a value.
    error : str or None
        Why there is none, of texts.
    """

    feature_name: str
    data_type: DataType
    feature_values: tuple[Any, ...] = ()
    model_predictions: tuple[tuple[float, ...], ...] = ()
    data_distribution: tuple[float, ...] = ()
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As an entry of ``pdp`` in the ``explanations`` of the service's ``analysis.json``."""
        head: dict[str, Any] = {"feature_name": self.feature_name, "data_type": self.data_type}
        if self.error is not None:
            return {**head, "error": self.error}
        return {
            **head,
            "feature_values": list(self.feature_values),
            "model_predictions": [list(values) for values in self.model_predictions],
            "data_distribution": list(self.data_distribution),
        }


def partial_dependence(
    model: Any,
    dataset: DataFrame,
    features: Sequence[str] | Explanation | None = None,
    *,
    output: str | None = None,
    grid_resolution: int = GRID_RESOLUTION,
    top_k_features: int = TOP_K_FEATURES,
) -> list[PartialDependence]:
    """Say what a model answers on average as a feature goes through its values.

    Parameters
    ----------
    model : Model or PipelineModel
        Whatever has `transform`.
    dataset : DataFrame
        The rows over which outputs are averaged.
    features : sequence of str, or Explanation, optional
        Columns of the dataset, or names of features of the model's Vector. Of an `Explanation` those that count most; by default all, as
        far as `top_k_features` goes, in their order.
    output : str, optional
        Column of `transform`, a number or a Vector; by default ``probability``, or ``prediction`` where there is none.
    grid_resolution : int
        Buckets of numbers, of equal width.
    top_k_features : int
        How many features are taken where none are named.

    Returns
    -------
    list of PartialDependence
        In the order of the features. Strings with more than 100 values are texts, for which it says so.

    Raises
    ------
    ValueError
        If a feature is unknown or of another type, there are no rows, or a setting is not what it may be.

    Notes
    -----
    Each row is scored once for each value of each feature.
    """
    if grid_resolution < 1 or top_k_features < 1:
        raise ValueError(f"grid_resolution and top_k_features are 1 or more, not {grid_resolution!r} and {top_k_features!r}")
    if isinstance(features, Explanation):
        values = features.global_values()
        size = {name: sum(values[label][name] for label in features.labels) for name in features.features}
        features = sorted(size, key=lambda name: (-size[name], name))[:top_k_features]
    within, names = features_of(model, dataset)
    chosen = list(features) if features is not None else list(names)[:top_k_features]
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"features names one or more, each once; got {chosen}")
    if unknown := [name for name in chosen if name not in names and name not in dataset.columns]:
        raise ValueError(f"features: {', '.join(map(repr, unknown))} is neither a feature nor a column; features are {', '.join(names)}")
    with described(dataset.sparkSession, "partial dependence"):
        found = []
        for name in chosen:
            if within is not None and name in names:
                found.append(_of_entry(model, dataset, within, list(names).index(name), name, output, grid_resolution))
            else:
                found.append(_of_column(model, dataset, name, output, grid_resolution))
        return found


def _of_column(model: Any, dataset: DataFrame, name: str, output: str | None, resolution: int) -> PartialDependence:
    type_ = dataset.schema[name].dataType
    if isinstance(type_, (StringType, BooleanType)):
        counted = dataset.where(column(name).isNotNull()).groupBy(column(name).alias("v")).count().limit(MOST_CATEGORIES + 1).collect()
        if len(counted) > MOST_CATEGORIES:
            error = f"it has more than {MOST_CATEGORIES} values: a text, of which there is no partial dependence"
            return PartialDependence(name, "free_text", error=error)
        counts = {row["v"]: row["count"] for row in sorted(counted, key=lambda row: row["v"])}
        total = sum(counts.values())
        if not total:
            raise ValueError(f"column {name!r} has no value")
        predictions = _means(model, dataset, output, list(counts), type_.simpleString(), {name: column(_VALUE)})
        return PartialDependence(name, "categorical", tuple(counts), predictions, tuple(count / total for count in counts.values()))
    if not is_number(type_):
        raise ValueError(f"column {name!r} is {type_.simpleString()}; numbers, strings and booleans have a partial dependence")
    value = column(name).cast("double")
    # Of whole numbers the centre of a bucket may be none; the model is asked at the nearest one.
    at = F.round(column(_VALUE)) if isinstance(type_, IntegralType) else column(_VALUE)
    return _of_numbers(model, dataset, value, name, output, resolution, {name: at.cast(type_)})


def _of_entry(model: Any, dataset: DataFrame, vector: str, place: int, name: str, output: str | None, resolution: int) -> PartialDependence:
    entries = as_array_of(dataset, vector)
    mixed = F.transform(entries, lambda value, i: F.when(i == place, column(_VALUE)).otherwise(value))
    replaced = array_to_vector(mixed) if is_vector(dataset.schema[vector].dataType) else mixed
    return _of_numbers(model, dataset, entries[place], name, output, resolution, {vector: replaced})


def _of_numbers(
    model: Any, dataset: DataFrame, value: Column, name: str, output: str | None, resolution: int, replaced: dict[str, Column]
) -> PartialDependence:
    known = dataset.select(value.alias("v")).where(F.abs("v") < float("inf"))  # NaN is more than that, and null is none
    ends = known.agg(F.min("v").alias("low"), F.max("v").alias("high"), F.count("v").alias("rows")).first()
    if ends is None or not ends["rows"]:
        raise ValueError(f"{name!r} has no finite value")
    low, high = float(ends["low"]), float(ends["high"])
    buckets = resolution if high > low else 1
    width = (high - low) / buckets
    centers = (low + width * (np.arange(buckets) + 0.5)).tolist()
    place = F.least(F.floor((F.col("v") - low) / width), F.lit(buckets - 1)) if width else F.lit(0)
    counts = {row["b"]: row["count"] for row in known.select(place.cast("int").alias("b")).groupBy("b").count().collect()}
    shares = tuple(counts.get(bucket, 0) / ends["rows"] for bucket in range(buckets))
    return PartialDependence(name, "numerical", tuple(centers), _means(model, dataset, output, centers, "double", replaced), shares)


def _means(
    model: Any, dataset: DataFrame, output: str | None, grid: Sequence[Any], type_: str, replaced: dict[str, Column]
) -> tuple[tuple[float, ...], ...]:
    """Mean outputs at each value, by output."""
    values = dataset.sparkSession.createDataFrame(list(enumerate(grid)), f"{_GRID} int, {_VALUE} {type_}")
    crossed = dataset.crossJoin(F.broadcast(values))
    kept = [replaced[name].alias(name) if name in replaced else column(name) for name in dataset.columns]
    scored = model.transform(crossed.select(_GRID, *kept))
    outputs = outputs_of(scored, dataset, output, model)
    means = [F.avg(one).alias(f"m{i}") for i, one in enumerate(outputs)]
    rows = {row[_GRID]: row for row in scored.groupBy(_GRID).agg(*means).collect()}
    return tuple(tuple(float(rows[place][f"m{i}"]) for place in range(len(grid))) for i in range(len(outputs)))

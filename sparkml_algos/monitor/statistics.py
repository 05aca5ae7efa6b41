"""Statistics of all columns of a DataFrame from one pass over its rows, in the service's `statistics.json`."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DateType, IntegralType, NumericType, StringType, TimestampNTZType, TimestampType

from sparkml_algos.cluster.jobs import described
from sparkml_algos.cluster.shipping import ensure_importable
from sparkml_algos.core.columns import column
from sparkml_algos.monitor.columns import ColumnState, top_values
from sparkml_algos.monitor.sketch import Kll

InferredType = Literal["Integral", "Fractional", "String", "Unknown"]
OTHER = "__other__"
BUCKETS, CATEGORIES = 10, 100  # of a histogram, of values that are listed
_VERSION = 0
_STATES = "feature long, part long, state binary"
_ARROW = pa.schema([("feature", pa.int64()), ("part", pa.int64()), ("state", pa.binary())])
_AS_TEXT = (StringType, BooleanType, DateType, TimestampType, TimestampNTZType)


@dataclass(frozen=True)
class FeatureStatistics:
    """What is known of a column.

    Attributes
    ----------
    name : str
    inferred_type : {"Integral", "Fractional", "String", "Unknown"}
        Of strings by what they say; ``Unknown`` where there is no value, or values are of a type that is not looked at.
    num_present, num_missing : int
        Null, the empty string, NaN and infinite numbers are missing.
    num_whole, num_numbers : int or None
        Present values that are whole numbers, and numbers; None if statistics of the service were read.
    mean, sum, std_dev, min, max : float or None
        Of numbers; the deviation is that of the population.
    sketch : Kll or None
        Of numbers, also of those among strings.
    distinct_count : int or None
        Of strings.
    distinct_estimated : bool
        Whether that is an estimate.
    categories : dict of str to int
        Rows by value, the most frequent ones of strings, with all others under ``__other__``; also of strings that all read as numbers, but
        not in `statistics.json`.
    """

    name: str
    inferred_type: InferredType
    num_present: int
    num_missing: int
    num_whole: int | None = None
    num_numbers: int | None = None
    mean: float | None = None
    sum: float | None = None
    std_dev: float | None = None
    min: float | None = None
    max: float | None = None
    sketch: Kll | None = field(default=None, compare=False, repr=False)
    distinct_count: int | None = None
    distinct_estimated: bool = False
    categories: Mapping[str, int] = field(default_factory=dict)

    @property
    def numeric(self) -> bool:
        """Whether it has statistics of numbers."""
        return self.inferred_type in ("Integral", "Fractional")

    @property
    def completeness(self) -> float:
        """Share of rows with a value, 0 without rows."""
        return self.num_present / max(1, self.num_present + self.num_missing)

    def histogram(self, edges: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Edges of buckets and rows in each, by the sketch; equal in width unless edges are given.

        Returns
        -------
        (ndarray of float64, ndarray of int64)
            Shapes (buckets + 1,) and (buckets,); the rows add up to those present, the outermost buckets have all beyond them.
        """
        if self.sketch is None or self.min is None or self.max is None:
            raise ValueError(f"column {self.name!r} has no numbers")
        edges = np.linspace(self.min, self.max, BUCKETS + 1) if edges is None else edges
        below = np.round(self.sketch.cdf(edges[1:-1]) * self.num_present).astype(np.int64)
        return edges, np.diff(np.concatenate([[0], below, [self.num_present]]))

    def to_dict(self) -> dict[str, Any]:
        """As the service's statistics have it, with a few keys more."""
        answer: dict[str, Any] = {"name": self.name, "inferred_type": self.inferred_type}
        common: dict[str, Any] = {"num_present": self.num_present, "num_missing": self.num_missing}
        types: dict[str, Any] = (
            {} if self.num_numbers is None else {"data_types": {"integral": self.num_whole, "numeric": self.num_numbers}}
        )
        if self.numeric and self.sketch is not None:
            edges, counts = self.histogram()
            buckets: list[dict[str, Any]] = [
                {"lower_bound": float(edges[i]), "upper_bound": float(edges[i + 1]), "count": float(count)}
                for i, count in enumerate(counts)
            ]
            sketch = {"parameters": {"c": self.sketch.shrinking, "k": float(self.sketch.k)}, "data": self.sketch.data()}
            answer["numerical_statistics"] = {
                "common": common, "mean": self.mean, "sum": self.sum, "std_dev": self.std_dev, "min": self.min, "max": self.max,
                "distribution": {"kll": {"buckets": buckets, "sketch": sketch}}, **types,
            }  # fmt: skip
        elif self.inferred_type == "String":
            buckets = [{"value": value, "count": count} for value, count in self.categories.items()]
            estimated = {"distinct_count_estimated": True} if self.distinct_estimated else {}
            answer["string_statistics"] = {
                "common": common, "distinct_count": float(self.distinct_count or 0), **estimated,
                "distribution": {"categorical": {"buckets": buckets}}, **types,
            }  # fmt: skip
        elif self.num_present or self.num_missing:
            answer["common"] = common
        return answer

    @classmethod
    def from_dict(cls, read: Mapping[str, Any]) -> FeatureStatistics:
        """What a feature of `statistics.json` says, ours or the service's."""
        name, type_ = read["name"], read["inferred_type"]
        part = read.get("numerical_statistics") or read.get("string_statistics") or read
        common, types = part.get("common", {}), part.get("data_types", {})
        counts = {
            "num_present": int(common.get("num_present", 0)), "num_missing": int(common.get("num_missing", 0)),
            "num_whole": types.get("integral"), "num_numbers": types.get("numeric"),
        }  # fmt: skip
        if "numerical_statistics" in read:
            kll = part["distribution"]["kll"]["sketch"]
            sketch = Kll.from_data(kll["data"], int(kll["parameters"]["k"]), float(kll["parameters"]["c"]))
            moments = {key: part[key] for key in ("mean", "sum", "std_dev", "min", "max")}
            return cls(name, type_, **counts, **moments, sketch=sketch)
        if "string_statistics" in read:
            buckets = part.get("distribution", {}).get("categorical", {}).get("buckets", [])
            categories = {bucket["value"]: int(bucket["count"]) for bucket in buckets}
            estimated = bool(part.get("distinct_count_estimated"))
            return cls(
                name, type_, **counts, distinct_count=int(part["distinct_count"]), distinct_estimated=estimated, categories=categories
            )
        return cls(name, type_, **counts)


@dataclass(frozen=True)
class Statistics:
    """What is known of all columns.

    Attributes
    ----------
    item_count : int
        Rows.
    features : tuple of FeatureStatistics
        In the order of the columns.
    """

    item_count: int
    features: tuple[FeatureStatistics, ...]

    def __getitem__(self, name: str) -> FeatureStatistics:
        for feature in self.features:
            if feature.name == name:
                return feature
        raise KeyError(f"no column is called {name!r}; there are {', '.join(feature.name for feature in self.features)}")

    def to_dict(self) -> dict[str, Any]:
        """The service's ``statistics.json``."""
        features = [feature.to_dict() for feature in self.features]
        return {"version": _VERSION, "dataset": {"item_count": self.item_count}, "features": features}

    @classmethod
    def from_dict(cls, read: Mapping[str, Any]) -> Statistics:
        """What a ``statistics.json`` says, ours or the service's."""
        return cls(int(read["dataset"]["item_count"]), tuple(FeatureStatistics.from_dict(feature) for feature in read["features"]))

    def save_json(self, path: str | Path) -> None:
        """Write ``statistics.json``."""
        Path(path).write_text(json.dumps(self.to_dict(), ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load_json(cls, path: str | Path) -> Statistics:
        """Read ``statistics.json``."""
        return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))


def statistics(dataset: DataFrame, columns: Sequence[str] | None = None) -> Statistics:
    """Count, measure and sketch columns in one pass over the rows.

    Partitions keep a state of bounded size for each column, whatever number of rows they have; the states of a column meet on one executor,
    one after the other, and only the merged ones come to the driver.

    Parameters
    ----------
    dataset : DataFrame
        Numbers, strings, booleans, dates and times are looked at; booleans, dates and times as strings. Others are ``Unknown``.
    columns : sequence of str, optional
        All by default.

    Returns
    -------
    Statistics

    Raises
    ------
    ValueError
        If a column is missing, or twice there.
    """
    names = list(dataset.columns if columns is None else columns)
    if missing := [name for name in names if name not in dataset.columns]:
        raise ValueError(f"there is no column {', '.join(map(repr, missing))}; the columns are {', '.join(dataset.columns)}")
    if twice := [name for name in dict.fromkeys(names) if dataset.columns.count(name) > 1 or names.count(name) > 1]:
        raise ValueError(f"column {', '.join(map(repr, twice))} is there more than once")
    types = {name: dataset.schema[name].dataType for name in names}
    numbers = [name for name in names if isinstance(types[name], NumericType)]
    texts = [name for name in names if isinstance(types[name], _AS_TEXT)]
    # As one array each, for many columns of numbers are slow on their way to Python. Of types that are not looked at, what is there.
    others = [name for name in names if name not in numbers and name not in texts]
    read = dataset.select(
        F.array(*(column(name).cast("double") for name in numbers)).cast("array<double>").alias("numbers"),
        F.array(*(column(name).cast("string") for name in texts)).cast("array<string>").alias("texts"),
        F.array(*(column(name).isNotNull() for name in others)).cast("array<boolean>").alias("there"),
    )
    ensure_importable(dataset.sparkSession)
    order = [*numbers, *texts, *others]
    with described(dataset.sparkSession, "monitor: statistics"):
        parts = read.mapInArrow(functools.partial(_part, len(numbers), len(texts), len(others)), _STATES)
        merged = parts.repartition("feature").sortWithinPartitions("feature", "part").mapInArrow(_merged, _STATES).collect()
    states = {order[row["feature"]]: ColumnState.from_bytes(bytes(row["state"])) for row in merged}
    rows = max((state.present + state.missing for state in states.values()), default=0)
    return Statistics(rows, tuple(_feature(name, states.get(name, ColumnState()), types[name]) for name in names))


def _part(numbers: int, texts: int, others: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The states of a partition's columns."""
    context = TaskContext.get()
    part = context.partitionId() if context else 0
    states = [ColumnState(seed=part * 1009 + i) for i in range(numbers + texts + others)]
    seen = False
    for batch in batches:
        rows = batch.num_rows
        if not rows:
            continue
        seen = True
        matrix = np.ascontiguousarray(batch.column(0).flatten().to_numpy(zero_copy_only=False).reshape(rows, numbers).T)
        for state, values in zip(states, matrix, strict=False):
            state.add_numbers(values)
        strings = batch.column(1).flatten()
        for j in range(texts):
            states[numbers + j].add_texts(strings.take(pa.array(np.arange(j, rows * texts, texts))))
        there = batch.column(2).flatten().to_numpy(zero_copy_only=False).reshape(rows, others)
        for state, count in zip(states[numbers + texts :], there.sum(axis=0), strict=True):
            state.present += int(count)
            state.missing += rows - int(count)
    if seen:
        yield from _written(part, enumerate(states))


def _merged(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Merge the states of each column, which come one after the other."""
    feature, state = -1, ColumnState()
    for batch in batches:
        for row in batch.to_pylist():
            one = ColumnState.from_bytes(row["state"], seed=row["feature"])
            if row["feature"] == feature:
                state.merge(one)
                continue
            if feature >= 0:
                yield from _written(0, [(feature, state)])
            feature, state = row["feature"], one
    if feature >= 0:
        yield from _written(0, [(feature, state)])


def _written(part: int, states: Any) -> Iterator[pa.RecordBatch]:
    for feature, state in states:
        yield pa.RecordBatch.from_arrays([pa.array([value], type_.type) for value, type_ in
                                          zip((feature, part, state.to_bytes()), _ARROW, strict=True)], schema=_ARROW)  # fmt: skip


def _feature(name: str, state: ColumnState, type_: Any) -> FeatureStatistics:
    counts: dict[str, Any] = {
        "num_present": state.present,
        "num_missing": state.missing,
        "num_whole": state.whole,
        "num_numbers": state.numbers,
    }
    inferred = _inferred(state, type_)
    categories: dict[str, int] = {}
    if isinstance(type_, _AS_TEXT):
        categories = {bucket["value"]: bucket["count"] for bucket in top_values(state, CATEGORIES, OTHER)}
    if inferred in ("Integral", "Fractional"):
        moments: dict[str, Any] = {
            "mean": state.mean,
            "sum": state.total,
            "std_dev": state.deviation(),
            "min": state.low,
            "max": state.high,
        }
        return FeatureStatistics(name, inferred, **counts, **moments, sketch=state.sketch, categories=categories)
    if inferred == "String":
        distinct, estimated = state.distinct()
        of_strings: dict[str, Any] = {"distinct_count": distinct, "distinct_estimated": estimated, "categories": categories}
        return FeatureStatistics(name, inferred, **counts, **of_strings, sketch=state.sketch if state.numbers else None)
    return FeatureStatistics(name, inferred, **counts)


def _inferred(state: ColumnState, type_: Any) -> InferredType:
    if not state.present or not isinstance(type_, (NumericType, *_AS_TEXT)):
        return "Unknown"
    if isinstance(type_, NumericType):
        return "Integral" if isinstance(type_, IntegralType) else "Fractional"
    if math.isfinite(state.low) and state.numbers == state.present:
        return "Integral" if state.whole == state.present else "Fractional"
    return "String"

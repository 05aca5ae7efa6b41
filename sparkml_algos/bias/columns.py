"""How a column parts rows into two: by listed values, or by a threshold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, FractionalType, IntegralType, StringType

from sparkml_algos.core.columns import Found, needed

Kind = Literal["categorical", "continuous"]
KINDS = ("categorical", "continuous")

# A column of whole numbers is continuous from so many distinct values a row on; of the reference.
_DISTINCT_SHARE = 0.05
# Relative standard deviation of the estimated number of distinct values.
_PRECISION = 0.05
_WHOLE = r"^\s*[+-]?[0-9]{1,18}\s*$"
_NUMBER = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"


@dataclass(frozen=True)
class Facet:
    """A column whose groups are compared.

    Parameters
    ----------
    name : str
        The column: a string, a number or a boolean.
    value_or_threshold : value or list of values, optional
        Of a categorical column the values whose rows are in the facet; of a continuous one the threshold that values in the facet are
        above. Without it each value of a categorical column is compared with all others.
    kind : {"categorical", "continuous"}, optional
        By default it is found as in the service: several values, strings that are not whole numbers and booleans are categorical,
        fractional numbers continuous; whole numbers are continuous where there is a distinct one for every twenty rows.
    """

    name: str
    value_or_threshold: Any = None
    kind: Kind | None = None


@dataclass(frozen=True)
class Split:
    """A column that parts rows into two.

    Attributes
    ----------
    name : str
        What the user calls the column.
    found : Found
    values : tuple
        Listed values, or thresholds; none if each value is to be compared with all others.
    kind : {"categorical", "continuous"} or None
        None while it has to be found.
    """

    name: str
    found: Found
    values: tuple[Any, ...]
    kind: Kind | None

    @property
    def number(self) -> Column:
        """The column as numbers, of which those that are none are null."""
        column = self.found.column
        return (
            F.when(column.rlike(_NUMBER), F.trim(column)).cast("double")
            if isinstance(self.found.type, StringType)
            else column.cast("double")
        )

    def holds(self) -> Column:
        """Whether a row is in; null is not."""
        if self.kind == "continuous":
            # The bands between thresholds, open below and closed above, join up to all that is above the smallest.
            inside = (self.number > F.lit(min(map(float, self.values)))) & ~F.isnan(self.number)
        else:
            values = _converted(self.name, self.found, self.values)
            inside = F.lit(False)
            for value in values:
                inside = inside | (self.found.column == F.lit(value))
        return F.coalesce(inside, F.lit(False))

    def text(self, largest: float | None = None) -> str:
        """What the group is called: its values, or the bands between its thresholds and the largest value."""
        if self.kind == "categorical":
            return ",".join(map(str, self.values))
        breaks = [float(value) for value in self.values]
        if largest is not None and not math.isnan(largest) and abs(largest) not in breaks:
            breaks.append(float(largest))
        whole = all(isinstance(value, int) for value in self.values) and isinstance(self.found.type, (IntegralType, StringType))
        names = [str(int(value)) if whole else str(value) for value in sorted(breaks)]
        return ",".join(f"({low}, {high}]" for low, high in pairwise(names))


def split(dataset: DataFrame, name: str, values: Any, kind: Kind | None, what: str) -> Split:
    """The split that a user describes, its kind not found yet.

    Raises
    ------
    ValueError
        If the column is missing or of a type that cannot be told apart, or the kind is not one.
    """
    found = needed(dataset, name, what)
    if not isinstance(found.type, (StringType, BooleanType, IntegralType, FractionalType)):
        raise ValueError(f"{what}: column {name!r} is {found.type.simpleString()}; a string, number or boolean is needed")
    if kind not in (None, *KINDS):
        raise ValueError(f"{what}: the kind of column {name!r} is {' or '.join(map(repr, KINDS))}, not {kind!r}")
    listed = () if values is None else tuple(values) if isinstance(values, (list, tuple, set, frozenset, range)) else (values,)
    return Split(name, found, listed, kind)


def with_kinds(dataset: DataFrame, splits: Sequence[Split]) -> list[Split]:
    """The same splits, with the kinds that they have; those that types and values do not tell are found in one pass over the rows.

    Raises
    ------
    ValueError
        If a continuous column has no threshold, or one that is not a number.
    """
    known = [replace(one, kind=one.kind or _kind(one)) for one in splits]
    unknown = [one for one in known if one.kind is None]
    if unknown:
        asked = []
        for i, one in enumerate(unknown):
            whole = F.min(one.found.column.rlike(_WHOLE)) if isinstance(one.found.type, StringType) else F.lit(True)
            asked += [F.approx_count_distinct(one.found.column, _PRECISION).alias(f"d{i}"), F.count(one.found.column).alias(f"n{i}")]
            asked.append(whole.alias(f"w{i}"))
        row = dataset.agg(*asked).collect()[0].asDict()
        found: Iterator[Kind] = iter(
            "continuous" if row[f"w{i}"] and row[f"d{i}"] >= _DISTINCT_SHARE * max(1, row[f"n{i}"]) else "categorical"
            for i in range(len(unknown))
        )
        known = [one if one.kind else replace(one, kind=next(found)) for one in known]
    return [replace(one, values=_thresholds(one)) if one.kind == "continuous" else one for one in known]


def _kind(one: Split) -> Kind | None:
    """What types and values tell."""
    type_ = one.found.type
    if isinstance(type_, BooleanType) or len(one.values) > 1:
        return "categorical"
    if isinstance(type_, FractionalType):
        return "continuous"
    if isinstance(type_, StringType) and one.values and _number(one.values[0]) is None:
        return "categorical"
    return None


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _thresholds(one: Split) -> tuple[Any, ...]:
    if not one.values:
        raise ValueError(f"column {one.name!r} is continuous and needs a threshold; kind='categorical' compares each of its values instead")
    if isinstance(one.found.type, BooleanType):
        raise ValueError(f"column {one.name!r} is boolean, and has no threshold")
    if wrong := [value for value in one.values if _number(value) is None or math.isnan(float(value))]:
        raise ValueError(f"column {one.name!r} is continuous; its threshold is a number, not {wrong[0]!r}")
    return tuple(value if isinstance(value, (int, float)) else float(value) for value in one.values)


def _converted(name: str, found: Found, values: Sequence[Any]) -> list[Any]:
    """Listed values as values of the column's type."""
    if isinstance(found.type, StringType):
        return [str(value) for value in values]
    if isinstance(found.type, BooleanType):
        truths = [{"true": True, "false": False, "1": True, "0": False}.get(str(value).lower().removesuffix(".0")) for value in values]
        if None in truths:
            raise ValueError(f"column {name!r} is boolean; {values[truths.index(None)]!r} is not a value of it")
        return truths
    if wrong := [value for value in values if _number(value) is None]:
        raise ValueError(f"column {name!r} is {found.type.simpleString()}; {wrong[0]!r} is not a value of it")
    numbers = [float(value) for value in values]
    return [int(number) if number.is_integer() and isinstance(found.type, IntegralType) else number for number in numbers]

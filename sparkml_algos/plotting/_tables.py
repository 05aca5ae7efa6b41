"""Rows to draw: columns of DataFrames, or arrays by name, as NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import Column, DataFrame

    Table: TypeAlias = DataFrame | pd.DataFrame | Mapping[str, Any]


def columns(table: Table, names: Sequence[str], function: str) -> list[np.ndarray]:
    """Columns by name, rows in their order; vectors and lists become rows of a matrix.

    Raises
    ------
    ValueError
        If a column is missing, or there is no row.
    """
    check_columns(table, names, function)
    if is_spark(table):
        rows = table.select(*map(quoted, names)).collect()
        found: list[Any] = [[row[place] for row in rows] for place in range(len(names))]
    else:
        found = [table[name] for name in names]
    arrays = [_array(column) for column in found]
    if not len(arrays[0]):
        raise ValueError(f"{function} has no row to draw")
    return arrays


def totals(table: Table, keys: Sequence[str], weight: str | None, function: str, vector: tuple[str, int] | None = None) -> list[np.ndarray]:
    """Distinct values of some columns, and how much the rows that have them weigh in sum.

    Of a DataFrame of Spark they are counted where the rows are, and only what is distinct comes to the driver.

    Parameters
    ----------
    table : DataFrame of Spark or pandas, or mapping of str to array
    keys : sequence of str
    weight : str, optional
        Column; without one a row weighs 1.
    function : str
        For messages.
    vector : (str, int), optional
        One of the columns, and the entry that is meant where it holds vectors.

    Returns
    -------
    list of ndarray
        For each key its values, then the sums.

    Raises
    ------
    ValueError
        If a column is missing, or there is no row.
    """
    if is_spark(table):
        return _totals_in_spark(table, keys, weight, function, vector)
    found = columns(table, [*keys, *([weight] if weight else [])], function)
    weights = found.pop().astype(np.float64) if weight else np.ones(len(found[0]))
    parts = [_entry(part, vector[1]) if vector and name == vector[0] else part for name, part in zip(keys, found, strict=True)]
    places = [np.unique(part, return_inverse=True) for part in parts]
    shape = [len(values) for values, _ in places]
    cell = np.ravel_multi_index([place for _, place in places], shape)
    cells, place = np.unique(cell, return_inverse=True)
    at = np.unravel_index(cells, shape)
    return [*(values[index] for (values, _), index in zip(places, at, strict=True)), np.bincount(place, weights)]


def _totals_in_spark(
    table: DataFrame, keys: Sequence[str], weight: str | None, function: str, vector: tuple[str, int] | None
) -> list[np.ndarray]:
    from pyspark.ml.functions import vector_to_array
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql import functions as F
    from pyspark.sql.types import ArrayType

    check_columns(table, [*keys, *([weight] if weight else [])], function)
    types = {field.name: field.dataType for field in table.schema.fields}

    def value(name: str) -> Column:
        column = F.col(quoted(name))
        if not vector or name != vector[0] or not isinstance(types[name], (ArrayType, VectorUDT)):
            return column
        return (vector_to_array(column) if isinstance(types[name], VectorUDT) else column)[vector[1]]

    weighed = F.sum(F.col(quoted(weight)).cast("double")) if weight else F.count(F.lit(1))
    rows = table.groupBy(*(value(name).alias(f"key{i}") for i, name in enumerate(keys))).agg(weighed.alias("total")).collect()
    if not rows:
        raise ValueError(f"{function} has no row to draw")
    return [_array([row[i] for row in rows]) for i in range(len(keys))] + [np.array([row["total"] for row in rows], np.float64)]


def check_columns(table: Table, names: Sequence[str], function: str) -> None:
    """Raise a ValueError that names the columns a table lacks."""
    known = list(table.columns) if hasattr(table, "columns") else list(table)
    missing = [name for name in dict.fromkeys(names) if name not in known]
    if missing:
        raise ValueError(f"{function} needs the columns {', '.join(map(repr, missing))}; there are {', '.join(map(repr, known))}")


def is_spark(table: Any) -> TypeGuard[DataFrame]:
    """Whether a table is a DataFrame of Spark."""
    return hasattr(table, "collect")


def quoted(name: str) -> str:
    """A name for Spark SQL that means the column of this very name."""
    return "`" + name.replace("`", "``") + "`"


def _array(values: Any) -> np.ndarray:
    values = list(values) if not isinstance(values, np.ndarray) else values
    if len(values) and hasattr(values[0], "toArray"):
        return np.array([value.toArray() for value in values])
    return np.asarray(values)


def _entry(values: np.ndarray, entry: int) -> np.ndarray:
    """One entry of each vector; numbers as they are."""
    if values.ndim == 1 and len(values) and isinstance(values[0], (list, tuple, np.ndarray)):
        values = np.array([np.asarray(value) for value in values])
    return values[:, entry] if values.ndim > 1 else values

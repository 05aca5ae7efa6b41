"""Columns as JSON values."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkml_algos.arrays.ragged import Ragged


def values_of(column: Any) -> list[Any]:
    """A column as JSON values: what is no finite number is None."""
    if isinstance(column, np.ndarray):
        found = column.tolist()
        if column.dtype.kind == "f" and not math.isfinite(column.sum()):
            return _without_nan(found)
        return found
    if isinstance(column, Ragged):
        return [values_of(row) for row in column]
    if isinstance(column, pa.Array) and pa.types.is_binary(column.type):
        return [base64.b64encode(value).decode() for value in column.to_pylist()]  # as JSON has bytes
    if isinstance(column, pa.Array):
        return column.to_pylist() if _is_finite(column) else _without_nan(column.to_pylist())
    return list(column)


def _is_finite(column: pa.Array) -> bool:
    """Whether all numbers within are."""
    if pa.types.is_floating(column.type):
        return pc.all(pc.is_finite(column)).as_py() is not False
    if pa.types.is_struct(column.type):
        return all(map(_is_finite, column.flatten()))
    return _is_finite(column.flatten()) if pa.types.is_nested(column.type) else True


def _without_nan(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    if isinstance(value, dict):
        return {name: _without_nan(one) for name, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value

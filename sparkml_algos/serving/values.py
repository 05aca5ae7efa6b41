"""Columns as JSON values."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import pyarrow as pa

from sparkml_algos.arrays.ragged import Ragged


def values_of(column: Any) -> list[Any]:
    """A column as JSON values."""
    if isinstance(column, np.ndarray):
        found = column.tolist()
        if column.dtype.kind == "f" and not math.isfinite(column.sum()):
            return _without_nan(found)
        return found
    if isinstance(column, Ragged):
        return [values_of(row) for row in column]
    if isinstance(column, pa.Array) and pa.types.is_binary(column.type):
        return [base64.b64encode(value).decode() for value in column.to_pylist()]  # as JSON has bytes
    return column.to_pylist() if isinstance(column, pa.Array) else list(column)


def _without_nan(values: list[Any]) -> list[Any]:
    return [
        _without_nan(value) if isinstance(value, list) else value if not isinstance(value, float) or math.isfinite(value) else None
        for value in values
    ]

"""What the saved instances appended to a few rows when they were saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from tests.saved.save import as_json, texts

SAVED = Path(__file__).parent


def rows_and_outputs(name: str, spark: SparkSession) -> tuple[DataFrame, dict[str, list[Any]]]:
    """Rows, and the columns that the instance of this name appended to them when it was saved."""
    saved = json.loads((SAVED / f"{name}.json").read_text())
    rows = [tuple(row.values()) for row in saved["rows"]]
    frame = spark.createDataFrame(rows, "id long, a double, b double, c double, features array<double>")
    return texts(frame), saved["outputs"]


def assert_outputs(scored: DataFrame, expected: dict[str, list[Any]]) -> None:
    """The expected columns, in the order of ``id``, to seven digits: libraries of other versions round otherwise."""
    found = scored.orderBy("id").select(*expected).collect()
    assert len(found) == len(next(iter(expected.values())))
    for name, values in expected.items():
        for row, value in zip(found, values, strict=True):
            assert (row[name] is None) == (value is None)
            if isinstance(value, str):
                assert as_json(row[name]) == value, name
            elif value is not None:
                numbers = row[name].toArray() if hasattr(row[name], "toArray") else row[name]
                np.testing.assert_allclose(numbers, value, rtol=1e-5, atol=1e-6, err_msg=name)

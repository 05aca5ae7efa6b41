"""The Zeppelin notes run paragraph by paragraph and show what their text says."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from tests.notebooks import figures, zeppelin
from tests.notebooks.notes import EXAMPLES, FAMILIES, short_of


@pytest.mark.parametrize("family", short_of(FAMILIES))
def test_a_note_shows_what_its_text_says(family: str, spark: SparkSession) -> None:
    results = zeppelin.run(EXAMPLES / "zeppelin" / f"{family}.zpln", spark, EXAMPLES / "data")
    shown = [result.output for result in results if result.interpreter == "%spark.pyspark"]
    figures.check([result.text for result in results if result.interpreter == "%md"], shown)
    assert sum(output.startswith("%html <img") for output in shown) >= 2

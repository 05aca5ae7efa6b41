"""Shingles: the windows of consecutive steps of a series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import DataFrame, SparkSession

from sparkml_algos import InvalidParams, RandomCutForest, Shingle


@pytest.fixture(scope="module")
def series(spark: SparkSession) -> DataFrame:
    """Two series of five and three steps, in no order."""
    rows = [("a", t, 10.0 * t, t) for t in range(5)] + [("b", t, -1.0 * t, 7) for t in range(3)]
    return spark.createDataFrame(rows[::-1], "key string, time int, value double, count int").repartition(2).cache()


def shingles(frame: DataFrame) -> dict[tuple[str, int], list[float] | None]:
    found = frame.select("key", "time", "features").collect()
    return {(row["key"], row["time"]): None if row["features"] is None else row["features"].tolist() for row in found}


def shingle(**settings: object) -> Shingle:
    return Shingle(**{"inputCols": ["value"], "timeCol": "time", "keyCols": ["key"], "size": 3, **settings})


@pytest.mark.generic
def test_a_row_holds_its_step_and_those_before_it_in_its_series(series: DataFrame) -> None:
    made = shingle().transform(series)
    assert made.schema["features"].dataType == VectorUDT() and made.columns == [*series.columns, "features"]
    assert shingles(made) == {
        ("a", 2): [0, 10, 20], ("a", 3): [10, 20, 30], ("a", 4): [20, 30, 40], ("b", 2): [0, -1, -2],
    }  # fmt: skip


def test_several_columns_stand_together_step_by_step_under_their_names(series: DataFrame) -> None:
    made = shingle(inputCols=["value", "count"], size=2).transform(series)
    assert shingles(made)["a", 3] == [20, 2, 30, 3]
    names = [entry["name"] for entry in made.schema["features"].metadata["ml_attr"]["attrs"]["numeric"]]
    assert names == ["value[-1]", "count[-1]", "value[0]", "count[0]"]


def test_incomplete_shingles_are_null_where_that_is_wanted(series: DataFrame) -> None:
    made = shingles(shingle(incomplete="null").transform(series))
    assert len(made) == 8 and made["a", 1] is None and made["b", 2] == [0, -1, -2]


def test_a_shingle_with_a_null_is_incomplete(series: DataFrame) -> None:
    holed = series.selectExpr("key", "time", "IF(time = 1, NULL, value) AS value")
    assert shingles(shingle(size=2).transform(holed)) == {("a", 3): [20, 30], ("a", 4): [30, 40]}


def test_without_keys_all_rows_are_one_series(series: DataFrame) -> None:
    made = shingles(shingle(keyCols=None).transform(series.where("key = 'a'")))
    assert made == {("a", 2): [0, 10, 20], ("a", 3): [10, 20, 30], ("a", 4): [20, 30, 40]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inputCols": ["nowhere"]}, "inputCols='nowhere' is not a column of the dataset; it has key, time, value, count"),
        ({"inputCols": ["key"]}, "inputCols: column 'key' is string; it must be numeric"),
        ({"timeCol": None}, "timeCol is required"),
        ({"keyCols": ["k"]}, "keyCols='k' is not a column"),
        ({"outputCol": "count"}, "output column 'count' exists already"),
    ],
)
def test_what_cannot_work_is_refused(series: DataFrame, settings: dict, message: str) -> None:
    with pytest.raises(InvalidParams, match=message):
        shingle(**settings).transform(series)


@pytest.mark.generic
def test_a_pipeline_with_shingles_is_fitted_saved_and_loaded(spark: SparkSession, tmp_path: Path) -> None:
    times = np.arange(300)
    values = np.sin(times / 3)
    values[200:206] = 3
    frame = spark.createDataFrame([(int(t), float(v)) for t, v in zip(times, values, strict=True)], "time int, value double")
    forest = RandomCutForest(num_trees=50, num_workers=1)
    fitted = Pipeline(stages=[Shingle(inputCols=["value"], timeCol="time", size=6), forest]).fit(frame)
    assert fitted.stages[-1].feature_names == [f"value[{back}]" for back in range(-5, 1)]
    fitted.write().save(str(tmp_path / "pipeline"))
    scored = PipelineModel.load(str(tmp_path / "pipeline")).transform(frame)
    assert 200 <= scored.orderBy(scored["score"].desc()).first()["time"] <= 211
    assert scored.count() == 295

"""DeepAR as a Spark ML Estimator: what the generic checks do not know about it."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import DeepAR, DeepARModel, InvalidDataError, InvalidParams, serving
from sparkml_algos.algorithms.deepar import estimator as estimator_module
from sparkml_algos.algorithms.deepar.frequency import Frequency
from sparkml_algos.algorithms.deepar.long_form import LongForm, naming_series
from sparkml_algos.formats import series as formats

METERS, HOURS, HORIZON = 12, 72, 6
START = dt.datetime(2024, 3, 1)


def value(meter: int, hour: int) -> float:
    return (10 + meter) * (1 + 0.5 * np.sin(2 * np.pi * hour / 12)) + 5 * (hour % 5 == 0)


def steps(spark: SparkSession, hours: range, missing: bool = True) -> DataFrame:
    rows = [
        (
            f"m{meter}",
            START + dt.timedelta(hours=hour),
            None if missing and hour == 20 else float(value(meter, hour)),
            hour % 5 == 0,
            meter % 2,
        )
        for meter in range(METERS)
        for hour in hours
        if not (missing and hour in (30, 31))
    ]
    return spark.createDataFrame(rows, "meter string, time timestamp, load double, promo boolean, kind int")


@pytest.fixture(scope="module")
def long(spark: SparkSession) -> DataFrame:
    """A row per step in any order: the hour 20 is null, and hours 30 and 31 have no row."""
    return steps(spark, range(HOURS)).repartition(3, "load").cache()


def learner(**settings: object) -> DeepAR:
    small = {"time_freq": "H", "context_length": 12, "prediction_length": HORIZON, "epochs": 2, "num_cells": 6, "num_layers": 1}
    columns = {"timeCol": "time", "valueCol": "load", "keyCols": ["meter"]}
    return DeepAR(**{**small, **columns, "learning_rate": 0.02, "mini_batch_size": 32, "num_samples": 10, "num_workers": 2, **settings})


@pytest.fixture(scope="module")
def model(long: DataFrame) -> DeepARModel:
    return learner().fit(long)


@pytest.fixture(scope="module")
def gathered(spark: SparkSession) -> DataFrame:
    """The same as a row per series."""
    rows = [
        (f"m{meter}", str(START), [None if hour in (20, 30, 31) else float(value(meter, hour)) for hour in range(HOURS)])
        for meter in range(METERS)
    ]
    return spark.createDataFrame(rows, "meter string, start string, target array<double>").cache()


@pytest.mark.generic
def test_a_row_per_step_is_forecast_so(long: DataFrame, model: DeepARModel) -> None:
    forecast = model.transform(long)
    assert forecast.dtypes == [("meter", "string"), ("time", "timestamp"), ("mean", "double"), ("quantiles", "map<string,double>")]
    rows = forecast.orderBy("meter", "time").collect()
    assert len(rows) == METERS * HORIZON
    assert [row.time for row in rows[:HORIZON]] == [START + dt.timedelta(hours=HOURS + hour) for hour in range(HORIZON)]
    assert all(list(row.quantiles) == [f"0.{tenth}" for tenth in range(1, 10)] for row in rows)
    assert all(row.quantiles["0.1"] <= row.quantiles["0.9"] for row in rows)


@pytest.mark.generic
def test_gathered_by_hand_it_is_forecast_alike(gathered: DataFrame, long: DataFrame, model: DeepARModel) -> None:
    by_series = model.copy({model.forecast_form: "series", model.samplesCol: "samples"})
    expected = {row.meter: row for row in by_series.transform(long).collect()}
    wide = by_series.copy()
    for name in ("timeCol", "valueCol", "keyCols"):
        wide.clear(wide.getParam(name))
    found = wide.transform(gathered).collect()
    assert len(found) == METERS
    for row in found:
        other = expected[row.meter]
        assert (row.mean, row.quantiles, row.samples) == (other.mean, other.quantiles, other.samples)
        assert row.forecast_start == other.forecast_start == START + dt.timedelta(hours=HOURS)
        np.testing.assert_allclose(np.mean(row.samples, axis=0), row.mean)


def test_columns_are_found_by_what_spark_takes_their_names_for(long: DataFrame, model: DeepARModel) -> None:
    def means(found: DataFrame, time: str) -> list[tuple[object, float]]:
        return sorted((row[time], row["mean"]) for row in found.collect())

    renamed = long.select(F.col("meter").alias("me.ter"), F.struct("time", "load").alias("at"))
    other = model.copy({model.timeCol: "at.Time", model.valueCol: "at.load", model.keyCols: ["Me.ter"]})
    found = other.transform(renamed)
    assert found.dtypes[:2] == [("Me.ter", "string"), ("at.Time", "timestamp")]
    assert means(found, "at.Time") == means(model.transform(long), "time")
    with pytest.raises(InvalidParams, match="catCol='none' is not a column of the dataset"):
        model.copy({model.catCol: "none"}).transform(long)


def test_a_column_of_the_dataset_is_not_taken_for_the_time_of_a_step(gathered: DataFrame, model: DeepARModel) -> None:
    wide = model.copy({model.forecast_form: "steps"})
    for name in ("timeCol", "valueCol", "keyCols"):
        wide.clear(wide.getParam(name))
    with pytest.raises(InvalidParams, match="has its time in a column 'time', and the dataset has a column 'Time': drop or rename it"):
        wide.transform(gathered.withColumn("Time", F.lit(1)))


@pytest.mark.generic
def test_without_spark_the_paths_are_the_same(gathered: DataFrame, long: DataFrame, model: DeepARModel, tmp_path: Path) -> None:
    model.write().overwrite().save(str(tmp_path / "model"))
    loaded = DeepARModel.load(str(tmp_path / "model"))
    means = {row.meter: row.mean for row in loaded.copy({loaded.forecast_form: "series"}).transform(long).collect()}
    alone = serving.load(tmp_path / "model")
    rows = gathered.orderBy("meter").collect()
    targets = [np.array(row.target, np.float32) for row in rows]
    found = alone(start=[str(START)] * METERS, target=targets)
    np.testing.assert_array_equal(found["mean"], [means[row.meter] for row in rows])
    lines = [{"start": row.start, "target": row.target} for row in rows[:2]]
    series, configuration = formats.decode_request(json.dumps({"instances": lines}).encode())
    answer = json.loads(formats.encode_response(alone(**series.columns()), configuration))
    assert answer["predictions"][1]["mean"] == means[rows[1].meter]


def test_series_of_the_service_are_read_by_spark(spark: SparkSession, gathered: DataFrame, tmp_path: Path) -> None:
    lines = "\n".join(
        json.dumps({"start": row.start, "target": ["NaN" if x is None else x for x in row.target]}) for row in gathered.collect()
    )
    (tmp_path / "series.json").write_text(lines)
    frame = spark.read.schema("start string, target array<double>").json(str(tmp_path / "series.json"))
    found = learner(timeCol=None, valueCol=None, keyCols=None).fit(frame)
    assert found.training_summary.rows == METERS


def test_dynamic_features_and_groups_reach_over_the_horizon(spark: SparkSession) -> None:
    history, later = steps(spark, range(HOURS), missing=False), steps(spark, range(HOURS, HOURS + HORIZON), missing=False)
    fitted = learner(dynamicFeatCols=["promo"], catCol="kind").fit(history)
    assert fitted.artifact.values["dynamic"] == 1 and fitted.artifact.values["network"]["cardinality"] == [2]
    found = fitted.forecast(history, later.drop("load")).orderBy("meter", "time").collect()
    assert len(found) == METERS * HORIZON and found[0].time == START + dt.timedelta(hours=HOURS)
    named_otherwise = later.drop("load").withColumnRenamed("promo", "Promo")
    assert fitted.forecast(history, named_otherwise).orderBy("meter", "time").collect() == found
    assert set(fitted.evaluate(history)) == {f"test:{name}" for name in ("RMSE", "mean_wQuantileLoss", "ND", "sMAPE", "MASE")}
    with pytest.raises(Exception, match=r"must end with 6 steps that have dynamic features and no value in column 'load', the horizon"):
        fitted.transform(history).collect()
    with pytest.raises(ValueError, match=r"horizon has no column 'kind', 'promo'; it has meter, time"):
        fitted.forecast(history, later.select("meter", "time"))
    strange = (frame.withColumn("kind", F.lit(5)) for frame in (history, later.drop("load")))
    with pytest.raises(Exception, match=r"cat column 'kind', category 0, is 5, expected a whole number from 0 to 1"):
        fitted.forecast(*strange).collect()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "IF(meter = 'm3' AND hour(time) = 5, time - interval 1 hour, time)",
            r"the series meter=m3 has two rows of the time 2024-03-01 04:00:00",
        ),
        (
            "IF(meter = 'm3' AND hour(time) = 5, time + interval 7 minutes, time)",
            r"meter=m3 has the time 2024-03-01 05:07:00 of column 'time', which is not a whole number of steps \(time_freq='H'\) after its",
        ),
        ("IF(meter = 'm3' AND hour(time) = 5, NULL, time)", r"the series meter=m3 has a row whose time of column 'time' is null"),
        (
            "IF(meter = 'm3' AND hour(time) = 5, make_timestamp(2, 1, day(time), 0, 0, 0), time)",
            r"the series meter=m3 reaches from 0002-01-01 00:00:00 to .* of column 'time', which are more than 10,000,000 steps",
        ),
    ],
    ids=["twice", "between", "null", "far"],
)
def test_times_that_make_no_series_are_refused_by_name(long: DataFrame, change: str, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        learner().fit(long.withColumn("time", F.expr(change)))


@pytest.mark.parametrize("change", ["IF(hour(time) = 5, 1 - kind, kind)", "IF(hour(time) = 5, NULL, kind)"], ids=["another", "null"])
def test_a_series_has_one_category(long: DataFrame, change: str) -> None:
    of = LongForm("time", "load", ["meter"], "kind", [], Frequency("H"), HORIZON)
    mixed = long.withColumn("kind", F.expr(f"IF(meter = 'm3', {change}, kind)"))
    with pytest.raises(InvalidDataError, match="the series meter=m3 has rows of different categories in column 'kind'"), naming_series():
        of.gathered(mixed).collect()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"time_freq": "5s"}, "time_freq must be a whole number, or none, and one of min, H, D, W, M"),
        ({"valueCol": None}, "valueCol is required with timeCol"),
        ({"timeCol": None}, "valueCol is of a row per step, and needs timeCol"),
        ({"valueCol": "meter"}, "valueCol: column 'meter' is string; it must be numeric"),
        ({"keyCols": ["nowhere"]}, "keyCols='nowhere' is not a column of the dataset"),
        ({"dynamicFeatCols": ["meter"]}, "dynamicFeatCols: column 'meter' is string; it must be numeric"),
        ({"quantiles": [0.5, 0.5]}, "quantiles names one more than once"),
        ({"cardinality": [2]}, r"cardinality=\[2\] is of categories, and needs catCol"),
        ({"num_dynamic_feat": 1}, "num_dynamic_feat=1 is of dynamic features, and needs dynamicFeatCol"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_before_any_job(long: DataFrame, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidParams, match=message):
        learner(**settings).fit(long)


def test_a_point_forecast_has_no_quantiles(long: DataFrame) -> None:
    point = learner(likelihood="deterministic-L1", epochs=1).fit(long)
    assert point.transform(long).columns == ["meter", "time", "mean"]
    assert "test:mean_wQuantileLoss" not in point.evaluate(long)
    with pytest.raises(InvalidParams, match="forecasts points, of which there are no samples"):
        point.copy({point.samplesCol: "samples"}).transform(long)


def test_months_are_those_of_the_calendar(spark: SparkSession) -> None:
    rows = spark.range(8).crossJoin(spark.range(61).withColumnRenamed("id", "month"))
    months = rows.selectExpr("id", "add_months(date'2019-01-31', int(month)) AS time", "double(id + month % 12) AS load")
    fitted = learner(time_freq="M", keyCols=["id"], epochs=1).fit(months)
    found = fitted.transform(months).where("id = 0").orderBy("time").collect()
    assert [row.time for row in found] == [dt.date(2024, *day) for day in ((2, 29), (3, 31), (4, 30), (5, 31), (6, 30), (7, 31))]


def test_settings_that_gather_otherwise_do_not_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []

    def fit_all(estimators: list[DeepAR], gathered: object) -> list[DeepARModel]:
        trained.append((gathered, [one.value("num_cells") for one in estimators]))
        return [DeepARModel()._set(num_cells=one.value("num_cells")) for one in estimators]

    monkeypatch.setattr(estimator_module, "fit_all", fit_all)
    monkeypatch.setattr(LongForm, "problems", lambda self, dataset: [])
    monkeypatch.setattr(LongForm, "gathered", lambda self, dataset: (dataset, self.value))
    one = learner()
    found = dict(one.fitMultiple("rows", [{one.num_cells: 3}, {one.valueCol: "price"}, {one.num_cells: 4}]))
    assert trained == [(("rows", "load"), [3, 4]), (("rows", "price"), [6])]
    read = [(found[place].value("num_cells"), found[place].value("valueCol")) for place in range(3)]
    assert read == [(3, "load"), (6, "price"), (4, "load")]


def test_several_settings_share_the_gathering(long: DataFrame) -> None:
    estimator = learner(epochs=1)
    grid = [{estimator.num_cells: 3}, {estimator.num_cells: 4}]
    found = dict(estimator.fitMultiple(long, grid))
    assert [found[place].value("num_cells") for place in (0, 1)] == [3, 4]
    assert all(one.value("timeCol") == "time" and one.transform(long).count() == METERS * HORIZON for one in found.values())

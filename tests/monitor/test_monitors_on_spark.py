"""Monitors of windows, of streams and as jobs, on rows of Spark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from sparkml_algos.monitor import Adwin, Alert, History, Monitor, MonitorJob, hourly, rows_between, suggest_baseline

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
HOURS, ROWS = 4, 400


@pytest.fixture(scope="module")
def rows(spark):
    """Rows of four hours; in the third one the amounts are others."""
    hour = F.floor(F.col("id") / ROWS)
    amount = F.when(hour == 2, 200).otherwise(0) + (F.col("id") * 7919 % 100)
    second = (hour * 3600 + F.col("id") % ROWS).cast("long") + int(START.timestamp())
    table = spark.range(HOURS * ROWS, numPartitions=2).select(
        amount.cast("double").alias("amount"), (F.col("id") % 5).alias("visits"), F.timestamp_seconds(second).alias("at")
    )
    return table.cache()


@pytest.fixture(scope="module")
def baseline(rows):
    return suggest_baseline(rows.where(F.col("at") < F.lit(START + timedelta(hours=1))).drop("at"))


def test_windows_are_looked_at_and_filled_in(rows, baseline, spark, tmp_path):
    told: list[Alert] = []
    monitor = Monitor("amounts", baseline, source=rows_between(rows, "at"), actions=[told.append], history=History(tmp_path))
    first = monitor.run(START, START + timedelta(hours=1))
    assert (first.status, first.metrics["feature_non_null_amount"]) == ("Completed", ROWS)
    found = monitor.backfill(hourly(), START, START + timedelta(hours=HOURS + 1))
    assert [one.status for one in found] == ["Completed", "Completed", "CompletedWithViolations", "Completed", "Failed"]
    assert found[4].failure_reason.startswith("NoRows: there are no rows of 2026-01-01T04") and told == []
    assert [one.subject for one in found[2].violations] == ["amount"]
    assert monitor.run(START + timedelta(hours=2), START + timedelta(hours=3)) == found[2]
    table = monitor.history.to_dataframe(spark, "amounts")
    drifted = table.where("metric = 'feature_baseline_drift_amount' AND value > 0.1").select("start", "alert").collect()
    assert [row["alert"] for row in drifted] == ["InAlert"]
    with pytest.raises(ValueError, match="there is no column 'when'"):
        Monitor("m", baseline, source=rows_between(rows, "when")).run(START, START + timedelta(hours=1))


def test_columns_that_a_table_has_no_more_are_missing_ones(rows, baseline):
    monitor = Monitor("amounts", baseline, source=rows_between(rows.drop("visits"), "at", ["amount", "visits"]))
    found = monitor.run(START, START + timedelta(hours=1))
    assert [(one.subject, one.check) for one in found.violations] == [("visits", "missing_column_check")]
    with pytest.raises(ValueError, match="there is none of the columns size; the columns are amount, visits, at"):
        Monitor("m", baseline, source=rows_between(rows, "at", ["size"])).run(START, START + timedelta(hours=1))


def test_each_micro_batch_of_a_stream_is_looked_at(rows, baseline, spark, tmp_path):
    # Within Spark Connect actions run where the server is, so what was found is read from the history.
    for hour in range(HOURS):
        part = rows.where((F.col("at") >= F.lit(START + timedelta(hours=hour))) & (F.col("at") < F.lit(START + timedelta(hours=hour + 1))))
        wrong = F.when(F.rand(hour) < (0.7 if hour > 1 else 0.1), 1).otherwise(0)
        part.withColumn("wrong", wrong).coalesce(1).write.json(str(tmp_path / "arriving" / f"{hour}"))
    files = sorted((tmp_path / "arriving").glob("*/*.json"), key=lambda path: path.parent.name)
    (tmp_path / "stream").mkdir()
    for number, path in enumerate(files):
        copy = tmp_path / "stream" / f"{number}.json"
        copy.write_bytes(path.read_bytes())
        os.utime(copy, (number, number))  # by which streams take them in order
    schema = "amount double, visits long, at timestamp, wrong int"
    stream = spark.readStream.schema(schema).option("maxFilesPerTrigger", 1).json(str(tmp_path / "stream"))
    monitor = Monitor("amounts", baseline, history=History(tmp_path / "history"))
    query = monitor.on_stream(
        stream, detectors={"wrong": Adwin()}, order="at", checkpoint=str(tmp_path / "checkpoint"), trigger={"availableNow": True}
    )
    assert query.awaitTermination(120)
    found = monitor.executions()
    assert [one.key for one in found] == [f"batch-{number:010d}" for number in range(HOURS)]
    checks = [[(one.subject, one.check) for one in execution.violations] for execution in found]
    assert checks[:2] == [[], []] and checks[3] == []
    assert checks[2] == [("amount", "baseline_drift_check"), ("wrong", "stream_drift_check")]
    assert found[1].metrics["stream_mean_wrong"] == pytest.approx(0.1, abs=0.05)
    with pytest.raises(ValueError, match="not those of a stream"):
        monitor.on_stream(rows)
    with pytest.raises(ValueError, match="there is no column 'wrongly'"):
        monitor.on_stream(stream, detectors={"wrongly": Adwin()})


def test_windows_of_a_stream_are_looked_at_once_they_are_over(rows, baseline, spark, tmp_path):
    """Micro-batches of fifty minutes, the second of which comes late and the last after a new start."""
    hour, schema = timedelta(hours=1), "amount double, visits long, at timestamp"
    minute = F.floor((F.unix_seconds("at") - int(START.timestamp())) / 60)
    # Each hour's rows are spread over it.
    spread = rows.withColumn("at", F.timestamp_seconds(F.unix_seconds("at") + F.unix_seconds("at") % ROWS * 8)).cache()
    (tmp_path / "stream").mkdir()

    def arrive(number: int, from_minute: int, to_minute: int) -> None:
        part = spread.where((minute >= from_minute) & (minute < to_minute)).coalesce(1)
        part.write.json(str(tmp_path / f"part-{number}"))
        (file,) = (tmp_path / f"part-{number}").glob("*.json")
        (tmp_path / "stream" / f"{number}.json").write_bytes(file.read_bytes())
        os.utime(tmp_path / "stream" / f"{number}.json", (number, number))  # by which streams take them in order

    def look() -> Monitor:
        monitor = Monitor("amounts", baseline, history=History(tmp_path / "history"))
        stream = spark.readStream.schema(schema).option("maxFilesPerTrigger", 1).json(str(tmp_path / "stream"))
        query = monitor.on_stream(
            stream, window=hour, time="at", delay=timedelta(minutes=20), checkpoint=str(tmp_path / "checkpoint"),
            trigger={"availableNow": True},
        )  # fmt: skip
        assert query.awaitTermination(120)
        return monitor

    for number, (begin, end) in enumerate([(0, 50), (70, 80), (50, 70), (80, 140)]):
        arrive(number, begin, end)
    (first,) = look().executions()
    assert (first.start, first.end, first.status) == (START, START + hour, "Completed")
    assert first.metrics["feature_non_null_amount"] == ROWS
    arrive(4, 140, 240)
    arrive(5, 10, 12)  # much too late
    found = look().executions()
    assert [(one.start - START) // hour for one in found] == [0, 1, 2]
    assert [one.metrics["feature_non_null_amount"] for one in found] == [ROWS] * 3
    assert [[one.subject for one in execution.violations] for execution in found] == [[], [], ["amount"]]
    stream = spark.readStream.schema(schema).json(str(tmp_path / "stream"))
    monitor = Monitor("amounts", baseline)
    for wrong, said in (
        ({"window": hour, "time": "at"}, "windows need time, the column of their rows' times, and checkpoint"),
        ({"time": "at"}, "give their length, too"),
        ({"window": hour, "time": "visits", "checkpoint": "c"}, "column 'visits' is bigint; windows are of dates and timestamps"),
        ({"window": timedelta(0), "time": "at", "checkpoint": "c"}, "window is one second or more"),
        ({"window": timedelta(milliseconds=250), "time": "at", "checkpoint": "c"}, "of whole ones"),
    ):
        with pytest.raises(ValueError, match=said):
            monitor.on_stream(stream, **wrong)


@pytest.mark.classic
def test_a_job_looks_at_the_last_window(rows, baseline, tmp_path):
    baseline.save(tmp_path / "baseline")
    rows.write.parquet(str(tmp_path / "rows"))
    job = MonitorJob(
        "amounts", "cron(0 * ? * * *)", str(tmp_path / "baseline"), str(tmp_path / "rows"), str(tmp_path / "history"), time="at",
        columns=("amount", "visits"), file=str(tmp_path / "alarms.jsonl"),
    )  # fmt: skip
    command = [sys.executable, "-m", "sparkml_algos.watch", *job.arguments(), "--at=2026-01-01T03:20:00Z", "--fail-on-violations"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 3, done.stderr[-3000:]
    last = done.stdout.splitlines()[-1]
    assert last == "CompletedWithViolations 2026-01-01T02-00-00_2026-01-01T03-00-00 InAlert violations: 1"
    assert json.loads((tmp_path / "alarms.jsonl").read_text())["state"] == "InAlert"
    assert History(tmp_path / "history").executions("amounts")[0].violations[0].subject == "amount"

"""A model that is kept up: trained on 2011, deployed, watched through 2012, and trained anew when its monitor raises an alarm.

    python examples/retraining.py

takes the rented bicycles of ``examples/data/bike_days.csv``. Pages, the history and the captured requests go to
``examples/output/retraining``, in a minute and a half on two busy cores. It needs the extras ``xgboost`` and ``serving``.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import XGBoostRegressionModel, XGBoostRegressor
from sparkml_algos.monitor import (
    Alert,
    Callback,
    File,
    History,
    Log,
    Monitor,
    MonitorReport,
    check_model_quality,
    merge_ground_truth,
    model_quality,
    read_captured,
    rows_between,
    suggest_baseline,
)
from sparkml_algos.serving import deploy
from sparkml_algos.serving.local import CSVDeserializer, CSVSerializer, Predictor

HERE = Path(__file__).resolve().parent
LOGGING = HERE.parent / "spark-conf" / "log4j2.properties"
DAYS, OUTPUT = HERE / "data" / "bike_days.csv", HERE / "output" / "retraining"
SCHEMA = "date date, holiday int, workingday int, weather double, temperature double, humidity double, wind double, rentals double"
FEATURES = ["day", "weekday", "month", "workingday", "weather", "temperature", "humidity", "wind"]
LEARNER = XGBoostRegressor(labelCol="rentals", num_round=120, max_depth=4, eta=0.08, subsample=0.8, seed=1, num_workers=1)
# An error so many times that of days kept aside is an alarm.
TOLERATED = 1.5
SECONDS_TO_WRITE = 30.0


class Service:
    """The model that answers, and the endpoint before it."""

    def __init__(self, model: XGBoostRegressionModel) -> None:
        self.trainings = 0
        self.predictor = self._deployed(model)

    def train_anew(self, days: DataFrame, alert: Alert) -> None:
        """On all days that are over when the alarm comes."""
        assert alert.execution.end is not None
        model = LEARNER.fit(days.where(F.col("date") < F.lit(alert.execution.end.date())))
        self.predictor.delete_endpoint()
        self.predictor, self.trainings = self._deployed(model), self.trainings + 1

    def _deployed(self, model: XGBoostRegressionModel) -> Predictor:
        capture = ["--capture", str(OUTPUT / "captured"), "--capture-percentage", "100"]
        return deploy(model, serializer=CSVSerializer(), deserializer=CSVDeserializer(), arguments=capture)


def main() -> None:
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    spark = local_spark()
    try:
        days = read_days(spark).cache()
        year, future = days.where("date < '2012-01-01'"), days.where("date >= '2012-01-01'")
        model = LEARNER.fit(year.where("day % 5 != 0"))
        aside = model_quality(model.transform(year.where("day % 5 = 0")), "Regression", ground_truth="rentals", inference="prediction")
        limit = TOLERATED * aside.metrics["rmse"]
        print(f"rmse of days kept aside: {aside.metrics['rmse']:.0f}, an alarm above {limit:.0f}")
        service = Service(model)
        history = History(OUTPUT / "history")
        # What the days are like, by the quarter of the year before.
        weather = ["temperature", "humidity", "wind"]
        for quarter in range(1, 5):
            baseline = suggest_baseline(year.where(F.quarter("date") == quarter).select(*weather))
            source = rows_between(future, "date", weather)
            of_weather = Monitor(f"weather-{quarter}", baseline, source=source, actions=[Log()], history=history)
            found = of_weather.run(first_of(3 * quarter - 2), first_of(3 * quarter + 1))
            print(f"{found.monitor}: {found.status}, {', '.join(one.subject for one in found.violations) or 'as in the year before'}")

        def still_good(rows: DataFrame) -> MonitorReport:
            allowed = {"regression_constraints": {"rmse": {"threshold": limit, "comparison_operator": "GreaterThanThreshold"}}}
            return check_model_quality(model_quality(rows, "Regression", ground_truth="rentals", inference="predicted"), allowed)

        actions = [Log(), File(OUTPUT / "alarms.jsonl"), Callback(lambda alert: service.train_anew(days, alert))]
        monitor = Monitor("rentals", still_good, actions=actions, history=history, notify="always")
        for month in range(1, 13):
            asked = future.where(f"month = {month}").orderBy("date").collect()
            for row in asked:
                service.predictor.predict([list(row["features"])], inference_id=str(row["date"]))
            found = monitor.look(with_truth(spark, days, month, len(asked)), first_of(month), first_of(month + 1))
            print(f"2012-{month:02d}: rmse {found.metrics['rmse']:.0f}, {found.alert}")
        service.predictor.delete_endpoint()
        monitor.save_html(OUTPUT / "rentals.html", "Rented bicycles: the model")
        errors = [one.metrics["rmse"] for one in monitor.executions()]
        of_first = model.transform(future).groupBy("month").agg(F.avg((F.col("prediction") - F.col("rentals")) ** 2).alias("mse")).collect()
        mean = sum(row["mse"] ** 0.5 for row in of_first) / len(of_first)
        print(f"trainings: {service.trainings}; mean rmse {sum(errors) / len(errors):.0f}, of the first model {mean:.0f}")
        print(f"Pages are in {OUTPUT}")
    finally:
        spark.stop()


def with_truth(spark: SparkSession, days: DataFrame, month: int, count: int) -> DataFrame:
    """What was answered in a month, beside what came true; the endpoint writes down what it was asked a moment later."""
    end = time.monotonic() + SECONDS_TO_WRITE
    while True:
        if any((OUTPUT / "captured").rglob("*.jsonl")):
            captured = read_captured(spark, str(OUTPUT / "captured"), FEATURES, ["predicted"])
            answered = captured.where(F.month(F.to_date("inference_id")) == month)
            if answered.count() == count:
                break
        if time.monotonic() > end:
            raise TimeoutError(f"the endpoint has not written down {count} requests")
        time.sleep(0.5)
    truth = days.select(F.col("date").cast("string").alias("inference_id"), F.col("rentals").cast("string").alias("ground_truth"))
    merged = merge_ground_truth(answered, truth).rows
    return merged.select(F.col("ground_truth").cast("double").alias("rentals"), F.col("predicted").cast("double").alias("predicted"))


def first_of(month: int) -> datetime:
    """The beginning of a month of 2012; the 13th is the first of the next year."""
    return datetime(2012 + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=timezone.utc)


def read_days(spark: SparkSession) -> DataFrame:
    return (
        spark.read.csv(str(DAYS), header=True, schema=SCHEMA)
        .withColumn("day", F.datediff("date", F.lit("2011-01-01").cast("date")))
        .withColumn("weekday", F.weekday("date"))
        .withColumn("month", F.month("date"))
        .withColumn("features", F.array(*(F.col(name).cast("double") for name in FEATURES)))
        .coalesce(1)
    )


def local_spark() -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return (
        SparkSession.builder.master("local[2]")
        .appName("sparkml-algos retraining")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={LOGGING.as_uri()}")
        .getOrCreate()
    )


if __name__ == "__main__":
    main()

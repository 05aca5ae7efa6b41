"""Forecasts of many series: `DeepAR` on hourly loads, on a local Spark with two workers.

    python examples/deepar.py [SERIES.csv]

takes a CSV file with a header and the columns ``id``, ``value`` and ``time``, or ``t``, the number of the hour, such as the hourly series
of the M4 competition have; without one it draws series of its own. Two days of each are withheld, forecast and compared; with matplotlib
the forecast of one is drawn into ``examples/output/forecast.png``.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import DeepAR

HERE = Path(__file__).resolve().parent
LOGGING = HERE.parent / "spark-conf" / "log4j2.properties"
HORIZON = 48


def main(path: str | None) -> None:
    spark = local_spark()
    try:
        loads = (read_series(spark, path) if path else drawn_series(spark)).cache()
        last = loads.groupBy("id").agg(F.max("time").alias("last"))
        known = loads.join(last, "id").where(F.col("time") <= F.col("last") - F.make_dt_interval(hours=F.lit(HORIZON))).drop("last")
        learner = DeepAR(
            time_freq="H", context_length=72, prediction_length=HORIZON, epochs=3 if path else 8, learning_rate=0.005 if path else 0.01,
            mini_batch_size=128 if path else 32, timeCol="time", valueCol="value", keyCols=["id"], num_workers=2, seed=1,
        )  # fmt: skip
        model = learner.fit(known)
        print(f"Trained in {model.training_summary.seconds['total']:.1f} s: {model.training_summary.metrics}")
        print(f"Two days that were withheld: {model.evaluate(loads)}")
        one = known.agg(F.min("id")).first()[0]
        forecast = model.transform(known.where(F.col("id") == one))
        forecast.select("time", F.round("mean", 1).alias("mean"), "quantiles").orderBy("time").show(5, truncate=100)
        if find_spec("matplotlib"):
            draw(forecast, loads.where(F.col("id") == one))
    finally:
        spark.stop()


def draw(forecast: DataFrame, series: DataFrame) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from sparkml_algos.plotting import plot_forecast

    first = forecast.agg(F.min("time")).first()[0]
    before = series.where(F.col("time") < F.lit(first)).orderBy(F.desc("time")).limit(5 * HORIZON)
    ax = plot_forecast(forecast, before, actual=series.where(F.col("time") >= F.lit(first)))
    target = HERE / "output" / "forecast.png"
    target.parent.mkdir(exist_ok=True)
    ax.figure.savefig(target, dpi=120)
    print(f"Drawn: {target}")


def local_spark() -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return (
        SparkSession.builder.master("local[2]")
        .appName("sparkml-algos DeepAR")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={LOGGING.as_uri()}")
        .getOrCreate()
    )


def read_series(spark: SparkSession, path: str) -> DataFrame:
    rows = spark.read.csv(path, header=True, inferSchema=True)
    if "time" not in rows.columns:
        rows = rows.withColumn("time", F.lit("2020-01-01").cast("timestamp") + F.make_dt_interval(hours=F.col("t").cast("int")))
    return rows.select("id", "time", F.col("value").cast("double").alias("value"))


def drawn_series(spark: SparkSession) -> DataFrame:
    """Thirty series of five weeks, each with a day and a level of its own, and weekends."""
    hours = spark.range(30).crossJoin(spark.range(35 * 24).withColumnRenamed("id", "hour"))
    value = "(20 + id) * (1 + 0.4 * sin(2 * pi() * hour / 24 + id % 5) + 0.2 * int(int(hour / 24) % 7 > 4) + 0.05 * randn(3))"
    return hours.selectExpr("id", "timestamp'2024-01-01' + make_dt_interval(0, int(hour)) AS time", f"{value} AS value")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)

"""Can it be trusted? Bias and drift of a model of incomes, on a local Spark.

    python examples/trust.py [ADULT_TRAIN.csv ADULT_TEST.csv]

takes the two files of the census income data of the UCI, with a header, and then 45 seconds of two busy cores; without them it draws people
of its own. Pages and the service's files go to ``examples/output``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyspark.ml import Pipeline
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import LinearLearnerBinaryClassifier
from sparkml_algos.bias import BiasReport, Facet, bias_report
from sparkml_algos.monitor import check_bias_drift, check_data_quality, check_model_quality, model_quality, suggest_baseline

LOGGING = Path(__file__).resolve().parents[1] / "spark-conf" / "log4j2.properties"
OUTPUT = Path(__file__).resolve().with_name("output")
NUMBERS = ["age", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
# What chance makes of measures of a few thousand rows.
CHANCE = 0.05
# Metrics come with the deviation of five samples of four fifths of the rows, which is half of what chance makes of all of them. Later rows,
# half as many, differ from these by √3 of that; three times as much are about so many of the deviations.
DEVIATIONS = 11
FACETS = [Facet("sex", "Female"), Facet("age", 40, kind="continuous")]


def main(files: list[str]) -> None:
    spark = local_spark()
    OUTPUT.mkdir(exist_ok=True)
    try:
        train, later = (read_people(spark, path).cache() for path in files) if files else drawn_people(spark)
        scaled = [
            (F.col(name) / F.lit(float(scale))).alias(f"scaled_{name}") for name, scale in zip(NUMBERS, (90, 16, 1e5, 4e3, 99), strict=True)
        ]
        train, later = train.select("*", *scaled).cache(), later.select("*", *scaled).cache()
        stages = [
            VectorAssembler(inputCols=[f"scaled_{name}" for name in NUMBERS], outputCol="features"),
            LinearLearnerBinaryClassifier(labelCol="rich", epochs=5, mini_batch_size=500, num_workers=2, seed=1),
        ]
        model = Pipeline(stages=stages).fit(train)
        before, after = (model.transform(rows).withColumn("predicted", F.col("prediction").cast("int")) for rows in (train, later))
        baseline = suggest_baseline(train, [*NUMBERS, "sex", "education"])
        baseline.save(OUTPUT / "baseline")
        first = bias(before)
        first.save_html(OUTPUT / "bias.html", "Incomes: bias")
        print("Labels and predictions of women against those of others:")
        for name in ("CI", "DPL", "CDDL", "DPPL", "DI", "RD", "AD", "FT"):
            print(f"  {name:<5} {first['sex', name]:8.4f}")
        quality = model_quality(before, "BinaryClassification", ground_truth="rich", inference="predicted")
        # Those who come later: as they are, and where everybody has aged by ten years and some forms are not filled in.
        changed = after.withColumn("age", F.col("age") + 10).withColumn("education", F.when(F.rand(3) > 0.05, F.col("education")))
        for title, rows in {"later rows": after, "changed rows": changed}.items():
            found = check_data_quality(rows.select(*NUMBERS, "sex", "education"), baseline)
            found.save_html(OUTPUT / f"{title.replace(' ', '-')}.html", f"Incomes: {title}")
            of_model = model_quality(rows, "BinaryClassification", ground_truth="rich", inference="predicted")
            constraints = quality.suggest_constraints(deviations=DEVIATIONS)
            print(f"{title}: accuracy {of_model.metrics['accuracy']:.4f} ± {of_model.deviations['accuracy']:.4f}")
            for report in (found, check_model_quality(of_model, constraints), check_bias_drift(bias(rows), first, tolerance=CHANCE)):
                checks = ", ".join(f"{one.subject} ({one.check})" for one in report.violations)
                print(f"  {report.kind}: {checks or 'nothing is violated'}")
        print(f"Pages are in {OUTPUT}")
    finally:
        spark.stop()


def bias(rows: DataFrame) -> BiasReport:
    return bias_report(
        rows,
        "rich",
        1,
        FACETS,
        predicted_label="predicted",
        group_variable="education",
        label_kind="categorical",
        flip_test_features=NUMBERS,
    )


def local_spark() -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return (
        SparkSession.builder.master("local[2]")
        .appName("sparkml-algos bias and drift")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={LOGGING.as_uri()}")
        .getOrCreate()
    )


def read_people(spark: SparkSession, path: str) -> DataFrame:
    rows = spark.read.csv(path, header=True, inferSchema=True)
    return rows.withColumn("rich", (F.col("income") == ">50K").cast("int"))


def drawn_people(spark: SparkSession) -> list[DataFrame]:
    """People whose income hangs on what they learned and, a bit, on their sex: 8,000 to learn from, 4,000 who come later."""
    people = spark.range(12_000, numPartitions=2).select(
        F.floor(18 + 60 * F.rand(1)).cast("int").alias("age"),
        F.floor(1 + 15 * F.rand(2)).cast("int").alias("education_num"),
        F.when(F.rand(3) < 0.1, F.floor(1e4 * F.rand(4))).otherwise(0).cast("int").alias("capital_gain"),
        F.when(F.rand(5) < 0.05, F.floor(2e3 * F.rand(6))).otherwise(0).cast("int").alias("capital_loss"),
        F.floor(20 + 40 * F.rand(7)).cast("int").alias("hours_per_week"),
        F.when(F.rand(8) < 0.4, "Female").otherwise("Male").alias("sex"),
        F.rand(9).alias("luck"),
        (F.col("id") < 8000).alias("first"),
    )
    score = F.col("education_num") / 15 + F.col("hours_per_week") / 60 + F.when(F.col("sex") == "Female", -0.2).otherwise(0.0)
    labelled = people.withColumn("rich", (score + F.col("luck") > 1.9).cast("int")).withColumn(
        "education", F.when(F.col("education_num") > 12, "high").when(F.col("education_num") > 6, "middle").otherwise("low")
    )
    return [labelled.where("first").drop("first", "luck"), labelled.where("not first").drop("first", "luck")]


if __name__ == "__main__":
    main(sys.argv[1:3])

"""Who comes from where: `IPInsights` on the log of a web server, on a local Spark with two workers.

    python examples/ip_insights.py [LOG.csv]

takes a CSV file with a header and the columns ``timestamp``, ``user_agent`` and ``ip``, such as the Apache log among Elastic's example data
sets; without one it draws visits of its own. The first four fifths by time are learned from, the rest is scored.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from sparkml_algos import IPInsights, IPInsightsModel

LOGGING = Path(__file__).resolve().parents[1] / "spark-conf" / "log4j2.properties"
SETTINGS = {"num_entity_vectors": 20_000, "vector_dim": 128, "epochs": 20, "mini_batch_size": 500, "num_workers": 2, "seed": 1}


def main(log: str | None) -> None:
    spark = local_spark()
    try:
        visits = (read_log(spark, log) if log else drawn_visits(spark)).cache()
        first, later = visits.where("share <= 0.8"), visits.where("share > 0.8")
        later = later.join(first.select("entity").distinct(), "entity", "left_semi").cache()
        print(f"{first.count():,} visits to learn from, {later.count():,} later ones by entities that were seen")
        model = IPInsights(**SETTINGS).fit(first)
        print(f"Trained in {model.training_summary.seconds['total']:.1f} s: {model.training_summary.metrics}")
        report(model, later)
    finally:
        spark.stop()


def local_spark() -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return (
        SparkSession.builder.master("local[2]")
        .appName("sparkml-algos IP Insights")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={LOGGING.as_uri()}")
        .getOrCreate()
    )


def read_log(spark: SparkSession, path: str) -> DataFrame:
    """Entity, address and the share of the visits that came no later."""
    rows = spark.read.csv(path, header=True, quote='"', escape='"')
    share = F.percent_rank().over(Window.orderBy("timestamp"))
    return rows.select(F.col("user_agent").alias("entity"), "ip", share.alias("share"))


def drawn_visits(spark: SparkSession) -> DataFrame:
    """The same of 200 users, each at home in two networks."""
    user = F.floor(200 * F.rand(1))
    octets = [F.lit(10), user, F.floor(2 * F.rand(2)), F.floor(256 * F.rand(3))]
    return spark.range(10_000, numPartitions=2).select(
        F.concat(F.lit("user "), user).alias("entity"), F.concat_ws(".", *octets).alias("ip"), (F.col("id") / 10_000).alias("share")
    )


def report(model: IPInsightsModel, later: DataFrame) -> None:
    """How well later visits are told from the same entities with addresses of others, and which are the strangest."""
    others = later.select(F.row_number().over(Window.orderBy(F.rand(5))).alias("place"), F.col("ip").alias("other"))
    numbered = later.withColumn("place", F.row_number().over(Window.orderBy("share", "entity", "ip")))
    shuffled = numbered.join(others, "place").select("entity", F.col("other").alias("ip"), F.lit(0.0).alias("label"))
    both = later.select("entity", "ip", F.lit(1.0).alias("label")).unionByName(shuffled)
    area = BinaryClassificationEvaluator(rawPredictionCol="dot_product").evaluate(model.transform(both))
    print(f"AUC against shuffled addresses {area:.3f}; against random ones {model.evaluate(later)['test:discriminator_auc']:.3f}")
    print(f"Threshold {model.threshold:.2f}: {100 * model.share_of_alarms(later):.1f} % of the later visits raise an alarm. The strangest:")
    for row in model.transform(later).orderBy("dot_product").limit(5).collect():
        print(f"  {row.dot_product:8.2f}  {row.ip:<16} {row.entity[:90]}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)

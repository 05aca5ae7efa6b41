"""Users, films, and what users think of films: `Object2Vec` on ratings, on a local Spark with two workers.

    python examples/object2vec.py [RATINGS.csv]

takes a CSV file with a header and the columns ``user_id``, ``item_id`` and ``rating``, such as MovieLens has them; without one it draws
ratings of its own. A tenth of the ratings is for validation, another for the test.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import Object2Vec

LOGGING = Path(__file__).resolve().parents[1] / "spark-conf" / "log4j2.properties"
DIM = 64
# People's ratings are learned by heart unless much is done against it. In those that are drawn nothing is seen for some epochs, then all.
OF_PEOPLE = {"dropout": 0.5, "weight_decay": 1e-3, "learning_rate": 0.001, "mini_batch_size": 500}
OF_TASTES = {
    "weight_decay": 1e-4,
    "learning_rate": 0.01,
    "mini_batch_size": 100,
    "early_stopping_patience": 5,
    "early_stopping_tolerance": 1e-6,
}


def main(path: str | None) -> None:
    spark = local_spark()
    try:
        ratings = (read_ratings(spark, path) if path else drawn_ratings(spark)).withColumn("share", F.rand(7)).cache()
        users, films = (ratings.agg(F.max(name)).first()[0] + 1 for name in ("user_id", "item_id"))
        pooled = {"network": "pooled_embedding", "max_seq_len": 1, "token_embedding_dim": DIM}
        sides = {f"enc{side}_{name}": value for side in (0, 1) for name, value in pooled.items()}
        learner = Object2Vec(
            **sides, in0Col="user_id", enc0_vocab_size=users, in1Col="item_id", enc1_vocab_size=films, labelCol="rating",
            validationIndicatorCol="held", output_layer="mean_squared_error", enc_dim=DIM, mlp_layers=1, mlp_dim=128, mlp_activation="relu",
            **(OF_PEOPLE if path else OF_TASTES), num_workers=2, seed=1,
        )  # fmt: skip
        model = learner.fit(ratings.where("share < 0.9").withColumn("held", F.col("share") < 0.1))
        print(f"Trained in {model.training_summary.seconds['total']:.1f} s: {model.training_summary.metrics}")
        error = model.evaluate(ratings.where("share >= 0.9"))["test:mean_squared_error"]
        print(f"RMSE on ratings that were held back: {error**0.5:.3f}")
        film = ratings.groupBy("item_id").count().orderBy(F.desc("count"), "item_id").first().item_id
        print(f"Films most like {film}, the one with the most ratings:")
        model.similar(film, 5, side=1).show()
    finally:
        spark.stop()


def local_spark() -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return (
        SparkSession.builder.master("local[2]")
        .appName("sparkml-algos Object2Vec")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={LOGGING.as_uri()}")
        .getOrCreate()
    )


def read_ratings(spark: SparkSession, path: str) -> DataFrame:
    rows = spark.read.csv(path, header=True)
    return rows.select(F.col("user_id").cast("int"), F.col("item_id").cast("int"), F.col("rating").cast("double"))


def drawn_ratings(spark: SparkSession) -> DataFrame:
    """Ratings of 300 films by 200 users, of five tastes."""
    pairs = spark.range(20_000, numPartitions=2).select(
        F.floor(200 * F.rand(1)).cast("int").alias("user_id"), F.floor(300 * F.rand(2)).cast("int").alias("item_id")
    )
    return pairs.withColumn("rating", F.expr("IF(user_id % 5 = item_id % 5, 4.5, 2.5)") + F.randn(3) / 2)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)

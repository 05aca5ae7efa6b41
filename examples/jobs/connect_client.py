"""A client of Spark Connect: clusters rows on a cluster that it knows by its address alone.

    python examples/jobs/connect_client.py --remote sc://spark.example.com:15002 --rows /data/train.parquet --features age,visits -k 3

``--remote 'local[2]'`` starts a server on this machine, to try it. The client needs ``pip install 'sparkml-algos[spark,connect]'`` and no
Java.
"""

from __future__ import annotations

import argparse

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkml_algos import KMeans


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--remote", required=True, help="address of the server")
    arguments.add_argument("--rows", required=True, help="Parquet, as the server finds it")
    arguments.add_argument("--features", required=True, help="numeric columns, separated by commas")
    arguments.add_argument("-k", type=int, default=3, help="number of clusters")
    given = arguments.parse_args()

    spark = SparkSession.builder.remote(given.remote).getOrCreate()
    features = given.features.split(",")
    rows = spark.read.parquet(given.rows)
    model = KMeans(k=given.k, featuresCols=features).fit(rows)
    means = [F.round(F.avg(name), 1).alias(name) for name in features]
    model.transform(rows).groupBy("prediction").agg(F.count("*").alias("rows"), *means).orderBy("prediction").show()
    spark.stop()


if __name__ == "__main__":
    main()

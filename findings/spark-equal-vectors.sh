#!/usr/bin/env bash
# Spark 4.3.0: vectors that Spark ML says are equal are two groups for distinct and groupBy, and do not meet in a join.
#
# Guess:  a dense and a sparse vector of the same numbers are equal in Python, with the same hash, so they are one group in a DataFrame.
# Seen:   a DataFrame compares what vectors are stored as: type, size, indices, values. VectorAssembler stores each row in the shorter form,
#         so the same features may come in either, depending on where they come from.
# So:     group and join by vector_to_array(vector).
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install pyspark==4.3.0 numpy==2.4.6

seen_as 'equal in Python: True, with the same hash: True
distinct rows: 2, pairs of equal rows: 2
as arrays: distinct rows: 1, pairs of equal rows: 4' <<'PYTHON'
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
spark = builder.config("spark.ui.showConsoleProgress", "false").config("spark.sql.shuffle.partitions", "1").getOrCreate()

dense, sparse = Vectors.dense([1.0, 0.0]), Vectors.sparse(2, [0], [1.0])
print(f"equal in Python: {dense == sparse}, with the same hash: {hash(dense) == hash(sparse)}")


def counted(name, rows):
    pairs = rows.alias("a").join(rows.alias("b"), F.col("a.v") == F.col("b.v")).count()
    print(f"{name}distinct rows: {rows.distinct().count()}, pairs of equal rows: {pairs}")


rows = spark.createDataFrame([(dense,), (sparse,)], ["v"])
counted("", rows)
counted("as arrays: ", rows.select(vector_to_array("v").alias("v")))
spark.stop()
PYTHON

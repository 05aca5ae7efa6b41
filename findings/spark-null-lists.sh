#!/usr/bin/env bash
# Spark 4.3.0: a null list on its way to Python costs time in proportion to the rows of its Arrow batch: a batch costs the square.
#
# Guess:  a null costs no more than an empty list, and a row the same in batches of any size; larger batches are a little cheaper.
# Seen:   13 µs a row in batches of 1,000 rows, 94 in batches of 10,000 (Spark's default), 472 in batches of 50,000, on a busy machine; an
#         empty list 5 in all of them. Spark 3.5.9 takes 2 to 3 µs in every case.
# So:     send coalesce(list, array()), and a flag where null and empty must be told apart. The indices of a dense vector of Spark ML, read
#         as a column, are such nulls.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install pyspark==4.3.0 pyarrow==26.0.1 pandas==2.3.3 numpy==2.4.6

seen_as 'null lists: a row in a batch of 20,000 costs more than 5 times one in a batch of 1,000: True
empty lists: a row in a batch of 20,000 costs more than 5 times one in a batch of 1,000: False' <<'PYTHON'
import time

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

ROWS = 20_000
builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
spark = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()


def count(batches):
    for batch in batches:
        yield pa.RecordBatch.from_arrays([pa.array([batch.num_rows], pa.int64())], names=["rows"])


def seconds(column, rows_of_a_batch):
    """The quickest of three."""
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", rows_of_a_batch)
    sent = spark.range(ROWS, numPartitions=1).select(column.alias("list")).mapInArrow(count, "rows long")
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        assert sum(row.rows for row in sent.collect()) == ROWS
        taken.append(time.perf_counter() - began)
    return min(taken)


for name, column in (("null", F.lit(None).cast("array<double>")), ("empty", F.array().cast("array<double>"))):
    grows = seconds(column, ROWS) > 5 * seconds(column, 1000)
    print(f"{name} lists: a row in a batch of 20,000 costs more than 5 times one in a batch of 1,000: {grows}")
spark.stop()
PYTHON

#!/usr/bin/env bash
# Spark 4.3.0: DataFrame.stat.corr and cov take a null for 0; functions.corr leaves its row out.
#
# Guess:  the two of them give the same number; rows with a null do not count, as in SQL and in pandas.
# Seen:   two columns of which one is twice the other correlate by 1 in functions.corr. With two values of ten missing the method says 0.71,
#         with the column shifted to about 100 it is 0.11: the missing ones are outliers at 0. Features are chosen by such figures.
# So:     select(functions.corr("a", "b")), or dropna(subset=["a", "b"]) before.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install pyspark==4.3.0 numpy==2.4.6

seen_as "b about 0: functions: corr 1.00, cov 20.00; stat: corr 0.71, cov 15.56; after dropna: corr 1.00
b about 100: functions: corr 1.00, cov 20.00; stat: corr 0.11, cov 15.56; after dropna: corr 1.00" <<'PYTHON'
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
for offset in (0, 100):
    rows = [(float(x), None if x in (3, 8) else 2.0 * x + offset) for x in range(1, 11)]
    frame = spark.createDataFrame(rows, "a double, b double")
    corr, cov = frame.select(F.corr("a", "b"), F.covar_samp("a", "b")).first()
    print(f"b about {offset}: functions: corr {corr:.2f}, cov {cov:.2f}; stat: ", end="")
    print(f"corr {frame.stat.corr('a', 'b'):.2f}, cov {frame.stat.cov('a', 'b'):.2f}", end="; ")
    print(f"after dropna: corr {frame.dropna().stat.corr('a', 'b'):.2f}")
spark.stop()
PYTHON

#!/usr/bin/env bash
# Spark 3.5.9: a Parquet file with a vector in a struct in an array or a map is written and cannot be read.
#
# Guess:  what a frame writes it reads, as it does with a vector in a struct, in an array or in a map alone.
# Seen:   the job ends in an IllegalArgumentException, "Spark type … doesn't match the type … in column vector": the vectorised reader of
#         nested columns looks through one level of Spark ML's type, not through two. Reading row by row works.
# So:     spark.sql.parquet.enableNestedColumnVectorizedReader=false on reading. Spark 4.3.0 reads such files.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install pyspark==3.5.9 numpy==1.26.4 setuptools==79.0.1

seen_as 'named_struct(v, v): read
array(v): read
map(a, v): read
array(named_struct(v, v)): refused, read row by row
map(a, named_struct(v, v)): refused, read row by row' <<'PYTHON'
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession

builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
spark = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()
rows = spark.createDataFrame([(Vectors.dense([1.0, 2.0]),), (Vectors.sparse(2, [0], [3.0]),)], ["v"])


def is_read(path, vectorised):
    spark.conf.set("spark.sql.parquet.enableNestedColumnVectorizedReader", vectorised)
    try:
        return len(spark.read.parquet(path).collect()) == 2
    except Exception as error:
        assert "doesn't match the type" in str(error)
        return False


kinds = ("named_struct('v', v)", "array(v)", "map('a', v)", "array(named_struct('v', v))", "map('a', named_struct('v', v))")
for number, kind in enumerate(kinds):
    path = f"nested{number}"
    rows.selectExpr(f"{kind} AS nested").coalesce(1).write.parquet(path)
    read = "read" if is_read(path, "true") else "refused, read row by row" if is_read(path, "false") else "refused"
    print(f"{kind}: {read}".replace("'", ""))
spark.stop()
PYTHON

#!/usr/bin/env bash
# Spark 4.3.0: reading CSV with inferSchema makes numbers of identifiers such as 1d and 2f, and of times of the day a moment of today.
#
# Guess:  a column of 1d, 2f and 10 is text, for the first two are no numbers in CSV; one of 12:30 is text, for it has no date.
# Seen:   1d, 2f and 0x1p3 are numbers of Java's source code, so the identifiers are 1.0, 2.0 and 10.0, and 1d and 1f the same one. 12:30 is
#         the moment at which it is 12:30 on the day of the reading: the same file gives other values tomorrow, and a model trained on them
#         has learnt dates. In the mode that is default nothing is reported. try_cast does the same.
# So:     name the schema; or read all as text and cast what matches a pattern.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install pyspark==4.3.0 numpy==2.4.6

seen_as "types: ['double', 'timestamp'] batches: [1.0, 1.0, 10.0]
days of the times: today: True
try_cast: [1.0, 8.0, None]" <<'PYTHON'
import datetime
import pathlib

from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
pathlib.Path("rows.csv").write_text("batch,starts\n1d,12:30\n1f,08:15\n10,23:00\n")
frame = spark.read.csv("rows.csv", header=True, inferSchema=True)
rows = frame.collect()
print("types:", [kind for _, kind in frame.dtypes], "batches:", [row.batch for row in rows])
days = {row.starts.date() for row in rows}
print("days of the times: today:", days <= {datetime.date.today(), datetime.date.today() - datetime.timedelta(days=1)})
print("try_cast:", [spark.sql(f"SELECT try_cast('{text}' AS double)").first()[0] for text in ("1d", "0x1p3", "1x")])
spark.stop()
PYTHON

#!/usr/bin/env bash
# pyspark 3.5.9: a DataFrame with a calendar interval among its columns has no schema, no columns and no dtypes; show and count work.
#
# Guess:  .schema names the type, as it does for intervals of years and of days, and as printSchema does, which asks the JVM.
# Seen:   every question that needs the schema in Python raises PySparkValueError, CANNOT_PARSE_DATATYPE, also about other columns. pyspark
#         4.3.0 has a CalendarIntervalType and answers.
# So:     cast such columns away before the frame reaches a library; those ask for dtypes first of all.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install pyspark==3.5.9 numpy==1.26.4

seen_as 'years: struct<i:interval year>
days: struct<i:interval day>
calendar: rows 1, columns: PySparkValueError CANNOT_PARSE_DATATYPE
calendar, as a string: struct<i:string>' <<'PYTHON'
from pyspark.errors import PySparkValueError
from pyspark.sql import SparkSession

builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
spark = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()

print("years:", spark.sql("SELECT INTERVAL '1' YEAR AS i").schema.simpleString())
print("days:", spark.sql("SELECT INTERVAL '1' DAY AS i").schema.simpleString())
calendar = spark.sql("SELECT make_interval(1, 1, 0, 1) AS i")
try:
    columns = calendar.columns
except PySparkValueError as error:
    columns = f"PySparkValueError {error.getErrorClass()}"
print(f"calendar: rows {calendar.count()}, columns: {columns}")
print("calendar, as a string:", calendar.selectExpr("CAST(i AS STRING) AS i").schema.simpleString())
spark.stop()
PYTHON

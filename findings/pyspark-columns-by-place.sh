#!/usr/bin/env bash
# PySpark 4.3.0, DataFrame.mapInArrow.
#
# Guess:  columns of what a function gives are matched with the schema by name, as those of mapInPandas, applyInPandas and applyInArrow are.
# Seen:   they are taken by their place, and so are the fields of structs; names are not looked at. Two columns of one type in another order
#         change places without a word. The three others, and functions of arrow_udf, go by name.
# So:     select(schema.names) the batches before they are given.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install pyspark==4.3.0 pyarrow==26.0.1 pandas==2.3.3 numpy==2.4.6

seen_as "mapInArrow {'width': 2.0, 'height': 1.0}
mapInArrow, a struct {'width': 2.0, 'height': 1.0}
mapInPandas {'width': 1.0, 'height': 2.0}
mapInPandas, a struct {'width': 1.0, 'height': 2.0}
applyInArrow {'width': 1.0, 'height': 2.0}
applyInPandas {'width': 1.0, 'height': 2.0}" <<'PYTHON'
import pandas as pd
import pyarrow as pa
from pyspark.sql import SparkSession

COLUMNS, SCHEMA = {"height": [2.0], "width": [1.0]}, "width double, height double"
STRUCTS = {"box": [{"height": 2.0, "width": 1.0}]}


def for_each(made):
    def give(batches):
        for _ in batches:
            yield made

    return give


spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
rows = spark.range(1)
found = {
    "mapInArrow": rows.mapInArrow(for_each(pa.RecordBatch.from_pydict(COLUMNS)), SCHEMA),
    "mapInArrow, a struct": rows.mapInArrow(for_each(pa.RecordBatch.from_pydict(STRUCTS)), f"box struct<{SCHEMA}>").select("box.*"),
    "mapInPandas": rows.mapInPandas(for_each(pd.DataFrame(COLUMNS)), SCHEMA),
    "mapInPandas, a struct": rows.mapInPandas(for_each(pd.DataFrame(STRUCTS)), f"box struct<{SCHEMA}>").select("box.*"),
    "applyInArrow": rows.groupBy("id").applyInArrow(lambda table: pa.table(COLUMNS), SCHEMA),
    "applyInPandas": rows.groupBy("id").applyInPandas(lambda frame: pd.DataFrame(COLUMNS), SCHEMA),
}
for name, frame in found.items():
    print(name, frame.first().asDict())
spark.stop()
PYTHON

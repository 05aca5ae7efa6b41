#!/usr/bin/env bash
# Spark 4.3.0: a StringIndexer that has learnt whole numbers knows none of them when they come as floats.
#
# Guess:  1 and 1.0 are the same category, for they are equal in Spark; if types differ, it says so.
# Seen:   it compares their texts, "1" and "1.0". With handleInvalid="keep" all rows are of the category of the unknown, without a word;
#         with "skip" all rows are gone; the default ends in an error about an unseen label. A column of whole numbers becomes one of floats
#         when pandas has a missing value in it. Decimals of another scale and -0.0 are other categories too.
# So:     cast to one type before, in the pipeline: SQLTransformer("SELECT *, CAST(store AS bigint) …").
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install pyspark==4.3.0 pandas==2.3.3 pyarrow==26.0.1 numpy==2.4.6

seen_as "equal in a join: 3 types: [('store', 'bigint')] [('store', 'double')]
keep, as learnt: [0.0, 0.0, 1.0]
keep, as floats: [2.0, 2.0]
keep, cast: [0.0, 1.0]
skip, as learnt: [0.0, 0.0, 1.0]
skip, as floats: []
skip, cast: [0.0, 1.0]" <<'PYTHON'
import pandas as pd
from pyspark.ml.feature import StringIndexer
from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("OFF")
seen = spark.createDataFrame(pd.DataFrame({"store": [7, 7, 8]}))
later = spark.createDataFrame(pd.DataFrame({"store": [7, 8, None]})).where("store IN (7, 8)")
print("equal in a join:", seen.join(later, "store").count(), "types:", seen.dtypes, later.dtypes)
for invalid in ("keep", "skip"):
    model = StringIndexer(inputCol="store", outputCol="index", handleInvalid=invalid).fit(seen)
    for frame, name in ((seen, "as learnt"), (later, "as floats"), (later.selectExpr("CAST(store AS bigint) AS store"), "cast")):
        print(f"{invalid}, {name}:", [row['index'] for row in model.transform(frame).collect()])
spark.stop()
PYTHON

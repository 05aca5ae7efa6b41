#!/usr/bin/env bash
# Spark 4.3.0: a Word2VecModel divides the sum of a text's word vectors by all its words, those among them that it does not know.
#
# Guess:  the vector of a text is the mean of the vectors of its known words; unknown ones are left out.
# Seen:   each unknown word shrinks it: one of two halves it. Cosines do not change, but distances, k-means and linear models over these
#         vectors see how many rare words a text has.
# So:     remove unknown words first (they are those that getVectors does not list), or normalize the vectors.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install pyspark==4.3.0 numpy==2.4.6

seen_as '1 known, 0 unknown: 1.00 of the length of the known word
1 known, 1 unknown: 0.50 of the length of the known word
1 known, 3 unknown: 0.25 of the length of the known word' <<'PYTHON'
from pyspark.ml.feature import Word2Vec
from pyspark.sql import SparkSession

builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
spark = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()

texts = spark.createDataFrame([(["tea", "cup", "milk", "spoon"],)] * 20, ["words"])
model = Word2Vec(vectorSize=5, minCount=1, seed=1, inputCol="words", outputCol="vector").fit(texts)
asked = spark.createDataFrame([(n, ["tea", *["unheard"] * n]) for n in (0, 1, 3)], ["unknown", "words"])
rows = model.transform(asked).orderBy("unknown").collect()
for row in rows:
    print(f"1 known, {row.unknown} unknown: {row.vector.norm(2) / rows[0].vector.norm(2):.2f} of the length of the known word")
spark.stop()
PYTHON

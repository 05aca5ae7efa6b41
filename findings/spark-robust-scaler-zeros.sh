#!/usr/bin/env bash
# Spark 4.3.0: RobustScaler turns a feature whose quartiles are equal into zeros, whatever its values are.
#
# Guess:  a feature that cannot be scaled, because more than half of its values are the same, is left as it is, as in scikit-learn.
# Seen:   all its values become 0. A count that is mostly 0, or a flag that is rarely set, is lost without a word; scikit-learn divides by 1.
# So:     leave sparse features out of RobustScaler, or widen its quantiles (lower, upper) until they differ.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install pyspark==4.3.0 numpy==2.4.6 scikit-learn==1.9.1

seen_as 'values: 0 9 500
Spark: 0 0 0
Spark, quantiles 0.01 and 0.99: 0 1 62
scikit-learn: 0 9 500' <<'PYTHON'
import numpy as np
from pyspark.ml.feature import RobustScaler
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession
from sklearn.preprocessing import RobustScaler as Peer

builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
spark = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()

values = [0.0] * 90 + [float(i) for i in range(9)] + [500.0]
shown = np.array([0.0, 9.0, 500.0])
rows = spark.createDataFrame([(Vectors.dense([value]),) for value in values], ["features"])
asked = spark.createDataFrame([(Vectors.dense([value]),) for value in shown], ["features"])


def scaled(**quantiles):
    model = RobustScaler(inputCol="features", outputCol="scaled", **quantiles).fit(rows)
    return [row.scaled[0] for row in model.transform(asked).collect()]


for name, numbers in {
    "values": shown,
    "Spark": scaled(),
    "Spark, quantiles 0.01 and 0.99": scaled(lower=0.01, upper=0.99),
    "scikit-learn": Peer(with_centering=False).fit(np.array(values)[:, None]).transform(shown[:, None])[:, 0],
}.items():
    print(f"{name}:", *(f"{number:.0f}" for number in numbers))
spark.stop()
PYTHON

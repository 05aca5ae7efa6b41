#!/usr/bin/env bash
# PySpark 4.3.0, weightCol of Spark ML's linear models, and weights of Summarizer.
#
# Guess:  a row of weight 2 is what two equal rows are, in every estimator with a weightCol.
# Seen:   the variance of a feature divides by the weights' sum less that of their squares over it, so that it is another than of the copies
#         (7.2 and 6.0). Penalties are of standardized features, so that LogisticRegression, LinearSVC and LinearRegression by l-bfgs give
#         other coefficients wherever there is a penalty. LinearRegression by the normal equations, GeneralizedLinearRegression and what
#         has no penalty take weights as copies; solver="auto" of LinearRegression chooses by the number of features.
# So:     compare penalties of weighted and of repeated rows with care, and name the solver.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install pyspark==4.3.0 numpy==2.4.6

seen_as "variance: weighted 7.2, copied 6.0
LinearRegression, normal, regParam=0.5: as copies
LinearRegression, l-bfgs, regParam=0.5: otherwise
LinearRegression, l-bfgs, regParam=0.0: as copies
LogisticRegression, regParam=0.5: otherwise
LogisticRegression, regParam=0.0: as copies
GeneralizedLinearRegression, regParam=0.5: as copies" <<'PYTHON'
import numpy as np
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.functions import array_to_vector
from pyspark.ml.regression import GeneralizedLinearRegression, LinearRegression
from pyspark.ml.stat import Summarizer
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "1")
spark = builder.getOrCreate()


def variance(rows):
    frame = spark.createDataFrame(rows, ["x", "w"]).select(array_to_vector(F.array("x")).alias("x"), "w")
    return float(frame.select(Summarizer.variance(frame.x, frame.w)).first()[0][0])


weighted = variance([(1.0, 2.0), (4.0, 1.0), (6.0, 1.0)])
copied = variance([(1.0, 1.0), (1.0, 1.0), (4.0, 1.0), (6.0, 1.0)])
print(f"variance: weighted {weighted:g}, copied {copied:.1f}")

random = np.random.default_rng(0)
features = random.normal(size=(40, 2))
value = features @ [2.0, -1.0] + random.normal(size=40)
weight = random.integers(1, 4, 40)
columns = [*features.T, value, (value > 0).astype(float), weight.astype(float)]
rows = spark.createDataFrame(np.stack(columns, axis=1).tolist(), ["a", "b", "value", "is_positive", "weight"])
rows = VectorAssembler(inputCols=["a", "b"], outputCol="features").transform(rows).cache()
copies = rows.withColumn("copy", F.explode(F.sequence(F.lit(1), F.col("weight").cast("int")))).cache()
tight = {"maxIter": 500, "tol": 1e-12}
estimators = {
    "LinearRegression, normal, regParam=0.5": LinearRegression(labelCol="value", solver="normal", regParam=0.5),
    "LinearRegression, l-bfgs, regParam=0.5": LinearRegression(labelCol="value", solver="l-bfgs", regParam=0.5, **tight),
    "LinearRegression, l-bfgs, regParam=0.0": LinearRegression(labelCol="value", solver="l-bfgs", **tight),
    "LogisticRegression, regParam=0.5": LogisticRegression(labelCol="is_positive", regParam=0.5, **tight),
    "LogisticRegression, regParam=0.0": LogisticRegression(labelCol="is_positive", **tight),
    "GeneralizedLinearRegression, regParam=0.5": GeneralizedLinearRegression(labelCol="value", regParam=0.5),
}
for name, estimator in estimators.items():
    other = estimator.fit(copies).coefficients.toArray()
    same = np.allclose(estimator.setWeightCol("weight").fit(rows).coefficients.toArray(), other, rtol=1e-5)
    print(f"{name}: {'as copies' if same else 'otherwise'}")
spark.stop()
PYTHON

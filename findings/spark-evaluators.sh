#!/usr/bin/env bash
# Spark 4.3.0: three evaluators that find the worse model better, or every model perfect.
#
# Guess:  of metrics for which larger is better, by isLargerBetter, the better model has the larger one, at most 1; where it is not defined
#         it is NaN or an error.
# Seen:   metricName="var" of RegressionEvaluator is the spread of the predictions around the mean of the labels: predictions that are ten
#         times too far out have the larger one, and CrossValidator takes that model. BinaryClassificationEvaluator takes any label above
#         0.5 for positive and has an area of 1 where there is no negative: with labels 1 and 2 each model is perfect, upside down too. A
#         score of NaN is its largest: a model that fails on the positives is perfect. RankingEvaluator counts an item each time that it is
#         recommended: the right one five times has a mean average precision of 5.
# So:     r2 or rmse; labels 0 and 1, and a look at the numbers of both; array_distinct of recommendations.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install pyspark==4.3.0 numpy==2.4.6

seen_as "r2: larger is better: True, the model that is exact is chosen: True
var: larger is better: True, the model that is exact is chosen: False
labels 0 and 1, right: area 1.0
labels 1 and 2, right: area 1.0
labels 1 and 2, wrong: area 1.0
NaN for positives: area 1.0
recommended [1.0, 2.0, 3.0]: mean average precision 1.0
recommended [1.0, 1.0, 1.0, 1.0, 1.0]: mean average precision 5.0" <<'PYTHON'
from pyspark.ml import Pipeline
from pyspark.ml.evaluation import BinaryClassificationEvaluator, RankingEvaluator, RegressionEvaluator
from pyspark.ml.feature import SQLTransformer
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import SparkSession

settings = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "1"}
spark = SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
spark.sparkContext.setLogLevel("OFF")
nan = float("nan")

labels = spark.createDataFrame([(float(x),) for x in range(20)], "label double")
model = SQLTransformer()
right, wild = "SELECT *, label AS prediction FROM __THIS__", "SELECT *, 10 * label AS prediction FROM __THIS__"
grid = ParamGridBuilder().addGrid(model.statement, [right, wild]).build()
for metric in ("r2", "var"):
    evaluator = RegressionEvaluator(metricName=metric)
    found = CrossValidator(estimator=Pipeline(stages=[model]), estimatorParamMaps=grid, evaluator=evaluator, numFolds=2, seed=1).fit(labels)
    chosen = found.bestModel.stages[0].getStatement()
    print(f"{metric}: larger is better: {evaluator.isLargerBetter()}, the model that is exact is chosen: {chosen == right}")

for name, rows in (
    ("labels 0 and 1, right", [(0.0, 0.1), (1.0, 0.9)]),
    ("labels 1 and 2, right", [(1.0, 0.1), (2.0, 0.9)]),
    ("labels 1 and 2, wrong", [(1.0, 0.9), (2.0, 0.1)]),
    ("NaN for positives", [(0.0, 0.9), (1.0, nan)]),
):
    frame = spark.createDataFrame(rows, "label double, rawPrediction double")
    print(f"{name}: area {BinaryClassificationEvaluator().evaluate(frame)}")

for items in ([1.0, 2.0, 3.0], [1.0] * 5):
    frame = spark.createDataFrame([([1.0], items)], "label array<double>, prediction array<double>")
    print(f"recommended {items}: mean average precision {RankingEvaluator().evaluate(frame)}")
spark.stop()
PYTHON

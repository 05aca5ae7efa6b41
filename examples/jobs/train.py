"""A spark-submit job: trains a classifier on rows of Parquet, prints what it is worth, and saves the pipeline.

    spark-submit --master 'local[2]' examples/jobs/train.py \\
        --rows /tmp/customers/train.parquet --features age,income,visits --label leaves --model /tmp/leaving

On a cluster ``--archives environment.tar.gz#environment`` brings the libraries (spark-conf/pack-environment.sh). With ``--for-jvm`` the
pipeline is saved for Scala, Java and Python, and scores without Python processes; that takes the JVM bridge.
"""

from __future__ import annotations

import argparse
import json

from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import StandardScaler, VectorAssembler
from pyspark.sql import SparkSession

from sparkml_algos import LinearLearnerBinaryClassifier


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", required=True, help="Parquet to train on")
    arguments.add_argument("--features", required=True, help="numeric columns, separated by commas")
    arguments.add_argument("--label", required=True, help="column of 0 and 1")
    arguments.add_argument("--model", required=True, help="where the pipeline goes; what is there is replaced")
    arguments.add_argument("--workers", default="auto", help="number of workers; every task slot of the cluster where not given")
    arguments.add_argument("--for-jvm", action="store_true", help="save it for the JVM too")
    given = arguments.parse_args()

    spark = SparkSession.builder.appName(f"train {given.label}").getOrCreate()
    rows = spark.read.parquet(given.rows)
    train, test = rows.randomSplit([0.8, 0.2], seed=0)
    fitted = pipeline(given.features.split(","), given.label, given.workers).fit(train)
    print(json.dumps({"rows": rows.count(), **evaluate(fitted, test)}))
    (for_jvm(fitted) if given.for_jvm else fitted).write().overwrite().save(given.model)
    spark.stop()


def pipeline(features: list[str], label: str, workers: str) -> Pipeline:
    assembler = VectorAssembler(inputCols=features, outputCol="assembled")
    scaler = StandardScaler(inputCol="assembled", outputCol="features")
    return Pipeline(stages=[assembler, scaler, LinearLearnerBinaryClassifier(labelCol=label, num_workers=workers)])


def evaluate(fitted: PipelineModel, test) -> dict[str, float]:  # noqa: ANN001 - a DataFrame, of classic Spark or of Connect
    """The service's metrics of the last stage on what the stages before it make of the test rows."""
    return fitted.stages[-1].evaluate(PipelineModel(fitted.stages[:-1]).transform(test))


def for_jvm(fitted: PipelineModel) -> PipelineModel:
    """The same pipeline, of stages that the JVM knows."""
    return PipelineModel([stage.to_jvm() if hasattr(stage, "to_jvm") else stage for stage in fitted.stages])


if __name__ == "__main__":
    main()

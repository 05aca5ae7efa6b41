"""Saves a small instance of every class, and what it makes of a few rows: `tests/saved/README.md` says when and how.

Only names that the package exports are used, so that the program runs on any version of it. What is there already is left alone.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import sparkml_algos as ours

FOLDER = Path(__file__).parent
SCHEMA = "id long, a double, b double, c double, features array<double>"
TRAINING_ROWS, SCORED_ROWS = 400, 6
ONE_WORKER = {"num_workers": 1}
TREES = {"num_round": 3, "max_depth": 3, **ONE_WORKER}
STEPS = {"epochs": 3, **ONE_WORKER}
# Scores above the mean raise an alarm.
ALARM = {"predictionCol": "alarm", "thresholdDeviations": 0.0}
MACHINE = {"num_factors": 2, **STEPS}

ESTIMATORS: dict[str, Callable[[], Any]] = {
    "KMeans": lambda: ours.KMeans(k=3, distanceCol="how_far", **ONE_WORKER),
    "PCA": lambda: ours.PCA(num_components=2, **ONE_WORKER),
    "LDA": lambda: ours.LDA(num_topics=2, **ONE_WORKER),
    "NeuralTopicModel": lambda: ours.NeuralTopicModel(num_topics=2, **STEPS),
    "LinearLearnerRegressor": lambda: ours.LinearLearnerRegressor(labelCol="number", num_models=2, **STEPS),
    "LinearLearnerBinaryClassifier": lambda: ours.LinearLearnerBinaryClassifier(labelCol="half", num_models=2, **STEPS),
    "LinearLearnerMultiClassClassifier": lambda: ours.LinearLearnerMultiClassClassifier(
        labelCol="third", num_classes=3, num_models=2, **STEPS
    ),
    "FactorizationMachinesRegressor": lambda: ours.FactorizationMachinesRegressor(labelCol="number", **MACHINE),
    "FactorizationMachinesBinaryClassifier": lambda: ours.FactorizationMachinesBinaryClassifier(labelCol="half", **MACHINE),
    "KNNClassifier": lambda: ours.KNNClassifier(k=3, sample_size=32, labelCol="third", **ONE_WORKER),
    "KNNRegressor": lambda: ours.KNNRegressor(k=3, sample_size=32, labelCol="number", **ONE_WORKER),
    "ImageClassifier": lambda: ours.ImageClassifier(
        num_layers=20, image_shape="3,8,8", imageCol="picture", labelCol="third", mini_batch_size=100, learning_rate=0.05, **STEPS
    ),
    "IPInsights": lambda: ours.IPInsights(
        num_entity_vectors=20, vector_dim=4, mini_batch_size=50, learning_rate=0.03, entityCol="entity", ipCol="ip", **STEPS
    ),
    "Object2Vec": lambda: ours.Object2Vec(
        **{"in0Col": "id", "enc0_network": "pooled_embedding", "enc0_max_seq_len": 1, "enc0_vocab_size": TRAINING_ROWS, "in1Col": "id"},
        **{"enc0_token_embedding_dim": 2, "enc_dim": 4, "mlp_dim": 2, "labelCol": "half", "learning_rate": 0.02},
        **STEPS,
    ),
    "DeepAR": lambda: ours.DeepAR(
        **{"time_freq": "D", "context_length": 2, "prediction_length": 1, "num_cells": 2, "startCol": "day", "targetCol": "features"},
        **{"forecastStartCol": "", "quantilesCol": "", "num_samples": 5, "learning_rate": 0.05},
        **STEPS,
    ),
    "BlazingTextClassifier": lambda: ours.BlazingTextClassifier(
        labelCol="third", min_count=1, vector_dim=4, buckets=50, learning_rate=0.5, **STEPS
    ),
    "BlazingTextWord2Vec": lambda: ours.BlazingTextWord2Vec(
        mode="skipgram", subwords=True, buckets=50, min_char=1, vector_dim=4, min_count=2, textCol="words", **STEPS
    ),
    "ObjectDetector": lambda: ours.ObjectDetector(
        **{"base_width": 0.01, "image_shape": 32, "use_pretrained_model": 0, "imageCol": "picture", "boxesCol": "objects"},
        **{"nms_topk": 1, "score_threshold": 0.0, "mini_batch_size": 50, "learning_rate": 0.01},
        **STEPS,
    ),
    "Seq2Seq": lambda: ours.Seq2Seq(
        sourceCol="entity",
        targetCol="entity",
        num_embed_source=8,
        num_embed_target=8,
        rnn_num_hidden=16,
        learning_rate=0.02,
        batch_size=50,
        max_num_batches=60,
        checkpoint_frequency_num_batches=20,
        **ONE_WORKER,
    ),
    "SemanticSegmenter": lambda: ours.SemanticSegmenter(
        **{"small_backbone": True, "use_pretrained_model": False, "base_size": 17, "crop_size": 17, "learning_rate": 0.05},
        **{"imageCol": "picture", "maskCol": "halves", "auxiliary_loss_weight": 0.0},
        **STEPS,
    ),
    "Vocabulary": lambda: ours.Vocabulary(inputCols=["words"], outputCols=["ids"], max_size=6),
    "RandomCutForest": lambda: ours.RandomCutForest(num_trees=50, num_samples_per_tree=4, **ALARM, **ONE_WORKER),
    "XGBoostClassifier": lambda: ours.XGBoostClassifier(labelCol="half", objective="binary:logistic", **TREES),
    "XGBoostRegressor": lambda: ours.XGBoostRegressor(labelCol="number", **TREES),
    "XGBoostRanker": lambda: ours.XGBoostRanker(labelCol="half", groupCol="group", **TREES),
}
TRANSFORMERS: dict[str, Callable[[], Any]] = {
    "Shingle": lambda: ours.Shingle(inputCols=["a", "b"], timeCol="id", size=2, outputCol="shingle", incomplete="null"),
}


def assembled() -> VectorAssembler:
    return VectorAssembler(inputCols=["a", "b", "c"], outputCol="assembled")


def stages() -> list[Any]:
    """Stages for a pipeline whose outputs do not meet."""
    columns = {"featuresCol": "assembled"}
    return [
        assembled(),
        ours.KMeans(k=3, predictionCol="cluster", **columns, **ONE_WORKER),
        ours.PCA(num_components=2, **columns, **ONE_WORKER),
        ours.LinearLearnerRegressor(labelCol="number", predictionCol="line", num_models=2, **columns, **STEPS),
        ours.RandomCutForest(num_trees=50, num_samples_per_tree=4, **columns, **ONE_WORKER),
        ours.XGBoostClassifier(labelCol="half", objective="binary:logistic", **columns, **TREES),
    ]


def training_rows(spark: SparkSession) -> DataFrame:
    """Counts, which every algorithm takes, and labels of all kinds."""
    random = np.random.default_rng(5)
    groups = np.arange(TRAINING_ROWS) % 3
    values = random.poisson(np.array([[2.0, 9.0, 4.0], [12.0, 1.0, 6.0], [5.0, 5.0, 20.0]])[groups]).astype(float)
    rows = [(i, *row, row) for i, row in enumerate(values.tolist())]
    frame = spark.createDataFrame(rows, SCHEMA).withColumn("third", F.col("id") % 3).withColumn("half", (F.col("a") > 5).cast("int"))
    frame = texts(frame)
    box = "named_struct('class_id', id % 3, 'left', 1, 'top', 1, 'width', 4, 'height', 4)"
    frame = frame.withColumn("objects", F.expr(f"array({box})"))
    return frame.withColumn("number", F.expr("a - 2 * b + 0.5 * c + 7")).withColumn("group", F.floor(F.col("id") / 8)).coalesce(1).cache()


def texts(rows: DataFrame) -> DataFrame:
    """The rows with columns of text made from their other columns."""
    named = rows.withColumn("words", F.col("features").cast("array<string>"))
    named = named.withColumn("text", F.array_join(F.transform("features", lambda value: value.cast("int").cast("string")), " "))
    named = named.withColumn("day", F.lit("2024-01-01"))
    # A file of PPM: a header, and 8 x 8 pixels of one colour.
    colour = "concat_ws('', transform(features, value -> lpad(hex(cast(least(255, value * 8 + 1) AS int)), 2, '0')))"
    named = named.withColumn("picture", F.expr(f"unhex(concat(hex('P6 8 8 255 '), repeat({colour}, 64)))"))
    # The same of grey: the upper half 0, the lower one 1.
    named = named.withColumn("halves", F.expr("unhex(concat(hex('P5 8 8 255 '), repeat('00', 32), repeat('01', 32)))"))
    return named.withColumn("entity", F.expr("concat('user ', id % 7)")).withColumn("ip", F.expr("concat('10.0.', id % 7, '.', id % 50)"))


def outputs(model: Any, rows: DataFrame) -> dict[str, list[Any]]:
    """The columns that a model appends, computed in Python, as JSON has them."""
    model = model.copy()
    for stage in getattr(model, "stages", [model]):
        if stage.hasParam("scorer"):
            stage.setScorer("python")
    scored = model.transform(rows.select("id", "a", "b", "c", "features", "words", "text", "entity", "ip", "day", "picture"))
    names = [name for name in scored.columns if name not in rows.columns]
    found = scored.orderBy("id").select(names).collect()
    return {name: [as_json(row[name]) for row in found] for name in names}


def as_json(value: Any) -> Any:
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    return value.toArray().tolist() if hasattr(value, "toArray") else value


def save(name: str, instance: Any, rows: DataFrame | None = None) -> None:
    """Write an instance unless one of this name is there; and, where it transforms, what it makes of rows."""
    folder = FOLDER / name
    if folder.exists():
        return
    instance.write().save(str(folder))
    for checksum in folder.rglob(".*.crc"):
        checksum.unlink()
    if rows is not None:
        values = [row.asDict() for row in rows.orderBy("id").select("id", "a", "b", "c", "features").collect()]
        text = {"version": ours.__version__, "rows": values, "outputs": outputs(instance, rows)}
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in text.items()]
        (FOLDER / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(name)


def main() -> None:
    jars = ",".join(ours.classpath_jars())
    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.jars", jars).getOrCreate()
    rows = training_rows(spark)
    few = rows.where(F.col("id") < SCORED_ROWS)
    for name, make in ESTIMATORS.items():
        estimator = make()
        save(name, estimator)
        model_name = estimator.model_class().__name__
        if not (FOLDER / model_name).exists():
            save(model_name, estimator.fit(rows), few)
    for name, make in TRANSFORMERS.items():
        save(name, make(), few)
    save("Pipeline", Pipeline(stages=[TRANSFORMERS["Shingle"](), *stages()]))
    if not (FOLDER / "PipelineModel").exists():
        fitted = Pipeline(stages=stages()).fit(rows)
        save("PipelineModel", fitted, few)
        save("PipelineModelOnJvm", PipelineModel([stage.to_jvm() if hasattr(stage, "to_jvm") else stage for stage in fitted.stages]))
    spark.stop()


if __name__ == "__main__":
    main()

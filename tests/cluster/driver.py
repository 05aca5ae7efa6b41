"""What is trained while things go wrong, and a driver process of its own for it, which can be killed.

    python -m tests.cluster.driver '{"spark": {…}, "algorithm": "k-means", "job": {"launch": "gang", …}, "model": "/path/to/model.npz"}'

writes the model's arrays; warnings go to the standard output as they come, a line of JSON each.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import (
    DeepAR,
    ImageClassifier,
    IPInsights,
    KMeans,
    LinearLearnerRegressor,
    NeuralTopicModel,
    Object2Vec,
    ObjectDetector,
    SemanticSegmenter,
    Seq2Seq,
    XGBoostRegressor,
)
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.images.decoding import encode_png
from tests import shapes as masked
from tests.toys.scenes import scenes
from tests.toys.shapes import shapes

ROOT = Path(__file__).parents[2]
FEATURES = 16
#: Tokens of either side of a pair, steps of a series, words of a sentence.
TOKENS, STEPS, WORDS = 40, 60, 4
PAIRS = {
    **{"enc0_vocab_size": TOKENS, "enc0_max_seq_len": 1, "enc0_network": "pooled_embedding", "enc0_token_embedding_dim": 8, "enc_dim": 8},
    **{"enc1_vocab_size": TOKENS, "enc1_max_seq_len": 1, "enc1_network": "pooled_embedding", "enc1_token_embedding_dim": 8},
    **{"mlp_layers": 1, "mlp_dim": 8, "output_layer": "mean_squared_error", "dropout": 0.1, "learning_rate": 0.0005},
    **{"early_stopping_patience": 5, "early_stopping_tolerance": 1e-6, "labelCol": "rating"},
}
SENTENCES = {
    **{"num_embed_source": 8, "num_embed_target": 8, "rnn_num_hidden": 8, "rnn_cell_type": "gru", "rnn_decoder_hidden_dropout": 0.1},
    **{"batch_size": 500, "checkpoint_frequency_num_batches": 2},
}
# Images are changed at random in each epoch.
CLASSIFIED = {
    **{"num_layers": 20, "image_shape": "3,16,16", "augmentation_type": "crop_color_transform", "pad_size": 2},
    **{"mini_batch_size": 32, "learning_rate": 0.05},
}
DETECTED = {
    **{"base_network": "resnet-50", "base_width": 0.125, "image_shape": 64, "use_pretrained_model": 0},
    **{"mini_batch_size": 16, "optimizer": "adam", "learning_rate": 0.003},
}
SEGMENTED = {
    **{"small_backbone": True, "use_pretrained_model": False, "base_size": 48, "crop_size": 32, "mirror": True},
    **{"mini_batch_size": 12, "learning_rate": 0.05},
}


@dataclass(frozen=True)
class Training:
    """What is trained: few rows and many epochs, so that there is much between the first checkpoint and the last.

    Parameters
    ----------
    rows, epochs : int
        An epoch is what lies between two checkpoints.
    make : callable
        ``make(**job)`` is the estimator.
    """

    rows: int
    epochs: int
    make: Callable[..., AlgorithmEstimator]


TRAININGS = {
    "k-means": Training(100_000, 120, lambda **job: KMeans(k=10, epochs=120, mini_batch_size=2000, **job)),
    "linear learner": Training(
        100_000,
        140,
        lambda **job: LinearLearnerRegressor(
            labelCol="label", epochs=140, num_models=8, mini_batch_size=1000, early_stopping_patience=1000, **job
        ),
    ),
    "XGBoost": Training(100_000, 300, lambda **job: XGBoostRegressor(labelCol="label", num_round=300, max_depth=6, **job)),
    "IP Insights": Training(
        20_000, 80, lambda **job: IPInsights(num_entity_vectors=1000, vector_dim=8, epochs=80, mini_batch_size=10_000, **job)
    ),
    "neural topic model": Training(
        2000,
        80,
        lambda **job: NeuralTopicModel(
            featuresCol="counts", num_topics=4, encoder_layers=[16], epochs=80, num_patience_epochs=81, mini_batch_size=1000, **job
        ),
    ),
    "Object2Vec": Training(20_000, 80, lambda **job: Object2Vec(**PAIRS, epochs=80, mini_batch_size=10_000, **job)),
    "DeepAR": Training(
        40,
        80,
        lambda **job: DeepAR(
            **{"time_freq": "H", "context_length": 12, "prediction_length": 6, "num_cells": 8, "num_layers": 1, "mini_batch_size": 200},
            **{"epochs": 80, **job},
        ),
    ),
    "Seq2Seq": Training(2000, 80, lambda **job: Seq2Seq(**SENTENCES, max_num_epochs=40, **job)),
    "image classifier": Training(64, 40, lambda **job: ImageClassifier(**CLASSIFIED, epochs=40, **job)),
    "object detector": Training(32, 40, lambda **job: ObjectDetector(**DETECTED, epochs=40, **job)),
    "semantic segmenter": Training(24, 40, lambda **job: SemanticSegmenter(**SEGMENTED, epochs=40, **job)),
}


def rows(spark: SparkSession, algorithm: str) -> DataFrame:
    """The same rows for everyone, in one partition: so they reach the workers in the same order every time."""
    if algorithm not in IMAGES:
        return _numbers(spark, algorithm)
    make, types = IMAGES[algorithm]
    return spark.createDataFrame(make(TRAININGS[algorithm].rows), types).coalesce(1)


def _numbers(spark: SparkSession, algorithm: str) -> DataFrame:
    drawn = (F.randn(seed).alias(f"x{seed}") for seed in range(FEATURES))
    numbers = spark.range(0, TRAININGS[algorithm].rows, 1, 1).select(*drawn)
    features = F.array(*(F.col(f"x{index}") for index in range(FEATURES)))
    label = F.sin("x0") + F.col("x1") * F.col("x2") + F.col("x3")
    user = F.floor(10 * F.abs("x4"))
    address = F.concat_ws(".", F.lit(10), user, *(F.floor(80 * F.abs(name)) % 256 for name in ("x5", "x6")))
    counts = F.array(*(F.floor(F.col(f"x{index}") ** 2) for index in range(FEATURES)))
    one, other = (F.floor(10 * F.abs(name)) % TOKENS for name in ("x7", "x8"))
    of_pairs = {"entity": user, "ip": address, "in0": one, "in1": other, "rating": F.sin(one / 4) * F.cos(other / 4)}
    hours = F.sequence(F.lit(0), F.lit(STEPS - 1))
    of_series = {"start": F.lit("2024-01-01"), "target": F.transform(hours, lambda hour: F.col("x9") + F.sin(hour * F.col("x10")))}
    words = [F.floor(10 * F.abs(f"x{9 + place}")) % TOKENS for place in range(WORDS)]
    of_sentences = {"source": F.concat_ws(" ", *words), "target": F.concat_ws(" ", *reversed(words))}
    named = {"features": features, "label": label, "counts": counts, **of_pairs}
    named |= {"DeepAR": of_series, "Seq2Seq": of_sentences}.get(algorithm, {})
    return numbers.select(*(found.alias(name) for name, found in named.items()))


def _classified(count: int) -> list[tuple]:
    images, labels = shapes(count, 16, seed=0)
    return [(encode_png(image), int(label)) for image, label in zip(images, labels, strict=True)]


def _detected(count: int) -> list[tuple]:
    images, boxes = scenes(count, 0)
    return [(image, [(int(box[0]), *map(float, box[1:])) for box in there]) for image, there in zip(images, boxes, strict=True)]


def _segmented(count: int) -> list[tuple]:
    return list(zip(*masked.files(count, 40, 48), strict=True))


#: What makes rows of images, and their types.
IMAGES = {
    "image classifier": (_classified, "image binary, label int"),
    "object detector": (
        _detected,
        "image binary, boxes array<struct<class_id: int, left: float, top: float, width: float, height: float>>",
    ),
    "semantic segmenter": (_segmented, "image binary, mask binary"),
}


def estimator(algorithm: str, **job: Any) -> AlgorithmEstimator:
    return TRAININGS[algorithm].make(num_workers=2, **job)


class Warnings(logging.Handler):
    """What the package tells its user while it trains.

    Attributes
    ----------
    heard : list of (float, str)
        When, in seconds since the epoch, and what.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[tuple[float, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append((time.time(), record.getMessage()))

    def __enter__(self) -> Warnings:
        logging.getLogger("sparkml_algos").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("sparkml_algos").removeHandler(self)


class InSession:
    """A training in a session of this process.

    Parameters
    ----------
    spark : SparkSession
    algorithm : str
    job : dict
        Params of the estimator.
    """

    def __init__(self, spark: SparkSession, algorithm: str, job: dict[str, Any]) -> None:
        self._warnings = Warnings()
        self._fitting = ThreadPoolExecutor(1).submit(self._fit, spark, algorithm, job)

    def _fit(self, spark: SparkSession, algorithm: str, job: dict[str, Any]) -> dict[str, np.ndarray]:
        with self._warnings:
            return estimator(algorithm, **job).fit(rows(spark, algorithm)).artifact.arrays

    def result(self, timeout: float) -> dict[str, np.ndarray]:
        """The model's arrays, once it is there."""
        return self._fitting.result(timeout)

    @property
    def heard(self) -> list[tuple[float, str]]:
        """As `Warnings.heard`."""
        return self._warnings.heard


class Driver:
    """A training in a driver process of its own.

    Parameters
    ----------
    spark : dict of str to str
        Settings of its session.
    algorithm : str
    job : dict
        Params of the estimator.
    directory : Path
        Receives the model and the output.
    """

    def __init__(self, spark: dict[str, str], algorithm: str, job: dict[str, Any], directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._model, self._output = directory / "model.npz", directory / "output"
        task = {"spark": spark, "algorithm": algorithm, "job": job, "model": str(self._model)}
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.cluster.driver", json.dumps(task)],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill it with its JVM."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def result(self, timeout: float) -> dict[str, np.ndarray]:
        """The model's arrays, once it is there."""
        if self._process.wait(timeout):
            raise RuntimeError(self._output.read_text(errors="replace")[-3000:])
        with np.load(self._model) as found:
            return dict(found)

    @property
    def heard(self) -> list[tuple[float, str]]:
        """As `Warnings.heard`."""
        lines = self._output.read_text(errors="replace").splitlines()
        return [tuple(json.loads(line)) for line in lines if line.startswith("[1")]


class _Printed(Warnings):
    def emit(self, record: logging.LogRecord) -> None:
        print(json.dumps([time.time(), record.getMessage()]), flush=True)


def main(task: dict[str, Any]) -> None:
    builder = SparkSession.builder
    for key, value in task["spark"].items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    with _Printed():
        model = estimator(task["algorithm"], **task["job"]).fit(rows(spark, task["algorithm"]))
    np.savez(task["model"], **model.artifact.arrays)
    spark.stop()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

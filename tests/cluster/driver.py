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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import IPInsights, KMeans, LinearLearnerRegressor, NeuralTopicModel, Object2Vec, XGBoostRegressor
from sparkml_algos.core.estimator import AlgorithmEstimator

ROOT = Path(__file__).parents[2]
ROWS, FEATURES = 100_000, 16

WORDS = 40
#: Few rows and many epochs, so that there is much between the first checkpoint and the last.
LEARNERS = {
    "k-means": lambda **job: KMeans(k=10, epochs=120, mini_batch_size=2000, **job),
    "linear learner": lambda **job: LinearLearnerRegressor(
        labelCol="label", epochs=140, num_models=8, mini_batch_size=1000, early_stopping_patience=1000, **job
    ),
    "XGBoost": lambda **job: XGBoostRegressor(labelCol="label", num_round=300, max_depth=6, **job),
    "IP Insights": lambda **job: IPInsights(num_entity_vectors=1000, vector_dim=8, epochs=60, mini_batch_size=10000, **job),
    "neural topic model": lambda **job: NeuralTopicModel(
        featuresCol="counts", num_topics=4, encoder_layers=[16], epochs=60, num_patience_epochs=60, mini_batch_size=5000, **job
    ),
    "Object2Vec": lambda **job: Object2Vec(**PAIRS, epochs=60, mini_batch_size=10000, **job),
}
PAIRS = {
    **{"enc0_vocab_size": WORDS, "enc0_max_seq_len": 1, "enc0_network": "pooled_embedding", "enc0_token_embedding_dim": 8, "enc_dim": 8},
    **{"enc1_vocab_size": WORDS, "enc1_max_seq_len": 1, "enc1_network": "pooled_embedding", "enc1_token_embedding_dim": 8},
    **{"mlp_layers": 1, "mlp_dim": 8, "output_layer": "mean_squared_error", "dropout": 0.1, "learning_rate": 0.0005},
    **{"early_stopping_patience": 5, "early_stopping_tolerance": 1e-6, "labelCol": "rating"},
}
EPOCHS = {"k-means": 120, "linear learner": 140, "XGBoost": 300, "IP Insights": 60, "neural topic model": 60, "Object2Vec": 60}


def rows(spark: SparkSession) -> DataFrame:
    """The same rows for everyone, in one partition: so they reach the workers in the same order every time."""
    numbers = spark.range(0, ROWS, 1, 1).select(*(F.randn(seed).alias(f"x{seed}") for seed in range(FEATURES)))
    features = F.array(*(F.col(f"x{index}") for index in range(FEATURES)))
    label = F.sin("x0") + F.col("x1") * F.col("x2") + F.col("x3")
    user = F.floor(10 * F.abs("x4"))
    address = F.concat_ws(".", F.lit(10), user, *(F.floor(80 * F.abs(name)) % 256 for name in ("x5", "x6")))
    counts = F.array(*(F.floor(F.col(f"x{index}") ** 2) for index in range(FEATURES)))
    one, other = (F.floor(10 * F.abs(name)) % WORDS for name in ("x7", "x8"))
    of_pairs = {"entity": user, "ip": address, "in0": one, "in1": other, "rating": F.sin(one / 4) * F.cos(other / 4)}
    named = {"features": features, "label": label, "counts": counts, **of_pairs}
    return numbers.select(*(found.alias(name) for name, found in named.items()))


def estimator(algorithm: str, **job: Any) -> AlgorithmEstimator:
    return LEARNERS[algorithm](num_workers=2, **job)


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
            return estimator(algorithm, **job).fit(rows(spark)).artifact.arrays

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
        model = estimator(task["algorithm"], **task["job"]).fit(rows(spark))
    np.savez(task["model"], **model.artifact.arrays)
    spark.stop()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

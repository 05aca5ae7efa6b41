"""Programs written for ``sagemaker_pyspark``, of the kind that its documentation shows, run with the import changed and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import DoubleType
from sklearn.datasets import dump_svmlight_file

from tests.datasets import blobs, grid

PROGRAMS = Path(__file__).parent / "programs"

pytestmark = pytest.mark.generic


def run(spark: SparkSession, name: str, path: Path) -> dict[str, Any]:
    """The variables that a program leaves."""
    code = (PROGRAMS / f"{name}.py").read_text().replace("from sagemaker_pyspark", "from sparkml_algos.compat.sagemaker_pyspark")
    variables: dict[str, Any] = {"spark": spark, "path": str(path)}
    exec(compile(code, name, "exec"), variables)
    return variables


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A libsvm file of rows in three blobs, the blob being the label; the blobs."""
    rows, blob = blobs(300, grid(3))
    return _saved(tmp_path_factory, rows, blob), blob


def _saved(factory: pytest.TempPathFactory, rows: np.ndarray, labels: np.ndarray) -> Path:
    path = factory.mktemp("libsvm") / "rows.libsvm"
    dump_svmlight_file(rows, labels, str(path), zero_based=False)
    return path


def test_kmeans(spark: SparkSession, clusters: tuple[Path, np.ndarray]) -> None:
    left = run(spark, "kmeans", clusters[0])
    assert left["transformed"].columns == ["label", "features", "distance_to_cluster", "closest_cluster"]
    found = left["transformed"].drop("features").toPandas()
    assert [left["transformed"].schema[name].dataType for name in ("distance_to_cluster", "closest_cluster")] == [DoubleType()] * 2
    assert found.groupby("label")["closest_cluster"].nunique().tolist() == [1, 1, 1] and found["closest_cluster"].nunique() == 3
    assert left["model"].nativeModel.training_summary.num_workers == 2


def test_pca_then_kmeans_in_a_pipeline(spark: SparkSession, clusters: tuple[Path, np.ndarray]) -> None:
    left = run(spark, "pca_then_kmeans", clusters[0])
    assert left["transformed"].columns == ["label", "features", "reduced", "distance_to_cluster", "closest_cluster"]
    rows = left["transformed"].collect()
    variance = np.stack([row.reduced.toArray() for row in rows]).var(axis=0)
    assert variance[1] > variance[0] > 0  # the service has the leading component last
    assert len({(row.label, row.closest_cluster) for row in rows}) == 3


def test_linear_learner(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = np.random.default_rng(0).normal(size=(400, 4))
    labels = (rows @ [2, -1, 1, 0.5] > 0).astype(int)
    left = run(spark, "linear_learner", _saved(tmp_path_factory, rows, labels))
    assert left["transformed"].columns == ["label", "features", "score", "predicted_label"]
    found = left["transformed"].drop("features").toPandas()
    assert (found["label"] == found["predicted_label"]).mean() > 0.95
    assert found["score"].between(0, 1).all() and (found["score"][found["label"] == 1].mean() > found["score"][found["label"] == 0].mean())
    assert left["estimator"].latestTrainingJob.startswith("churn-trainingJob-")
    assert left["model"].getCreatedResources().endpoint_name is None


def test_factorization_machines(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> None:
    random = np.random.default_rng(0)
    users, films = random.integers(0, 8, (2, 600))
    rows = np.eye(16)[users] + np.eye(16)[8 + films]
    labels = 3 + np.where(users % 2 == films % 2, 1.0, -1.0)  # nothing but interactions
    left = run(spark, "factorization_machines", _saved(tmp_path_factory, rows, labels))
    assert left["transformed"].columns == ["label", "features", "score"]
    found = left["transformed"].drop("features").toPandas()
    assert ((found["label"] - found["score"]) ** 2).mean() < 0.5  # the labels' variance is 1


def test_xgboost(spark: SparkSession, clusters: tuple[Path, np.ndarray]) -> None:
    left = run(spark, "xgboost", clusters[0])
    assert left["transformed"].columns == ["label", "features", "prediction"]
    assert left["transformed"].schema["prediction"].dataType == DoubleType()
    assert left["transformed"].where("label = prediction").count() == 300


def test_lda(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> None:
    random = np.random.default_rng(0)
    topic = np.arange(200) % 2
    words = np.kron(np.eye(2), np.full((1, 6), 1 / 6))  # a topic has the first or the last six words
    rows = np.stack([random.multinomial(30, words[one]) for one in topic])
    left = run(spark, "lda", _saved(tmp_path_factory, rows, topic))
    assert left["transformed"].columns == ["label", "features", "topic_mixture"]
    found = [(row.label, int(row.topic_mixture.toArray().argmax())) for row in left["transformed"].collect()]
    assert len(set(found)) == 2

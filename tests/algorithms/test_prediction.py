"""What predictors of saved models need, and what they do once."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from sparkml_algos.algorithms.knn import index, prediction
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch


@pytest.mark.parametrize("algorithm", ["kmeans", "knn", "lda", "pca"])
def test_scoring_needs_neither_spark_nor_the_training(algorithm):
    code = (
        "import importlib, sys\n"
        f"module = importlib.import_module('sparkml_algos.algorithms.{algorithm}.prediction')\n"
        f"unwanted = [name for name in sys.modules if name.split('.')[0] == 'pyspark' or name.endswith('.{algorithm}.training')]\n"
        "sys.exit(str(unwanted) if unwanted or not callable(module.load) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def lists(rows):
    """A model of rows in two lists, one after the other."""
    half = len(rows) // 2
    centroids = np.stack([rows[:half].mean(axis=0), rows[half:].mean(axis=0)])
    arrays = {"rows": rows, "half_squares": (rows**2).sum(axis=1) / 2, "labels": np.arange(len(rows), dtype=np.float32)}
    values = {"seed": 0, "reduction": None, "classes": None, "probes": 1}
    return Artifact({**arrays, "centroids": centroids, "offsets": np.array([0, half, len(rows)])}, values)


def test_nearest_rows_are_looked_up_where_they_are_mapped(tmp_path):
    rows = np.sort(np.random.default_rng(0).normal(size=(50, 1)).astype(np.float32), axis=0) * np.ones(4, np.float32)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    artifact = lists(rows)
    artifact = Artifact({**artifact.arrays, "rows": mapped}, artifact.values)
    settings = Hyperparameters(k=1, index_type="faiss.IVFFlat", index_metric="L2", predictor_type="regressor")
    predictor = prediction.load(artifact, settings, "cpu")
    assert predictor._lookup._search.args[0].values is mapped
    assert predictor(Batch(features=rows[[3, 40]]))["predicted_label"].tolist() == [3, 40]


def test_what_does_not_depend_on_the_rows_is_computed_once(monkeypatch):
    calls, compute = [], index.search.half_squares
    monkeypatch.setattr(index.search, "half_squares", lambda values: calls.append(len(values)) or compute(values))
    rows = np.arange(40, dtype=np.float32).reshape(10, 4)
    settings = Hyperparameters(k=2, index_type="faiss.IVFFlat", index_metric="L2", predictor_type="regressor")
    predictor = prediction.load(lists(rows), settings, "cpu")
    assert [predictor(Batch(features=rows[i : i + 1]))["labels"][0, 0] for i in range(3)] == [0, 1, 2]
    assert calls == [2]

"""A training that goes on from a checkpoint on the same rows in another order gives a model as good as an undisturbed one.

A shuffle promises no order, so everything learned from the rows before the first epoch must be in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparkml_algos import (
    LDA,
    PCA,
    FactorizationMachinesRegressor,
    KMeans,
    KNNRegressor,
    LinearLearnerRegressor,
    NeuralTopicModel,
    RandomCutForest,
    XGBoostRegressor,
)
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training import checkpoint
from sparkml_algos.training.run import train_arrays

RANDOM = np.random.default_rng(0)
# Columns of different scales with heavy tails: the first rows of one order say little about those of another.
ROWS = (RANDOM.standard_t(2.5, size=(4000, 4)) * [1, 5, 20, 60] + [0, 10, 500, 0]).astype(np.float32)
LABEL = (ROWS @ [1.0, -0.5, 0.3, 0.02] + 40 + RANDOM.normal(0, 0.1, 4000)).astype(np.float32)
COUNTS = RANDOM.poisson(np.repeat([[5, 1, 0.1, 2], [0.1, 2, 4, 1]], 2000, axis=0)).astype(np.float32)
COUNTS[:, 3] += 1  # no row without words


def predicted(estimator: AlgorithmEstimator, artifact: Artifact, output: str) -> np.ndarray:
    predictor = estimator.algorithm().load(artifact, Hyperparameters(**estimator.hyperparameters()), "cpu")
    return np.asarray(predictor(Batch(features=ROWS))[output])


def error(estimator: AlgorithmEstimator, artifact: Artifact) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.square(predicted(estimator, artifact, "score") - LABEL).mean()))


def neighbor_error(estimator: AlgorithmEstimator, artifact: Artifact) -> float:
    return float(np.abs(predicted(estimator, artifact, "predicted_label") - LABEL).mean())


def cost(estimator: AlgorithmEstimator, artifact: Artifact) -> float:
    return float(np.square(predicted(estimator, artifact, "distance_to_cluster")).mean())


def tree_error(estimator: AlgorithmEstimator, artifact: Artifact) -> float:
    predictor = estimator.algorithm().load(artifact, Hyperparameters(**estimator.hyperparameters()), "cpu")
    return float(np.sqrt(np.square(predictor(Batch(features=ROWS)).margin.ravel() - LABEL).mean()))


def lost_variance(estimator: AlgorithmEstimator, artifact: Artifact) -> float:
    return 1 - float(artifact.arrays["explained_variance_ratio"].sum())


def topics(estimator: AlgorithmEstimator, artifact: Artifact) -> float:
    return float(np.square(artifact.arrays["beta"]).sum())


def topic_loss(estimator: AlgorithmEstimator, artifact: Artifact) -> float:
    return float(artifact.values["train:total_loss"])


def threshold(estimator: AlgorithmEstimator, artifact: Artifact) -> float:
    return float(artifact.values["mean"])


# An estimator, its rows, a measure of a model that is small or typical for a good one, and how far from an undisturbed one it may be.
TRAININGS: dict[str, tuple[AlgorithmEstimator, np.ndarray, Callable[[AlgorithmEstimator, Artifact], float], float]] = {
    "k-means": (KMeans(k=5, epochs=4, mini_batch_size=500), ROWS, cost, 0.1),
    "PCA": (PCA(num_components=2, algorithm_mode="randomized"), ROWS, lost_variance, 1e-3),
    "LDA": (LDA(num_topics=2, refinements=2), COUNTS, topics, 1e-6),
    "neural topic model": (NeuralTopicModel(num_topics=2, epochs=6, mini_batch_size=200), COUNTS, topic_loss, 0.02),
    "linear learner": (LinearLearnerRegressor(num_models=1, epochs=6, mini_batch_size=200), ROWS, error, 0.1),
    "factorization machines": (FactorizationMachinesRegressor(num_factors=2, epochs=6, mini_batch_size=200), ROWS, error, 0.1),
    "k-NN": (KNNRegressor(k=1, sample_size=10_000, index_type="faiss.IVFFlat"), ROWS, neighbor_error, 1e-6),
    "random cut forest": (RandomCutForest(num_trees=50), ROWS, threshold, 0.05),
    "boosted trees": (XGBoostRegressor(num_round=20, nthread=1), ROWS, tree_error, 0.02),
}


class Lost(Exception):
    """The driver is."""


@pytest.fixture
def lost_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], list[int]]:
    """Sets after which epoch a training is lost; gives the epochs that are saved from then on."""
    save = checkpoint.CheckpointStore.save

    def lose(after: int | None) -> list[int]:
        saved: list[int] = []

        def save_and_lose(store: checkpoint.CheckpointStore, epoch: int, state: Artifact) -> None:
            save(store, epoch, state)
            saved.append(epoch)
            if epoch == after:
                raise Lost

        monkeypatch.setattr(checkpoint.CheckpointStore, "save", save_and_lose)
        return saved

    return lose


@pytest.mark.parametrize("name", TRAININGS)
def test_the_model_is_as_good_as_an_undisturbed_one(tmp_path: Path, lost_after: Callable[[int | None], list[int]], name: str) -> None:
    estimator, rows, measure, tolerance = TRAININGS[name]
    order = np.argsort(LABEL)  # as unlike the first order as can be

    def train(rows: np.ndarray, label: np.ndarray, **options: Any) -> Artifact:
        roles = {field.role for field in estimator.fields()}
        columns = {"label": label} if "label" in roles else {}
        return train_arrays(estimator.algorithm(), estimator.hyperparameters(), rows, seed=1, **columns, **options)

    undisturbed = train(rows, LABEL)
    lost_after(1)
    with pytest.raises(Lost):
        train(rows, LABEL, checkpoint_dir=str(tmp_path))
    saved = lost_after(None)
    resumed = train(rows[order], LABEL[order], checkpoint_dir=str(tmp_path))
    assert saved == [] or min(saved) == 2
    assert measure(estimator, resumed) == pytest.approx(measure(estimator, undisturbed), rel=tolerance)

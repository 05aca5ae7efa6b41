"""Arrays on their way to a device. Torch's CPU stands in for the GPU: same calls, same layout of the arrays."""

from __future__ import annotations

import numpy as np
import pytest

from sparkml_algos import (
    PCA,
    FactorizationMachinesRegressor,
    KMeans,
    LinearLearnerMultiClassClassifier,
    LinearLearnerRegressor,
    XGBoostRegressor,
)
from sparkml_algos.arrays.device import to_device
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.rows.decoder import Decoder, record_batches
from sparkml_algos.rows.fields import Source
from sparkml_algos.rows.kinds import ClassLabel
from sparkml_algos.training.run import Alone, TrainingPlan, train

# Not "cpu", so that algorithms take it for a GPU.
STAND_IN = "cpu:0"

RANDOM = np.random.default_rng(3)
ROWS = (RANDOM.normal(size=(600, 5)) + 8 * np.eye(5)[RANDOM.integers(0, 3, 600)]).astype(np.float32)
LABEL_OF = (ROWS @ np.arange(5)).astype(np.float32)

ESTIMATORS = [
    KMeans(k=3),
    PCA(num_components=2),
    PCA(num_components=2, algorithm_mode="randomized"),
    LinearLearnerRegressor(epochs=2),
    LinearLearnerMultiClassClassifier(num_classes=3, epochs=2),
    FactorizationMachinesRegressor(num_factors=2),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: f"{type(estimator).__name__}")
def test_the_model_of_a_gpu_is_that_of_the_cpu_up_to_rounding(estimator: AlgorithmEstimator) -> None:
    assert estimator.algorithm().on_gpu
    expected, found = _trained(estimator, "cpu"), _trained(estimator, STAND_IN)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-3, atol=1e-3 * np.abs(array).max(initial=0), err_msg=name)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: f"{type(estimator).__name__}")
def test_every_algorithm_that_takes_a_gpu_sends_its_rows_there(estimator: AlgorithmEstimator, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    for module in ("kmeans.assignment", "pca.training", "pca.scatter", "linear_learner.products", "factorization_machines.rows"):
        monkeypatch.setattr(
            f"sparkml_algos.algorithms.{module}.to_device", lambda array, device: sent.append(device) or to_device(array, device)
        )
    _trained(estimator, STAND_IN)
    assert sent and set(sent) == {STAND_IN}


def test_an_xgboost_without_cuda_does_not_train_on_the_cpu_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xgboost.build_info", lambda: {"USE_CUDA": False})
    with pytest.raises(RuntimeError, match=r"use_gpu=True, but the xgboost .* is built without CUDA"):
        _trained(XGBoostRegressor(num_round=1), "cuda:0")


@pytest.mark.parametrize("array", [ROWS, ROWS.T, ROWS[::2], ROWS[:0]], ids=["rows", "transposed", "strided", "empty"])
def test_values_and_shape_arrive(array: np.ndarray) -> None:
    np.testing.assert_array_equal(to_device(array, STAND_IN).numpy(), array)


def _trained(estimator: AlgorithmEstimator, device: str) -> dict[str, np.ndarray]:
    fields = [field for field in estimator.fields() if field.role == "features" or field.role == "label" and field.training]
    columns = {"features": ROWS, "label": ROWS.argmax(axis=1) % 3 if isinstance(fields[-1].kind, ClassLabel) else LABEL_OF}
    decoder = Decoder([Source(field, [field.role]) for field in fields])
    plan = TrainingPlan(estimator.algorithm(), [estimator.hyperparameters()], decoder)
    batches = record_batches(fields, {field.role: columns[field.role] for field in fields})
    return dict(train(plan, Alone(device=device), batches))["model/0"].arrays

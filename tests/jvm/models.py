"""Models as training leaves them, made by hand: for seven features, one or two of each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xgboost as xgb
from pyspark.sql import DataFrame

from sparkml_algos import (
    KMeansModel,
    LinearLearnerBinaryClassifierModel,
    LinearLearnerMultiClassClassifierModel,
    LinearLearnerRegressorModel,
    PCAModel,
    TrainingSummary,
    XGBoostClassificationModel,
    XGBoostRankerModel,
    XGBoostRegressionModel,
)
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.core.columns import column
from sparkml_algos.core.model import AlgorithmModel

# A metric may be no number, as the area under the curve of rows of a single class.
METRICS = {"train:objective_loss": 0.5, "validation:roc_auc_score": float("nan")}
SUMMARY = {"num_workers": 1, "rows": 1, "rows_per_worker": [1], "launch": "barrier", "retries": 0}

RANDOM = np.random.default_rng(1)
CENTERS = RANDOM.normal(0, 3, (10, 7))
WEIGHTS = RANDOM.normal(0, 1, (5, 7))
BIAS = RANDOM.normal(0, 1, 5)

# Outputs that must be equal, not only close.
DECISIONS = {"closest_cluster", "predicted_label"}


def made(model: AlgorithmModel, num_features: int, artifact: Artifact) -> AlgorithmModel:
    model.artifact = artifact
    model.training_summary = TrainingSummary(facts={"features": {"num_features": num_features}}, seconds={}, metrics=METRICS, **SUMMARY)
    return model


def kmeans(centers: np.ndarray, **params: Any) -> KMeansModel:
    artifact = Artifact({"centers": np.asarray(centers, np.float64)})
    return made(KMeansModel(k=len(centers), **params), np.shape(centers)[1], artifact)


def linear(cls: type[AlgorithmModel], weights: np.ndarray, bias: np.ndarray, **params: Any) -> AlgorithmModel:
    """A linear model; of two classes with the threshold 0.25."""
    leaderboard = [{"objective_loss": 0.5}, {"objective_loss": float("inf")}]
    artifact = Artifact({"weights": weights, "bias": bias}, {"leaderboard": leaderboard, "chosen": 0, "raw_threshold": 0.25})
    return made(cls(**params), weights.shape[1], artifact)


def many_classes(weights: np.ndarray, bias: np.ndarray, **params: Any) -> AlgorithmModel:
    return linear(LinearLearnerMultiClassClassifierModel, weights, bias, **params)


def two_classes(weights: np.ndarray, bias: float, **params: Any) -> AlgorithmModel:
    return linear(LinearLearnerBinaryClassifierModel, np.reshape(weights, (1, -1)), np.array([bias]), **params)


def components(weights: np.ndarray, mean: np.ndarray, **params: Any) -> PCAModel:
    shares = np.linspace(0.3, 0.1, len(weights))
    arrays = {"components": weights, "mean": mean, "explained_variance": 10 * shares, "explained_variance_ratio": shares}
    return made(PCAModel(num_components=len(weights), **params), weights.shape[1], Artifact(arrays))


def booster(rows: np.ndarray, label: np.ndarray, rounds: int = 6, **params: Any) -> xgb.Booster:
    """A booster of the library; rows that are ranked come in groups of ten."""
    is_ranked = params.get("objective", "").startswith("rank:")
    data = xgb.DMatrix(rows, label, qid=np.arange(len(rows)) // 10 if is_ranked else None)
    if params.get("objective") == "survival:aft":
        data.set_info(label_lower_bound=label, label_upper_bound=label)
    return xgb.train({"max_depth": 4, "nthread": 1, **params}, data, rounds)


def trees(cls: type[AlgorithmModel], rows: np.ndarray, label: np.ndarray, learning: dict[str, Any], **params: Any) -> AlgorithmModel:
    model = cls.from_booster(booster(rows, label, **learning), **params)
    return made(model, rows.shape[1], model.artifact)


GROWN = RANDOM.normal(0, 3, (200, 7))
CLASS = (GROWN[:, 0] > 0) + (GROWN[:, 1] > GROWN[:, 2])

MODELS: dict[str, Callable[..., AlgorithmModel]] = {
    "k-means": lambda **params: kmeans(CENTERS, **params),
    "components": lambda **params: components(WEIGHTS, CENTERS[0], **params),
    "one component": lambda **params: components(WEIGHTS[:1], CENTERS[0], **params),
    "regression": lambda **params: linear(LinearLearnerRegressorModel, WEIGHTS[:1], BIAS[:1], **params),
    "two classes": lambda **params: two_classes(WEIGHTS[0], BIAS[0], **params),
    "hinge loss": lambda **params: two_classes(WEIGHTS[0], BIAS[0], loss="hinge_loss", **params),
    "many classes": lambda **params: many_classes(WEIGHTS, BIAS, **params),
    "trees for numbers": lambda **params: trees(XGBoostRegressionModel, GROWN, GROWN[:, 0], {}, **params),
    "trees for two classes": lambda **params: trees(
        XGBoostClassificationModel, GROWN, CLASS > 0, {"objective": "binary:logistic"}, **params
    ),
    "trees for many classes": lambda **params: trees(
        XGBoostClassificationModel, GROWN, CLASS, {"objective": "multi:softprob", "num_class": 3}, **params
    ),
    "trees that rank": lambda **params: trees(XGBoostRankerModel, GROWN, CLASS, {"objective": "rank:ndcg"}, **params),
}


def side_by_side(**params: Any) -> dict[str, AlgorithmModel]:
    """All of them, each with output columns of its own, so that one can transform what another has appended to."""
    models = {name: make(**params) for name, make in MODELS.items()}
    for name, model in models.items():
        for output in model.own_outputs():
            model.set(model.getParam(output.param), f"the.{output.field} of `{name}`")
    return models


def scores(model: AlgorithmModel, scored: DataFrame) -> dict[str, np.ndarray]:
    """The values of each output, in order of ``id``: (rows,) or (rows, length)."""
    outputs = {output.field: model.value(output.param) for output in model.own_outputs()}
    rows = scored.orderBy("id").select(*map(column, outputs.values())).collect()
    return {
        field: np.array([value.toArray() if hasattr(value, "toArray") else value for value in values])
        for field, values in zip(outputs, zip(*rows, strict=True), strict=True)
    }


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """The same decision, and the same numbers to one in 100,000, in every row. Dense rows are projected with 32 bits: what is left where
    large products cancel out is as exact as those are."""
    assert found.keys() == expected.keys()
    for field, values in expected.items():
        assert len(values) and found[field].shape == values.shape
        if field in DECISIONS:
            assert np.array_equal(found[field], values)
        else:
            np.testing.assert_allclose(found[field], values, rtol=1e-5, atol=1e-6 * max(1.0, np.abs(values).max()))

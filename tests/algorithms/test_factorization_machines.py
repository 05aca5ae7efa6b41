"""Factorization machines as Spark ML Estimators: what the generic checks do not know about them."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import SparseVector, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType
from sklearn import metrics as reference

from sparkml_algos import (
    FactorizationMachinesBinaryClassifier,
    FactorizationMachinesRegressor,
    InvalidDataError,
    InvalidParams,
)

COUNT, WIDTH = 300, 1_000_000
RANDOM = np.random.default_rng(0)
# Three of a million features are 1 in each row, few enough of them for some to be learned.
PLACES = np.sort(RANDOM.choice(WIDTH, 30, replace=False)).reshape(3, 10)
ONES = np.stack([PLACES[group][RANDOM.integers(0, 10, COUNT)] for group in range(3)], axis=1)
PULL = RANDOM.normal(size=WIDTH)
TARGET = 3 + PULL[ONES].sum(axis=1) + RANDOM.normal(0, 0.1, COUNT)
HALF = (TARGET > 3).astype(float)
WEIGHT = 1.0 + np.arange(COUNT) % 3

LEARNING = {"num_factors": 2, "linear_lr": 0.1, "factors_lr": 0.02, "epochs": 15, "mini_batch_size": 50, "num_workers": 2}


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    columns = zip(ONES.tolist(), TARGET.tolist(), HALF.tolist(), WEIGHT.tolist(), range(COUNT), strict=True)
    rows = [(SparseVector(WIDTH, sorted(ones), [1.0] * 3), *others) for ones, *others in columns]
    return spark.createDataFrame(rows, ["features", "target", "half", "weight", "id"]).repartition(3).cache()


@pytest.fixture(scope="module")
def regression(data: DataFrame):
    marked = data.withColumn("held", F.col("id") % 5 == 0)
    return FactorizationMachinesRegressor(labelCol="target", validationIndicatorCol="held", **LEARNING).fit(marked)


@pytest.fixture(scope="module")
def binary(data: DataFrame):
    return FactorizationMachinesBinaryClassifier(labelCol="half", **LEARNING).fit(data)


def collected(frame: DataFrame, *columns: str) -> list[np.ndarray]:
    vectors = {field.name for field in frame.schema.fields if isinstance(field.dataType, VectorUDT)}
    rows = frame.select(*(vector_to_array(name) if name in vectors else name for name in columns)).orderBy("id").collect()
    return [np.array(column) for column in zip(*rows, strict=True)]


def expected_scores(model) -> np.ndarray:
    """Bias, linear weights and the pairs of the three ones of each row, by the definition."""
    first, second, third = np.moveaxis(model.factors[ONES].astype(float), 1, 0)
    pairs = (first * second + first * third + second * third).sum(axis=1)
    return model.bias + model.linear[ONES].sum(axis=1, dtype=float) + pairs


def test_parameters_have_a_row_per_feature_and_spark_s_names(regression):
    assert regression.linear.shape == (WIDTH,) and regression.factors.shape == (WIDTH, 2)
    assert regression.intercept == regression.bias and regression.numFeatures == WIDTH


def test_columns_have_the_types_of_spark_s_own_models(data, regression, binary):
    assert regression.transform(data).schema["prediction"].dataType == DoubleType()
    schema = binary.transform(data).schema
    assert schema["prediction"].dataType == DoubleType()
    assert schema["rawPrediction"].dataType == schema["probability"].dataType == VectorUDT()


def test_predictions_of_a_regression_are_those_of_the_definition(data, regression):
    _, prediction = collected(regression.transform(data), "id", "prediction")
    np.testing.assert_allclose(prediction, expected_scores(regression), atol=1e-6)


def test_metrics_of_a_regression_are_those_of_scikit_learn(data, regression):
    _, prediction = collected(regression.transform(data), "id", "prediction")
    mse = reference.mean_squared_error(TARGET, prediction)
    assert regression.evaluate(data) == pytest.approx({"test:rmse": mse**0.5}, rel=1e-4)
    assert mse**0.5 < 0.5 * TARGET.std()


def test_metrics_of_a_regression_are_recorded_epoch_by_epoch(data, regression):
    history = regression.training_summary.history
    assert [epoch["epoch"] for epoch in history] == list(range(1, len(history) + 1))
    held = regression.evaluate(data.where("id % 5 = 0"))["test:rmse"]
    served = history[regression.served_epoch - 1]["validation:rmse"]
    assert served == min(epoch["validation:rmse"] for epoch in history) == pytest.approx(held, rel=1e-5)
    assert regression.training_summary.metrics["validation:rmse"] == served
    assert regression.training_summary.validation_rows == COUNT / 5


def test_metrics_of_two_classes_are_those_of_scikit_learn(data, binary):
    _, prediction, probability, raw = collected(binary.transform(data), "id", "prediction", "probability", "rawPrediction")
    score = expected_scores(binary)
    np.testing.assert_allclose(raw, np.stack([-score, score], axis=1), atol=1e-6)
    np.testing.assert_allclose(probability[:, 1], 1 / (1 + np.exp(-score)), atol=1e-6)
    assert (prediction == (probability[:, 1] >= 0.5)).all()
    for weights, model in ((None, binary), (WEIGHT, binary.copy({binary.weightCol: "weight"}))):
        assert model.evaluate(data) == pytest.approx(
            {
                "test:binary_classification_accuracy": reference.accuracy_score(HALF, prediction, sample_weight=weights),
                "test:binary_f_beta": reference.f1_score(HALF, prediction, sample_weight=weights),
                "test:binary_classification_cross_entropy": reference.log_loss(HALF, probability, sample_weight=weights),
            },
            rel=1e-5,
        )
    assert reference.accuracy_score(HALF, prediction) > 0.9


def test_labels_other_than_0_and_1_are_named(data):
    with pytest.raises(InvalidDataError, match=r"label column 'other' is 2, expected 0 or 1, in row \d+ of worker \d's shard"):
        FactorizationMachinesBinaryClassifier(num_factors=2, labelCol="other").fit(data.withColumn("other", F.lit(2.0)))


def test_settings_that_cannot_work_are_refused_before_any_job(data):
    with pytest.raises(InvalidParams, match="clip_gradient must be > 0, got -1"):
        FactorizationMachinesRegressor(num_factors=2, labelCol="target", clip_gradient=-1).fit(data)


def test_features_of_a_known_large_number_arrive_in_record_batches_of_many_rows(data):
    from sparkml_algos.core.inputs import MIN_RECORD_BATCH_VECTORS

    estimator = FactorizationMachinesRegressor(num_factors=2, labelCol="target", feature_dim=2**31 - 1)
    assert estimator.inputs(data).rows_per_record_batch == MIN_RECORD_BATCH_VECTORS

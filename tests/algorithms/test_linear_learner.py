"""The linear learner as Spark ML Estimators: what the generic checks do not know about it."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml.classification import LinearSVC, LogisticRegression
from pyspark.ml.evaluation import BinaryClassificationEvaluator, MulticlassClassificationEvaluator, RegressionEvaluator
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType
from sklearn import metrics as reference

from sparkml_algos import (
    InvalidDataError,
    InvalidParams,
    LinearLearnerBinaryClassifier,
    LinearLearnerBinaryClassifierModel,
    LinearLearnerMultiClassClassifier,
    LinearLearnerRegressor,
)

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(900, 3))
SCORE = ROWS @ [1.0, -2.0, 0.5]
TARGET = 20 * SCORE + 100 + RANDOM.normal(0, 10, 900)
HALF = (SCORE + RANDOM.logistic(size=900) > 0.5).astype(float)
THIRD = np.clip(np.round(SCORE + RANDOM.normal(size=900) + 1), 0, 2)
WEIGHT = 1.0 + np.arange(900) % 3

ONE = {"num_models": 1, "mini_batch_size": 100, "early_stopping_patience": 100}


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    columns = zip(ROWS.tolist(), TARGET.tolist(), HALF.tolist(), THIRD.tolist(), WEIGHT.tolist(), range(900), strict=True)
    frame = spark.createDataFrame(columns, "x array<double>, target double, half double, third double, weight double, id int")
    frame = frame.withColumn("features", array_to_vector("x")).withColumn("held", F.col("id") % 4 == 0)
    return frame.repartition(3).cache()


@pytest.fixture(scope="module")
def regression(data: DataFrame):
    return LinearLearnerRegressor(labelCol="target", **ONE).fit(data)


@pytest.fixture(scope="module")
def binary(data: DataFrame):
    return LinearLearnerBinaryClassifier(labelCol="half", **ONE).fit(data)


@pytest.fixture(scope="module")
def multiclass(data: DataFrame):
    return LinearLearnerMultiClassClassifier(labelCol="third", **ONE).fit(data)


def collected(frame: DataFrame, *columns: str) -> list[np.ndarray]:
    vectors = {field.name for field in frame.schema.fields if isinstance(field.dataType, VectorUDT)}
    rows = frame.select(*(vector_to_array(name) if name in vectors else name for name in columns)).collect()
    return [np.array(column) for column in zip(*rows, strict=True)]


# ------------------------------------------------------------------------------------------------------------------- outputs


def test_columns_have_the_types_of_spark_s_own_models(data, regression, binary, multiclass):
    assert regression.transform(data).schema["prediction"].dataType == DoubleType()
    for model in (binary, multiclass):
        schema = model.transform(data).schema
        assert schema["prediction"].dataType == DoubleType()
        assert schema["rawPrediction"].dataType == schema["probability"].dataType == VectorUDT()


def test_prediction_of_a_regression_is_in_units_of_the_label(data, regression):
    x, prediction = collected(regression.transform(data), "x", "prediction")
    np.testing.assert_allclose(prediction, x @ regression.coefficients + regression.intercept, rtol=1e-5, atol=1e-4)
    assert regression.coefficients == pytest.approx([20, -40, 10], abs=2) and regression.intercept == pytest.approx(100, abs=2)


def test_scores_of_two_classes_are_those_of_spark_s_logistic_regression(data, binary):
    x, raw, probability, prediction = collected(binary.transform(data), "x", "rawPrediction", "probability", "prediction")
    score = x @ binary.coefficients + binary.intercept
    np.testing.assert_allclose(raw, np.stack([-score, score], axis=1), atol=1e-5)
    np.testing.assert_allclose(probability[:, 1], 1 / (1 + np.exp(-score)), atol=1e-6)
    assert (prediction == (probability[:, 1] >= binary.threshold)).all()
    peer = LogisticRegression(labelCol="half").fit(data)
    np.testing.assert_allclose(binary.coefficients, peer.coefficients.toArray(), atol=0.06)


def test_scores_of_many_classes_are_a_softmax(data, multiclass):
    x, raw, probability, prediction = collected(multiclass.transform(data), "x", "rawPrediction", "probability", "prediction")
    np.testing.assert_allclose(raw, x @ multiclass.coefficientMatrix.T + multiclass.interceptVector, atol=1e-4)
    np.testing.assert_allclose(probability, np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True), atol=1e-6)
    assert (prediction == raw.argmax(axis=1)).all() and multiclass.numClasses == 3


def test_hinge_loss_has_no_probability_as_spark_s_support_vector_machine_has_none(data):
    model = LinearLearnerBinaryClassifier(labelCol="half", loss="hinge_loss", **ONE).fit(data)
    scored = model.transform(data)
    assert [name for name in scored.columns if name not in data.columns] == ["prediction", "rawPrediction"]
    peer = LinearSVC(labelCol="half", maxIter=20).fit(data).transform(data)
    measure = BinaryClassificationEvaluator(labelCol="half")
    assert measure.evaluate(scored) == pytest.approx(measure.evaluate(peer), abs=0.01)


# ------------------------------------------------------------------------------------------------------------------- metrics


def test_metrics_of_a_regression_are_those_of_scikit_learn(data, regression):
    prediction, target = collected(regression.transform(data), "prediction", "target")
    mse = reference.mean_squared_error(target, prediction)
    assert regression.evaluate(data) == pytest.approx(
        {
            "test:objective_loss": mse,
            "test:absolute_loss": reference.mean_absolute_error(target, prediction),
            "test:mse": mse,
            "test:rmse": mse**0.5,
        },
        rel=1e-4,
    )
    assert RegressionEvaluator(labelCol="target").evaluate(regression.transform(data)) == pytest.approx(mse**0.5, rel=1e-6)


def test_metrics_of_two_classes_are_those_of_scikit_learn(data, binary):
    prediction, probability, label, weight = collected(binary.transform(data), "prediction", "probability", "half", "weight")
    for weights, model in ((None, binary), (weight, binary.copy({binary.weightCol: "weight"}))):
        assert model.evaluate(data) == pytest.approx(
            {
                "test:objective_loss": reference.log_loss(label, probability, sample_weight=weights),
                "test:binary_classification_accuracy": reference.accuracy_score(label, prediction, sample_weight=weights),
                "test:binary_f_beta": reference.f1_score(label, prediction, sample_weight=weights),
                "test:precision": reference.precision_score(label, prediction, sample_weight=weights),
                "test:recall": reference.recall_score(label, prediction, sample_weight=weights),
                "test:roc_auc_score": reference.roc_auc_score(label, probability[:, 1], sample_weight=weights),
            },
            rel=1e-5,
        )


def test_metrics_of_many_classes_are_those_of_scikit_learn(data, multiclass):
    prediction, probability, label = collected(multiclass.transform(data), "prediction", "probability", "third")
    macro = {"average": "macro", "zero_division": 0}
    ranks = (probability > probability[np.arange(900), label.astype(int), None]).sum(axis=1)
    model = multiclass.copy({multiclass.accuracy_top_k: 2, multiclass.f_beta: 2.0})
    f_beta = np.mean([reference.fbeta_score(label == one, prediction == one, beta=2) for one in range(3)])
    assert model.evaluate(data) == pytest.approx(
        {
            "test:objective_loss": reference.log_loss(label, probability),
            "test:multiclass_accuracy": reference.accuracy_score(label, prediction),
            "test:multiclass_top_k_accuracy": reference.top_k_accuracy_score(label, probability, k=2),
            "test:dcg": np.mean(1 / np.log2(ranks + 2)),
            "test:macro_f_beta": f_beta,
            "test:macro_precision": reference.precision_score(label, prediction, **macro),
            "test:macro_recall": reference.recall_score(label, prediction, **macro),
        },
        rel=1e-5,
    )
    measured = MulticlassClassificationEvaluator(labelCol="third", metricName="accuracy").evaluate(multiclass.transform(data))
    assert measured == pytest.approx(reference.accuracy_score(label, prediction))


def test_metrics_of_no_rows_are_refused(data, regression):
    with pytest.raises(ValueError, match="the dataset to evaluate on is empty"):
        regression.evaluate(data.where("id < 0"))


def test_metrics_of_a_label_beyond_the_classes_are_refused(data, multiclass):
    with pytest.raises(Exception, match="label column 'third' is 3, expected an integer from 0 to 2"):
        multiclass.evaluate(data.withColumn("third", F.col("third") + 1))


# ---------------------------------------------------------------------------------------------------------------- validation


def test_marked_rows_are_validated_on_and_not_trained_on(data):
    estimator = LinearLearnerBinaryClassifier(labelCol="half", validationIndicatorCol="held", **ONE)
    model = estimator.fit(data)
    summary = model.training_summary
    assert (summary.rows, summary.validation_rows) == (675, 225)
    measured = model.evaluate(data.where("held"))
    for name in ("objective_loss", "binary_classification_accuracy", "binary_f_beta", "precision", "recall", "roc_auc_score"):
        assert summary.metrics[f"validation:{name}"] == pytest.approx(measured[f"test:{name}"], rel=1e-4)
    assert {"train:objective_loss", "validation:objective_loss", "validation:accuracy"} <= set(summary.history[0])


def test_column_of_marks_must_be_boolean(data):
    with pytest.raises(InvalidParams, match="validationIndicatorCol: column 'id' is int; it must be boolean"):
        LinearLearnerRegressor(labelCol="target", validationIndicatorCol="id").fit(data)


def test_data_without_a_marked_row_is_refused(data):
    with pytest.raises(InvalidDataError, match="no row is marked for validation"):
        LinearLearnerRegressor(labelCol="target", validationIndicatorCol="held").fit(data.where("not held"))


# -------------------------------------------------------------------------------------------------------- candidates, selection


def test_leaderboard_and_choice_come_back_from_disk(data, tmp_path):
    model = LinearLearnerBinaryClassifier(labelCol="half", num_models=6, epochs=2).fit(data)
    assert len(model.leaderboard) == 6 and model.leaderboard[0]["wd"] == 0
    model.save(str(tmp_path / "model"))
    loaded = LinearLearnerBinaryClassifierModel.load(str(tmp_path / "model"))
    assert (loaded.leaderboard, loaded.chosen, loaded.threshold) == (model.leaderboard, model.chosen, model.threshold)


def test_targets_of_recall_and_precision_are_held_on_the_calibration_rows(data):
    for criterion, target, metric in (
        ("precision_at_target_recall", {"target_recall": 0.9}, "test:recall"),
        ("recall_at_target_precision", {"target_precision": 0.9}, "test:precision"),
    ):
        estimator = LinearLearnerBinaryClassifier(
            labelCol="half", binary_classifier_model_selection_criteria=criterion, validationIndicatorCol="held", **target, **ONE
        )
        measured = estimator.fit(data).evaluate(data.where("held"))[metric]
        assert 0.9 <= measured < 0.95


def test_loss_function_leaves_the_threshold_at_one_half(data):
    model = LinearLearnerBinaryClassifier(labelCol="half", binary_classifier_model_selection_criteria="loss_function", **ONE).fit(data)
    assert model.threshold == 0.5


def test_cross_validator_chooses_the_better_penalty(data):
    estimator = LinearLearnerRegressor(labelCol="target", **ONE)
    space = ParamGridBuilder().addGrid(estimator.wd, [0.0, 10.0]).build()
    search = CrossValidator(
        estimator=estimator, estimatorParamMaps=space, evaluator=RegressionEvaluator(labelCol="target"), numFolds=2, seed=1
    )
    assert search.fit(data).bestModel.value("wd") == 0


# --------------------------------------------------------------------------------------------------------------------- refusals


def test_labels_out_of_range_are_named(data):
    with pytest.raises(InvalidDataError, match=r"label column 'third' is 2, expected 0 or 1, in row \d+ of worker \d+'s shard"):
        LinearLearnerBinaryClassifier(labelCol="third", **ONE).fit(data)
    with pytest.raises(InvalidDataError, match=r"label column 'id' is \d+, expected an integer from 0 to 4, in row"):
        LinearLearnerMultiClassClassifier(labelCol="id", num_classes=5, **ONE).fit(data)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (LinearLearnerRegressor(use_bias=False, unbias_data=True), "unbias_data=True needs use_bias=True"),
        (LinearLearnerRegressor(use_bias=False, unbias_label=True), "unbias_label=True needs use_bias=True"),
        (LinearLearnerMultiClassClassifier(labelCol="third", input_mode="Pipe"), "num_classes is required with input_mode='Pipe'"),
        (LinearLearnerRegressor(labelCol="nowhere"), "labelCol='nowhere' is not a column"),
        (LinearLearnerRegressor(labelCol="x"), "labelCol: column 'x' is array<double>; it must be numeric"),
    ],
)
def test_what_contradicts_itself_is_refused_before_any_job(data, estimator, message):
    with pytest.raises(InvalidParams, match=message):
        estimator.fit(data)


@pytest.mark.parametrize(
    ("cls", "own", "other"),
    [
        (LinearLearnerRegressor, "regressor", "binary_classifier"),
        (LinearLearnerBinaryClassifier, "binary_classifier", "regressor"),
        (LinearLearnerMultiClassClassifier, "multiclass_classifier", "regressor"),
    ],
)
def test_predictor_type_of_a_pasted_table_must_be_the_class(cls, own, other):
    assert cls(predictor_type=own).value("predictor_type") == own
    with pytest.raises(InvalidParams, match=f"predictor_type must be one of '{own}', got '{other}'"):
        cls(predictor_type=other)

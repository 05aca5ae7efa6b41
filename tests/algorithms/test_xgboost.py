"""XGBoost as Spark ML Estimators: what the generic checks do not know about it."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost as xgb
from pyspark.ml.evaluation import BinaryClassificationEvaluator, RegressionEvaluator
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.linalg import SparseVector, Vectors, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType
from sklearn import metrics as reference

from sparkml_algos import (
    InvalidDataError,
    InvalidParams,
    XGBoostClassificationModel,
    XGBoostClassifier,
    XGBoostRanker,
    XGBoostRegressionModel,
    XGBoostRegressor,
)
from sparkml_algos.algorithms.xgboost.ranking import ranking_metrics

RANDOM = np.random.default_rng(0)
ROWS = np.round(RANDOM.normal(size=(900, 3)) * 8).astype(np.float32) / 8  # few values, so bins are the same however rows are spread
SCORE = ROWS @ [1.0, -2.0, 0.5]
TARGET = np.round(SCORE + RANDOM.normal(0, 0.3, 900), 2)
HALF = (SCORE + RANDOM.logistic(size=900) > 0.5).astype(float)
THIRD = np.clip(np.round(SCORE + RANDOM.normal(size=900) + 1), 0, 2)
QUERY = np.arange(900) // 15
WEIGHT = 1.0 + np.arange(900) % 3

SMALL = {"num_round": 5, "max_depth": 3, "num_workers": 2}
LIBRARY = {"max_depth": 3, "base_score": 0.5, "nthread": 1}


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    columns = zip(ROWS.tolist(), TARGET.tolist(), HALF.tolist(), THIRD.tolist(), WEIGHT.tolist(), range(900), strict=True)
    frame = spark.createDataFrame(columns, "x array<double>, target double, half double, third double, weight double, id int")
    frame = frame.withColumn("features", array_to_vector("x")).withColumn("held", F.col("id") % 4 == 0)
    frame = frame.withColumn("query", F.expr("concat('q', cast(id / 15 as int))")).withColumn("margin", F.col("x")[0])
    return frame.repartition(3).cache()


@pytest.fixture(scope="module")
def regression(data: DataFrame) -> XGBoostRegressionModel:
    return XGBoostRegressor(labelCol="target", validationIndicatorCol="held", featuresCol="x", **SMALL).fit(data)


@pytest.fixture(scope="module")
def binary(data: DataFrame) -> XGBoostClassificationModel:
    return XGBoostClassifier(labelCol="half", **SMALL).fit(data)


@pytest.fixture(scope="module")
def many(data: DataFrame) -> XGBoostClassificationModel:
    """Of three classes, which the labels say."""
    return XGBoostClassifier(labelCol="third", **SMALL).fit(data)


def collected(frame: DataFrame, *columns: str) -> list[np.ndarray]:
    vectors = {field.name for field in frame.schema.fields if isinstance(field.dataType, VectorUDT)}
    rows = frame.orderBy("id").select(*(vector_to_array(name) if name in vectors else name for name in columns)).collect()
    return [np.array(column) for column in zip(*rows, strict=True)]


def test_two_classes_are_what_the_library_learns_and_says(data, binary):
    scored = binary.transform(data)
    assert scored.schema["prediction"].dataType == DoubleType()
    assert scored.schema["rawPrediction"].dataType == scored.schema["probability"].dataType == VectorUDT()
    raw, probability, prediction = collected(scored, "rawPrediction", "probability", "prediction")
    booster = xgb.train({**LIBRARY, "objective": "binary:logistic"}, xgb.QuantileDMatrix(ROWS, HALF), 5)
    np.testing.assert_allclose(probability[:, 1], booster.inplace_predict(ROWS), atol=1e-5)
    np.testing.assert_allclose(raw[:, 1], booster.inplace_predict(ROWS, predict_type="margin"), atol=1e-5)
    assert (raw[:, 0] == -raw[:, 1]).all() and (prediction == (probability[:, 1] > 0.5)).all()


def test_many_classes_have_as_many_probabilities(data, many):
    model = many
    probability, prediction = collected(model.transform(data), "probability", "prediction")
    booster = xgb.train({**LIBRARY, "objective": "multi:softprob", "num_class": 3}, xgb.QuantileDMatrix(ROWS, THIRD), 5)
    np.testing.assert_allclose(probability, booster.inplace_predict(ROWS), atol=1e-5)
    assert (prediction == probability.argmax(axis=1)).all() and model.numClasses == 3
    assert model.evaluate(data) == pytest.approx(
        {
            "test:accuracy": reference.accuracy_score(THIRD, prediction),
            "test:merror": 1 - reference.accuracy_score(THIRD, prediction),
            "test:f1": reference.f1_score(THIRD, prediction, average="macro"),
            "test:mlogloss": reference.log_loss(THIRD, probability),
        },
        rel=1e-5,
    )


def test_marked_rows_are_validated_on_and_metrics_are_those_of_scikit_learn(data, regression):
    summary = regression.training_summary
    assert (summary.rows, summary.validation_rows, len(summary.history)) == (675, 225, 5)
    prediction, target = collected(regression.transform(data), "prediction", "target")
    mse = reference.mean_squared_error(target, prediction)
    assert regression.evaluate(data) == pytest.approx(
        {"test:rmse": mse**0.5, "test:mse": mse, "test:mae": reference.mean_absolute_error(target, prediction)}, rel=1e-5
    )
    held = regression.evaluate(data.where("held"))["test:rmse"]
    assert summary.metrics["validation:rmse"] == summary.history[-1]["validation:rmse"] == pytest.approx(held, rel=1e-5)
    assert RegressionEvaluator(labelCol="target").evaluate(regression.transform(data)) == pytest.approx(mse**0.5, rel=1e-6)


def test_metrics_of_two_classes_are_weighted_and_those_of_scikit_learn(data, binary):
    prediction, probability = collected(binary.transform(data), "prediction", "probability")
    model = binary.copy({binary.weightCol: "weight", binary.eval_metric: "error@0.7"})
    weigh = {"sample_weight": WEIGHT}
    assert model.evaluate(data) == pytest.approx(
        {
            "test:accuracy": reference.accuracy_score(HALF, prediction, **weigh),
            "test:error": 1 - reference.accuracy_score(HALF, prediction, **weigh),
            "test:error@0.7": 1 - reference.accuracy_score(HALF, probability[:, 1] > 0.7, **weigh),
            "test:f1": reference.f1_score(HALF, prediction, average="macro", **weigh),
            "test:logloss": reference.log_loss(HALF, probability[:, 1], **weigh),
            "test:auc": reference.roc_auc_score(HALF, probability[:, 1], **weigh),
        },
        rel=1e-5,
    )
    measured = BinaryClassificationEvaluator(labelCol="half", numBins=0).evaluate(binary.transform(data))
    assert measured == pytest.approx(reference.roc_auc_score(HALF, probability[:, 1]))


def test_queries_of_text_come_together_and_their_ranking_is_measured_as_the_library_measures(data):
    ranker = XGBoostRanker(labelCol="third", groupCol="query", objective="rank:ndcg", eval_metric="ndcg@5", **SMALL)
    model = ranker.fit(data)
    assert all(rows % 15 == 0 for rows in model.training_summary.rows_per_worker)
    (score,) = collected(model.transform(data), "prediction")
    # Ties stand in any order, so they are broken before both measure.
    score = score + 1e-4 * np.arange(900)
    found = xgb.DMatrix(ROWS, THIRD, qid=QUERY, base_margin=score)
    untrained = xgb.Booster({"objective": "rank:ndcg", "eval_metric": ["ndcg", "ndcg@5"], "base_score": 0}, [found])
    expected = dict(part.split(":") for part in untrained.eval(found).split("\t")[1:])
    rows = list(zip(QUERY.tolist(), THIRD.tolist(), score.tolist(), strict=True))
    frame = data.sparkSession.createDataFrame(rows, "group int, label double, score double")
    measured = ranking_metrics(frame, ["ndcg", "ndcg@5"])
    assert measured == pytest.approx({name.removeprefix("eval-"): float(value) for name, value in expected.items()}, rel=1e-5)
    hits = xgb.DMatrix(ROWS, (THIRD > 1).astype(float), qid=QUERY, base_margin=score)
    untrained = xgb.Booster({"objective": "rank:map", "eval_metric": ["map", "map@3", "map@3-"], "base_score": 0}, [hits])
    expected = dict(part.split(":") for part in untrained.eval(hits).split("\t")[1:])
    measured = ranking_metrics(frame.withColumn("label", F.expr("int(label > 1)")), ["map", "map@3", "map@3-"])
    assert measured == pytest.approx({name.removeprefix("eval-"): float(value) for name, value in expected.items()}, rel=1e-5)
    assert set(model.evaluate(data)) == {"test:ndcg", "test:map", "test:ndcg@5"}
    assert model.evaluate(data)["test:ndcg"] > 0.9


def test_outputs_without_a_name_are_left_out_and_named_explanations_appear(data, binary):
    params = {binary.probabilityCol: "", binary.rawPredictionCol: "", binary.contributionsCol: "shap", binary.leafCol: "leaf"}
    scored = binary.copy(params).transform(data)
    assert [name for name in scored.columns if name not in data.columns] == ["prediction", "shap", "leaf"]
    shap, leaf = collected(scored, "shap", "leaf")
    (raw,) = collected(binary.transform(data), "rawPrediction")
    assert shap.shape == (900, 4) and leaf.shape == (900, 5)
    np.testing.assert_allclose(shap.sum(axis=1), raw[:, 1], atol=1e-4)
    np.testing.assert_array_equal(leaf, binary.get_booster().predict(xgb.DMatrix(ROWS), pred_leaf=True))


def test_base_margins_count_in_training_and_in_transform(data):
    model = XGBoostRegressor(labelCol="target", baseMarginCol="margin", weightCol="weight", featuresCol="x", **SMALL).fit(data)
    (prediction,) = collected(model.transform(data), "prediction")
    booster = xgb.train(LIBRARY, xgb.QuantileDMatrix(ROWS, TARGET, base_margin=ROWS[:, 0], weight=WEIGHT), 5)
    expected = booster.inplace_predict(ROWS, base_margin=np.ascontiguousarray(ROWS[:, 0]))
    np.testing.assert_allclose(prediction, expected, atol=1e-4)


def test_boosters_come_and_go(data, binary, tmp_path):
    binary.save_booster(tmp_path / "model.json")
    loaded = XGBoostClassificationModel.from_booster(str(tmp_path / "model.json"), featuresCol="x")
    assert loaded.num_features == loaded.numFeatures == 3 and loaded.value("objective") == "binary:logistic"
    for mine, again in zip(*(collected(model.transform(data), "probability", "prediction") for model in (binary, loaded)), strict=True):
        np.testing.assert_array_equal(mine, again)
    loaded.save(str(tmp_path / "saved"))
    assert XGBoostClassificationModel.load(str(tmp_path / "saved")).get_booster().get_dump() == binary.get_booster().get_dump()
    with pytest.raises(ValueError, match="the booster's objective is 'binary:logistic'; XGBoostRegressionModel takes reg:squarederror"):
        XGBoostRegressionModel.from_booster(binary.get_booster())


def test_a_model_knows_the_loss_that_its_labels_have_said(data, binary, many, tmp_path):
    assert (binary.getObjective(), binary.getNumClasses(), binary.numClasses) == ("binary:logistic", None, 2)
    assert (many.getObjective(), many.getNumClasses(), many.numClasses) == ("multi:softprob", 3, 3)
    many.save(str(tmp_path / "many"))
    loaded = XGBoostClassificationModel.load(str(tmp_path / "many"))
    assert (loaded.getObjective(), loaded.numClasses) == ("multi:softprob", 3)
    np.testing.assert_array_equal(*(collected(model.transform(data), "probability") for model in (many, loaded)))
    estimator = XGBoostClassifier(labelCol="third", **SMALL)
    assert estimator.getObjective() is None and estimator.getNumClasses() is None


def test_a_grid_over_the_number_of_classes_and_the_loss_is_fitted_in_one_go(data):
    estimator = XGBoostClassifier(labelCol="half", **SMALL)
    maps = [{estimator.objective: "binary:hinge"}, {estimator.num_class: 3}, {}]
    found = [model for _, model in sorted(estimator.fitMultiple(data, maps), key=lambda pair: pair[0])]
    assert [model.getObjective() for model in found] == ["binary:hinge", "multi:softprob", "binary:logistic"]


# ------------------------------------------------------------------------------------- what users of MLlib and xgboost.spark expect


def test_importances_are_the_shares_of_the_gain(data, regression, binary):
    found = regression.featureImportances
    gains = regression.get_booster().get_score(importance_type="total_gain")
    expected = np.array([gains.get(f"f{i}", 0) for i in range(3)])
    assert isinstance(found, SparseVector) and found.size == 3
    np.testing.assert_allclose(found.toArray(), expected / expected.sum())
    assert found.toArray().argmax() == 1 and found.toArray().sum() == pytest.approx(1)
    assert binary.get_feature_importances() == binary.get_booster().get_score(importance_type="weight")
    assert binary.feature_importances() == binary.get_booster().get_score(importance_type="gain")


def test_importances_of_trees_without_a_split_are_0_and_a_linear_booster_has_none(data):
    stuck = XGBoostRegressor(labelCol="target", gamma=1e9, **SMALL).fit(data)
    assert stuck.featureImportances == SparseVector(3, {}) and stuck.get_feature_importances() == {}
    linear = XGBoostRegressor(labelCol="target", booster="gblinear", num_round=3).fit(data)
    with pytest.raises(ValueError, match=r"a linear booster has no splits that gain; its coefficients are get_feature_importances"):
        print(linear.featureImportances)
    assert set(linear.get_feature_importances("weight")) == {"f0", "f1", "f2"}
    assert (linear.getNumTrees, linear.treeWeights, linear.totalNumNodes) == (0, [], 0)


def test_names_that_the_library_refuses_are_names_here(data):
    odd = ["a[0]", "<b>", "c"]
    columns = data.select("target", *(F.col("x")[i].alias(name) for i, name in enumerate(odd)))
    model = XGBoostRegressor(labelCol="target", featuresCols=odd, **SMALL).fit(columns)
    assert "<b>" in model.get_feature_importances() and set(model.get_feature_importances()) <= set(odd)
    assert model.nativeBooster.feature_names is None


def test_trees_are_counted_as_mllib_counts_them(binary, many):
    assert (binary.getNumTrees, many.getNumTrees) == (5, 15)
    assert binary.treeWeights == [1.0] * 5
    assert binary.totalNumNodes == sum(len(tree.strip().split("\n")) for tree in binary.get_booster().get_dump())


def test_trees_that_training_has_dropped_out_weigh_less(data):
    model = XGBoostRegressor(labelCol="target", booster="dart", rate_drop=0.9, one_drop=1, **SMALL).fit(data)
    assert model.getNumTrees == 5 and min(model.treeWeights) < 1


def test_the_summary_is_the_course_of_the_metric_that_is_watched(regression, binary):
    history = regression.training_summary.history
    assert regression.hasSummary and regression.summary.totalIterations == 5
    assert regression.summary.objectiveHistory == [epoch["train:rmse"] for epoch in history]
    assert regression.training_summary.train_objective_history == {"rmse": regression.summary.objectiveHistory}
    assert regression.training_summary.validation_objective_history == {"rmse": [epoch["validation:rmse"] for epoch in history]}
    assert binary.summary.objectiveHistory == [epoch["train:logloss"] for epoch in binary.training_summary.history]
    assert binary.training_summary.validation_objective_history == {}
    elsewhere = XGBoostClassificationModel.from_booster(binary.get_booster())
    assert not elsewhere.hasSummary
    with pytest.raises(RuntimeError, match="No training summary available for this XGBoostClassificationModel"):
        print(elsewhere.summary)


def test_a_single_row_is_predicted_as_transform_predicts_it(data, regression, binary, many):
    rows = [Vectors.dense(ROWS[7]), ROWS[7].tolist(), SparseVector(3, {i: float(value) for i, value in enumerate(ROWS[7])})]
    for model in (binary, many):
        raw, probability, prediction = collected(model.transform(data.where("id = 7")), "rawPrediction", "probability", "prediction")
        for row in rows:
            assert model.predict(row) == prediction[0]
            np.testing.assert_allclose(model.predictRaw(row), raw[0], rtol=1e-6)
            np.testing.assert_allclose(model.predictProbability(row), probability[0], rtol=1e-6)
    (prediction,) = collected(regression.transform(data.where("id = 7")), "prediction")
    assert regression.predict(rows[0]) == pytest.approx(prediction[0], rel=1e-6)
    # What a sparse vector does not store is missing.
    expected = regression.get_booster().inplace_predict(np.array([[np.nan, 1, np.nan]], np.float32))
    assert regression.predict(SparseVector(3, {1: 1.0})) == regression.predict([np.nan, 1, np.nan]) == expected[0]
    with pytest.raises(ValueError, match="the row has 2 values; the model takes 3"):
        regression.predict([1, 2])


def test_the_threshold_of_two_classes_acts_and_is_saved(data, binary, tmp_path):
    model = binary.copy()
    assert model.getThreshold() == 0.5 and model.thresholds == [0.5, 0.5]
    (probability,) = collected(model.transform(data), "probability")
    assert model.setThreshold(0.7) is model and model.getThreshold() == pytest.approx(0.7)
    (prediction,) = collected(model.transform(data), "prediction")
    np.testing.assert_array_equal(prediction, probability[:, 1] > 0.7)
    assert model.evaluate(data)["test:accuracy"] == pytest.approx((prediction == HALF).mean())
    model.save(str(tmp_path / "model"))
    assert XGBoostClassificationModel.load(str(tmp_path / "model")).threshold == pytest.approx(0.7)
    assert binary.threshold == 0.5
    model.setThresholds([3, 1])
    assert model.threshold == pytest.approx(0.25) and model.getThresholds() == pytest.approx([0.75, 0.25])
    for level, share in ((0, 1.0), (1, 0.0)):
        assert np.mean(collected(model.setThreshold(level).transform(data), "prediction")) == share


def test_thresholds_of_many_classes_act_and_are_saved(data, many, tmp_path):
    model = many.copy()
    (probability,) = collected(model.transform(data), "probability")
    thresholds = [0.2, 0.1, 0.7]
    assert model.thresholds is None and model.setThresholds(thresholds) is model and model.getThresholds() == thresholds
    (prediction,) = collected(model.transform(data), "prediction")
    expected = (probability / thresholds).argmax(axis=1)
    np.testing.assert_array_equal(prediction, expected)
    assert (expected != probability.argmax(axis=1)).any()
    assert model.evaluate(data)["test:accuracy"] == pytest.approx((expected == THIRD).mean())
    model.save(str(tmp_path / "model"))
    assert XGBoostClassificationModel.load(str(tmp_path / "model")).thresholds == thresholds
    np.testing.assert_array_equal(collected(model.setThresholds(None).transform(data), "prediction")[0], probability.argmax(axis=1))
    with pytest.raises(ValueError, match="threshold is for two classes, this model has 3; use setThresholds, with a number for each"):
        model.setThreshold(0.4)
    with pytest.raises(ValueError, match="threshold is for two classes, this model has 3; see thresholds"):
        model.getThreshold()
    with pytest.raises(ValueError, match="thresholds must be 3 numbers >= 0"):
        model.setThresholds([0.5, 0.5])


def test_hinge_loss_has_a_raw_threshold(data):
    model = XGBoostClassifier(labelCol="half", objective="binary:hinge", **SMALL).fit(data)
    (raw,) = collected(model.transform(data), "rawPrediction")
    level = float(np.median(np.unique(raw[:, 1]))) + 1e-9
    (prediction,) = collected(model.copy().setThreshold(level).transform(data), "prediction")
    np.testing.assert_array_equal(prediction, raw[:, 1] > level)
    with pytest.raises(ValueError, match="this model knows no probabilities"):
        model.setThresholds([0.5, 0.5])
    with pytest.raises(ValueError, match="XGBoostClassificationModel with these settings has no probability"):
        model.predictProbability(ROWS[0])


# ------------------------------------------------------------------------------------------------------------------- columns, errors


def test_importances_go_by_the_names_of_the_features(data):
    columns = data.select("target", *(F.col("x")[i].alias(name) for i, name in enumerate(["a", "b c", "d"])))
    model = XGBoostRegressor(labelCol="target", featuresCols=["a", "b c", "d"], **SMALL).fit(columns)
    found = model.feature_importances("total_gain")
    assert max(found, key=found.get) == "b c" and set(found) <= {"a", "b c", "d"}
    assert model.get_booster().feature_names == ["a", "b c", "d"]


def test_a_saved_estimator_remembers_the_model_it_starts_from(data, regression, tmp_path):
    XGBoostRegressor(labelCol="target", featuresCol="x", initial_model=regression, **SMALL).save(str(tmp_path / "estimator"))
    loaded = XGBoostRegressor.load(str(tmp_path / "estimator"))
    model = loaded.fit(data)
    assert model.get_booster().num_boosted_rounds() == 10
    assert model.get_booster()[:5].get_dump() == regression.get_booster().get_dump()


def test_null_columns_are_missing_values(data):
    holes = data.select("target", "id", *(F.expr(f"IF((id + {i}) % 3 = 0, NULL, x[{i}])").alias(f"x{i}") for i in range(3)))
    names = ["x0", "x1", "x2"]
    model = XGBoostRegressor(labelCol="target", featuresCols=names, **SMALL).fit(holes)
    rows = np.where((np.arange(900)[:, None] + np.arange(3)) % 3 == 0, np.nan, ROWS).astype(np.float32)
    (prediction,) = collected(model.transform(holes), "prediction")
    booster = xgb.train(LIBRARY, xgb.QuantileDMatrix(rows, TARGET), 5)
    np.testing.assert_allclose(prediction, booster.inplace_predict(rows), atol=1e-4)


def test_what_must_be_in_one_place_is_trained_by_one_worker(data):
    model = XGBoostRegressor(labelCol="target", num_round=2, tree_method="exact").fit(data)
    assert model.training_summary.num_workers == 1
    with pytest.raises(InvalidParams, match="num_workers must be 1: the exact tree method needs all rows in one place"):
        XGBoostRegressor(labelCol="target", num_round=2, tree_method="exact", num_workers=2).fit(data)
    with pytest.raises(InvalidParams, match="num_workers must be 1: the library does not add up the gradients of a linear booster"):
        XGBoostRegressor(labelCol="target", num_round=2, booster="gblinear", num_workers=2).fit(data)


def test_bad_labels_and_constraints_are_named(data):
    hint = r"\(more classes need objective='multi:softprob' and num_class, or leave both unset\)"
    with pytest.raises(InvalidDataError, match=rf"label column 'third' is 2, expected 0 or 1 {hint}, in row \d+ of worker \d+'s shard"):
        XGBoostClassifier(labelCol="third", objective="binary:logistic", **SMALL).fit(data)
    with pytest.raises(InvalidDataError, match=r"label column 'target' is -\d.*, expected a number > 0, in row \d+ of worker \d+'s shard"):
        XGBoostRegressor(labelCol="target", objective="reg:gamma", **SMALL).fit(data)
    columns = data.select("target", *(F.col("x")[i].alias(f"x{i}") for i in range(3)))
    with pytest.raises(InvalidParams, match="monotone_constraints has 2 entries, the rows have 3 features"):
        XGBoostRegressor(labelCol="target", featuresCols=["x0", "x1", "x2"], monotone_constraints=[0, 1], **SMALL).fit(columns)

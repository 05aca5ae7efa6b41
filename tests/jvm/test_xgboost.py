"""Boosted trees on the JVM give what the library gives."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xgboost as xgb
from pyspark.ml.linalg import SparseVector, Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import XGBoostClassificationModel, XGBoostRankerModel, XGBoostRegressionModel
from sparkml_algos.algorithms.xgboost.objectives import CLASSIFICATION, RANKING, REGRESSION
from sparkml_algos.algorithms.xgboost.prediction import load
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.core.bridge import scored_on_jvm
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.rows.batch import Batch
from tests.jvm.models import booster, scores

RANDOM = np.random.default_rng(0)
# Few values, so that many equal a threshold.
ROWS = np.round(RANDOM.normal(size=(400, 7)) * 4).astype(np.float32) / 4
ROWS[RANDOM.random(ROWS.shape) < 0.2] = np.nan
FILLED = np.nan_to_num(ROWS)
NUMBER = (np.abs(FILLED @ [1, -2, 0.5, 0, 0, 0.3, 1]) + FILLED[:, 3] ** 2 + 0.5).astype(np.float32)
CLASS = np.clip(np.round(NUMBER), 0, 2)
LABELS = {"reg:logistic": NUMBER / NUMBER.max(), "rank:map": CLASS > 1, **{name: CLASS > 1 for name in CLASSIFICATION if "binary" in name}}


def grown(objective: str, rows: np.ndarray = ROWS, **params: object) -> xgb.Booster:
    many = {"num_class": 3} if objective.startswith("multi:") else {}
    label = LABELS.get(objective, CLASS if objective.startswith(("multi:", "rank:")) else NUMBER)
    return booster(rows, label, objective=objective, **many, **params)


def model_of(found: xgb.Booster, **params: object) -> AlgorithmModel:
    objective = json.loads(found.save_config())["learner"]["objective"]["name"]
    classes = dict.fromkeys(CLASSIFICATION, XGBoostClassificationModel) | dict.fromkeys(RANKING, XGBoostRankerModel)
    return classes.get(objective, XGBoostRegressionModel).from_booster(found, **params)


# As the rows trained on; numbers at the ends of what 32 bits hold, and zeros of both signs; without any value.
ODD = np.array([3.4e38, -3.4e38, 1e-42, -1e-42, 0.0, -0.0, 0.1, np.nan])
QUERIES = np.vstack([ROWS[:100], ODD[RANDOM.integers(0, 8, (98, 7))], np.full((2, 7), np.nan)]).astype(np.float32)
MARGIN = (np.arange(200) % 7 - 3).astype(np.float32)


@pytest.fixture(scope="module")
def data(bridge: SparkSession) -> DataFrame:
    """The queries, in turn as dense vectors and as sparse ones, which leave out what is missing."""

    def vector(i: int, row: np.ndarray) -> object:
        stored = np.flatnonzero(~np.isnan(row))
        return SparseVector(len(row), stored, row[stored]) if i % 2 else Vectors.dense(row)

    rows = [(i, vector(i, row), float(margin)) for i, (row, margin) in enumerate(zip(QUERIES, MARGIN, strict=True))]
    return bridge.createDataFrame(rows, ["id", "features", "margin"]).repartition(2).cache()


def assert_same_scores(models: dict[str, AlgorithmModel], data: DataFrame, rows: np.ndarray, **base_margin: np.ndarray) -> None:
    """All models in one pass on the JVM, each beside Python's function of the same rows."""
    scored = data.select("id", *(scored_on_jvm(model, data).alias(name) for name, model in models.items())).orderBy("id").collect()
    for name, model in models.items():
        settings = Hyperparameters(**model.hyperparameters())
        expected = load(model.artifact, settings, "cpu")(Batch(features=rows, **(base_margin if model.value("baseMarginCol") else {})))
        for field in (output.field for output in model.own_outputs()):
            values = [row[name][field] for row in scored]
            found = np.array(values if field == "prediction" else [value.toArray() for value in values])
            np.testing.assert_allclose(found, expected[field], rtol=2e-6, atol=1e-6, err_msg=f"{field} of {name}")


def test_thresholds_say_the_class_as_in_python(data: DataFrame) -> None:
    two, many = model_of(grown("binary:logistic")), model_of(grown("multi:softprob"))
    models = {f"two classes, {level}": two.copy().setThreshold(level) for level in (0, 0.3, 0.9, 1)}
    models |= {f"many classes, {levels}": many.copy().setThresholds(levels) for levels in ([0.5, 0.1, 0.4], [0, 1, 1], [3, 2, 1])}
    assert_same_scores(models, data, QUERIES)
    on_jvm = two.copy().setThreshold(0.9).to_jvm()._java_obj
    assert on_jvm.rawThreshold() == two.copy().setThreshold(0.9).artifact.values["raw_threshold"]
    assert list(many.copy().setThresholds([3, 2, 1]).to_jvm()._java_obj.thresholds().get()) == [3, 2, 1]


def test_large_scores_have_the_probabilities_of_python(data: DataFrame) -> None:
    model = model_of(booster(ROWS, CLASS > 1, objective="binary:logistic", base_score=0.5), baseMarginCol="margin")
    large = data.withColumn("margin", F.col("margin") * 30)
    with np.errstate(over="raise"):
        expected = load(model.artifact, Hyperparameters(**model.hyperparameters()), "cpu")(Batch(features=QUERIES, base_margin=30 * MARGIN))
        expected = expected["probability"]
    scored = model.copy().setScorer("jvm").transform(large).orderBy("id").select("probability").collect()
    found = np.array([row[0].toArray() for row in scored])
    assert 0 < expected.min() < 1e-30
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_every_objective_is_predicted_as_by_the_library(data: DataFrame) -> None:
    objectives = [objective for objective in [*CLASSIFICATION, *REGRESSION, *RANKING] if objective != "reg:linear"]
    assert_same_scores({objective: model_of(grown(objective)) for objective in objectives}, data, QUERIES)


BOOSTERS = {
    "dropout": {"booster": "dart", "rate_drop": 0.5, "objective": "binary:logistic", "base_score": 0.2, "rounds": 9},
    "dropout of many classes": {"booster": "dart", "rate_drop": 0.5, "objective": "multi:softprob"},
    "a start for each class": {"objective": "multi:softprob", "base_score": [0.1, 0.7, -0.4]},
    "several trees a round": {"objective": "reg:squarederror", "num_parallel_tree": 3, "subsample": 0.5, "rounds": 2},
    "pruned": {"objective": "reg:squarederror", "tree_method": "exact", "updater": "grow_colmaker,prune", "gamma": 20.0},
    "deep": {"objective": "reg:squarederror", "max_depth": 0, "grow_policy": "lossguide", "max_leaves": 150, "min_child_weight": 0},
    "without a split": {"objective": "reg:squarederror", "gamma": 1e9, "rounds": 1},
    "never missing in training": {"objective": "reg:squarederror", "rows": FILLED},
}


def test_every_kind_of_booster_is_scored_as_by_the_library(data: DataFrame) -> None:
    models = {name: model_of(grown(**params)) for name, params in BOOSTERS.items()}
    models["cut after the best round"] = model_of(grown("reg:squarederror", rounds=9)[:4])
    assert_same_scores(models, data, QUERIES)


def test_margins_are_those_of_the_library_to_the_last_bit(data: DataFrame) -> None:
    found = grown("binary:hinge", base_score=0.37)
    model = model_of(found, scorer="jvm")
    expected = found.inplace_predict(QUERIES, predict_type="margin")
    assert np.array_equal(scores(model, model.transform(data))["raw"][:, 1], expected.astype(np.float64))


def test_base_margins_and_a_number_for_missing_values_count_as_in_python(data: DataFrame) -> None:
    models = {
        "margins": model_of(grown("count:poisson"), baseMarginCol="margin"),
        "margins of dropout": model_of(grown(**BOOSTERS["dropout"]), baseMarginCol="margin"),
        "a number is missing": model_of(grown("reg:squarederror", rows=FILLED), missing=-0.25),
        "zero is missing": model_of(grown("reg:squarederror"), missing=0),
    }
    assert_same_scores(models, data, QUERIES, base_margin=MARGIN)
    zeros = np.where(QUERIES == 0, np.nan, QUERIES)
    library = models["zero is missing"].get_booster().inplace_predict(zeros)
    found = models["zero is missing"].setScorer("jvm").transform(data)
    np.testing.assert_allclose(scores(models["zero is missing"], found)["prediction"], library, rtol=2e-6)


def test_nulls_are_missing_values_and_infinity_is_refused(bridge: SparkSession, data: DataFrame) -> None:
    values = "transform(sequence(0, 6), i -> IF((id + i) % 3 = 0, NULL, (id * i) % 5 - 2D))"
    rows = bridge.range(60).select("id", F.expr(values).alias("x")).select("*", *(F.col("x")[j].alias(f"x{j}") for j in range(7)))
    rows = rows.withColumn("floats", F.col("x").cast("array<float>")).cache()
    forms = [{"featuresCol": "x"}, {"featuresCol": "floats"}, {"featuresCols": [f"x{j}" for j in range(7)]}]
    i, j = np.arange(60)[:, None], np.arange(7)
    expected = np.where((i + j) % 3 == 0, np.nan, i * j % 5 - 2).astype(np.float32)
    assert_same_scores({str(form): model_of(grown("reg:squarederror"), **form) for form in forms}, rows, expected)
    for value, shown in {"double('-Infinity')": "-inf", "1e300D": "inf"}.items():
        bad = rows.withColumn("x", F.expr(f"transform(x, (v, i) -> IF(id = 7 AND i = 2, {value}, v))"))
        with pytest.raises(Exception, match=rf"features column 'x', element 2, is {shown} as a 32-bit float in a row of partition"):
            model_of(grown("reg:squarederror"), featuresCol="x", scorer="jvm").transform(bad).collect()
    with pytest.raises(Exception, match="column 'margin' is null in a row of partition"):
        holes = data.withColumn("margin", F.expr("nullif(margin, 2)"))
        model_of(grown("count:poisson"), baseMarginCol="margin", scorer="jvm").transform(holes).collect()


def test_wide_sparse_rows_are_scored_as_in_python(bridge: SparkSession) -> None:
    wide = np.full((100, 100_000), np.nan, np.float32)
    places = RANDOM.integers(0, 400, (100, 30)) * 250
    np.put_along_axis(wide, places, np.round(RANDOM.normal(size=places.shape), 1).astype(np.float32), axis=1)
    found = booster(wide, np.arange(100) % 3, objective="multi:softprob", num_class=3)
    stored = [np.flatnonzero(~np.isnan(row)) for row in wide]
    vectors = [(i, SparseVector(wide.shape[1], places, row[places])) for i, (row, places) in enumerate(zip(wide, stored, strict=True))]
    assert_same_scores({"wide": model_of(found)}, bridge.createDataFrame(vectors, ["id", "features"]), wide)


def test_what_the_bridge_cannot_score_is_left_to_python(data: DataFrame) -> None:
    by_category = xgb.DMatrix(CLASS[:, None], NUMBER, feature_types=["c"], enable_categorical=True)
    linear = booster(FILLED, NUMBER, objective="reg:squarederror", booster="gblinear")
    cases = {
        "linear boosters are scored in Python only": model_of(linear),
        "trees that split by categories are scored in Python only": model_of(xgb.train({"nthread": 1}, by_category, 2)),
        "trees with several scores in a leaf are scored in Python only": model_of(
            grown("multi:softprob", multi_strategy="multi_output_tree", tree_method="hist")
        ),
        "leafCol is computed in Python only": model_of(grown("reg:squarederror"), leafCol="leaf"),
    }
    codes = data.select("id", F.expr("array(id % 3)").alias("features"))
    for reason, model in cases.items():
        frame = codes if model.num_features == 1 else data
        assert (model.scorer_for(frame).name, model.scorer_for(frame).reason) == ("python", reason)
        with pytest.raises(ValueError, match=f"scorer='jvm' is not possible: {reason}"):
            model.copy().setScorer("jvm").transform(frame)
        with pytest.raises(ValueError, match=f"to_jvm is not possible: {reason}"):
            model.to_jvm()

"""Boosted trees on the JVM give what the library gives."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xgboost as xgb
from pyspark.ml.linalg import DenseVector, SparseVector, Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import XGBoostClassificationModel, XGBoostRankerModel, XGBoostRegressionModel
from sparkml_algos.algorithms.xgboost.objectives import CLASSIFICATION, RANKING, REGRESSION
from sparkml_algos.core.estimator import AlgorithmModel
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
    classes = {name: XGBoostClassificationModel for name in CLASSIFICATION} | {name: XGBoostRankerModel for name in RANKING}
    return classes.get(objective, XGBoostRegressionModel).from_booster(found, **params)


def frame_of(spark: SparkSession, rows: np.ndarray) -> DataFrame:
    """Rows in turn as dense vectors and as sparse ones, which leave out what is missing and every other zero."""

    def vector(i: int, row: np.ndarray) -> object:
        if i % 2 == 0:
            return Vectors.dense(row)
        return SparseVector(len(row), {j: float(value) for j, value in enumerate(row) if not np.isnan(value) and (value or j % 2)})

    frame = spark.createDataFrame([(i, vector(i, row), float(i % 7) - 3) for i, row in enumerate(rows)], ["id", "features", "margin"])
    return frame.repartition(2).cache()


@pytest.fixture(scope="module")
def data(bridge: SparkSession) -> DataFrame:
    """Rows as those trained on; and numbers at the ends of what 32 bits hold, zeros of both signs, rows without a value."""
    odd = np.array([3.4e38, -3.4e38, 1e-42, -1e-42, 0.0, -0.0, 0.1, np.nan])
    others = np.stack([odd[RANDOM.integers(0, 8, 7)] for _ in range(98)])
    return frame_of(bridge, np.vstack([ROWS[:100].astype(float), others, np.full((2, 7), np.nan)]))


def assert_same_scores(models: dict[str, AlgorithmModel], data: DataFrame) -> dict[str, dict[str, np.ndarray]]:
    """Of all models in one pass each; what the JVM found."""
    scored = {"python": data, "jvm": data}
    for name, model in models.items():
        for output in model.own_outputs():
            model.set(model.getParam(output.param), f"{output.field} of {name}")
        scored = {scorer: model.copy().setScorer(scorer).transform(frame) for scorer, frame in scored.items()}
    python, jvm = (frame.cache() for frame in scored.values())
    found = {name: scores(model, jvm) for name, model in models.items()}
    for name, model in models.items():
        for field, expected in scores(model, python).items():
            np.testing.assert_allclose(found[name][field], expected, rtol=2e-6, atol=1e-6, err_msg=f"{field} of {name}")
    return found


def test_every_objective_is_predicted_as_by_the_library(data: DataFrame) -> None:
    objectives = [objective for objective in [*CLASSIFICATION, *REGRESSION, *RANKING] if objective != "reg:linear"]
    models = {objective: model_of(grown(objective)) for objective in objectives}
    found = assert_same_scores(models, data)
    assert all(len(np.unique(found[objective]["prediction"])) > 1 for objective in objectives)


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
    assert_same_scores(models, data)


def test_margins_are_those_of_the_library_to_the_last_bit(data: DataFrame) -> None:
    found = grown("binary:hinge", base_score=0.37)
    model = model_of(found, scorer="jvm")
    queries = np.stack([_dense(row.features) for row in data.orderBy("id").collect()])
    expected = found.inplace_predict(queries.astype(np.float32), predict_type="margin")
    assert np.array_equal(scores(model, model.transform(data))["raw"][:, 1], expected.astype(np.float64))


def _dense(vector: DenseVector | SparseVector) -> np.ndarray:
    if isinstance(vector, DenseVector):
        return vector.toArray()
    row = np.full(vector.size, np.nan)
    row[vector.indices] = vector.values
    return row


def test_base_margins_and_a_number_for_missing_values_count_as_in_python(data: DataFrame) -> None:
    models = {
        "margins": model_of(grown("count:poisson"), baseMarginCol="margin"),
        "margins of dropout": model_of(grown(**BOOSTERS["dropout"]), baseMarginCol="margin"),
        "a number is missing": model_of(grown("reg:squarederror", rows=FILLED), missing=-0.25),
        "zero is missing": model_of(grown("reg:squarederror"), missing=0),
        "nothing else is missing": model_of(grown("reg:squarederror")),
    }
    found = {name: scored["prediction"] for name, scored in assert_same_scores(models, data).items()}
    assert not np.allclose(found["zero is missing"], found["nothing else is missing"])


def test_nulls_are_missing_values_and_infinity_is_refused(bridge: SparkSession, data: DataFrame) -> None:
    values = "transform(sequence(0, 6), i -> IF((id + i) % 3 = 0, NULL, (id * i) % 5 - 2D))"
    rows = bridge.range(60).select("id", F.expr(values).alias("x")).select("*", *(F.col("x")[j].alias(f"x{j}") for j in range(7)))
    rows = rows.withColumn("floats", F.col("x").cast("array<float>")).cache()
    forms = [{"featuresCol": "x"}, {"featuresCol": "floats"}, {"featuresCols": [f"x{j}" for j in range(7)]}]
    found = assert_same_scores({str(i): model_of(grown("reg:squarederror"), **form) for i, form in enumerate(forms)}, rows)
    assert len({tuple(scored["prediction"]) for scored in found.values()}) == 1
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
    assert_same_scores({"wide": model_of(found)}, bridge.createDataFrame(vectors, ["id", "features"]))


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
        assert model.transform(frame).count() == 200
        with pytest.raises(ValueError, match=f"scorer='jvm' is not possible: {reason}"):
            model.copy().setScorer("jvm").transform(frame)
        with pytest.raises(ValueError, match=f"to_jvm is not possible: {reason}"):
            model.to_jvm()

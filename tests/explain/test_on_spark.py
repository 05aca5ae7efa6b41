"""Attributions of a DataFrame's rows are the exact ones where there are exact ones, and add up for any pipeline."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml import Pipeline
from pyspark.ml.feature import StringIndexer, VectorAssembler

from sparkml_algos import LinearLearnerRegressor, XGBoostClassifier, XGBoostRegressor
from sparkml_algos.explain import explain


@pytest.fixture(scope="module")
def frame(spark):
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 4))
    y = x @ [1.0, -2.0, 0.5, 0.0] + x[:, 0] * x[:, 3]
    rows = [(row.tolist(), *map(float, row), "ab"[i % 2], float(label)) for i, (row, label) in enumerate(zip(x, y, strict=True))]
    return spark.createDataFrame(rows, "features array<double>, p double, q double, r double, s double, t string, label double").cache()


def values(explanation, label="label0"):
    names = [*(f"{name}_{label}" for name in explanation.features), f"expected_{label}"]
    rows = explanation.dataframe.orderBy("p").select(*(f"`{name}`" for name in names)).collect()
    found = np.array([list(row) for row in rows], float)
    return found[:, :-1], found[:, -1]


def predictions(model, frame, name="prediction"):
    return np.array([row[name] for row in model.transform(frame).orderBy("p").collect()])


def test_linear_models_are_exact_and_kernel_agrees(frame):
    model = LinearLearnerRegressor(epochs=2, mini_batch_size=50, num_workers=1, seed=1).fit(frame)
    some, baseline = frame.limit(20).cache(), [[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 2.0, 0.0]]
    exact = explain(model, some, baseline=baseline)
    found, expected = values(exact)
    assert exact.engine == "linear"
    assert found.sum(axis=1) + expected == pytest.approx(predictions(model, some), abs=1e-6)
    kernel = explain(model, some, baseline=baseline, engine="kernel")
    assert values(kernel)[0] == pytest.approx(found, abs=1e-6) and values(kernel)[1] == pytest.approx(expected, abs=1e-6)
    importances = exact.global_values()["label0"]
    assert importances == pytest.approx(dict(zip(exact.features, np.abs(found).mean(axis=0), strict=True)))
    assert exact.to_dict("mean_sq")["explanations"]["kernel_shap"]["label0"]["expected_value"] == pytest.approx(expected[0])


def test_trees_are_the_librarys_contributions(frame):
    model = XGBoostRegressor(num_round=5, max_depth=3, num_workers=1).fit(frame)
    found, expected = values(explain(model, frame))
    import xgboost as xgb

    def contributions(model):
        rows = np.array([row.features for row in frame.orderBy("p").collect()], np.float32)
        booster = model.get_booster()
        return booster.predict(xgb.DMatrix(rows, feature_names=booster.feature_names), pred_contribs=True)

    wanted = contributions(model)
    assert np.array_equal(found.astype(np.float32), wanted[:, :-1]) and np.array_equal(expected.astype(np.float32), wanted[:, -1])

    some, baseline = frame.limit(5).cache(), [[0.0, 1.0, 0.0, 1.0]]
    mixed = explain(model, some, baseline=baseline)  # which trees' own way would not look at
    assert mixed.engine == "kernel" and (values(mixed)[0].sum(axis=1) + values(mixed)[1]) == pytest.approx(
        predictions(model, some), abs=1e-5
    )

    classes = frame.selectExpr("features", "p", "int(p > 0) + int(q > 0) AS kind")
    of_classes = XGBoostClassifier(labelCol="kind", objective="multi:softprob", num_class=3, num_round=3, max_depth=3, num_workers=1).fit(
        classes
    )
    explanation, wanted = explain(of_classes, classes), contributions(of_classes)
    assert explanation.labels == ("label0", "label1", "label2")
    for i, label in enumerate(explanation.labels):
        found, expected = values(explanation, label)
        assert np.array_equal(found.astype(np.float32), wanted[:, i, :-1]) and np.array_equal(expected.astype(np.float32), wanted[:, i, -1])


def test_a_baseline_of_other_rows_and_no_rows_at_all_are_refused(frame):
    model = LinearLearnerRegressor(epochs=1, mini_batch_size=50, num_workers=1, seed=1).fit(frame)
    with pytest.raises(ValueError, match="the baseline has 2 rows of 3, 4 numbers; one row or more of 4 numbers is needed"):
        explain(model, frame, baseline=[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]])
    with pytest.raises(ValueError, match="the baseline has 0 rows of no numbers; one row or more of as many numbers each is needed"):
        explain(model, frame, baseline=[], engine="kernel")
    with pytest.raises(ValueError, match="there are no rows to explain"):
        explain(model, frame.limit(0), baseline=[[1.0, 2.0, 3.0, 4.0]]).global_values()


def test_a_pipeline_with_text_adds_up(frame):
    assembler = VectorAssembler(inputCols=["p", "q", "k"], outputCol="x")
    learner = LinearLearnerRegressor(featuresCol="x", epochs=2, mini_batch_size=50, num_workers=1)
    model = Pipeline(stages=[StringIndexer(inputCol="t", outputCol="k"), assembler, learner]).fit(frame)
    some = frame.limit(10).cache()
    found, expected = values(explain(model, some, features=["p", "q", "t"], baseline=frame.limit(3)))
    assert found.sum(axis=1) + expected == pytest.approx(predictions(model, some), abs=1e-6)
    with pytest.raises(ValueError, match="'zero' is for numbers; t are none"):
        explain(model, some, features=["p", "t"], baseline="zero")
    with pytest.raises(ValueError, match="rows that stand for features left out are needed, for t are no numbers"):
        explain(model, some, features=["p", "t"])

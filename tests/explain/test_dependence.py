"""Partial dependence of a linear model is a line, and baselines are found where none is given."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml import Pipeline
from pyspark.ml.feature import StringIndexer, VectorAssembler
from pyspark.sql import functions as F

from sparkml_algos import LinearLearnerRegressor, XGBoostRegressor
from sparkml_algos.explain import explain, partial_dependence
from sparkml_algos.explain.baselines import knee
from tests.explain.test_kernel import shapley


@pytest.fixture(scope="module")
def frame(spark):
    random = np.random.default_rng(0)
    x = random.normal(size=(240, 3)).round(3)
    rows = [
        (row.tolist(), *map(float, row), "ab"[i % 3 == 0], i % 4, f"text {i}", float(row @ [2.0, -1.0, 0.5])) for i, row in enumerate(x)
    ]
    return spark.createDataFrame(
        rows, "features array<double>, p double, q double, r double, kind string, n int, note string, label double"
    ).cache()


@pytest.fixture(scope="module")
def linear(frame):
    return LinearLearnerRegressor(epochs=3, mini_batch_size=40, num_workers=1, seed=1).fit(frame)


def test_of_a_linear_model_it_is_a_line_with_its_coefficient(frame, linear):
    first, second = partial_dependence(linear, frame, ["f1", "f0"], grid_resolution=6)
    assert (first.feature_name, first.data_type, len(first.feature_values)) == ("f1", "numerical", 6)
    slopes = np.diff(first.model_predictions[0]) / np.diff(first.feature_values)
    assert slopes == pytest.approx([linear.coefficients[1]] * 5, rel=1e-4)
    low, high = (frame.agg({"p": name}).first()[0] for name in ("min", "max"))
    assert second.feature_values[0] == pytest.approx(low + (high - low) / 12) and sum(second.data_distribution) == pytest.approx(1)
    entry = second.to_dict()
    assert set(entry) == {"feature_name", "data_type", "feature_values", "model_predictions", "data_distribution"}


def test_numbers_that_are_not_finite_have_no_bucket(frame, linear):
    odd = F.array(*(F.lit(float(text)) for text in ("nan", "inf", "-inf", "nan")))[F.col("n")]
    holes = F.when(F.col("n") > 0, odd).otherwise(F.col("features")[0])
    rows = frame.withColumn("features", F.array(holes, F.col("features")[1], F.col("features")[2]))
    (found,) = partial_dependence(linear, rows, ["f0"], grid_resolution=3)
    assert np.isfinite(found.feature_values).all() and np.isfinite(found.model_predictions).all()
    assert sum(found.data_distribution) == pytest.approx(1)


def test_columns_of_a_pipeline_may_be_of_any_type(frame):
    assembler = VectorAssembler(inputCols=["p", "k", "n"], outputCol="x")
    learner = LinearLearnerRegressor(featuresCol="x", epochs=2, mini_batch_size=40, num_workers=1, seed=1)
    model = Pipeline(stages=[StringIndexer(inputCol="kind", outputCol="k"), assembler, learner]).fit(frame)
    kind, n, note = partial_dependence(model, frame, ["kind", "n", "note"], grid_resolution=4)
    assert (kind.data_type, kind.feature_values, kind.data_distribution) == ("categorical", ("a", "b"), (2 / 3, 1 / 3))
    assert (n.data_type, len(n.feature_values)) == ("numerical", 4)
    assert note.data_type == "free_text" and "more than 100 values" in note.to_dict()["error"]
    found = partial_dependence(model, frame, explain(model, frame.limit(5), features=["p", "n"]), grid_resolution=2)
    assert {one.feature_name for one in found} == {"p", "n"}
    with pytest.raises(ValueError, match="'z' is neither a feature nor a column"):
        partial_dependence(model, frame, ["z"])


def test_without_a_baseline_clusters_are_looked_for(frame, linear):
    some = frame.limit(30).cache()
    found = explain(linear, some)
    assert found.engine == "linear" and 1 <= len(found.baseline) <= 12 and found.vector == "features"
    assert explain(linear, some).baseline == found.baseline
    names = [f"f{i}_label0" for i in range(3)]
    rows = linear.explain(some, num_clusters=3).join(linear.transform(some).select("p", "prediction"), "p").collect()
    assert [sum(row[name] for name in names) + row["expected_label0"] for row in rows] == pytest.approx(
        [row["prediction"] for row in rows], abs=1e-5
    )
    of_columns = explain(linear, some, features=["p", "n"], output="prediction", num_clusters=2)
    assert len(of_columns.baseline) == 2 and all(float(row[1]).is_integer() for row in of_columns.baseline)
    with pytest.raises(ValueError, match="kind are no numbers"):
        explain(linear, some, features=["p", "kind"])
    with pytest.raises(ValueError, match="not beside another"):
        explain(linear, some, baseline="zero", num_clusters=2)
    with pytest.raises(ValueError, match="num_clusters is from 1 to the number of rows, 30"):
        explain(linear, some, num_clusters=31)


def test_features_in_several_columns_are_explained(frame):
    model = LinearLearnerRegressor(featuresCols=["p", "q"], epochs=2, mini_batch_size=40, num_workers=1, seed=1).fit(frame)
    some = frame.limit(10).cache()
    exact, kernel = (explain(model, some, baseline=[[0.0, 1.0]], engine=engine) for engine in ("auto", "kernel"))
    assert (exact.engine, exact.features, exact.vector) == ("linear", ("p", "q"), None)
    values = [[row["p_label0"] for row in one.dataframe.orderBy("p").collect()] for one in (exact, kernel)]
    assert values[0] == pytest.approx(values[1], abs=1e-5)


def test_the_kernel_of_a_small_tree_model_is_exact(frame, spark):
    model = XGBoostRegressor(num_round=6, max_depth=3, num_workers=1, seed=1).fit(frame)
    row, baseline = [0.3, -0.2, 1.1], [[0.0, 0.5, -1.0], [1.0, -1.0, 0.2]]
    found = explain(model, spark.createDataFrame([(row,)], "features array<double>"), baseline=baseline, engine="kernel").dataframe.first()
    masks = [[bool(number >> j & 1) for j in range(3)] for number in range(8)]
    mixed = [(number, b, np.where(mask, row, base).tolist()) for number, mask in enumerate(masks) for b, base in enumerate(baseline)]
    scored = model.transform(spark.createDataFrame(mixed, "number int, b int, features array<double>")).groupBy("number").avg("prediction")
    means = {one["number"]: one[1] for one in scored.collect()}
    wanted = shapley(lambda mask: means[sum(1 << j for j in range(3) if mask[j])], 3)
    assert [found[f"f{j}_label0"] for j in range(3)] == pytest.approx(wanted, abs=1e-6)


def test_the_knee_of_distances():
    assert knee([10, 4, 1, 0.9, 0.8, 0.7]) == 2
    assert knee([0.0, 0.0, 0.0]) == 0 and knee([3.0]) == 0 and knee([3.0, 1.0]) == 1

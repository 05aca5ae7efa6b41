"""Scoring on the JVM gives what scoring in Python gives: numbers, schema, errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import SparseVector, Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import PCA
from sparkml_algos.core import bridge as on_jvm
from sparkml_algos.core.model import AlgorithmModel
from tests.jvm.models import CENTERS, MODELS, assert_same, components, kmeans, many_classes, scores, side_by_side, two_classes


def both(model: AlgorithmModel, data: DataFrame) -> dict[str, DataFrame]:
    return {scorer: model.copy().setScorer(scorer).transform(data) for scorer in ("python", "jvm")}


def assert_same_scores(model: AlgorithmModel, data: DataFrame) -> None:
    python, jvm = (scores(model, scored) for scored in both(model, data).values())
    assert_same(jvm, python)


@pytest.fixture(scope="module")
def rows(bridge: SparkSession) -> DataFrame:
    """200 rows of seven features in every form they may have; a third of the values is zero."""
    random = np.random.default_rng(0)
    values = np.where(random.random((200, 7)) < 1 / 3, 0, random.normal(0, 3, (200, 7)))

    def vector(i: int, row: np.ndarray) -> object:
        return SparseVector(7, {j: float(value) for j, value in enumerate(row) if value}) if i % 2 else Vectors.dense(row)

    mixed = bridge.createDataFrame([(i, row.tolist(), vector(i, row)) for i, row in enumerate(values)], ["id", "doubles", "mixed"])
    frame = mixed.withColumn("dense", array_to_vector("doubles")).withColumn("floats", F.col("doubles").cast("array<float>"))
    frame = frame.withColumn("integers", F.col("doubles").cast("array<int>"))
    frame = frame.select("*", *(F.col("doubles")[j].alias(f"x {j}") for j in range(7)))
    return frame.repartition(3).cache()


@pytest.mark.generic
@pytest.mark.parametrize("form", ["dense", "mixed", "doubles", "floats", "integers", "columns"])
def test_every_form_of_features_is_scored_as_in_python(rows: DataFrame, form: str) -> None:
    columns = {"featuresCols": [f"x {j}" for j in range(7)]} if form == "columns" else {"featuresCol": form}
    assert_same_scores(kmeans(CENTERS, **columns), rows)


@pytest.mark.generic
def test_every_model_scores_dense_and_sparse_rows_as_in_python(rows: DataFrame) -> None:
    models = side_by_side(featuresCol="mixed")
    scored = {"python": rows, "jvm": rows}
    for model in models.values():
        scored = {scorer: model.copy().setScorer(scorer).transform(data) for scorer, data in scored.items()}
    assert scored["python"].schema.json() == scored["jvm"].schema.json()
    python, jvm = (data.cache() for data in scored.values())
    for model in models.values():
        assert_same(scores(model, jvm), scores(model, python))


@pytest.mark.parametrize("k", [1, 4, 9])
def test_any_number_of_clusters_is_scored_as_in_python(rows: DataFrame, k: int) -> None:
    assert_same_scores(kmeans(CENTERS[:k], featuresCol="mixed"), rows)


@pytest.mark.parametrize(("features", "zeros"), [(1, 0.5), (130, 0.5), (130, 0.95), (130, 1.0)])
def test_rows_full_of_zeros_are_scored_as_in_python(bridge: SparkSession, features: int, zeros: float) -> None:
    random = np.random.default_rng(features)
    values = np.where(random.random((50, features)) < zeros, 0, random.normal(0, 1, (50, features)))
    data = bridge.createDataFrame([(i, row.tolist()) for i, row in enumerate(values)], "id long, features array<double>")
    weights = random.normal(0, 1, (64, features))  # so many that it is worth while to pick out what is not zero
    assert_same_scores(kmeans(weights), data)
    if zeros == 0.95:
        assert_same_scores(components(weights, weights[0]), data)
        assert_same_scores(many_classes(weights, weights[:, 0]), data)


def test_rows_far_from_the_origin_are_scored_as_in_python(bridge: SparkSession) -> None:
    random = np.random.default_rng(0)
    centers = 1e5 + 10 * random.normal(0, 1, (5, 16))
    values = np.repeat(centers, 10, axis=0) + random.normal(0, 1, (50, 16))
    data = bridge.createDataFrame([(i, row.tolist()) for i, row in enumerate(values)], "id long, features array<double>")
    assert_same_scores(kmeans(centers), data)
    sparse = [(i, SparseVector(16, {j: float(value) for j, value in enumerate(row)})) for i, row in enumerate(values)]
    assert_same_scores(kmeans(centers), bridge.createDataFrame(sparse, ["id", "features"]))


@pytest.mark.parametrize("sparse", [False, True])
def test_a_sentinel_far_away_leaves_rows_with_their_nearest_centre(bridge: SparkSession, sparse: bool) -> None:
    random = np.random.default_rng(0)
    centers = np.array([[0.0, 1.0, 8e8], [4.0, 1.0, 8e8], [0.0, 1.0, 0.0], [4.0, 1.0, 0.0]])
    values = np.repeat(centers, 25, axis=0) + np.column_stack([random.normal(0, 1, 100), np.zeros((100, 2))])
    values = values.astype(np.float32).astype(float)
    distances = np.linalg.norm(values[:, None] - centers, axis=2)
    rows = [(i, SparseVector(3, list(enumerate(row))) if sparse else Vectors.dense(row)) for i, row in enumerate(values)]
    scored = kmeans(centers, scorer="jvm").transform(bridge.createDataFrame(rows, ["id", "features"])).orderBy("id").toPandas()
    assert scored["prediction"].tolist() == distances.argmin(axis=1).tolist()
    np.testing.assert_allclose(scored["distance_to_cluster"], distances.min(axis=1), rtol=1e-6)


def test_large_rows_are_projected_as_precisely_as_their_smallest_component_asks(bridge: SparkSession) -> None:
    random = np.random.default_rng(0)
    large = np.rint(random.normal(0, 1e6, 200))
    values = np.column_stack([large, large + random.integers(-3, 4, 200)]).astype(float)
    data = bridge.createDataFrame([(i, row.tolist()) for i, row in enumerate(values)], "id long, features array<double>")
    model = PCA(num_components=2, num_workers=1).fit(data)
    wanted = (values - values.mean(axis=0)) @ np.asarray(model.pc.toArray())
    scored = np.stack([row[0].toArray() for row in model.setScorer("jvm").transform(data).orderBy("id").select("projection").collect()])
    np.testing.assert_allclose(scored[:, 1], wanted[:, 1], atol=1e-3 * wanted[:, 1].std())


def test_a_row_on_its_centre_is_at_distance_zero(bridge: SparkSession) -> None:
    rows = [(0, Vectors.dense([3.0, 0.0, 4.0])), (1, SparseVector(3, {0: 3.0, 2: 4.0}))]
    scored = kmeans([[1.0, 2.0, 9.0], [3.0, 0.0, 4.0]], scorer="jvm").transform(bridge.createDataFrame(rows, ["id", "features"]))
    assert [tuple(row) for row in scored.select("prediction", "distance_to_cluster").collect()] == [(1, 0.0), (1, 0.0)]


def test_a_score_at_the_threshold_is_of_class_1_and_of_equal_scores_the_first_class_wins(bridge: SparkSession) -> None:
    rows = [(0, Vectors.dense([0.25, 9.0])), (1, SparseVector(2, {0: 0.25})), (2, Vectors.dense([0.125, 0.0]))]
    data = bridge.createDataFrame(rows, ["id", "features"])
    at_threshold = two_classes([1.0, 0.0], 0.0, scorer="jvm")
    assert scores(at_threshold, at_threshold.transform(data))["predicted_label"].tolist() == [1, 1, 0]
    tied = many_classes(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), np.zeros(3), scorer="jvm")
    assert scores(tied, tied.transform(data))["predicted_label"].tolist() == [1, 1, 1]


def test_thresholds_that_are_set_decide_on_the_jvm_too(rows: DataFrame, tmp_path: Path) -> None:
    two, many = two_classes(CENTERS[0], 1.0, featuresCol="mixed"), MODELS["many classes"](featuresCol="mixed")
    before = [scores(model, model.transform(rows))["predicted_label"] for model in (two, many)]
    for model, labels in ((two.setThreshold(0.9), before[0]), (many.setThresholds([5, 4, 0.1, 2, 3]), before[1])):
        assert_same_scores(model, rows)
        assert not np.array_equal(scores(model, model.copy().setScorer("jvm").transform(rows))["predicted_label"], labels)
        model.to_jvm().save(str(tmp_path / type(model).__name__))
        loaded = type(model).load(str(tmp_path / type(model).__name__))
        assert loaded.getThresholds() == pytest.approx(model.getThresholds())


@pytest.mark.generic
@pytest.mark.parametrize("name", MODELS)
def test_the_schema_is_the_same_to_the_last_detail(rows: DataFrame, name: str) -> None:
    assembled = VectorAssembler(inputCols=[f"x {j}" for j in range(7)], outputCol="features").transform(rows)
    model = side_by_side()[name]
    scored = both(model, assembled)
    assert scored["python"].schema.json() == scored["jvm"].schema.json()
    assert scored["jvm"].columns == [*assembled.columns, *(model.value(output.param) for output in model.own_outputs())]
    if not on_jvm.is_connect(rows.sparkSession):
        assert model.to_jvm().transform(assembled).schema.json() == scored["jvm"].schema.json()


def test_an_output_named_nothing_is_left_out(rows: DataFrame) -> None:
    model = MODELS["two classes"](featuresCol="dense", rawPredictionCol="", probabilityCol="")
    for scored in both(model, rows).values():
        assert scored.columns == [*rows.columns, "prediction"]
    assert model.to_jvm().transform(rows).columns == [*rows.columns, "prediction"]
    assert model.setProbabilityCol(None).to_jvm().transform(rows).columns == [*rows.columns, "prediction"]


def test_outputs_that_have_no_column_or_one_together_are_refused_on_the_jvm(rows: DataFrame) -> None:
    model = MODELS["two classes"](featuresCol="dense", predictionCol="", rawPredictionCol="", probabilityCol="").to_jvm()
    with pytest.raises(Exception, match="no output has a column; name one of predictionCol, rawPredictionCol, probabilityCol"):
        model.transform(rows)
    with pytest.raises(Exception, match="output column 'prediction' is named twice; rename one of the outputs"):
        MODELS["two classes"](featuresCol="dense", probabilityCol="prediction").to_jvm().transform(rows)


def test_a_row_is_scored_once_for_all_its_outputs(rows: DataFrame) -> None:
    scored = kmeans(CENTERS, featuresCol="dense", scorer="jvm").transform(rows)
    plan = scored.select(F.col("prediction") + F.col("distance_to_cluster"), "prediction")._jdf.queryExecution().optimizedPlan().toString()
    assert plan.count("sparkml_algos_score(") == 1


def test_no_python_is_in_the_plan(rows: DataFrame) -> None:
    plans = {name: scored._jdf.queryExecution().toString() for name, scored in both(kmeans(CENTERS, featuresCol="dense"), rows).items()}
    assert "EvalPython" in plans["python"] and "EvalPython" not in plans["jvm"]


def test_rows_are_scored_without_generated_code_too(rows: DataFrame, bridge: SparkSession) -> None:
    bridge.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    bridge.conf.set("spark.sql.codegen.wholeStage", "false")
    try:
        assert_same_scores(kmeans(CENTERS, featuresCol="mixed"), rows)
    finally:
        bridge.conf.unset("spark.sql.codegen.factoryMode")
        bridge.conf.unset("spark.sql.codegen.wholeStage")


BAD = {
    "null": ("IF(id = 7, NULL, array(1D, 2D))", r"features column 'bad' is null in a row"),
    "null element": ("array(doubles[0], IF(id = 7, NULL, doubles[1]))", r"features column 'bad', element 1, is null in a row"),
    "NaN": ("array(0D, IF(id = 7, double('NaN'), doubles[1]))", r"features column 'bad', element 1, is nan as a 32-bit float in a row"),
    "infinity": ("array(IF(id = 7, double('-Infinity'), 1D), 0D)", r"features column 'bad', element 0, is -inf as a 32-bit float in"),
    "too large": ("array(IF(id = 7, 1e39D, 1D), 0D)", r"features column 'bad', element 0, is inf as a 32-bit float in a row"),
    "short": ("IF(id = 7, array(1D), array(1D, 2D))", r"features column 'bad' has 1 values, expected 2 in a row"),
    "float NaN": ("array(0F, IF(id = 7, float('NaN'), 1F))", r"features column 'bad', element 1, is nan as a 32-bit float in a row"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_row_that_cannot_be_scored_is_refused_in_the_words_of_training(rows: DataFrame, what: str) -> None:
    expression, message = BAD[what]
    model = kmeans(CENTERS[:, :2], featuresCol="bad", scorer="jvm")
    with pytest.raises(Exception, match=message):
        model.transform(rows.select("id", F.expr(expression).alias("bad"))).collect()


def test_a_bad_column_among_columns_is_named(rows: DataFrame) -> None:
    bad = rows.withColumn("x 1", F.expr("IF(id = 7, NULL, 1D)"))
    with pytest.raises(Exception, match="features column 'x 1' is null"):
        kmeans(CENTERS[:, :2], featuresCols=["x 0", "x 1"], scorer="jvm").transform(bad).collect()


def test_a_sparse_vector_with_a_bad_value_is_named_by_its_place(bridge: SparkSession) -> None:
    data = bridge.createDataFrame([(SparseVector(7, {2: 1.0, 5: float("inf")}),)], ["features"])
    with pytest.raises(Exception, match="features column 'features', element 5, is inf as a 32-bit float"):
        kmeans(CENTERS, scorer="jvm").transform(data).collect()


# ------------------------------------------------------------------------------------------------------------- which scorer


def test_auto_takes_the_jvm_while_it_is_faster_and_says_why(rows: DataFrame) -> None:
    assert kmeans(CENTERS, featuresCol="dense").scorer_for(rows) == on_jvm.ScorerChoice("jvm", "the JVM bridge is in the session")
    weights = np.zeros((5000, 7))
    for many in (kmeans(weights), components(weights, weights[0]), many_classes(weights, weights[:, 0])):
        assert many.scorer_for(rows) == on_jvm.ScorerChoice("python", "a model of this size is scored faster in Python")
        assert many.setScorer("jvm").scorer_for(rows).name == "jvm"
    for name, make in MODELS.items():
        assert make().scorer_for(rows).name == "jvm", name
    assert kmeans(CENTERS, scorer="python").scorer_for(rows).name == "python"


def test_where_the_jvm_is_not_there_auto_is_python_and_jvm_is_refused(rows: DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_jvm, "why_no_bridge", lambda spark: "there is none")
    model = kmeans(CENTERS, featuresCol="dense")
    assert model.scorer_for(rows) == on_jvm.ScorerChoice("python", "there is none") and model.transform(rows).count() == 200
    with pytest.raises(ValueError, match=r"scorer='jvm' is not possible: there is none"):
        model.copy().setScorer("jvm").transform(rows)
    with pytest.raises(ValueError, match=r"to_jvm is not possible: there is none"):
        model.to_jvm()


@pytest.mark.generic
def test_a_model_stays_off_the_jvm_of_a_connect_server_but_scores_there(bridge: SparkSession) -> None:
    if not on_jvm.is_connect(bridge):
        pytest.skip("needs a Connect session")
    rows = bridge.range(5).withColumn("half", F.col("id") / 2)
    model = kmeans(CENTERS[:, :2], featuresCols=["id", "half"])
    assert model.scorer_for(rows) == on_jvm.ScorerChoice("jvm", "the JVM bridge is in the session")
    assert_same_scores(model, rows)
    with pytest.raises(ValueError, match="to_jvm is not possible: a Spark Connect client does not reach the JVM"):
        model.to_jvm()

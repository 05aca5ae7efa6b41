"""Models on the JVM: what Python saved is loaded there, in pipelines, in streams, in Scala, and comes back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from py4j.java_gateway import JavaObject
from pyspark.ml import Model, PipelineModel
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import DataFrame, SparkSession

from sparkml_algos import KMeansModel
from sparkml_algos.arrays.saved import read_local
from tests.jvm.models import BIAS, CENTERS, MODELS, WEIGHTS, assert_same, kmeans, side_by_side
from tests.jvm.models import scores as scores_of

pytestmark = pytest.mark.classic

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rows(bridge: SparkSession) -> DataFrame:
    values = np.random.default_rng(0).normal(0, 3, (60, 7))
    frame = bridge.createDataFrame([(i, *row.tolist()) for i, row in enumerate(values)], ["id", *"abcdefg"])
    return VectorAssembler(inputCols=[*"abcdefg"], outputCol="features").transform(frame).cache()


@pytest.fixture
def saved(rows: DataFrame, tmp_path: Path) -> str:
    """The directory of a model that Python has saved."""
    model = kmeans(CENTERS, distanceCol="how_far", extra_center_factor=7)
    model.feature_names = [*"abcdefg"]
    model.artifact.values["train:msd"] = 1.5
    model.save(str(tmp_path / "saved"))
    return str(tmp_path / "saved")


def on_jvm(path: str, spark: SparkSession, name: str = "KMeansModel") -> JavaObject:
    return getattr(spark.sparkContext._jvm.org.sparkmlalgos.ml, name).load(path)


def scores(scored: DataFrame) -> list[tuple]:
    return [tuple(row) for row in scored.orderBy("id").select("prediction", scored.columns[-1]).collect()]


@pytest.mark.generic
def test_the_jvm_scores_with_what_python_saved(saved: str, rows: DataFrame, bridge: SparkSession) -> None:
    model = on_jvm(saved, bridge)
    scored = DataFrame(model.transform(rows._jdf), bridge)
    expected = KMeansModel.load(saved).setScorer("python").transform(rows)
    assert scored.schema.json() == expected.schema.json()
    assert np.allclose(scores(scored), scores(expected), rtol=1e-5)
    assert model.numFeatures() == 7 and model.uid() == KMeansModel.load(saved).uid
    assert [list(center.toArray()) for center in model.clusterCenters()] == CENTERS.tolist()


@pytest.mark.generic
def test_python_loads_what_the_jvm_saved_with_all_that_only_python_knows(saved: str, bridge: SparkSession, tmp_path: Path) -> None:
    on_jvm(saved, bridge).setPredictionCol("cluster").save(str(tmp_path / "again"))
    first, again = KMeansModel.load(saved), KMeansModel.load(str(tmp_path / "again"))
    expected = {param.name: value for param, value in first.extractParamMap().items()} | {"predictionCol": "cluster"}
    assert {param.name: value for param, value in again.extractParamMap().items()} == expected
    assert (again.uid, again.feature_names, str(again.training_summary)) == (first.uid, first.feature_names, str(first.training_summary))
    assert np.array_equal(again.cluster_centers, CENTERS) and again.artifact.values == first.artifact.values


# What a model on the JVM tells of itself.
FACTS = {
    "components": lambda model: (np.reshape(model.pc().values(), (5, 7)), WEIGHTS),
    "one component": lambda model: (model.mean().toArray(), CENTERS[0]),
    "regression": lambda model: ([*model.coefficients().toArray(), model.intercept()], [*WEIGHTS[0], BIAS[0]]),
    "two classes": lambda model: (model.threshold(), 1 / (1 + np.exp(-0.25))),
    "hinge loss": lambda model: (model.threshold(), 0.25),
    "many classes": lambda model: (np.reshape(model.coefficientMatrix().values(), (5, 7)), WEIGHTS),
    "trees for numbers": lambda model: (model.numFeatures(), 7),
    "trees for two classes": lambda model: (model.numClasses(), 2),
    "trees for many classes": lambda model: (model.numClasses(), 3),
    "trees that rank": lambda model: (model.numFeatures(), 7),
}


@pytest.mark.generic
@pytest.mark.parametrize("name", FACTS)
def test_every_model_goes_to_the_jvm_and_comes_back(name: str, rows: DataFrame, bridge: SparkSession, tmp_path: Path) -> None:
    model = MODELS[name](scorer="python")
    model.save(str(tmp_path / "saved"))
    moved = on_jvm(str(tmp_path / "saved"), bridge, type(model).__name__)
    scored, expected = DataFrame(moved.transform(rows._jdf), bridge), model.transform(rows)
    assert scored.schema.json() == expected.schema.json()
    found, told = FACTS[name](moved)
    assert np.allclose(found, told, rtol=1e-15)
    output = model.outputs[0].param
    moved.set(moved.getParam(output), "renamed")
    moved.save(str(tmp_path / "again"))
    again = type(model).load(str(tmp_path / "again"))
    changed = {param.name: value for param, value in again.extractParamMap().items()}
    assert changed == {param.name: value for param, value in model.extractParamMap().items()} | {output: "renamed"}
    assert (again.uid, str(again.training_summary)) == (model.uid, str(model.training_summary))
    assert again.artifact.values == model.artifact.values
    assert all(np.array_equal(again.artifact.arrays[array], values) for array, values in model.artifact.arrays.items())


def test_a_model_of_many_chunks_comes_through_the_jvm(rows: DataFrame, bridge: SparkSession, tmp_path: Path) -> None:
    centers = np.random.default_rng(2).normal(0, 1, (25_000, 7))
    kmeans(centers).save(str(tmp_path / "large"))
    on_jvm(str(tmp_path / "large"), bridge).save(str(tmp_path / "again"))
    assert np.array_equal(read_local(tmp_path / "again")[1].arrays["centers"], centers)


def test_saving_on_the_jvm_twice_needs_overwrite(saved: str, bridge: SparkSession) -> None:
    model = on_jvm(saved, bridge)
    with pytest.raises(Exception, match="exist"):
        model.save(saved)
    model.write().overwrite().save(saved)
    assert np.array_equal(KMeansModel.load(saved).cluster_centers, CENTERS)


def test_what_is_not_such_a_model_is_refused_on_the_jvm(saved: str, bridge: SparkSession) -> None:
    file = next((Path(saved) / "metadata").glob("part-*"))
    for checksum in (Path(saved) / "metadata").glob(".*.crc"):
        checksum.unlink()
    metadata = json.loads(file.read_text())
    changes = {"holds a some.Other, not a sparkml_algos": {"class": "some.Other"}, "in format 99": {"sparkml_algos": {"format": 99}}}
    for message, change in changes.items():
        file.write_text(json.dumps({**metadata, **change}))
        with pytest.raises(Exception, match=message):
            on_jvm(saved, bridge)


def test_columns_are_checked_before_anything_runs_on_the_jvm(saved: str, rows: DataFrame, bridge: SparkSession) -> None:
    model = on_jvm(saved, bridge)
    cases = {
        "featuresCol='nowhere' is not a column of the dataset; it has id, a, b": on_jvm(saved, bridge).setFeaturesCol("nowhere"),
        "features column 'id' is bigint; it must be a Vector or an array": on_jvm(saved, bridge).setFeaturesCol("id"),
        "output column 'a' exists already": on_jvm(saved, bridge).setPredictionCol("a"),
    }
    for message, wrong in cases.items():
        with pytest.raises(Exception, match=message):
            wrong.transform(rows._jdf)
    with pytest.raises(Exception, match="column 'features' has 2 features; the model takes 7"):
        model.transform(VectorAssembler(inputCols=["a", "b"], outputCol="features").transform(rows.drop("features"))._jdf)


@pytest.mark.generic
def test_to_jvm_has_uid_and_params_and_scores_without_python(saved: str, rows: DataFrame) -> None:
    model = KMeansModel.load(saved).setPredictionCol("prediction")
    moved = model.to_jvm()
    assert isinstance(moved, Model) and moved.uid == model.uid
    assert moved.getOrDefault(moved.getParam("distanceCol")) == "how_far"
    scored = moved.transform(rows)
    assert "EvalPython" not in scored._jdf.queryExecution().toString()
    assert np.allclose(scores(scored), scores(model.transform(rows)), rtol=1e-5)
    renamed = moved.copy({moved.getParam("predictionCol"): "cluster"}).transform(rows)
    assert renamed.columns[-2:] == ["cluster", "how_far"]


@pytest.mark.generic
def test_a_pipeline_for_the_jvm_is_saved_loaded_there_and_loaded_in_python(
    saved: str, rows: DataFrame, bridge: SparkSession, tmp_path: Path
) -> None:
    raw = rows.drop("features")
    pipeline = PipelineModel([VectorAssembler(inputCols=[*"abcdefg"], outputCol="features"), KMeansModel.load(saved).to_jvm()])
    expected = scores(pipeline.transform(raw))
    pipeline.save(str(tmp_path / "pipeline"))
    in_scala = bridge.sparkContext._jvm.org.apache.spark.ml.PipelineModel.load(str(tmp_path / "pipeline"))
    assert scores(DataFrame(in_scala.transform(raw._jdf), bridge)) == expected
    in_python = PipelineModel.load(str(tmp_path / "pipeline"))
    model = in_python.stages[-1]
    assert isinstance(model, KMeansModel) and model.getCenterFactor() == 7
    assert np.array_equal(model.cluster_centers, CENTERS) and scores(in_python.transform(raw)) == expected


def test_every_model_is_a_stage_of_a_pipeline_on_the_jvm(rows: DataFrame, bridge: SparkSession, tmp_path: Path) -> None:
    models = side_by_side()
    pipeline = PipelineModel([model.to_jvm() for model in models.values()])
    pipeline.save(str(tmp_path / "pipeline"))
    in_scala = bridge.sparkContext._jvm.org.apache.spark.ml.PipelineModel.load(str(tmp_path / "pipeline"))
    scored = DataFrame(in_scala.transform(rows._jdf), bridge)
    in_python = PipelineModel.load(str(tmp_path / "pipeline"))
    assert [type(stage) for stage in in_python.stages] == [type(model) for model in models.values()]
    expected = in_python.transform(rows)
    assert scored.schema.json() == expected.schema.json()
    scored, expected = scored.cache(), expected.cache()
    for model in models.values():
        assert_same(scores_of(model, scored), scores_of(model, expected))


def test_a_stream_is_scored_without_python(saved: str, rows: DataFrame, bridge: SparkSession, tmp_path: Path) -> None:
    rows.drop("features").repartition(2).write.parquet(str(tmp_path / "in"))
    pipeline = PipelineModel([VectorAssembler(inputCols=[*"abcdefg"], outputCol="features"), KMeansModel.load(saved).to_jvm()])
    stream = bridge.readStream.schema(rows.drop("features").schema).option("maxFilesPerTrigger", 1).parquet(str(tmp_path / "in"))
    scored = pipeline.transform(stream)
    assert "EvalPython" not in scored._jdf.queryExecution().toString()
    query = scored.writeStream.format("memory").queryName("scored_stream").trigger(availableNow=True).start()
    assert query.awaitTermination(60)
    assert scores(bridge.table("scored_stream")) == scores(pipeline.transform(rows.drop("features")))

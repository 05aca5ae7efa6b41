"""A pipeline as one graph answers what Spark's transform does."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml import feature as sf
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession

from sparkml_algos import KMeans, LinearLearnerBinaryClassifier
from sparkml_algos.export import CannotExport, export

CITIES = ["Ulm", "Bonn", "Köln", "a,b", " "]


@pytest.mark.classic
def test_sparks_stages_and_a_model_in_one_graph(spark: SparkSession, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    rows = []
    for place in range(120):
        values = random.normal(0, 10, 6).round(3).tolist()
        gap = None if place % 7 == 3 else values[2]
        rows.append((values[0], values[1], gap, CITIES[place % 5], Vectors.dense(values[3:]), place % 2))
    frame = spark.createDataFrame(rows, ["a", "b", "gap", "city", "raw", "label"])
    edges = [-math.inf, -5.0, 0.0, 5.0, math.inf]
    stages = [
        sf.Imputer(inputCols=["gap"], outputCols=["filled"], strategy="median"),
        sf.StringIndexer(inputCols=["city"], outputCols=["city_index"]),
        sf.OneHotEncoder(inputCols=["city_index"], outputCols=["city_hot"], handleInvalid="keep"),
        sf.Bucketizer(splits=edges, inputCol="b", outputCol="bucket"),
        sf.Binarizer(threshold=1.0, inputCol="a", outputCol="is_large"),
        sf.VectorSizeHint(inputCol="raw", size=3),
        sf.ElementwiseProduct(scalingVec=Vectors.dense([1.0, 2.0, 3.0]), inputCol="raw", outputCol="times"),
        sf.VectorAssembler(inputCols=["filled", "b", "city_hot", "times", "bucket", "is_large"], outputCol="assembled"),
        sf.StandardScaler(inputCol="assembled", outputCol="standard", withMean=True),
        sf.RobustScaler(inputCol="assembled", outputCol="robust", withCentering=True),
        sf.MinMaxScaler(inputCol="robust", outputCol="within", min=-1.0, max=2.0),
        sf.MaxAbsScaler(inputCol="within", outputCol="most"),
        sf.Normalizer(inputCol="most", outputCol="unit3", p=3.0),
        sf.Normalizer(inputCol="standard", outputCol="unit2"),
        sf.VarianceThresholdSelector(featuresCol="standard", outputCol="varied", varianceThreshold=0.1),
        sf.PCA(k=2, inputCol="varied", outputCol="components"),
        sf.VectorSlicer(indices=[1, 0], inputCol="components", outputCol="slice"),
        sf.VectorAssembler(inputCols=["unit2", "unit3", "slice"], outputCol="all"),
        KMeans(k=3, featuresCol="standard", predictionCol="cluster", num_workers=1),
        LinearLearnerBinaryClassifier(featuresCol="all", labelCol="label", num_models=2, epochs=2, num_workers=1),
        sf.IndexToString(inputCol="city_index", outputCol="city_again"),
    ]
    model = Pipeline(stages=stages).fit(frame)
    report = export(model, tmp_path / "model.onnx")
    assert report.differing == 0 and report.largest <= 1e-6
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    names = {one.name: one.type for one in session.get_inputs()}
    assert names == dict.fromkeys(["gap", "b", "a", "raw"], "tensor(double)") | {"city": "tensor(string)"}
    feeds = {
        "gap": np.array([np.nan if row[2] is None else row[2] for row in rows]),
        "a": np.array([row[0] for row in rows]),
        "b": np.array([row[1] for row in rows]),
        "raw": np.array([row[4].toArray() for row in rows]),
        "city": np.array([row[3] for row in rows], object),
    }
    found = dict(zip([one.name for one in session.get_outputs()], session.run(None, feeds), strict=True))
    expected = model.transform(frame).collect()
    assert [row["cluster"] for row in expected] == found["cluster"].tolist()
    assert [row["city_again"] for row in expected] == found["city_again"].tolist()
    np.testing.assert_allclose(found["probability"], [row["probability"].toArray() for row in expected], rtol=1e-6)
    # A label that the pipeline does not know ends the run, as it ends Spark's.
    with pytest.raises(Exception, match=r"out of data bounds|out of bounds"):
        session.run(None, {**feeds, "city": np.array(["Rom"] * len(rows), object)})


@pytest.mark.classic
def test_a_stage_without_an_equal_is_named(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([("a b",), ("b c",)], "text string")
    model = Pipeline(stages=[sf.Tokenizer(inputCol="text", outputCol="words"), sf.HashingTF(inputCol="words", outputCol="features")]).fit(
        frame
    )
    with pytest.raises(CannotExport, match=r"stage Tokenizer_\w+ \(Tokenizer\) cannot be exported"):
        export(model, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.classic
def test_vectors_of_which_no_stage_tells_the_length_need_it_said(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([(Vectors.dense([1.0, 2.0]),), (Vectors.dense([3.0, 5.0]),)], ["raw"])
    model = PipelineModel([sf.Normalizer(inputCol="raw", outputCol="unit")])
    assert model.transform(frame).count() == 2
    with pytest.raises(CannotExport, match=r"widths={'raw': …}"):
        export(model, tmp_path / "model.onnx")
    assert export(model, tmp_path / "model.onnx", widths={"raw": 2}).largest <= 1e-12


@pytest.mark.classic
def test_a_fitted_model_exports_itself(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([([float(i % 4), float(i % 6)],) for i in range(60)], "features array<double>")
    report = KMeans(k=3, seed=1, num_workers=1).fit(frame).export(str(tmp_path / "model.onnx"))
    assert report.differing == 0 and (tmp_path / "model.onnx").stat().st_size == report.bytes

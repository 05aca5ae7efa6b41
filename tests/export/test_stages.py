"""Spark's stages as nodes of a graph, beside the functions over arrays that endpoints serve them by; stages are as Spark saves them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.export import CannotExport, export
from sparkml_algos.export.graph import Graph
from sparkml_algos.export.stages import ASSEMBLER, STAGES
from sparkml_algos.serving.contract import Options
from sparkml_algos.serving.pipelines.pipeline import ServedPipeline
from sparkml_algos.serving.pipelines.saved import CannotServe
from tests.export.models import features_of, saved_as
from tests.saved.expected import SAVED

SPARK = "org.apache.spark.ml.feature."
RANDOM = np.random.default_rng(3)
VALUES = RANDOM.normal(size=4)
SPREAD = np.array([2.0, 0.0, 0.5, 3.0])


def vector(values: np.ndarray) -> dict[str, Any]:
    return {"type": 1, "size": None, "indices": None, "values": np.asarray(values, float).tolist()}


def matrix(values: np.ndarray) -> dict[str, Any]:
    rows, columns = values.shape
    return {"type": 1, "numRows": rows, "numCols": columns, "values": values.T.ravel().tolist(), "isTransposed": False}


def stage(name: str, data: dict[str, Any] | None = None, **params: Any) -> tuple[str, dict[str, Any] | None, dict[str, Any]]:
    return f"{SPARK}{name}", data, params


def pipeline(folder: Path, *stages: Any) -> Path:
    """A saved pipeline of stages, each as `stage` gives it, or a saved directory."""
    uids = []
    for number, one in enumerate(stages):
        if isinstance(one, Path):
            uid = json.loads((one / "metadata" / "part-0").read_text())["uid"]
            path = folder / "stages" / f"{number}_{uid}"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(one, path)
        else:
            cls, data, params = one
            uid = f"{cls.rpartition('.')[2]}_{number}"
            path = folder / "stages" / f"{number}_{uid}"
            (path / "metadata").mkdir(parents=True)
            (path / "metadata" / "part-0").write_text(json.dumps({"class": cls, "uid": uid, "paramMap": params, "defaultParamMap": {}}))
            if data is not None:
                (path / "data").mkdir()
                pq.write_table(pa.Table.from_pylist([data]), path / "data" / "part-0.parquet")
        uids.append(uid)
    (folder / "metadata").mkdir(parents=True)
    metadata = {"class": "org.apache.spark.ml.PipelineModel", "uid": "pipeline", "paramMap": {"stageUids": uids}, "defaultParamMap": {}}
    (folder / "metadata" / "part-0").write_text(json.dumps(metadata))
    return folder


IN = {"inputCol": "raw", "outputCol": "out"}
ERROR = {"handleInvalid": "error"}
KEEP = {"handleInvalid": "keep"}
EDGES = ["-Inf", -5.0, 0.0, 5.0, "Inf"]
CITIES = ["Ulm", "Bonn", "Köln"]
OF_VECTORS = {
    "ChiSqSelectorModel": stage("ChiSqSelectorModel", {"selectedFeatures": [3, 1]}, featuresCol="raw", outputCol="out"),
    "ElementwiseProduct": stage("ElementwiseProduct", scalingVec={"type": 0, "size": 4, "indices": [1, 2], "values": [2.0, 3.0]}, **IN),
    "IDFModel": stage("IDFModel", {"idf": vector(VALUES)}, **IN),
    "MaxAbsScalerModel": stage("MaxAbsScalerModel", {"maxAbs": vector(SPREAD)}, **IN),
    "MinMaxScalerModel": stage(
        "MinMaxScalerModel", {"originalMin": vector(VALUES), "originalMax": vector(VALUES + SPREAD)}, min=-1.0, max=2.0, **IN
    ),
    "Normalizer": stage("Normalizer", p=2.0, **IN),
    "Normalizer, 1": stage("Normalizer", p=1.0, **IN),
    "Normalizer, 3": stage("Normalizer", p=3.0, **IN),
    "Normalizer, largest": stage("Normalizer", p=float("inf"), **IN),
    "PCAModel": stage("PCAModel", {"pc": matrix(RANDOM.normal(size=(4, 2)))}, **IN),
    "RobustScalerModel": stage(
        "RobustScalerModel", {"median": vector(VALUES), "range": vector(SPREAD)}, withCentering=True, withScaling=True, **IN
    ),
    "StandardScalerModel": stage("StandardScalerModel", {"mean": vector(VALUES), "std": vector(SPREAD)}, withMean=True, withStd=True, **IN),
    "StandardScalerModel, spread": stage(
        "StandardScalerModel", {"mean": vector(VALUES), "std": vector(SPREAD)}, withMean=False, withStd=True, **IN
    ),
    "UnivariateFeatureSelectorModel": stage(
        "UnivariateFeatureSelectorModel", {"selectedFeatures": [2]}, featuresCol="raw", outputCol="out"
    ),
    "VarianceThresholdSelectorModel": stage(
        "VarianceThresholdSelectorModel", {"selectedFeatures": [0, 2]}, featuresCol="raw", outputCol="out"
    ),
    "VectorSlicer": stage("VectorSlicer", names=[], indices=[2, 0], **IN),
    "Binarizer of vectors": stage("Binarizer", threshold=0.5, **IN),
}
OF_COLUMNS = {
    "Binarizer": [stage("Binarizer", thresholds=[0.5, 1.0], inputCols=["a", "b"], outputCols=["c", "d"])],
    "Bucketizer": [stage("Bucketizer", splits=EDGES, inputCol="a", outputCol="b", **KEEP)],
    "Bucketizer of several": [
        stage("Bucketizer", splitsArray=[EDGES, [-1.0, 0.0, 9.0]], inputCols=["a", "b"], outputCols=["c", "d"], **ERROR)
    ],
    "ImputerModel": [stage("ImputerModel", {"a": 3.5, "b": -1.0}, missingValue=7.0, inputCols=["a", "b"], outputCols=["c", "d"])],
    "OneHotEncoderModel": [
        stage("OneHotEncoderModel", {"categorySizes": [3, 4]}, inputCols=["a", "b"], outputCols=["c", "d"], dropLast=True, **ERROR),
        stage("VectorAssembler", inputCols=["c", "a", "d"], outputCol="out", **ERROR),
    ],
    "OneHotEncoderModel that keeps": [
        stage("OneHotEncoderModel", {"categorySizes": [3]}, inputCols=["a"], outputCols=["c"], dropLast=False, **KEEP),
        stage("VectorAssembler", inputCols=["c", "a"], outputCol="out", **ERROR),
    ],
    "StringIndexerModel": [
        stage("StringIndexerModel", {"labelsArray": [CITIES, ["x", "y"]]}, inputCols=["a", "b"], outputCols=["c", "d"], **KEEP),
        stage("IndexToString", inputCol="c", outputCol="again"),
    ],
    "VectorSizeHint": [
        stage("VectorSizeHint", inputCol="raw", size=4, **ERROR),
        stage("VectorAssembler", inputCols=["raw", "b"], outputCol="out", **ERROR),
        stage("Normalizer", p=2.0, inputCol="out", outputCol="unit"),
    ],
}


def test_small_constants_are_kept_once_and_large_ones_not_twice() -> None:
    graph = Graph()
    assert graph.reals([1.0, 2.0]) == graph.reals([1.0, 2.0]) != graph.ints(1, 2)
    graph.reals(np.zeros(100_000))
    assert sum(len(content) for _, _, content in graph._known) < 100


def test_every_stage_is_tried() -> None:
    tried = {name.partition(",")[0].partition(" of ")[0].partition(" that ")[0] for name in (*OF_VECTORS, *OF_COLUMNS)}
    assert {f"{SPARK}{name}" for name in tried} | {f"{SPARK}IndexToString"} == set(STAGES)
    assert "VectorAssembler" in ASSEMBLER


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("name", OF_VECTORS)
def test_stages_of_vectors(name: str, precision: str, tmp_path: Path) -> None:
    path = pipeline(tmp_path / "saved", OF_VECTORS[name])
    report = export(path, tmp_path / "model.onnx", widths={"raw": 4}, precision=precision)
    assert report.largest <= (1e-12 if precision == "float64" else 1e-5) and [one.output for one in report.differences] == ["out"]


@pytest.mark.parametrize("name", OF_COLUMNS)
def test_stages_of_columns(name: str, tmp_path: Path) -> None:
    report = export(pipeline(tmp_path / "saved", *OF_COLUMNS[name]), tmp_path / "model.onnx")
    assert report.largest <= 1e-12 and report.differing == 0


def test_stages_and_a_model_are_one_graph(tmp_path: Path) -> None:
    centers = saved_as(
        tmp_path / "centers", "KMeansModel", Artifact({"centers": RANDOM.normal(size=(3, 5))}), facts=features_of(5), featuresCol="all"
    )
    stages = [
        stage("StringIndexerModel", {"labelsArray": [CITIES]}, inputCols=["city"], outputCols=["index"], **ERROR),
        stage("OneHotEncoderModel", {"categorySizes": [3]}, inputCols=["index"], outputCols=["hot"], dropLast=True, **ERROR),
        stage("ImputerModel", {"a": 3.5}, missingValue=float("nan"), inputCols=["a"], outputCols=["filled"]),
        stage("VectorAssembler", inputCols=["hot", "filled", "b", "index"], outputCol="all", **ERROR),
        centers,
        stage("IndexToString", inputCol="index", outputCol="again"),
    ]
    report = export(pipeline(tmp_path / "saved", *stages), tmp_path / "model.onnx")
    assert report.differing == 0 and report.largest <= 1e-6
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert {one.name: one.type for one in session.get_inputs()} == {
        "city": "tensor(string)", "a": "tensor(double)", "b": "tensor(double)"
    }  # fmt: skip
    feeds = {"city": np.array(["Ulm", "Köln"], object), "a": np.array([1.0, np.nan]), "b": np.zeros(2)}
    assert session.run(["again"], feeds)[0].tolist() == ["Ulm", "Köln"]
    # A label that the pipeline does not know ends the run.
    with pytest.raises(Exception, match=r"out of data bounds|out of bounds"):
        session.run(None, {**feeds, "city": np.array(["Rom", "Ulm"], object)})


def test_labels_to_train_on_are_not_asked_for(tmp_path: Path) -> None:
    centers = saved_as(
        tmp_path / "centers", "KMeansModel", Artifact({"centers": RANDOM.normal(size=(2, 2))}), facts=features_of(2), featuresCol="all",
        predictionCol="found",
    )  # fmt: skip
    stages = [
        stage("StringIndexerModel", {"labelsArray": [["no", "yes"]]}, inputCols=["kind"], outputCols=["label"], **ERROR),
        stage("OneHotEncoderModel", {"categorySizes": [2]}, inputCols=["label"], outputCols=["unused"], dropLast=True, **ERROR),
        stage("VectorAssembler", inputCols=["a", "b"], outputCol="all", **ERROR),
        centers,
        stage("IndexToString", inputCol="found", outputCol="said", labels=["no", "yes"]),
    ]
    path = pipeline(tmp_path / "saved", *stages)
    assert export(path, tmp_path / "model.onnx").differing == 0
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert [one.name for one in session.get_inputs()] == ["a", "b"]
    served = ServedPipeline.load(path, Options())
    assert list(served.inputs) == ["a", "b"]
    columns = {"a": np.array([1.0, -1.0]), "b": np.array([0.5, 2.0])}
    said = served.transform(columns)["said"]
    assert list(said) == session.run(["said"], columns)[0].tolist()
    # Where they are there, they are looked at, as in Spark.
    assert served.transform({**columns, "kind": ["yes", "no"]})["label"].tolist() == [1, 0]


def test_a_stage_without_an_equal_is_named(tmp_path: Path) -> None:
    words = stage("Tokenizer", inputCol="text", outputCol="words")
    with pytest.raises(CannotExport, match=r"stage Tokenizer_0 \(Tokenizer\) cannot be exported"):
        export(pipeline(tmp_path / "saved", words), tmp_path / "model.onnx")
    skipping = stage("Bucketizer", splits=EDGES, inputCol="a", outputCol="b", handleInvalid="skip")
    with pytest.raises(CannotServe, match="handleInvalid='skip'"):
        export(pipeline(tmp_path / "skipping", skipping), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_vectors_of_which_no_stage_tells_the_length_need_it_said(tmp_path: Path) -> None:
    with pytest.raises(CannotExport, match=r"widths={'raw': …}"):
        export(pipeline(tmp_path / "saved", OF_VECTORS["Normalizer"]), tmp_path / "model.onnx")


def test_a_saved_pipeline_of_five_models_is_one_graph(tmp_path: Path) -> None:
    report = export(SAVED / "PipelineModel", tmp_path / "model.onnx")
    assert report.model == "PipelineModel" and report.differing == 0 and report.largest <= report.tolerance
    assert {one.output for one in report.differences} >= {"cluster", "projection", "line", "score", "prediction", "probability"}
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert [(one.name, one.type, len(one.shape)) for one in session.get_inputs()] == [(name, "tensor(double)", 1) for name in "abc"]

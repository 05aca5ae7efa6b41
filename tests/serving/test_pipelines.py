"""Saved pipelines without Spark compute what Spark's transform does."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml import feature as sf
from pyspark.ml.linalg import Vector, Vectors
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkml_algos import BlazingTextWord2Vec, KMeans, LinearLearnerBinaryClassifier, Shingle, Vocabulary
from sparkml_algos.formats.content_types import ContentType
from sparkml_algos.images.decoding import encode_png
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.serving.contract import Options
from sparkml_algos.serving.contract import Servable as Served
from sparkml_algos.serving.models import load as load_model
from sparkml_algos.serving.pipelines import ServedPipeline
from sparkml_algos.serving.pipelines.columns import VECTOR, java_double, java_text
from sparkml_algos.serving.pipelines.own import OUTPUTS, settle
from sparkml_algos.serving.pipelines.pipeline import _column
from sparkml_algos.serving.servable import load_servable
from tests.export.models import saved_as
from tests.saved.expected import SAVED

JSON, CSV = ContentType("application/json"), ContentType("text/csv")
CITIES = ["Ulm", "Bonn", "Köln", "a,b", " "]
TEXTS = ["The  quick BROWN fox", " leading and trailing  ", "", "a-b_c d4.5, the the", "Ünïcödé wörds\tand\nlines", "x", "  "]


def answered(model: Served, body: bytes, content_type: ContentType = JSON, accept: ContentType = JSON) -> bytes:
    request = model.decode(body, content_type)
    return model.respond(request, [model.score(work.columns, work.variant) for work in model.work(request, accept)], accept)


def rows_of_numbers(count: int) -> list[tuple]:
    random = np.random.default_rng(1)
    found = []
    for place in range(count):
        values = random.normal(0, 10, 6).round(3).tolist()
        gap = None if place % 7 == 3 else values[2]
        vector = Vectors.dense(values[3:]) if place % 2 else Vectors.sparse(3, [1], [values[4]])
        found.append((place, values[0], values[1], gap, CITIES[place % 5], place % 4, vector, place % 2))
    return found


def of_spark(value: object) -> object:
    return value.toArray().tolist() if isinstance(value, Vector) else value


def compare(served: ServedPipeline, model: PipelineModel, rows: list[dict], spark_rows: list[dict], only: list[str]) -> None:
    columns = {name: [of_spark(row[name]) for row in rows] for name in served.inputs}
    body = json.dumps(
        {
            "instances": [
                {n: None if isinstance(v[i], float) and math.isnan(v[i]) else v[i] for n, v in columns.items()} for i in range(len(rows))
            ]
        }
    )
    request = served.decode(body.encode(), JSON)
    frame = served.transform(request.parts[0].columns)
    for name in only:
        settle(frame, name)
        found = frame[name].toarray() if sp.issparse(frame[name]) else frame[name]
        wanted = [of_spark(row[name]) for row in spark_rows]
        if isinstance(wanted[0], str) or isinstance(wanted[0], list) and any(isinstance(one, str) for row in wanted for one in row):
            assert list(found) == wanted, name
        else:
            np.testing.assert_allclose(np.array(list(found), float), np.array(wanted, float), rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.classic
def test_stages_of_numbers(spark: SparkSession, tmp_path: Path) -> None:
    names = "id a b gap city code raw label"
    types = "id long, a double, b double, gap double, city string, code int, raw vector, label int"
    assert len(names.split()) == len(types.split(","))
    frame = spark.createDataFrame(rows_of_numbers(60), names.split()).withColumn("code", F.col("code").cast("int"))
    edges = [-math.inf, -5.0, 0.0, 5.0, math.inf]
    thirds = frame.select((F.col("id") % 3).cast("double").alias("third"))
    of_thirds = sf.OneHotEncoder(inputCol="third", outputCol="any_hot", handleInvalid="keep").fit(thirds)
    stages = [
        sf.Imputer(inputCols=["gap", "a"], outputCols=["filled", "a_filled"], strategy="median"),
        sf.StringIndexer(inputCols=["city", "code"], outputCols=["city_index", "code_index"], handleInvalid="keep"),
        sf.OneHotEncoder(inputCols=["city_index", "code_index"], outputCols=["city_hot", "code_hot"], handleInvalid="keep"),
        sf.OneHotEncoder(inputCol="code_index", outputCol="all_hot", dropLast=False),
        of_thirds.setInputCol("b"),
        sf.Bucketizer(splits=edges, inputCol="b", outputCol="bucket"),
        sf.Bucketizer(splitsArray=[edges, edges], inputCols=["a", "gap"], outputCols=["a_bucket", "gap_bucket"], handleInvalid="keep"),
        sf.QuantileDiscretizer(numBuckets=4, inputCol="a", outputCol="quartile"),
        sf.Binarizer(threshold=1.0, inputCol="a", outputCol="is_large"),
        sf.VectorAssembler(inputCols=["filled", "b", "city_hot", "raw", "bucket"], outputCol="assembled"),
        sf.VectorAssembler(inputCols=["gap", "b"], outputCol="with_gaps", handleInvalid="keep"),
        sf.StandardScaler(inputCol="assembled", outputCol="standard", withMean=True),
        sf.StandardScaler(inputCol="assembled", outputCol="spread"),
        sf.RobustScaler(inputCol="assembled", outputCol="robust", withCentering=True),
        sf.MinMaxScaler(inputCol="assembled", outputCol="within", min=-1.0, max=2.0),
        sf.MaxAbsScaler(inputCol="assembled", outputCol="most"),
        sf.Normalizer(inputCol="assembled", outputCol="unit"),
        sf.Normalizer(inputCol="assembled", outputCol="unit1", p=1.0),
        sf.Normalizer(inputCol="assembled", outputCol="unit3", p=3.0),
        sf.Normalizer(inputCol="assembled", outputCol="largest", p=math.inf),
        sf.ElementwiseProduct(scalingVec=Vectors.dense([1.0, 2.0, 3.0]), inputCol="raw", outputCol="times"),
        sf.VectorSlicer(indices=[2, 0], inputCol="raw", outputCol="slice"),
        sf.VectorSizeHint(inputCol="raw", size=3),
        sf.VarianceThresholdSelector(featuresCol="assembled", outputCol="varied", varianceThreshold=1.0),
        sf.PCA(k=2, inputCol="standard", outputCol="components"),
        sf.IndexToString(inputCol="city_index", outputCol="city_again"),
        KMeans(k=3, featuresCol="standard", predictionCol="cluster", num_workers=1),
        LinearLearnerBinaryClassifier(featuresCol="assembled", labelCol="label", num_models=2, epochs=2, num_workers=1),
    ]  # fmt: skip
    model = Pipeline(stages=stages).fit(frame)
    model.write().save(str(tmp_path / "numbers"))
    served = load_servable(tmp_path / "numbers")
    assert list(served.inputs) == ["gap", "a", "city", "code", "b", "raw"]
    rows = [row.asDict() for row in frame.collect()]
    spark_rows = [row.asDict() for row in model.transform(frame).collect()]
    made = [name for stage in served._stages for name in stage.makes]
    assert len(made) > 30
    # The distance is computed in float32 by products or differences, as the number of rows makes quicker.
    compare(served, model, rows, spark_rows, [name for name in made if name not in ("distance_to_cluster",)])

    answer = json.loads(
        answered(served, json.dumps({"instances": [{"gap": None, "a": 1, "city": "Rom", "code": 3, "b": 2, "raw": [1, 2, 3]}]}).encode())
    )
    assert set(answer["predictions"][0]) == {"score", "predicted_label"}
    with pytest.raises(ValueError, match="instance 0: it has no 'raw'"):
        served.decode(b'{"instances": [{"gap": 1, "a": 1, "city": "Rom", "code": 3, "b": 2}]}', JSON)
    body = json.dumps({"instances": [{"gap": 1, "a": 1, "city": "Ulm", "code": 3, "b": 2, "raw": [1, 2]}]}).encode()
    with pytest.raises(InvalidRows, match=r"stage StandardScaler.*column 'assembled' has 11 values, expected 12 in row 0"):
        answered(served, body)


@pytest.mark.classic
def test_stages_of_texts(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([(place, TEXTS[place % len(TEXTS)] + f" w{place % 3}") for place in range(21)], "id long, text string")
    stages = [
        sf.Tokenizer(inputCol="text", outputCol="words"),
        sf.RegexTokenizer(inputCol="text", outputCol="by_sign", pattern=r"\W+", minTokenLength=2),
        sf.RegexTokenizer(inputCol="text", outputCol="found", pattern=r"[a-z]+\d?", gaps=False, toLowercase=False),
        sf.StopWordsRemover(inputCol="words", outputCol="kept"),
        sf.NGram(n=2, inputCol="kept", outputCol="pairs"),
        sf.CountVectorizer(inputCol="kept", outputCol="counts", minDF=2.0, minTF=1.0),
        sf.CountVectorizer(inputCol="kept", outputCol="is_there", binary=True, minTF=0.2),
        sf.HashingTF(inputCol="words", outputCol="hashed", numFeatures=64),
        sf.IDF(inputCol="counts", outputCol="weighted", minDocFreq=2),
        Vocabulary(inputCols=["kept"], outputCols=["ids"], max_size=8),
        BlazingTextWord2Vec(
            mode="skipgram", textCol="words", vectorCol="vector", vector_dim=4, min_count=1, epochs=1, num_workers=1
        ),
    ]  # fmt: skip
    model = Pipeline(stages=stages).fit(frame)
    model.write().save(str(tmp_path / "texts"))
    served = load_servable(tmp_path / "texts")
    assert served.inputs == {"text": "text"}
    rows = [row.asDict() for row in frame.collect()]
    spark_rows = [row.asDict() for row in model.transform(frame).collect()]
    for row in spark_rows:
        row["ids"] = list(row["ids"])
    ids = served.transform({"text": [row["text"] for row in rows]})["ids"]
    assert ids == [row["ids"] for row in spark_rows]
    made = [name for stage in served._stages for name in stage.makes if name != "ids"]
    compare(served, model, rows, spark_rows, made)
    # A text is a text wherever it stands.
    bare, named = (answered(served, json.dumps({"instances": [one]}).encode()) for one in ("the fox", {"text": "the fox"}))
    assert bare == named == answered(served, b'"the fox"\n', CSV, JSON)


@pytest.mark.classic
@pytest.mark.parametrize(
    ("values", "cells", "places"),
    [
        ([3.0, 3.0, 2.5, 3.0, 2.5, 1e7], ["3", "3.0", "2.5", "1e7", "x"], [0, 0, 1, 2, 3]),
        ([3, 3, 7], ["3", "7", "3.0"], [0, 1, 2]),
        (["3", "3", "7"], ["3", "7", "3.0"], [0, 1, 2]),
    ],
)
def test_labels_that_were_doubles_are_found_in_csv(
    spark: SparkSession, tmp_path: Path, values: list[object], cells: list[str], places: list[float]
) -> None:
    frame = spark.createDataFrame([(value,) for value in values], ["x"])
    model = Pipeline(stages=[sf.StringIndexer(inputCol="x", outputCol="place", handleInvalid="keep")]).fit(frame)
    model.write().save(str(tmp_path / "model"))
    served = load_servable(tmp_path / "model")
    request = served.decode("".join(f"{cell}\n" for cell in cells).encode(), CSV)
    assert served.transform(request.parts[0].columns)["place"].tolist() == places


@pytest.mark.classic
def test_a_stage_that_cannot_be_translated_is_named_when_it_is_loaded(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([(1.0, "a"), (2.0, "b")], "x double, t string")
    refused = {
        "SQLTransformer": sf.SQLTransformer(statement="SELECT * FROM __THIS__"),
        "skip": sf.StringIndexer(inputCol="t", outputCol="i", handleInvalid="skip"),
        "Java's alone": sf.RegexTokenizer(inputCol="t", outputCol="w", pattern=r"\p{Punct}"),
        "rows beside": Shingle(inputCols=["x"], timeCol="x", size=1),
    }
    for place, (said, stage) in enumerate(refused.items()):
        Pipeline(stages=[stage]).fit(frame).write().save(str(tmp_path / f"{place}"))
        with pytest.raises(ValueError, match=said):
            load_servable(tmp_path / f"{place}")


# ----------------------------------------------------------------------------------------------- without a session


def test_a_saved_pipeline_of_an_earlier_version_gives_what_it_did() -> None:
    saved = json.loads((SAVED / "PipelineModel.json").read_text())
    for name in ("PipelineModel", "PipelineModelOnJvm"):
        served = load_servable(SAVED / name)
        frame = served.transform({one: np.array([row[one] for row in saved["rows"]]) for one in served.inputs})
        for column, wanted in saved["outputs"].items():
            settle(frame, column)
            np.testing.assert_allclose(np.asarray(frame[column], float), np.asarray(wanted, float), rtol=1e-6, atol=1e-6)


def test_rows_come_as_objects_lists_tables_and_lines() -> None:
    served = load_servable(SAVED / "PipelineModel")
    bodies = [
        b'{"instances": [{"a": 1, "b": 2, "c": 3}]}',
        b'{"instances": [{"features": [1, 2, 3]}]}',
        b'{"instances": [{"data": {"features": {"values": [1, 2, 3]}}}]}',
        b'{"instances": [[1, 2, 3]]}',
        b'[{"c": 3, "b": 2, "a": 1}]',
        b'{"dataframe_records": [{"a": 1, "b": 2, "c": 3}]}',
        b'{"dataframe_split": {"columns": ["c", "a", "b"], "data": [[3, 1, 2]]}}',
    ]
    answers = {answered(served, body) for body in bodies}
    answers.add(answered(served, b"1,2,3\n", CSV))
    answers.add(answered(served, b'{"a": 1, "b": 2, "c": 3}\n', ContentType("application/jsonlines")))
    assert len(answers) == 1


def test_columns_of_csv_may_be_named_and_others_left_unread() -> None:
    served = load_servable(SAVED / "PipelineModel", Options(columns=("c", "id", "b", "a")))
    assert answered(served, b"3,x,2,1\n", CSV) == answered(load_servable(SAVED / "PipelineModel"), b"1,2,3\n", CSV)
    with pytest.raises(ValueError, match="columns must name all"):
        load_servable(SAVED / "PipelineModel", Options(columns=("c", "b")))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"1,2\n", "row 0: 2 cells, expected 3: a, b, c"),
        (b"1,2,x\n", "instance 0: c must be a number, got 'x'"),
        (b'1,2,"3\n', "not CSV"),
        (b"1,2,\n", "column 'c' is missing or NaN in row 0"),
    ],
)
def test_a_wrong_line_is_named(body: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        answered(load_servable(SAVED / "PipelineModel"), body, CSV)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1.0"), (-0.0, "-0.0"), (0.001, "0.001"), (0.0001, "1.0E-4"), (1e7, "1.0E7"), (9999999.0, "9999999.0"), (1234.5, "1234.5"),
     (1.5e300, "1.5E300"), (0.1, "0.1"), (-123456.789, "-123456.789"), (math.inf, "Infinity")],
)  # fmt: skip
def test_numbers_are_written_as_java_does(value: float, text: str) -> None:
    assert java_double(value) == text


@pytest.mark.parametrize("value", ["x", {"a": 1}, [[1]], True, 1.5])
def test_what_a_model_cannot_read_is_refused_by_its_column(value: object) -> None:
    served = ServedPipeline.load(SAVED / "Object2VecModel", Options())
    request = served.decode(json.dumps({"instances": [{"id": value}]}).encode(), JSON)
    with pytest.raises(InvalidRows, match="column 'id' cannot be read"):
        served.transform(request.parts[0].columns)


def test_whole_numbers_are_looked_for_by_all_of_their_digits() -> None:
    assert java_text(2**53 + 1) == ["9007199254740993", "9.007199254740992E15"]
    assert java_text(10**400) == [str(10**400)]
    assert java_text(7) == java_text(7.0) == ["7", "7.0"]


def test_zeros_of_sparse_vectors_have_a_limit() -> None:
    instance = {"keys": [0], "shape": [1 << 22], "values": [1.0]}
    assert _column([instance] * 2, "raw", VECTOR).shape == (2, 1 << 22)
    with pytest.raises(ValueError, match="instance 8: raw and those before have more than"):
        _column([instance] * 1000, "raw", VECTOR)


@pytest.mark.parametrize(("setting", "predicted"), [(0, "predicted_label"), (1, "predicted_labels")])
def test_an_image_may_have_several_labels(setting: int, predicted: str, tmp_path: Path) -> None:
    path = saved_as(tmp_path / "model", "ImageClassifierModel", multi_label=setting, imageCol="photo")
    served = ServedPipeline.load(path, Options())
    files = [encode_png(np.full((9, 9, 3), 80 * place, np.uint8)) for place in range(3)]
    frame = served.transform({"photo": [base64.b64encode(file).decode() for file in files]})
    wanted = load_model(path)(image=files)
    for column, output in {"prediction": predicted, "probability": "probability"}.items():
        settle(frame, column)
        assert list(map(np.array_equal, frame[column], wanted[output])) == [True] * 3
    assert served._stages[0].makes == ["prediction", "probability"]


def test_long_words_are_hashed_and_not_remembered() -> None:
    from sparkml_algos.serving.pipelines import textual

    saved = SimpleNamespace(param={"inputCol": "words", "outputCol": "found", "numFeatures": 1 << 10, "binary": False}.get, uid="tf")
    stage = textual.HashingTF(saved)
    before, frame = textual._murmur3.cache_info().currsize, {"words": [["x" * 5000, "x" * 5000]]}
    stage(frame)
    assert textual._murmur3.cache_info().currsize == before
    assert frame["found"].toarray()[0, textual._murmur3.__wrapped__("x" * 5000) % 1024] == 2


def test_outputs_are_those_that_models_declare() -> None:
    """What pipelines without Spark know of output columns is what `transform` makes."""
    import sparkml_algos

    for name, params in OUTPUTS.items():
        cls = getattr(sparkml_algos, name)
        declared = {output.param: output.field for output in cls.outputs}
        extra = {param: field for param, field in params.items() if declared.get(param) != field}
        optional = {"contributionsCol", "leafCol", "distancesCol", "neighborLabelsCol", "rawPredictionCol", "probabilityCol"}
        assert set(declared) <= set(params), name
        assert set(extra) <= optional, (name, extra)

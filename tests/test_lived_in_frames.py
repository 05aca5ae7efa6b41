"""DataFrames as people have them: after joins, with any characters and capitals in names, columns of all types beside those read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pyspark
import pytest
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import PCA, InvalidParams, KMeans, KNNRegressor, RandomCutForest, Shingle, XGBoostClassifier
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.core.model import AlgorithmModel
from tests.cases import (
    ADDRESSES,
    BLOB,
    CASES,
    COUNTS,
    ENTITIES,
    IMAGES,
    MASKS,
    OTHER_TOKEN_IDS,
    PICTURES,
    ROWS,
    TOKEN_IDS,
    TOKENS,
    Case,
    flat,
)
from tests.conftest import SESSION

pytestmark = pytest.mark.generic

IS_SPARK_3 = pyspark.__version__.startswith("3")
IS_MAIN = SESSION == "local" and not IS_SPARK_3

#: What the columns of `plain` are called in `lived_in`, by the names that are given to Params: fields of structs, dots, spaces, backticks,
#: letters in another case than the dataset has them.
NAMES = {
    "features": "ROW.features",
    "target": "churn.target",
    "half": "row.Is Half",
    "blob": "the `Blob`",
    "few": "Query No.",
    "weight": "w.e.i.g.h.t",
    "held": "held out?",
    "start": "START",
    "id": "Row.`No.`",
    "tokens": "some.tokens",
    "image": "an.Image",
    "picture": "a.picture",
    "objects": "ob.jects",
    "mask": "row.mask",
    "boxes": "row.boxes",
    "entity": "who.is it",
    "ip": "Row.Address",
    "in0": "ROW.ids",
    "in1": "in.1",
    "begin": "ROW.begins at",
    "series": "se.ries",
}

#: Columns that no model reads.
BESIDE = {
    "binary": "cast('a' AS binary)",
    "months": "make_ym_interval(1, 2)",
    "days": "make_dt_interval(3)",
    "decimal": "cast(1.5 AS decimal(38, 10))",
    "in arrays": "array(vector)",
    "in.structs": "named_struct('vector', vector, 'x y', 1)",
    "`in` maps": "map('a', named_struct('vector', vector))",
    "Output": "'output'",
}
NOTHING = {"nothing": "null", "nothings": "array(null)"}  # which Spark 3.5 cannot write to files
SHOWN = ["binary", "decimal", "Output"] if IS_SPARK_3 else ["binary", "decimal", "in.structs", "Output"]
BESIDE_SPARK_4 = {"variant": "parse_json('[1]')", "collated": "'a' COLLATE UNICODE_CI", **NOTHING}
NOT_IN_FILES = {"interval": "make_interval(1, 2)"}
if IS_SPARK_3:
    # Its Parquet reader does not read vectors within other types, and its Python does not know the type of intervals.
    NESTED = ("in arrays", "in.structs", "`in` maps")
    NOT_IN_FILES = {**NOTHING, **{name: BESIDE.pop(name) for name in NESTED}}


@pytest.fixture(scope="module")
def plain(spark: SparkSession) -> Callable[[bool], DataFrame]:
    """The rows of the cases in a well-behaved DataFrame."""

    @cache
    def make(counts: bool) -> DataFrame:
        numbers = COUNTS if counts else ROWS
        rows = [
            (i, row, int(blob), tokens, *map(bytearray, (image, picture, mask)), *pair)
            for i, (row, blob, tokens, image, picture, mask, *pair) in enumerate(
                zip(numbers.tolist(), BLOB, TOKENS, IMAGES, PICTURES, MASKS, ENTITIES, ADDRESSES, TOKEN_IDS, OTHER_TOKEN_IDS, strict=True)
            )
        ]
        types = "id long, x array<double>, blob int, tokens array<string>, image binary, picture binary"
        types += ", mask binary, entity string, ip string, in0 array<int>, in1 array<long>"
        frame = spark.createDataFrame(rows, types)
        box = "named_struct('left', id, 'top', 0, 'width', 1 + id, 'height', 2, 'label', blob)"
        return frame.select(
            "id", "blob", "tokens", "image", "picture", "mask", "entity", "ip", "in0", "in1",
            array_to_vector("x").alias("features"),
            F.expr("x[0] - 2 * x[1] + 7").alias("target"),
            F.expr("blob % 2").alias("half"),
            F.expr("id % 60").alias("few"),
            F.expr("1 + id % 3").alias("weight"),
            F.expr("id % 7 = 0").alias("held"),
            F.expr("x[2]").alias("start"),
            F.expr(f"array({box})").alias("boxes"),
            F.expr("array(named_struct('class_id', blob, 'left', 1, 'top', 1, 'width', 4, 'height', 4))").alias("objects"),
            F.expr("timestamp '2024-01-01'").alias("begin"),
            F.expr("transform(sequence(0, 309), i -> x[0] + x[2] * (i % 3))").alias("series"),
        ).cache()  # fmt: skip

    return make


@pytest.fixture(scope="module")
def lived_in(plain: Callable[[bool], DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], DataFrame]:
    """The same rows, partly from files, after a join, in other names."""

    @cache
    def make(counts: bool) -> DataFrame:
        given = plain(counts)
        row = F.struct(
            F.col("features").alias("Features"),
            F.col("half").alias("is half"),
            F.col("id").alias("No."),
            F.col("boxes").alias("boxes"),
            F.col("ip").alias("Address"),
            F.col("in0").alias("IDs"),
            F.col("begin").alias("Begins at"),
            F.col("mask").alias("Mask"),
        )
        named = given.select(
            "id", row.alias("Row"), F.col("target").alias("churn.target"), F.col("blob").alias("The `blob`"),
            F.col("few").alias("query no."), F.col("weight").alias("W.e.i.g.h.t"), F.col("held").alias("Held out?"),
            F.col("start").alias("Start"), F.col("tokens").alias("some.tokens"), F.col("image").alias("an.image"),
            F.col("picture").alias("a.picture"),
            F.col("objects").alias("Ob.jects"),
            F.col("entity").alias("Who.is it"), F.col("in1").alias("In.1"), F.col("series").alias("Se.ries"),
        )  # fmt: skip
        beside = BESIDE | ({} if IS_SPARK_3 else BESIDE_SPARK_4)
        others = given.select(F.col("id"), F.col("features").alias("vector"), F.lit("a").alias("Row.x"))
        others = others.select("*", *(F.expr(expression).alias(name) for name, expression in beside.items()))
        path = str(tmp_path_factory.mktemp("rows") / "beside")
        others.write.parquet(path)
        read = given.sparkSession.read.parquet(path)
        read = read.select("*", *(F.expr(expression).alias(name) for name, expression in NOT_IN_FILES.items()))
        return named.join(read, named["id"] == read["id"])

    return make


@pytest.fixture
def case_sensitive(spark: SparkSession) -> Iterator[None]:
    spark.conf.set("spark.sql.caseSensitive", "true")
    yield
    spark.conf.unset("spark.sql.caseSensitive")


@pytest.fixture(scope="module")
def clusters(plain: Callable[[bool], DataFrame]) -> AlgorithmModel:
    return KMeans(k=4, num_workers=1).fit(plain(False))


def columns(case: Case) -> dict[str, str]:
    """All columns that a case can read, by Param, as `plain` calls them."""
    known = {"weight": "weight", "validation": "held", "base_margin": "start", "id": "id", "owner": "few", "text": "tokens"}
    known["start"] = "begin"
    known |= {name: name for name in ("features", "tokens", "image", "mask", "boxes", "entity", "ip", "in0", "in1")}
    given = {param: value for param, value in case.settings.items() if param.endswith("Col") and value in NAMES}
    read = {field.param: known[field.role] for field in case.estimator.algorithm().fields if field.role in known}
    return ({"labelCol": "half"} if "labelCol" in case.estimator.declared else {}) | read | given


def first_output(model: AlgorithmModel, frame: DataFrame, id: str) -> np.ndarray:
    """The first output of each row, in the order of the ids."""
    output = model.value(model.own_outputs()[0].param)
    rows = model.transform(frame).select(F.expr(id).alias("id"), f"`{output}`").collect()
    return np.array([flat(row[1]) for row in sorted(rows, key=lambda row: row[0])])


# Siblings read the same columns, but for the groups that only a ranker has.
@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.checks_framework or IS_MAIN and (not case.is_sibling or "groupCol" in case.settings)],
    ids=str,
)
def test_fit_transform_and_evaluate_take_them(
    case: Case, plain: Callable[[bool], DataFrame], lived_in: Callable[[bool], DataFrame], spark: SparkSession
) -> None:
    ordinary, frame = plain(case.takes_counts), lived_in(case.takes_counts)
    named = columns(case)
    model = case.make(num_workers=2, **{param: NAMES[name] for param, name in named.items()}).fit(frame)
    scored = model.transform(frame)
    assert scored.columns[: len(frame.columns)] == frame.columns
    assert scored.columns[len(frame.columns) :] == [model.value(output.param) for output in model.own_outputs()]

    renamed = model.copy({model.getParam(param): name for param, name in named.items() if model.hasParam(param)})
    expected = first_output(renamed, ordinary, "id")
    for scorer in sorted({"python", model.scorer_for(frame).name}):
        found = first_output(model.copy({model.scorer: scorer}), frame, "Row.`No.`")
        assert len(found) == len(ROWS)
        assert np.array_equal(found, expected) if found.dtype.kind == "U" else np.allclose(found, expected, rtol=1e-5, atol=1e-5)
    if hasattr(model, "evaluate"):
        # Figures of objects of which there is none are NaN.
        assert model.evaluate(frame) == pytest.approx(renamed.evaluate(ordinary), rel=1e-5, nan_ok=True)


@pytest.mark.parametrize("stored", ["memory", "files", "columns of files"])
def test_columns_that_are_not_read_come_through_as_they_are(
    clusters: AlgorithmModel, lived_in: Callable[[bool], DataFrame], spark: SparkSession, tmp_path: Path, stored: str
) -> None:
    setting = "spark.sql.execution.arrow.pythonUDF.columnarInput.enabled"
    if stored == "columns of files" and not spark.conf.isModifiable(setting):
        pytest.skip("this Spark hands no columns on")
    frame = lived_in(False).drop(*NOT_IN_FILES, "id", "Row.x").withColumn("features", F.col("Row.Features"))
    if stored != "memory":
        frame = frame.drop("Row") if IS_SPARK_3 else frame
        frame.write.parquet(str(tmp_path / "frame"))
        frame = spark.read.parquet(str(tmp_path / "frame"))
    model = clusters.copy({clusters.scorer: "python"})
    shown = [F.hash(F.col(f"`{name.replace('`', '``')}`").cast("string")) for name in SHOWN]
    before = sorted(map(tuple, frame.select(*shown).collect()))
    spark.conf.set(setting, "true")
    try:
        scored = model.transform(frame)
        scored.write.mode("overwrite").format("noop").save()
        assert sorted(map(tuple, scored.select(*shown).collect())) == before
    finally:
        spark.conf.unset(setting)


def test_all_methods_of_single_algorithms_take_them(plain: Callable[[bool], DataFrame], lived_in: Callable[[bool], DataFrame]) -> None:
    frame, ordinary = lived_in(False), plain(False)
    features = {"featuresCol": NAMES["features"], "num_workers": 1}
    elbow = KMeans(k=2, weightCol=NAMES["weight"], **features).elbow(frame, [2, 3])
    assert [row["k"] for row in elbow.collect()] == [2, 3]

    named = {"labelCol": NAMES["target"], "idCol": NAMES["id"], "neighborsCol": "near.by"}
    neighbors = KNNRegressor(k=1, sample_size=300, **named, **features).fit(frame)
    found = neighbors.kneighbors(frame).select("Row.`No.`", F.col("`near.by`")[0])
    assert all(row[0] == row[1] for row in found.collect())

    pca = PCA(num_components=3, outputCol="pro.jected", reconstructionCol="Re built", **features).fit(frame)
    rebuilt = pca.inverse_transform(pca.transform(frame)).select(F.col("`Re built`"), "Row.Features").collect()
    assert all(np.allclose(row[0].toArray(), row[1].toArray(), atol=1e-4) for row in rebuilt)

    forest = RandomCutForest(num_trees=50, labelCol=NAMES["half"], scoreCol="s.core", predictionCol="is odd?", **features).fit(frame)
    assert forest.fit_threshold(frame).transform(frame).columns == [*frame.columns, "s.core", "is odd?"]
    renamed = forest.copy({forest.featuresCol: "features", forest.labelCol: "half"})
    assert forest.evaluate(frame) == pytest.approx(renamed.evaluate(ordinary))


def test_shingles_are_made_of_them(lived_in: Callable[[bool], DataFrame]) -> None:
    frame = lived_in(False)
    shingle = Shingle(inputCols=["START", "churn.target"], timeCol="row.`No.`", keyCols=["the `BLOB`"], size=2, outputCol="a.shingle")
    made = shingle.transform(frame)
    assert made.columns == [*frame.columns, "a.shingle"]
    rows = made.select("Row.`No.`", "Start", F.col("`churn.target`"), F.col("`a.shingle`")).collect()
    assert len(rows) == len(ROWS) - 4
    assert all(row[3].toArray()[2:].tolist() == [row[1], row[2]] for row in rows)


@pytest.mark.skipif(IS_SPARK_3, reason="Spark 3.5 does not read vectors within structs from files")
def test_streams_are_scored_with_them(clusters: AlgorithmModel, lived_in: Callable[[bool], DataFrame], tmp_path: Path) -> None:
    batch = lived_in(False).drop("interval", "nothing", "nothings", "Row.x", "id")
    batch.write.parquet(str(tmp_path / "rows"))
    stream = batch.sparkSession.readStream.schema(batch.schema).parquet(str(tmp_path / "rows"))
    scored = clusters.copy({clusters.featuresCol: NAMES["features"]}).transform(stream)
    query = scored.writeStream.format("parquet").option("checkpointLocation", str(tmp_path / "state")).trigger(availableNow=True)
    query.start(str(tmp_path / "scored")).awaitTermination()
    assert batch.sparkSession.read.parquet(str(tmp_path / "scored")).where("prediction IS NOT NULL").count() == len(ROWS)


# ----------------------------------------------------------------------------------------------------------------- refusals


def test_an_output_that_spark_cannot_tell_from_an_existing_column_is_refused(
    clusters: AlgorithmModel, plain: Callable[[bool], DataFrame]
) -> None:
    frame = plain(False).withColumn("Prediction", F.lit(1)).withColumn("DISTANCE.to", F.lit(1))
    with pytest.raises(InvalidParams, match="output column 'prediction' exists already as 'Prediction'; drop it or rename the output"):
        clusters.transform(frame)
    renamed = clusters.copy({clusters.predictionCol: "cluster", clusters.distanceCol: "distance.to"})
    with pytest.raises(InvalidParams, match=r"output column 'distance\.to' exists already as 'DISTANCE.to'"):
        renamed.transform(frame)
    with pytest.raises(InvalidParams, match="output column 'Cluster' is named twice; rename one of the outputs"):
        clusters.copy({clusters.predictionCol: "cluster", clusters.distanceCol: "Cluster"}).transform(frame)
    with pytest.raises(InvalidParams, match="output column 'HALF' exists already as 'half'"):
        Shingle(inputCols=["target"], timeCol="id", size=2, outputCol="HALF").transform(frame)


@pytest.mark.usefixtures("case_sensitive")
def test_where_case_counts_outputs_may_differ_in_it(clusters: AlgorithmModel, plain: Callable[[bool], DataFrame]) -> None:
    frame = plain(False).withColumn("Prediction", F.lit(1))
    outputs = {clusters.predictionCol: "prediction", clusters.distanceCol: "PREDICTION"}
    scored = clusters.copy(outputs).transform(frame)
    assert scored.columns == [*frame.columns, "prediction", "PREDICTION"]
    assert scored.where("prediction IS NOT NULL AND PREDICTION IS NOT NULL AND Prediction = 1").count() == len(ROWS)


@pytest.mark.parametrize(("columns", "message"), [
    ({"featuresCol": "vector"}, r"featuresCol='vector' is ambiguous: 2 columns of the dataset have this name \('vector'\)"),
    ({"featuresCol": "x", "labelCol": "y"}, r"labelCol='y' is ambiguous: 2 columns of the dataset have this name \('Y', 'y'\)"),
    ({"featuresCols": ["z", "Z"], "labelCol": "z"}, r"featuresCols names 'Z' more than once"),
    ({"featuresCol": "x", "labelCol": ""}, r"labelCol is required: name a column; it is ''"),
    ({"featuresCol": "x", "labelCol": None}, r"labelCol is required: name a column; it is None"),
    ({"featuresCol": "", "labelCol": "z"}, r"featuresCol is required: name a column; it is ''"),
])  # fmt: skip
def test_a_column_that_no_name_says_is_refused_before_any_job(spark: SparkSession, columns: dict, message: str) -> None:
    frame = spark.range(4).selectExpr("array(id, 1) x", "array(id) vector", "array(id) vector", "id Y", "id y", "id z")
    with pytest.raises(InvalidParams, match=message):
        XGBoostClassifier(num_round=1, **columns).fit(frame)
    with pytest.raises(InvalidParams, match=message):
        booster = XGBoostClassifier.model_class()(**columns)
        booster.artifact = Artifact({}, {"objective": "binary:logistic", "num_class": 0, "num_features": 2})
        booster.evaluate(frame)


def test_shingles_of_a_stream_are_refused(plain: Callable[[bool], DataFrame], spark: SparkSession) -> None:
    stream = spark.readStream.format("rate").load().selectExpr("timestamp", "cast(value AS double) AS value")
    with pytest.raises(InvalidParams, match="the dataset is a stream"):
        Shingle(inputCols=["value"], timeCol="timestamp", size=2).transform(stream)
    with pytest.raises(InvalidParams, match=r"timeCol: column 'm' is map<.*>; it must be of a type that has an order"):
        Shingle(inputCols=["few"], timeCol="m", size=2).transform(plain(False).withColumn("m", F.expr("map(1, 2)")))

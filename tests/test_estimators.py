"""What every Estimator must do, whatever its algorithm; the suite to pass before an algorithm is one of ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyspark
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import SparseVector, Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import InvalidDataError, InvalidParams, serving
from sparkml_algos.arrays.saved import read_local
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import as_arrow
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

# What an algorithm has no part in, but for its hyperparameters, is not run for siblings; what is the framework's alone runs for a few cases
# that between them have all kinds of columns. In sessions other than the main one the first case has all checks, those that check the
# framework have the ones of siblings, siblings have none, and of the others a model is fitted, saved, loaded and asked: what else there is
# to another session is in the framework.
machinery, framework, fitted_alone = pytest.mark.machinery, pytest.mark.framework, pytest.mark.fitted_alone
IS_MAIN = SESSION == "local" and not pyspark.__version__.startswith("3")


def with_features(test: Callable[..., None]) -> Callable[..., None]:
    """A check of vectors of features, which algorithms over other rows are spared."""
    return pytest.mark.with_features(test)


Fitted = Callable[..., AlgorithmModel]

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marked = {marker.name for marker in metafunc.definition.iter_markers()}

    def runs(case: Case) -> bool:
        if "with_features" in marked and not case.takes_features:
            return False
        if IS_MAIN:
            return case.checks_framework if "framework" in marked else "machinery" not in marked or not case.is_sibling
        if case is CASES[0]:
            return True
        if case.is_sibling or marked & {"framework", "machinery"}:
            return False
        return case.checks_framework or "fitted_alone" in marked

    metafunc.parametrize("case", [case for case in CASES if runs(case)], ids=str)


@pytest.fixture(scope="module")
def frames(spark: SparkSession) -> Callable[[Case], DataFrame]:
    """The rows of a case in every form a user may have them, and columns that are none of our business."""

    @cache
    def make(counts: bool) -> DataFrame:
        features = COUNTS if counts else ROWS
        rows = [(i, *map(float, row), int(blob), f"name {i}") for i, (row, blob) in enumerate(zip(features, BLOB, strict=True))]
        frame = spark.createDataFrame(rows, "id long, a double, b float, c double, blob int, `a name` string")
        doubles = F.array(*(F.col(name).cast("double") for name in "abc"))
        frame = frame.withColumn("doubles", doubles).withColumn("features", array_to_vector("doubles"))
        frame = frame.withColumn("floats", F.col("doubles").cast("array<float>"))
        frame = frame.withColumn("few", F.col("id") % 60)
        parts = zip(TOKENS, IMAGES, PICTURES, MASKS, ENTITIES, ADDRESSES, TOKEN_IDS, OTHER_TOKEN_IDS, strict=True)
        others = [
            (i, tokens, *map(bytearray, (image, picture, mask)), *pair) for i, (tokens, image, picture, mask, *pair) in enumerate(parts)
        ]
        types = "id long, tokens array<string>, image binary, picture binary, mask binary, entity string, ip string"
        types += ", in0 array<int>, in1 array<long>"
        frame = frame.join(spark.createDataFrame(others, types), "id")
        frame = frame.withColumn("start", F.lit("2024-01-01"))
        frame = frame.withColumn("series", F.expr("transform(sequence(0, 309), step -> a + c * (step % 3))"))
        box = "named_struct('left', a, 'top', 0, 'width', 1 + id, 'height', 2, 'label', blob)"
        frame = frame.withColumn("boxes", F.expr(f"IF(id % 5 = 0, array(), array({box}, {box}))"))
        box = "named_struct('class_id', blob, 'left', 1, 'top', 1, 'width', 4, 'height', 4)"
        frame = frame.withColumn("objects", F.expr(f"array({box})"))
        return frame.withColumn("half", F.col("blob") % 2).withColumn("target", F.expr("a - 2 * b + 0.5 * c + 7")).repartition(3).cache()

    return lambda case: make(case.takes_counts)


@pytest.fixture
def data(case: Case, frames: Callable[[Case], DataFrame]) -> DataFrame:
    return frames(case)


@pytest.fixture(scope="module")
def fitted(frames: Callable[[Case], DataFrame]) -> Fitted:
    """A model of a case on all rows, fitted once for all tests that only look at it."""

    @cache
    def fit(name: str, **settings: object) -> AlgorithmModel:
        case = next(case for case in CASES if str(case) == name)
        return case.make(**settings).fit(frames(case))

    return lambda case, **settings: fit(str(case), **settings)


@pytest.fixture(scope="module")
def saved(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Path]:
    """Where the model of a case on all rows is saved, once for all tests that only read it."""

    @cache
    def save(name: str) -> Path:
        path = tmp_path_factory.mktemp("saved") / "model"
        fitted(next(case for case in CASES if str(case) == name)).save(str(path))
        return path

    return lambda case: save(str(case))


def vectors(spark: SparkSession, case: Case, kinds: str) -> DataFrame:
    """The rows of a case as vectors, dense or sparse in turn as `kinds` has d or s."""

    def vector(row: np.ndarray, kind: str) -> object:
        return Vectors.dense(row) if kind == "d" else SparseVector(3, {i: float(value) for i, value in enumerate(row) if value})

    rows = [
        (vector(row, kinds[i % len(kinds)]), int(blob), int(blob) % 2, float(row @ [1, -2, 0.5] + 7))
        for i, (row, blob) in enumerate(zip(case.rows, BLOB, strict=True))
    ]
    return spark.createDataFrame(rows, ["features", "blob", "half", "target"])


@pytest.fixture(params=["python", "jvm"])
def scorer(request: pytest.FixtureRequest, case: Case) -> str:
    """Where transform computes; jvm where the algorithm is on the JVM and the session is classic."""
    if request.param == "jvm":
        if case.model.on_jvm is None:
            pytest.skip("not on the JVM")
        request.getfixturevalue("bridge")
    return request.param


def same(case: Case, one: object, other: object) -> bool:
    return np.allclose(case.essence(one), case.essence(other), **CLOSE)


def scores(case: Case, model: object, data: DataFrame) -> np.ndarray:
    """The first output, number or vector, of each row, sorted, for rows come in any order."""
    rows = model.transform(data).select(model.value(case.output)).collect()
    found = np.array([flat(row[0]) for row in rows])
    return np.sort(found, axis=0) if found.shape[1] == 1 else found[np.lexsort([*found.T, *np.round(found, 3).T])]


# ------------------------------------------------------------------------------------------------------------------- Params


def test_constructor_takes_what_the_setters_take(case: Case) -> None:
    for name, param in case.estimator.declared.items():
        if param.default is not None:
            estimator = case.make(**{name: param.default})
            assert getattr(estimator, f"set{param.accessor}")(param.default) is estimator
            assert getattr(estimator, f"get{param.accessor}")() == param.default


def test_values_out_of_range_are_refused_together(case: Case) -> None:
    bounded = {name: param.minimum - 1 for name, param in case.estimator.declared.items() if param.minimum is not None}
    with pytest.raises(InvalidParams) as caught:
        case.make(**bounded)
    assert len(caught.value.problems) == len(bounded)
    assert all(any(problem.startswith(f"{name} must be") for problem in caught.value.problems) for name in bounded)


def test_unknown_keyword_is_refused_with_a_hint(case: Case) -> None:
    with pytest.raises(InvalidParams, match=r"unknown parameter 'num_worker'; did you mean 'num_workers'\?"):
        case.make(num_worker=2)


def test_unknown_choice_is_refused(case: Case) -> None:
    with pytest.raises(InvalidParams, match=r"data_distribution must be one of 'ShardedByKey', 'FullyReplicated', got 'sharded'"):
        case.make(data_distribution="sharded")


def test_required_hyperparameters_are_missed_at_fit(case: Case, data: DataFrame) -> None:
    required = [name for name, param in case.estimator.declared.items() if param.required]
    if required:
        with pytest.raises(InvalidParams, match=f"{required[0]} is required"):
            case.estimator().fit(data)


def test_hyperparameters_are_documented(case: Case) -> None:
    for param in case.estimator.declared.values():
        assert param.doc.endswith(".") and len(param.doc) < 200


def test_copy_is_independent(case: Case) -> None:
    name, (first, second) = case.grid
    estimator = case.make(**{name: first})
    copied = estimator.copy({getattr(estimator, name): second})
    assert (estimator.value(name), copied.value(name)) == (first, second)


# -------------------------------------------------------------------------------------------------------------------- input


@with_features
@framework
@pytest.mark.parametrize("form", ["doubles", "floats", "columns", "mixed"])
def test_all_input_forms_give_the_same_model(case: Case, fitted: Fitted, spark: SparkSession, data: DataFrame, form: str) -> None:
    if form == "columns":
        model = case.make(num_workers=1, featuresCols=["a", "b", "c"]).fit(data)
        assert model.feature_names == ["a", "b", "c"]
    elif form == "mixed":
        model = case.make(num_workers=1).fit(vectors(spark, case, "ddsds"))
    else:
        model = case.make(num_workers=1, featuresCol=form).fit(data)
    assert same(case, model, fitted(case, num_workers=1))


@with_features
@machinery
def test_sparse_vectors_give_the_same_model(case: Case, fitted: Fitted, spark: SparkSession) -> None:
    assert same(case, case.make(num_workers=1).fit(vectors(spark, case, "s")), fitted(case, num_workers=1))


@with_features
@fitted_alone
def test_transform_takes_all_input_forms(case: Case, fitted: Fitted, scorer: str, spark: SparkSession, data: DataFrame) -> None:
    model = fitted(case).copy().setScorer(scorer)
    expected = scores(case, model, data)
    assert np.allclose(scores(case, model, vectors(spark, case, "ds")), expected, atol=1e-5)
    assert np.allclose(scores(case, model.copy().setFeaturesCol("doubles"), data), expected, atol=1e-5)


@fitted_alone
def test_transform_keeps_every_column_and_row(case: Case, fitted: Fitted, scorer: str, data: DataFrame) -> None:
    model = fitted(case).copy().setScorer(scorer)
    scored = model.transform(data)
    assert scored.columns[: len(data.columns)] == data.columns
    assert len(scored.columns) == len(data.columns) + len(model.own_outputs())
    assert sorted(row["a name"] for row in scored.collect()) == sorted(f"name {i}" for i in range(len(ROWS)))


@with_features
@framework
def test_transform_reads_vectors_straight_from_parquet(
    case: Case, fitted: Fitted, scorer: str, data: DataFrame, spark: SparkSession, tmp_path: Path
) -> None:
    data.select("features", "id").write.parquet(str(tmp_path / "rows"))
    scored = fitted(case).copy().setScorer(scorer).transform(spark.read.parquet(str(tmp_path / "rows")))
    assert scored.where(F.col(scored.columns[2]).isNotNull()).count() == len(ROWS)


@with_features
@framework
def test_feature_names_of_an_assembler_are_kept(case: Case, data: DataFrame) -> None:
    assembled = VectorAssembler(inputCols=["a", "b", "c"], outputCol="assembled").transform(data)
    model = case.make(featuresCol="assembled").fit(assembled)
    assert model.feature_names == ["a", "b", "c"]


def test_one_row_is_enough_for_one(case: Case, data: DataFrame) -> None:
    settings = {"k": 1} if "k" in case.settings else {}
    model = case.make(**settings).fit(data.where("id = 7"))
    if case.center:
        assert np.allclose(case.center(model).ravel(), case.rows[7], **CLOSE)
    assert np.isfinite(case.essence(model)).all()


BAD_ROWS = {
    "null vector": ("features", "IF(id = 7, NULL, doubles)", r"features column 'bad' is null in row \d+ of worker \d+'s shard"),
    "null element": ("features", "array(a, IF(id = 7, NULL, b), c)", r"features column 'bad', element 1, is null in row"),
    "NaN": ("features", "array(a, IF(id = 7, double('NaN'), b), c)", r"features column 'bad', element 1, is nan as a 32-bit float"),
    "infinity": ("features", "array(IF(id = 7, double('-Infinity'), c))", r"features column 'bad', element 0, is -inf"),
    "too large": ("features", "array(IF(id = 7, 1e300D, c))", r"features column 'bad', element 0, is inf as a 32-bit float"),
    "ragged": ("features", "IF(id = 7, array(a), doubles)", r"features column 'bad' has \d values, expected \d"),
    "no features": ("features", "CAST(array() AS array<double>)", r"features column 'bad' is empty"),
    "null label": ("label", "IF(id = 7, NULL, 1)", r"column 'bad' is null in row"),
    "infinite label": ("label", "IF(id = 7, double('Infinity'), 1)", r"column 'bad' is inf as a 32-bit float in row"),
    "null validation": ("validation", "IF(id = 7, NULL, true)", r"column 'bad' is null in row"),
    "null weight": ("weight", "IF(id = 7, NULL, 1)", r"column 'bad' is null in row"),
    "null tokens": ("tokens", "IF(id = 7, NULL, tokens)", r"tokens column 'bad' is null in row"),
    "null token": ("tokens", "IF(id = 7, array('a', NULL), tokens)", r"tokens column 'bad', token 1, is null in row"),
    "null name": ("entity", "IF(id = 7, NULL, entity)", r"entity column 'bad' is null in row"),
    "null address": ("ip", "IF(id = 7, NULL, ip)", r"ip column 'bad' is null in row"),
    "no address": (
        "ip",
        "IF(id = 7, '10.0.0.256', ip)",
        r"ip column 'bad' is '10\.0\.0\.256', expected one of version 4 such as 192\.0\.2\.10, in row",
    ),
    "address of version 6": ("ip", "IF(id = 7, '2001:db8::1', ip)", r"ip column 'bad' is '2001:db8::1', an address of version 6, expected"),
    "null text": ("text", "IF(id = 7, NULL, 'a')", r"text column 'bad' is null (or has a null among its words )?in row"),
    "null key": ("owner", "IF(id = 7, NULL, blob)", r"owner column 'bad' is null in row"),
    "null bytes": ("image", "IF(id = 7, NULL, image)", r"image column 'bad' is null in row"),
    "no bytes": ("image", "IF(id = 7, X'', image)", r"image column 'bad' is empty \(0 bytes\) in row"),
    "null boxes": ("boxes", "IF(id = 7, NULL, boxes)", r"boxes column 'bad' is null in row"),
    "no width": (
        "boxes",
        "array(array(0, 1, 1, IF(id = 7, 0, 3), 4))",
        r"boxes column 'bad', box 0, has width 0, expected a number > 0, in row",
    ),
    "unknown class": (
        "boxes",
        "array(array(0, 1, 1, 3, 4), array(IF(id = 7, 4, 3), 1, 1, 3, 4))",
        r"boxes column 'bad', box 1, has class_id 4, expected a whole number from 0 to 3, in row",
    ),
    "negative weight": ("weight", "IF(id = 7, -2, 1)", r"weight column 'bad' is -2, expected a number >= 0, in row"),
}


@framework
@pytest.mark.parametrize("what", BAD_ROWS)
def test_bad_rows_are_named(case: Case, data: DataFrame, what: str) -> None:
    role, expression, message = BAD_ROWS[what]
    if role not in case.roles:
        pytest.skip(f"no {role} in training")
    bad = data.withColumn("bad", F.expr(expression))
    if what in ("null element", "NaN") and case.takes_missing_values:
        assert np.isfinite(case.essence(case.make(featuresCol="bad").fit(bad))).all()
        return
    with pytest.raises(InvalidDataError, match=message):
        case.make(**{case.roles[role]: "bad"}).fit(bad)


@framework
def test_bad_rows_are_named_in_transform(case: Case, fitted: Fitted, scorer: str, data: DataFrame) -> None:
    model = fitted(case).copy().setScorer(scorer)
    good = {"features": "doubles", "tokens": "tokens", "image": "image", "entity": "entity", "text": "tokens"}
    role = next(role for role in good if role in case.roles)
    bad = data.withColumn("bad", F.expr(f"IF(id = 7, NULL, {good[role]})"))
    with pytest.raises(Exception, match=f"{role} column 'bad' is null"):
        model.copy({model.getParam(case.main_column): "bad"}).transform(bad).collect()


BAD_COLUMNS = {
    "missing": ({"features": "nowhere"}, r"featuresCol='nowhere' is not a column of the dataset; it has id, a, b"),
    "text": ({"features": "a name"}, r"features column 'a name' is string; it must be a Vector or an array of numbers"),
    "number for tokens": ({"tokens": "a"}, r"tokensCol: column 'a' is double; it must be a string or an array of strings"),
    "number for an address": ({"ip": "a"}, r"ipCol: column 'a' is double; it must be a string"),
    "fraction for a name": ({"entity": "a"}, r"entityCol: column 'a' is double; it must be a string or a whole number"),
    "text for bytes": ({"image": "a name"}, r"imageCol: column 'a name' is string; it must be binary"),
    "numbers for boxes": ({"boxes": "doubles"}, r"boxesCol: column 'doubles' is array<double>; it must be an array of structs"),
    "no name": ({"tokens": ""}, r"tokensCol is required: name a column"),
    "text among columns": ({"featuresCols": ["a", "a name"]}, r"featuresCols: column 'a name' is string; it must be numeric"),
    "twice": ({"featuresCols": ["a", "a"]}, r"featuresCols names 'a' more than once"),
    "missing key": ({"shardKeyCol": "nowhere"}, r"shardKeyCol='nowhere' is not a column"),
    "key of replicas": ({"shardKeyCol": "a", "data_distribution": "FullyReplicated"}, r"shardKeyCol has no meaning"),
    "too many workers": ({"num_workers": 99}, r"num_workers=99 but the cluster runs \d+ task\(s\) at a time"),
}


@framework
@pytest.mark.parametrize("what", BAD_COLUMNS)
def test_what_cannot_work_is_refused_before_any_job(case: Case, data: DataFrame, what: str) -> None:
    settings, message = BAD_COLUMNS[what]
    settings = {case.roles.get(name, name): value for name, value in settings.items()}
    if not set(settings) <= set(case.estimator.declared):
        pytest.skip("no such column")
    with pytest.raises(ValueError, match=message):
        case.make(**settings).fit(data)


@framework
def test_a_gpu_that_is_not_there_or_of_no_use_is_refused(case: Case, data: DataFrame) -> None:
    name = case.estimator.__name__
    reason = "needs a GPU per task" if case.estimator.algorithm().on_gpu else f"is of no use: {name} trains on CPUs"
    with pytest.raises(ValueError, match=f"use_gpu=True {reason}"):
        case.make(use_gpu=True).fit(data)


@with_features
@framework
def test_wrong_dimension_is_refused(case: Case, fitted: Fitted, data: DataFrame) -> None:
    model = fitted(case)
    longer = VectorAssembler(inputCols=["a", "b", "c", "id"], outputCol="longer").transform(data)
    with pytest.raises(ValueError, match="column 'longer' has 4 features; the model takes 3"):
        model.copy().setFeaturesCol("longer").transform(longer)
    if "feature_dim" in case.estimator.declared:
        with pytest.raises(ValueError, match=r"feature_dim is 7 but column 'longer' has 4 features"):
            case.make(feature_dim=7, featuresCol="longer").fit(longer)
        with pytest.raises(ValueError, match=r"features column 'features' has 3 values, expected 7"):
            case.make(feature_dim=7).fit(data)


@framework
def test_empty_dataset_is_refused(case: Case, data: DataFrame) -> None:
    with pytest.raises(ValueError, match="the dataset is empty"):
        case.make().fit(data.where("id < 0"))


@framework
def test_output_column_that_exists_is_refused(case: Case, fitted: Fitted, data: DataFrame) -> None:
    model = fitted(case).copy()
    model.set(model.getParam(case.output), "blob")
    with pytest.raises(InvalidParams, match="output column 'blob' exists already"):
        model.transform(data)


@machinery
def test_outputs_named_nothing_are_left_out_but_not_all_of_them(case: Case, fitted: Fitted, data: DataFrame) -> None:
    model = fitted(case)
    params = [output.param for output in model.own_outputs()]
    for kept in params:
        renamed = {model.getParam(param): "kept" if param == kept else "" for param in params}
        assert model.copy(renamed).transform(data).columns == [*data.columns, "kept"]
    with pytest.raises(InvalidParams, match=f"no output has a column; name one of {', '.join(params)}"):
        model.copy({model.getParam(param): "" for param in params}).transform(data)
    if len(params) > 1:
        with pytest.raises(InvalidParams, match="output column 'same' is named twice"):
            model.copy({model.getParam(param): "same" for param in params}).transform(data)


# ------------------------------------------------------------------------------------------------------------- distribution


def spread(*settings: dict) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("settings", settings, ids=lambda settings: "-".join(map(str, settings.values())))


@machinery
def test_all_workers_together_learn_what_one_does(case: Case, fitted: Fitted) -> None:
    check_spread(case, fitted, fitted(case), workers=3)


@framework
@spread(
    {"num_workers": 1, "input_mode": "Pipe"},
    {"num_workers": 2},
    {"num_workers": 2, "launch": "gang"},
    {"num_workers": 3, "shardKeyCol": "blob"},
)
def test_how_rows_reach_workers_does_not_change_the_model(case: Case, fitted: Fitted, data: DataFrame, settings: dict) -> None:
    check_spread(case, fitted, case.make(**settings).fit(data), settings["num_workers"])


@machinery
@spread(
    {"num_workers": 3, "input_mode": "Pipe", "two_epochs": True},
    {"num_workers": 2, "data_distribution": "FullyReplicated"},
    {"num_workers": 3, "max_shard_bytes": 200},
)
def test_how_rows_are_spread_does_not_change_the_model(case: Case, fitted: Fitted, data: DataFrame, settings: dict) -> None:
    if "data_distribution" in settings and not case.takes_replicas:
        with pytest.raises(InvalidParams, match="data_distribution='FullyReplicated'"):
            case.make(**settings).fit(data)
        return
    options = {name: value for name, value in settings.items() if name != "two_epochs"}
    options |= case.two_epochs if "two_epochs" in settings and "epochs" not in case.settings else {}
    check_spread(case, fitted, case.make(**options).fit(data), settings["num_workers"], copies=2 if "data_distribution" in settings else 1)


def check_spread(case: Case, fitted: Fitted, model: AlgorithmModel, workers: int, copies: int = 1) -> None:
    """Fail unless a model of so many workers is that of one."""
    summary = model.training_summary
    assert same(case, model, fitted(case, num_workers=1))
    assert summary.num_workers == len(summary.rows_per_worker) == workers
    assert summary.rows == copies * len(ROWS)
    assert summary.num_features == (3 if case.takes_features else None)


@machinery
def test_workers_without_rows_take_part(case: Case, fitted: Fitted, data: DataFrame) -> None:
    model = case.make(num_workers=3, shardKeyCol="same").fit(data.withColumn("same", F.lit(1)))
    assert sorted(model.training_summary.rows_per_worker) == [0, 0, len(ROWS)]
    assert same(case, model, fitted(case, num_workers=1))


@framework
def test_rows_of_one_key_meet_on_one_worker(case: Case, data: DataFrame) -> None:
    few = data.where("blob < 2").withColumn("key", F.expr("IF(blob = 0, 'x', 'y')"))
    settings = {"k": 2} if "k" in case.settings else {}
    rows = case.make(num_workers=2, shardKeyCol="key", **settings).fit(few).training_summary.rows_per_worker
    assert set(rows) <= {0, 60, 120}


@machinery
def test_the_same_seed_gives_the_same_model(case: Case, data: DataFrame) -> None:
    one, other = (case.make(num_workers=2, seed=5).fit(data) for _ in range(2))
    assert np.allclose(case.essence(one), case.essence(other), rtol=1e-6)


@framework
def test_workers_default_to_the_slots_of_the_cluster(case: Case, fitted: Fitted) -> None:
    assert fitted(case).training_summary.num_workers == 3


@framework
def test_summary_tells_where_the_time_went(case: Case, fitted: Fitted) -> None:
    summary = fitted(case, **case.two_epochs).training_summary
    assert {"total", "ingest", "setup", "train"} <= set(summary.seconds)
    assert [epoch["epoch"] for epoch in summary.history] == ([1, 2] if case.two_epochs else [*range(1, case.passes + 1)])


@machinery
def test_several_settings_are_fitted_from_one_ingest(case: Case, fitted: Fitted, data: DataFrame) -> None:
    name, values = case.grid
    estimator = case.make()
    models = dict(estimator.fitMultiple(data, [{getattr(estimator, name): value} for value in values]))
    assert [models[i].value(name) for i in range(2)] == values
    assert models[0].training_summary.seconds == models[1].training_summary.seconds
    assert same(case, models[1], fitted(case, **{name: values[1]}))


# -------------------------------------------------------------------------------------------------------------- persistence


@fitted_alone
def test_model_comes_back_as_it_was(case: Case, fitted: Fitted, saved: Callable[[Case], Path], data: DataFrame) -> None:
    model = fitted(case)
    loaded = case.model.load(str(saved(case)))
    assert np.array_equal(case.essence(loaded), case.essence(model))
    assert loaded.uid == model.uid and loaded.training_summary == model.training_summary
    assert {param.name: value for param, value in loaded.extractParamMap().items()} == {
        param.name: value for param, value in model.extractParamMap().items()
    }
    assert np.array_equal(scores(case, model, data), scores(case, loaded, data))


@machinery
def test_estimator_comes_back_as_it_was(case: Case, tmp_path: Path) -> None:
    columns = {name: "w" for name in ("weightCol", "labelCol") if name in case.estimator.declared}
    estimator = case.make(**{"num_workers": 2, case.main_column: "x", **columns})
    estimator.save(str(tmp_path / "estimator"))
    loaded = case.estimator.load(str(tmp_path / "estimator"))
    assert loaded.uid == estimator.uid and loaded.hyperparameters() == estimator.hyperparameters()
    assert loaded.getNumWorkers() == 2 and loaded.value(case.main_column) == "x"
    assert all(loaded.value(name) == "w" for name in columns)


@framework
def test_saving_twice_needs_overwrite(case: Case, fitted: Fitted, tmp_path: Path) -> None:
    name, values = case.grid
    path = str(tmp_path / "model")
    first, second = (fitted(case, **{name: value}) for value in values)
    first.save(path)
    with pytest.raises(FileExistsError, match="overwrite"):
        second.save(path)
    second.write().overwrite().save(path)
    assert same(case, case.model.load(path), second)


@framework
def test_loading_the_wrong_class_is_refused(case: Case, tmp_path: Path) -> None:
    case.make().save(str(tmp_path / "estimator"))
    with pytest.raises(ValueError, match="holds a"):
        case.model.load(str(tmp_path / "estimator"))


def test_saved_model_opens_without_spark(case: Case, fitted: Fitted, saved: Callable[[Case], Path]) -> None:
    model = fitted(case)
    metadata, artifact = read_local(saved(case))
    assert metadata["class"].endswith(case.model.__name__)
    assert all(np.array_equal(artifact.arrays[name], array) for name, array in model.artifact.arrays.items())


def test_saved_model_predicts_without_spark_what_transform_appends(
    case: Case, fitted: Fitted, saved: Callable[[Case], Path], data: DataFrame
) -> None:
    if case.prediction is None and not IS_MAIN:
        pytest.skip("Spark has no part in what is compared")
    model = fitted(case).copy().setScorer("python")
    columns = case.columns
    if case.settings.get("textCol") == "a name":
        columns = {**columns, "text": [f"name {i}" for i in range(len(ROWS))]}
    served = serving.load(saved(case), prediction=case.prediction)(**columns)
    outputs = [model.value(output.param) for output in model.own_outputs()]
    appended = model.transform(data).orderBy("id").select(*(F.col(f"`{name}`") for name in outputs)).collect()
    for output in model.own_outputs():
        expected = [row[model.value(output.param)] for row in appended]
        found = as_arrow(served[output.field]).to_pylist()
        wanted = [_plain(value) for value in expected]
        if case.tolerance:
            np.testing.assert_allclose(_numbers(found), _numbers(wanted), rtol=case.tolerance, atol=case.tolerance)
        else:
            assert found == wanted


def _numbers(value: object) -> object:
    """Values without the names that structs have for them."""
    if isinstance(value, dict):
        return list(value.values())
    return [_numbers(item) for item in value] if isinstance(value, list) else value


def _plain(value: object) -> object:
    if hasattr(value, "toArray"):
        return value.toArray().tolist()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):  # predictors give the values alone
        return [_plain(item) for item in value.values()]
    return value.asDict() if hasattr(value, "asDict") else value


@with_features
@framework
def test_pipeline_is_fitted_saved_and_loaded(case: Case, data: DataFrame, tmp_path: Path) -> None:
    pipeline = Pipeline(stages=[VectorAssembler(inputCols=["a", "b", "c"], outputCol="x"), case.make(featuresCol="x")])
    fitted = pipeline.fit(data)
    for name, stage, cls in (("pipeline", pipeline, Pipeline), ("fitted", fitted, PipelineModel)):
        stage.write().save(str(tmp_path / name))
        assert isinstance(cls.load(str(tmp_path / name)), cls)
    loaded = PipelineModel.load(str(tmp_path / "fitted"))
    assert np.array_equal(case.essence(loaded.stages[-1]), case.essence(fitted.stages[-1]))
    assert loaded.transform(data).count() == len(ROWS)

"""k-nearest neighbours as Spark ML Estimators: what the generic checks do not know about them."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestNeighbors

from sparkml_algos import InvalidDataError, InvalidParams, KNNClassifier, KNNClassifierModel, KNNRegressor
from tests.datasets import DATA, read_table

PIXELS, DIGIT = load_digits(return_X_y=True)
PIXELS = (PIXELS + np.random.default_rng(0).normal(0, 0.01, PIXELS.shape)).astype(np.float32).astype(float)  # no two rows equally far
TRAIN, TEST = slice(1400), slice(1400, 1797)
ALL = 10**6


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    rows = [(1000 + i, row.tolist(), float(digit)) for i, (row, digit) in enumerate(zip(PIXELS, DIGIT, strict=True))]
    frame = spark.createDataFrame(rows, "id long, pixels array<double>, label double")
    return frame.withColumn("features", array_to_vector("pixels")).repartition(3).cache()


@pytest.fixture(scope="module")
def train(data: DataFrame) -> DataFrame:
    return data.where("id < 2400")


@pytest.fixture(scope="module")
def test(data: DataFrame) -> DataFrame:
    return data.where("id >= 2400")


@pytest.fixture(scope="module")
def model(train: DataFrame) -> KNNClassifierModel:
    return KNNClassifier(k=5, sample_size=ALL, idCol="id", num_workers=2).fit(train)


def peer(k: int = 5) -> KNeighborsClassifier:
    return KNeighborsClassifier(k, algorithm="brute").fit(PIXELS[TRAIN], DIGIT[TRAIN])


def test_predictions_and_probabilities_are_those_of_scikit_learn(model: KNNClassifierModel, test: DataFrame) -> None:
    vectors = [vector_to_array("probability"), vector_to_array("rawPrediction")]
    rows = model.transform(test).orderBy("id").select("prediction", *vectors).collect()
    assert [row[0] for row in rows] == peer().predict(PIXELS[TEST]).tolist()
    assert np.allclose([row[1] for row in rows], peer().predict_proba(PIXELS[TEST]))
    assert {sum(row[2]) for row in rows} == {5.0}


def test_k_may_be_changed_on_the_model(model: KNNClassifierModel, test: DataFrame) -> None:
    found = model.copy().setK(1).transform(test).orderBy("id").select("prediction").collect()
    assert [row[0] for row in found] == peer(1).predict(PIXELS[TEST]).tolist()
    with pytest.raises(InvalidParams, match="k=1401 is more than the 1400 rows of the model"):
        model.copy().setK(1401).transform(test)


def test_distances_and_labels_of_the_neighbours_are_appended_where_named(model: KNNClassifierModel, test: DataFrame) -> None:
    assert not {"distances", "labels"} & set(model.transform(test).columns)
    verbose = model.copy().setDistancesCol("distances").setNeighborLabelsCol("labels")
    rows = verbose.transform(test).orderBy("id").select("distances", "labels").collect()
    distances, places = peer().kneighbors(PIXELS[TEST])
    assert np.allclose([row["distances"] for row in rows], distances)
    assert np.array_equal([row["labels"] for row in rows], DIGIT[TRAIN][places])


def test_neighbours_are_joined_with_the_training_rows_by_id(model: KNNClassifierModel, train: DataFrame, test: DataFrame) -> None:
    asked = model.kneighbors(test.select("id", "features"), k=3)
    assert asked.columns == ["id", "features", "neighbors", "distances"]
    pairs = asked.select("id", F.posexplode("neighbors").alias("place", "neighbor"))
    stored = train.select(F.col("id").alias("neighbor"), "label")
    joined = pairs.join(stored, "neighbor").orderBy("id", "place").collect()
    places = NearestNeighbors(n_neighbors=3, algorithm="brute").fit(PIXELS[TRAIN]).kneighbors(PIXELS[TEST])[1]
    assert len(joined) == 397 * 3
    assert [row["neighbor"] - 1000 for row in joined] == places.ravel().tolist()
    assert [row["label"] for row in joined] == [DIGIT[row["neighbor"] - 1000] for row in joined]


def test_neighbours_without_names_are_refused(train: DataFrame, test: DataFrame) -> None:
    model = KNNClassifier(k=5, sample_size=50).fit(train)
    assert model.ids is None and model.num_rows == 50
    with pytest.raises(ValueError, match="needs the names of the training rows: set idCol before fit"):
        model.kneighbors(test)


def test_a_large_model_finds_the_same(spark: SparkSession, test: DataFrame, train: DataFrame, model: KNNClassifierModel) -> None:
    copies = train.select("features", "label", F.explode(F.sequence(F.lit(1), F.lit(6))))
    large = KNNClassifier(k=1, sample_size=ALL).fit(copies)
    assert large.artifact.arrays["rows"].nbytes > 2 << 20
    expected = model.copy().setK(1).transform(test).select("id", "prediction").collect()
    assert sorted(large.transform(test).select("id", "prediction").collect()) == sorted(expected)
    accuracy = np.mean(peer(1).predict(PIXELS[TEST]) == DIGIT[TEST])
    assert large.evaluate(test)["test:accuracy"] == pytest.approx(accuracy)


@pytest.mark.parametrize(
    "index",
    [
        {"index_type": "faiss.IVFFlat", "index_metric": "COSINE"},
        {"index_type": "faiss.IVFPQ", "faiss_index_pq_m": 12, "faiss_index_ivf_nlists": 8},
        {"dimension_reduction_type": "fjlt", "dimension_reduction_target": 40},
    ],
    ids=lambda index: next(iter(index.values())),
)
def test_every_index_is_saved_and_predicts_well(train: DataFrame, test: DataFrame, index: dict, tmp_path: object) -> None:
    model = KNNClassifier(k=3, sample_size=ALL, **index).fit(train)
    model.save(f"{tmp_path}/model")
    loaded = KNNClassifierModel.load(f"{tmp_path}/model")
    assert loaded.evaluate(test) == model.evaluate(test)
    assert model.evaluate(test)["test:accuracy"] > 0.9
    if "faiss_index_pq_m" in index:
        with pytest.raises(ValueError, match="keeps codes of its rows, not the rows"):
            _ = model.rows


def test_accuracy_is_that_of_spark_s_evaluator(model: KNNClassifierModel, test: DataFrame) -> None:
    expected = MulticlassClassificationEvaluator(metricName="accuracy").evaluate(model.transform(test))
    assert model.evaluate(test.drop("id")) == pytest.approx({"test:accuracy": expected})


def test_regression_is_that_of_scikit_learn(train: DataFrame, test: DataFrame) -> None:
    columns = {"labelCol": "target", "featuresCol": "pixels"}
    add = {"target": F.element_at("pixels", 22) * 3.5 + F.element_at("pixels", 40)}
    model = KNNRegressor(k=4, sample_size=ALL, **columns).fit(train.withColumns(add))
    target = PIXELS[:, 21] * 3.5 + PIXELS[:, 39]
    expected = KNeighborsRegressor(4, algorithm="brute").fit(PIXELS[TRAIN], target[TRAIN]).predict(PIXELS[TEST])
    rows = model.transform(test).orderBy("id").select("prediction").collect()
    assert np.allclose([row[0] for row in rows], expected, rtol=1e-6)
    errors = (np.array([row[0] for row in rows]) - target[TEST]) ** 2
    assert model.evaluate(test.withColumns(add)) == pytest.approx({"test:mse": errors.mean()})


def test_an_empty_dataset_to_evaluate_on_is_refused(model: KNNClassifierModel, test: DataFrame) -> None:
    with pytest.raises(ValueError, match="the dataset to evaluate on is empty"):
        model.evaluate(test.where("id < 0"))


BAD = {
    "label": ({"labelCol": "half"}, InvalidDataError, r"label column 'half' is \d*\.5, expected an integer from 0 to 9999"),
    "text id": ({"idCol": "name"}, InvalidParams, "idCol: column 'name' is string; it must be a whole number"),
    "no id": ({"idCol": "nowhere"}, InvalidParams, "idCol='nowhere' is not a column of the dataset"),
    "ids": ({"idCol": "same"}, InvalidDataError, "the id column has 1 in more than one row; ids must differ"),
    "k": ({"k": 1401}, InvalidDataError, "k=1401 neighbours need as many rows, the sample has 1400"),
    "target": (
        {"dimension_reduction_type": "sign", "dimension_reduction_target": 64},
        InvalidDataError,
        "dimension_reduction_target=64 must be less than the 64 features",
    ),
    "target by schema": (
        {"dimension_reduction_type": "sign", "dimension_reduction_target": 2, "featuresCols": ["same", "half"]},
        InvalidParams,
        "dimension_reduction_target=2 must be less than the 2 features",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_named(train: DataFrame, what: str) -> None:
    settings, error, message = BAD[what]
    bad = train.withColumns({"half": F.col("label") + 0.5, "name": F.lit("x"), "same": F.lit(1).cast("short")})
    with pytest.raises(error, match=message):
        KNNClassifier(**{"k": 3, "sample_size": ALL, **settings}).fit(bad)


@pytest.mark.skipif(not (DATA / "letter").exists(), reason=f"{DATA / 'letter'} does not exist")
def test_letters_are_told_apart_as_published(spark: SparkSession) -> None:
    table = read_table("letter/letter.csv.gz", keep_default_na=False)
    label = table.pop("letter").map(ord) - ord("A")
    rows = [(i, row.tolist(), float(letter)) for i, (row, letter) in enumerate(zip(table.to_numpy(float), label, strict=True))]
    frame = spark.createDataFrame(rows, "id long, features array<double>, label double").cache()
    model = KNNClassifier(k=1, sample_size=ALL, idCol="id").fit(frame.where("id < 16000"))
    # Of 29 % of the test rows several training rows are nearest: taking another of them would give 0.9475 to 0.966.
    assert model.evaluate(frame.where("id >= 16000"))["test:accuracy"] == pytest.approx(0.956, abs=0.001)

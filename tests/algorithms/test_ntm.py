"""The neural topic model as a Spark ML Estimator: what the generic checks do not know about it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import SparseVector, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import InvalidDataError, InvalidParams, NeuralTopicModel, NeuralTopicModelModel, serving
from sparkml_algos.formats.json_instances import decode

WORDS = [f"{subject}{number}" for subject in "abc" for number in range(10)]


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """Documents of mostly one of three subjects of ten words each, the last one without a word."""
    random = np.random.default_rng(0)
    topics = np.kron(np.eye(3), np.full(10, 0.1))
    documents = random.multinomial(random.integers(15, 40, 600), random.dirichlet(np.full(3, 0.1), 600) @ topics)
    return np.vstack([documents, np.zeros(30, int)])


@pytest.fixture(scope="module")
def data(spark: SparkSession, counts: np.ndarray) -> DataFrame:
    rows = [(i, SparseVector(30, np.flatnonzero(row).tolist(), row[row > 0].astype(float).tolist())) for i, row in enumerate(counts)]
    return spark.createDataFrame(rows, ["id", "features"]).repartition(3).cache()


@pytest.fixture(scope="module")
def model(data: DataFrame) -> NeuralTopicModelModel:
    marked = data.withColumn("held", F.col("id") % 6 == 0)
    settings = {"optimizer": "adam", "learning_rate": 0.01, "mini_batch_size": 64, "validationIndicatorCol": "held"}
    return NeuralTopicModel(num_topics=3, num_workers=2, **settings).fit(marked)


def shares_of(scored: DataFrame) -> np.ndarray:
    return np.array([row[0] for row in scored.orderBy("id").select(vector_to_array("topicDistribution")).collect()])


def test_topics_are_the_subjects_and_each_document_has_weights_of_them(
    data: DataFrame, model: NeuralTopicModelModel, counts: np.ndarray
) -> None:
    subjects = model.topics.reshape(3, 3, 10).sum(axis=2)
    assert sorted(subjects.argmax(axis=1)) == [0, 1, 2] and model.vocabSize() == 30
    scored = model.transform(data)
    assert scored.schema["topicDistribution"].dataType == VectorUDT()
    shares = shares_of(scored)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    words = counts[:-1].reshape(600, 3, 10).sum(axis=2)[:, subjects.argmax(axis=1)]
    assert (shares[:-1].argmax(axis=1) == words.argmax(axis=1)).mean() > 0.95
    np.testing.assert_allclose(shares[-1], 1 / 3, atol=1e-6)


def test_topics_are_described_and_judged_by_their_first_words(model: NeuralTopicModelModel, caplog: pytest.LogCaptureFixture) -> None:
    for row in model.describe_topics(4, vocabulary=WORDS).collect():
        topic = model.topics[row["topic"]]
        assert row["termWeights"] == sorted(topic, reverse=True)[:4] and len({term[0] for term in row["terms"]}) == 1
    assert model.topic_uniqueness() == 1
    assert np.array_equal(model.topicsMatrix().toArray(), model.topics.T)
    vectors = np.repeat(np.eye(3), 10, axis=0)
    assert model.word_embedding_coherence(vectors) == pytest.approx(1)
    by_word = dict(zip(WORDS, vectors, strict=True))
    assert model.word_embedding_coherence(by_word, WORDS) == pytest.approx(1)
    del by_word["a3"], by_word["b4"]
    with caplog.at_level(logging.WARNING):
        # Two topics have nine words with a vector, of 45 pairs 36.
        assert model.word_embedding_coherence(by_word, WORDS) == pytest.approx((36 / 45 * 2 + 1) / 3)
    assert "2 of 30 first words of topics have no vector, so are like no other: " in caplog.text
    for given, message in (((by_word,), "give vocabulary"), ((vectors[:5],), r"vectors has shape \(5, 3\)"), (({}, WORDS), "is empty")):
        with pytest.raises(ValueError, match=message):
            model.word_embedding_coherence(*given)


def test_evaluation_is_the_loss_of_the_same_rows_in_validation(data: DataFrame, model: NeuralTopicModelModel) -> None:
    found = model.evaluate(data.where("id % 6 = 0"))
    metrics = model.training_summary.metrics
    assert set(found) == {"test:total_loss", "test:reconstruction", "test:kl", "test:perplexity"}
    for name, value in found.items():
        assert value == pytest.approx(metrics[name.replace("test", "validation")], rel=1e-5)
    # The last document has no words, and so nothing to be judged by.
    assert model.evaluate(data.where("id % 6 = 0 AND id < 600")) == pytest.approx(found, rel=1e-12)
    with pytest.raises(ValueError, match="the documents to evaluate on have no words"):
        model.evaluate(data.where("id = 600"))


def test_expected_words_of_one_topic_are_those_of_its_subject(model: NeuralTopicModelModel) -> None:
    found = model.expected_words(np.eye(3))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    subjects = [part.reshape(3, 3, 10).sum(axis=2).argmax(axis=1).tolist() for part in (found, model.topics)]
    assert subjects[0] == subjects[1]


def test_a_saved_model_answers_the_services_requests_without_spark(
    data: DataFrame, model: NeuralTopicModelModel, counts: np.ndarray, tmp_path: Path
) -> None:
    model.save(str(tmp_path / "model"))
    served = serving.load(tmp_path / "model")
    expected = shares_of(model.transform(data.where("id < 20")))
    assert np.array_equal(served(counts[:20].astype(np.float32))["topic_weights"], expected)
    assert np.array_equal(served(sp.csr_matrix(counts[:20]))["topic_weights"], expected)
    keys = np.flatnonzero(counts[0]).tolist()
    sparse = {"keys": keys, "values": counts[0][keys].tolist(), "shape": [30]}
    request = {"instances": [{"data": {"features": sparse}}, {"features": counts[1].tolist()}]}
    answer = served.predict_instances(decode(json.dumps(request).encode()))
    np.testing.assert_array_equal(answer["topic_weights"], expected[:2])


@pytest.mark.slow
def test_what_compiling_took_is_in_the_summary(data: DataFrame, model: NeuralTopicModelModel) -> None:
    settings = {"num_topics": 3, "optimizer": "adam", "mini_batch_size": 64, "epochs": 3, "num_workers": 2}
    found = NeuralTopicModel(compile=True, **settings).fit(data).training_summary.compile
    assert set(found) == {"seconds", "eager_step_seconds", "compiled_step_seconds"} and found["seconds"] > 0
    assert model.training_summary.compile is None


def test_a_share_of_no_rows_is_refused_before_any_job(data: DataFrame) -> None:
    with pytest.raises(InvalidParams, match="sub_sample=0 leaves no rows to train on"):
        NeuralTopicModel(num_topics=3, sub_sample=0).fit(data)


def test_layers_are_a_list_as_the_service_writes_it() -> None:
    assert NeuralTopicModel(encoder_layers="300,100").getEncoderLayers() == [300, 100]
    with pytest.raises(InvalidParams, match=r"encoder_layers must be a list of ints >= 1 or 'auto', got \[300, 0\]"):
        NeuralTopicModel(encoder_layers=[300, 0])


@pytest.mark.parametrize(("count", "found"), [("-1D", "-1"), ("0.5D", "0.5")])
def test_what_is_not_a_count_is_refused_by_column_element_and_row(
    data: DataFrame, model: NeuralTopicModelModel, count: str, found: str
) -> None:
    bad = data.limit(20).select(F.expr(f"IF(id >= 0, array(1D, {count}), array(1D, 1D))").alias("bad"))
    message = rf"features column 'bad', element 1, is {found}, expected a count \(a whole number from 0\), in row 0 of "
    with pytest.raises(InvalidDataError, match=message + "worker"):
        NeuralTopicModel(num_topics=2, featuresCol="bad", num_workers=1).fit(bad)
    wide = bad.select(F.expr("concat(bad, array_repeat(0D, 28))").alias("bad"))
    with pytest.raises(Exception, match=message + "its task"):
        model.copy().setFeaturesCol("bad").transform(wide).collect()


def test_documents_of_no_length_or_without_words_are_refused(spark: SparkSession) -> None:
    with pytest.raises(InvalidDataError, match=r"features column 'features' is empty \(0 values\)"):
        NeuralTopicModel(num_topics=2, num_workers=1).fit(spark.createDataFrame([([],)] * 3, "features array<double>"))
    with pytest.raises(InvalidDataError, match="epoch 1 had no document with a word to train on: the dataset has none"):
        NeuralTopicModel(num_topics=2, num_workers=2).fit(spark.createDataFrame([([0.0, 0.0],)] * 30, "features array<double>"))

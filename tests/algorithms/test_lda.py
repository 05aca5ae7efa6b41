"""LDA as a Spark ML Estimator: what the generic checks do not know about it."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import SparseVector, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import LDA, InvalidDataError, LDAModel

WORDS = [f"{subject}{number}" for subject in "abc" for number in range(10)]


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """Documents of mostly one of three subjects of ten words each, the last one without a word."""
    random = np.random.default_rng(0)
    topics = np.kron(np.eye(3), np.full(10, 0.1))
    documents = random.multinomial(random.integers(15, 40, 300), random.dirichlet(np.full(3, 0.1), 300) @ topics)
    return np.vstack([documents, np.zeros(30, int)])


@pytest.fixture(scope="module")
def data(spark: SparkSession, counts: np.ndarray) -> DataFrame:
    rows = [(i, SparseVector(30, np.flatnonzero(row).tolist(), row[row > 0].astype(float).tolist())) for i, row in enumerate(counts)]
    return spark.createDataFrame(rows, ["id", "features"]).repartition(3).cache()


@pytest.fixture(scope="module")
def model(data: DataFrame) -> LDAModel:
    return LDA(num_topics=3, alpha0=0.3, num_workers=2).fit(data)


def test_topics_are_the_subjects_and_mllib_s_names_say_the_same(model: LDAModel) -> None:
    assert model.topics.shape == (3, 30) and model.vocabSize() == 30
    subjects = model.topics.reshape(3, 3, 10).sum(axis=2)
    assert (np.sort(subjects, axis=1)[:, 2] > 0.95).all() and sorted(subjects.argmax(axis=1)) == [0, 1, 2]
    assert np.array_equal(model.topicsMatrix().toArray(), model.topics.T)
    assert np.array_equal(model.estimatedDocConcentration(), model.alpha) and model.alpha.sum() == pytest.approx(0.3)


def test_distribution_of_topics_is_a_vector_of_shares(data: DataFrame, model: LDAModel, counts: np.ndarray) -> None:
    scored = model.transform(data)
    assert scored.schema["topicDistribution"].dataType == VectorUDT()
    shares = np.array([row[0] for row in scored.orderBy("id").select(vector_to_array("topicDistribution")).collect()])
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    subject = model.topics.reshape(3, 3, 10).sum(axis=2).argmax(axis=1)
    words = counts[:-1].reshape(300, 3, 10).sum(axis=2)[:, subject]
    np.testing.assert_allclose(shares[:-1], words / words.sum(axis=1, keepdims=True), atol=0.1)
    np.testing.assert_allclose(shares[-1], model.alpha / model.alpha.sum(), atol=1e-6)


def test_describe_topics_lists_the_most_probable_words(model: LDAModel) -> None:
    described = model.describe_topics(4, vocabulary=WORDS)
    assert described.dtypes == [
        ("topic", "int"),
        ("termIndices", "array<int>"),
        ("termWeights", "array<double>"),
        ("terms", "array<string>"),
    ]
    for row in described.collect():
        topic = model.topics[row["topic"]]
        assert row["termWeights"] == sorted(topic, reverse=True)[:4] == [topic[term] for term in row["termIndices"]]
        assert row["terms"] == [WORDS[term] for term in row["termIndices"]]
    assert model.describeTopics().columns == ["topic", "termIndices", "termWeights"]
    with pytest.raises(ValueError, match="vocabulary has 2 words; the model was trained on 30 features"):
        model.describe_topics(vocabulary=["a", "b"])
    with pytest.raises(ValueError, match="maxTermsPerTopic must be at least 1, got 0"):
        model.describe_topics(0)


def test_evaluate_is_the_likelihood_of_a_word_under_the_mixture(data: DataFrame, model: LDAModel, counts: np.ndarray) -> None:
    rows = model.transform(data).orderBy("id").select(vector_to_array("topicDistribution")).collect()
    logs = counts * np.log(np.array([row[0] for row in rows]) @ model.topics)
    assert model.evaluate(data) == {"test:pwll": pytest.approx(logs.sum() / counts.sum(), rel=1e-5)}
    assert model.logLikelihood(data) == pytest.approx(logs.sum(), rel=1e-5)
    assert model.logPerplexity(data) == pytest.approx(-logs.sum() / counts.sum(), rel=1e-5)
    weighted = model.copy().setWeightCol("weight").evaluate(data.withColumn("weight", 1.0 + F.col("id") % 2))
    weight = 1 + np.arange(301) % 2
    assert weighted["test:pwll"] == pytest.approx(weight @ logs.sum(axis=1) / (weight @ counts.sum(axis=1)), rel=1e-5)
    with pytest.raises(ValueError, match="the documents to evaluate on have no words"):
        model.evaluate(data.where("id = 300"))


def test_summary_has_the_likelihood_of_every_refinement(model: LDAModel) -> None:
    history = model.training_summary.history
    assert ["train:pwll" in epoch for epoch in history] == [False] * 2 + [True] * 5
    assert model.training_summary.metrics == {"train:pwll": history[-1]["train:pwll"]}


@pytest.mark.parametrize(("count", "found"), [("-1D", "-1"), ("0.5D", "0.5")])
def test_what_is_not_a_count_is_refused_by_column_element_and_row(data: DataFrame, model: LDAModel, count: str, found: str) -> None:
    bad = data.limit(20).select(F.expr(f"IF(id >= 0, array(1D, {count}), array(1D, 1D))").alias("bad"))
    message = rf"features column 'bad', element 1, is {found}, expected a count \(a whole number from 0\), in row 0 of "
    with pytest.raises(InvalidDataError, match=message + "worker"):
        LDA(num_topics=1, featuresCol="bad", num_workers=1).fit(bad)
    wide = bad.select(F.expr("concat(bad, array_repeat(0D, 28))").alias("bad"))
    with pytest.raises(Exception, match=message + "its task"):
        model.copy().setFeaturesCol("bad").transform(wide).collect()
    with pytest.raises(Exception, match=message + "its partition"):
        model.copy().setFeaturesCol("bad").evaluate(wide)

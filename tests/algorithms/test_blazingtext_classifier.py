"""The text classifier in Spark: columns, labels of every form, fastText's files, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import BlazingTextClassifier, BlazingTextClassifierModel, InvalidDataError, InvalidParams
from sparkml_algos.core.model import AlgorithmModel

SETTINGS = {"learning_rate": 0.5, "min_count": 1, "vector_dim": 8, "buckets": 100, "epochs": 10, "num_workers": 2}
SENTENCES = [
    ("the home team won the match", "sport"),
    ("parliament votes on the law", "politics"),
    ("a goal in the last minute", "sport"),
    ("the minister speaks", "politics"),
]


@pytest.fixture(scope="module")
def texts(spark: SparkSession) -> DataFrame:
    frame = spark.createDataFrame([(i, *SENTENCES[i % 4]) for i in range(80)], "id long, text string, topic string")
    marked = F.concat(F.lit("__label__"), "topic", F.lit(" "), "text")
    return frame.withColumn("marked", marked).withColumn("number", (F.col("id") % 2).cast("double")).cache()


@pytest.fixture(scope="module")
def model(texts: DataFrame) -> AlgorithmModel:
    return BlazingTextClassifier(labelCol="topic", **SETTINGS).fit(texts)


def test_texts_are_given_their_labels(model: AlgorithmModel, texts: DataFrame) -> None:
    assert sorted(model.labels) == ["politics", "sport"] and model.numClasses == 2
    for row in model.transform(texts.limit(8)).collect():
        assert row.predicted_label == row.topic == model.labels[int(row.prediction)]
        assert row.probability[int(row.prediction)] == max(row.probability) > 0.5
    assert model.evaluate(texts) == {"test:accuracy": 1.0}


def test_the_best_labels_are_those_of_the_service_where_they_are_asked_for(model: AlgorithmModel, texts: DataFrame) -> None:
    asked = model.copy({model.bestLabelsCol: "labels", model.bestProbabilitiesCol: "shares", model.k: 5})
    row = asked.transform(texts.where("id = 0")).first()
    assert row.labels == ["__label__sport", "__label__politics"]
    assert row.shares == sorted(row.probability, reverse=True)


def test_the_summary_says_what_ran_and_how_it_went(model: AlgorithmModel) -> None:
    summary = model.training_summary
    assert summary.kernels.split()[0] in ("numba", "numpy") and "inner loops" in str(summary)
    losses = summary.train_objective_history["loss"]
    assert len(losses) == 10 and losses[-1] < losses[0] and model.served_epoch == 10


def test_labels_may_stand_in_the_text(texts: DataFrame) -> None:
    model = BlazingTextClassifier(textCol="marked", **SETTINGS).fit(texts)
    assert sorted(model.labels) == ["politics", "sport"]
    assert model.evaluate(texts) == {"test:accuracy": 1.0}


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("number", ["0", "1"]),
        ("cast(number as int)", ["0", "1"]),
        ("array(topic)", ["politics", "sport"]),
        ("array(number, 2.5)", ["0", "1", "2.5"]),
        ("id % 2 = 0", ["false", "true"]),
    ],
)
def test_labels_may_be_numbers_and_arrays(texts: DataFrame, label: str, names: list[str]) -> None:
    model = BlazingTextClassifier(labelCol="label", **{**SETTINGS, "epochs": 1}).fit(texts.withColumn("label", F.expr(label)))
    assert sorted(model.labels) == names


def test_words_may_come_as_arrays(model: AlgorithmModel, texts: DataFrame) -> None:
    words = texts.where("id < 4").withColumn("text", F.split("text", " "))
    assert model.transform(words).where("predicted_label = topic").count() == 4


def test_a_model_goes_to_fasttext_and_comes_back(model: AlgorithmModel, texts: DataFrame, tmp_path: Path) -> None:
    model.write_fasttext(tmp_path / "model.bin")
    again = BlazingTextClassifierModel.read_fasttext(str(tmp_path / "model.bin"))
    assert again.labels == model.labels and again.words == model.words
    one, other = (found.transform(texts.where("id < 4")).orderBy("id").collect() for found in (model, again))
    assert [row.probability for row in one] == [row.probability for row in other]


def test_early_stopping_needs_rows_for_validation(texts: DataFrame) -> None:
    with pytest.raises(InvalidParams, match="early_stopping=True needs rows to validate on: name a validationIndicatorCol"):
        BlazingTextClassifier(labelCol="topic", early_stopping=True, **SETTINGS).fit(texts)


def test_early_stopping_watches_the_accuracy(texts: DataFrame) -> None:
    held = texts.withColumn("held", F.col("id") < 20)
    settings = {**SETTINGS, "epochs": 50, "early_stopping": True, "min_epochs": 2, "patience": 2}
    model = BlazingTextClassifier(labelCol="topic", validationIndicatorCol="held", **settings).fit(held)
    assert len(model.training_summary.history) < 50 and model.training_summary.metrics["validation:accuracy"] == 1


def test_rows_that_cannot_be_trained_on_are_named(texts: DataFrame) -> None:
    estimator = BlazingTextClassifier(labelCol="topic", **SETTINGS)
    for wrong in ("IF(id = 5, NULL, text)", "IF(id = 5, NULL, split(text, ' '))", "array(text, IF(id = 5, NULL, 'a'))"):
        with pytest.raises(InvalidDataError, match="text column 'text' is null or has a null among its words in row"):
            estimator.fit(texts.withColumn("text", F.expr(wrong)))
    with pytest.raises(InvalidDataError, match="label column 'topic' is null in row"):
        estimator.fit(texts.withColumn("topic", F.when(F.col("id") != 5, F.col("topic"))))
    with pytest.raises(InvalidDataError, match="has no label: name a labelCol"):
        BlazingTextClassifier(**SETTINGS).fit(texts)


def test_columns_of_other_types_are_refused(texts: DataFrame) -> None:
    with pytest.raises(InvalidParams, match="textCol: column 'id' is bigint; it must be a string or an array of strings"):
        BlazingTextClassifier(textCol="id", labelCol="topic").fit(texts)

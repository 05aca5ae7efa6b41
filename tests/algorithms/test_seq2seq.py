"""Sequence to sequence as a Spark ML Estimator: what the generic checks do not know about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import InvalidDataError, InvalidParams, Seq2Seq, Seq2SeqModel, VocabularyModel, register_recordio, serving
from sparkml_algos.arrays.bleu import corpus_bleu
from sparkml_algos.formats.json_instances import decode
from sparkml_algos.formats.recordio_protobuf import decode as decode_records

WORDS = [f"w{number}" for number in range(6)]
RESERVED = ["<pad>", "<unk>", "<s>", "</s>"]
RANDOM = np.random.default_rng(0)
SOURCE = [[WORDS[word] for word in RANDOM.integers(0, len(WORDS), length)] for length in RANDOM.integers(1, 5, 400)]


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    """Sentences and the same from behind, as texts, words and ids."""
    rows = [(i, " ".join(row), " ".join(row[::-1]), i % 5 == 0) for i, row in enumerate(SOURCE)]
    frame = spark.createDataFrame(rows, "id int, source string, target string, held boolean").repartition(3)
    ids = F.create_map(*(F.lit(value) for place, word in enumerate(WORDS, 4) for value in (word, place)))
    for name in ("source", "target"):
        frame = frame.withColumn(f"{name} words", F.split(name, " "))
        frame = frame.withColumn(f"{name} ids", F.transform(f"{name} words", lambda word: ids[word]))
    return frame.cache()


def learner(**settings: Any) -> Seq2Seq:
    network = {
        "num_embed_source": 24,
        "num_embed_target": 24,
        "rnn_num_hidden": 32,
        "rnn_attention_type": "dot",
        "rnn_input_feeding": False,
    }
    training = {
        "learning_rate": 0.01,
        "batch_size": 40,
        "checkpoint_frequency_num_batches": 60,
        "max_num_batches": 180,
        "bleu_sample_size": 20,
    }
    return Seq2Seq(**{**network, **training, "validationIndicatorCol": "held", "num_workers": 2, **settings})


@pytest.fixture(scope="module")
def model(data: DataFrame) -> Seq2SeqModel:
    return learner().fit(data)


def predictions(model: Seq2SeqModel, frame: DataFrame) -> list[Any]:
    return [row.prediction for row in model.transform(frame).orderBy("id").select("prediction").collect()]


@pytest.mark.generic
def test_sentences_are_translated_in_the_form_of_their_source(data: DataFrame, model: Seq2SeqModel) -> None:
    texts = predictions(model, data)
    assert np.mean([text == " ".join(row[::-1]) for text, row in zip(texts, SOURCE, strict=True)]) > 0.9
    words = predictions(model.copy().setSourceCol("source words"), data)
    assert [" ".join(row) for row in words] == texts
    scored = model.copy().setSourceCol("source ids").transform(data)
    assert scored.schema["prediction"].dataType.simpleString() == "array<int>"
    known = model.target_vocabulary
    assert known[:4] == RESERVED and sorted(known[4:]) == WORDS


@pytest.mark.generic
def test_metrics_are_those_of_what_is_translated(data: DataFrame, model: Seq2SeqModel) -> None:
    metrics = model.evaluate(data)
    texts = predictions(model, data)
    expected = corpus_bleu([text.split() for text in texts], [row[::-1] for row in SOURCE])
    assert metrics["test:bleu"] == pytest.approx(expected)
    assert metrics["test:accuracy"] > 0.9 and 1 <= metrics["test:perplexity"] < 2
    held = model.evaluate(data.where("held"))
    found = model.training_summary.metrics
    assert held["test:perplexity"] == pytest.approx(found["validation:perplexity"], rel=1e-3)
    assert held["test:accuracy"] == pytest.approx(found["validation:accuracy"], rel=1e-3)
    assert {"validation:bleu", "train:perplexity", "train:accuracy"} <= set(found)
    assert len(model.training_summary.history) == 3
    assert model.summary.objectiveHistory[0] > model.summary.objectiveHistory[-1]


def test_what_words_look_at_is_appended_on_request(data: DataFrame, model: Seq2SeqModel) -> None:
    assert model.transform(data).columns == [*data.columns, "prediction"]
    rows = model.copy().setAttentionCol("looks").transform(data.limit(10)).collect()
    for row in rows:
        looks = np.array(row.looks).reshape(len(row.prediction.split()), -1)
        assert looks.shape[1] == len(row.source.split()) or not looks.size
        np.testing.assert_allclose(looks.sum(1), 1)


def test_vocabularies_may_be_given(data: DataFrame, tmp_path: Path) -> None:
    short = {"max_num_batches": 2, "bleu_sample_size": 0}
    words = VocabularyModel.from_words([*RESERVED, *WORDS, "never"])
    of_words = learner(**short).setVocabularies(words, words.ids)
    of_words.save(str(tmp_path / "learner"))
    found = Seq2Seq.load(str(tmp_path / "learner")).fit(data)
    assert found.source_vocabulary == found.target_vocabulary == words.words
    found.write_vocabularies(tmp_path / "vocab")
    assert json.loads((tmp_path / "vocab" / "vocab.src.json").read_text()) == words.ids
    of_ids = learner(**short, vocab_dir=f"file://{tmp_path}/vocab", sourceCol="source ids", targetCol="target ids").fit(data)
    assert all(np.array_equal(of_ids.artifact.arrays[name], array) for name, array in found.artifact.arrays.items())


@pytest.mark.classic
def test_records_of_ids_are_read_and_written(data: DataFrame, spark: SparkSession, tmp_path: Path) -> None:
    register_recordio(spark)
    pairs = data.select(F.col("source ids").alias("source"), F.col("target ids").alias("target"))
    pairs.write.format("recordio-protobuf").option("featureEntries", "source,target").save(str(tmp_path / "pairs"))
    read = spark.read.format("recordio-protobuf").schema("source array<int>, target array<int>").option("featureEntries", "source,target")
    again = read.load(str(tmp_path / "pairs"))
    settings = {"max_num_batches": 2, "bleu_sample_size": 0, "validationIndicatorCol": None}
    found = learner(**settings).setVocabularies([*RESERVED, *WORDS], [*RESERVED, *WORDS]).fit(again)
    answers = found.transform(again.select("source")).select(F.col("prediction").alias("target")).coalesce(1)
    answers.write.format("recordio-protobuf").option("featureEntries", "target").save(str(tmp_path / "answers"))
    (file,) = (tmp_path / "answers").glob("*.pbr")
    records = decode_records(file.read_bytes())
    assert len(records) == len(SOURCE) and records.features["target"].values.values.dtype == np.int32


def test_a_process_without_spark_answers_as_the_service_does(data: DataFrame, model: Seq2SeqModel, tmp_path: Path) -> None:
    model.save(str(tmp_path / "model"))
    served = serving.load(tmp_path / "model")
    expected = predictions(model, data.where("id < 3"))
    instances = {"instances": [{"data": " ".join(row)} for row in SOURCE[:3]]}
    answer = served.predict_instances(decode(json.dumps(instances).encode()))
    assert answer["target"].to_pylist() == expected
    assert [len(row) for row in answer["matrix"].to_pylist()] == [len(text.split()) for text in expected]
    line = json.dumps({"instances": [{"source": " ".join(SOURCE[1])}]}).encode()
    assert served.predict_instances(decode(line))["target"].to_pylist() == expected[1:2]
    assert served(source=SOURCE[:3])["target"].to_pylist() == expected


@pytest.mark.parametrize(
    "changed, what",
    [
        ({"sourceCol": "id"}, "sourceCol: column 'id' is int; it must be a string, an array of strings, or an array of whole numbers"),
        ({"sourceCol": "source ids"}, "sourceCol: column 'source ids' has ids of words, which need a vocabulary"),
        ({"momentum": 0.9}, "momentum goes with optimizer_type='sgd' alone"),
        ({"validationIndicatorCol": None}, "bleu_sample_size=20 needs pairs for validation: name a validationIndicatorCol"),
        ({"compile": True}, "compile=True is of no use"),
        ({"targetCol": "nothing"}, "targetCol='nothing' is not a column"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(data: DataFrame, changed: dict[str, Any], what: str) -> None:
    with pytest.raises(InvalidParams, match=what):
        learner(**changed).fit(data)


def test_vocabularies_that_are_none_are_refused(data: DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of the target lacks the reserved words <unk>"):
        Seq2Seq().setVocabularies([*RESERVED, "a"], ["<pad>", "<s>", "</s>", "a"])
    with pytest.raises(ValueError, match="must map words to all ids from 0 on"):
        Seq2Seq().setVocabularies({"a": 7}, RESERVED)
    with pytest.raises(ValueError, match="must be a VocabularyModel, a map"):
        Seq2Seq().setVocabularies("words", RESERVED)
    (tmp_path / "vocab.src.json").write_text('{"a": 0}')
    with pytest.raises(ValueError, match="vocab_dir: the vocabulary of the source lacks the reserved words"):
        learner(vocab_dir=f"file://{tmp_path}").fit(data)


def test_sentences_that_are_none_are_refused_by_row(data: DataFrame, model: Seq2SeqModel) -> None:
    empty = data.coalesce(1).withColumn("source", F.when(F.col("id") != 7, F.col("source")).otherwise(" "))
    with pytest.raises(InvalidDataError, match="source column 'source' is empty, expected at least one word, in row"):
        learner(num_workers=1).fit(empty)
    with pytest.raises(InvalidDataError, match="source column 'source' is empty"):
        model.evaluate(empty)
    beyond = data.withColumn("source", F.array(F.lit(99)))
    with pytest.raises(Exception, match="source has the id 99 as word 0 of row 0 of its batch; its vocabulary has the ids from 0 to 9"):
        model.transform(beyond).select("prediction").collect()

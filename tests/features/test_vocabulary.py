"""Vocabularies: words to ids by falling frequency, and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import Tokenizer
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import InvalidDataError, InvalidParams, Vocabulary, VocabularyModel

pytestmark = pytest.mark.generic

TEXTS = [(0, "b b  a", ["é", "c"]), (1, " c b ", []), (2, "", ["a", "a", "d"])]
RESERVED = ["<pad>", "<unk>"]


@pytest.fixture(scope="module")
def texts(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(TEXTS, "id int, text string, words array<string>").repartition(3).cache()


def vocabulary(**settings: object) -> Vocabulary:
    return Vocabulary(**{"inputCols": ["text", "words"], "outputCols": ["in0", "in1"], **settings})


@pytest.fixture(scope="module")
def model(texts: DataFrame) -> VocabularyModel:
    return vocabulary().fit(texts)


def rows(frame: DataFrame, *names: str) -> list[list[object]]:
    return [[row[name] for name in names] for row in frame.orderBy("id").collect()]


def test_ids_follow_falling_frequency_and_equal_words_their_code_points(model: VocabularyModel) -> None:
    assert model.words == [*RESERVED, "a", "b", "c", "d", "é"]
    assert model.counts.tolist() == [0, 0, 3, 3, 2, 1, 1] and model.size == 7
    assert model.ids["a"] == 2


def test_texts_and_lists_become_arrays_of_ids(texts: DataFrame, model: VocabularyModel) -> None:
    found = model.transform(texts)
    assert found.columns == [*texts.columns, "in0", "in1"]
    assert found.schema["in0"].dataType.simpleString() == "array<int>"
    assert rows(found, "in0", "in1") == [[[3, 3, 2], [6, 4]], [[4, 3], []], [[], [2, 2, 5]]]


def test_rare_words_and_those_beyond_the_size_are_unknown(texts: DataFrame) -> None:
    assert vocabulary(min_count=2).fit(texts).words == [*RESERVED, "a", "b", "c"]
    small = vocabulary(max_size=3).fit(texts)
    assert small.words == [*RESERVED, "a"]
    assert rows(small.transform(texts), "in0")[0] == [[1, 1, 2]]
    assert rows(small.copy({small.unknown: "skip"}).transform(texts), "in0", "in1")[0] == [[2], []]
    with pytest.raises(Exception, match="the word 'b', token 0 of row 0 of its batch, is not in the vocabulary"):
        small.copy({small.unknown: "error"}).transform(texts.where("id = 0").select("id", "text", "words")).collect()


def test_reserved_words_have_the_first_ids_and_are_not_counted_again(texts: DataFrame) -> None:
    assert vocabulary(reserved=["<unk>", "b"]).fit(texts).words == ["<unk>", "b", "a", "c", "d", "é"]
    assert vocabulary(reserved=None, unknown="skip").fit(texts).words == ["a", "b", "c", "d", "é"]


def test_ids_become_words_again(texts: DataFrame, model: VocabularyModel) -> None:
    back = model.inverse(model.transform(texts), "in1", "back")
    assert rows(back, "back") == [[words] for _, _, words in TEXTS]
    with pytest.raises(Exception, match=r"token 0, is 7, expected a token id from 0 to 6 \(the vocabulary has 7 words\)"):
        model.inverse(texts.select(F.array(F.lit(7)).alias("bad")), "bad", "back").collect()


def test_null_texts_and_words_are_refused(texts: DataFrame, model: VocabularyModel) -> None:
    for name, null in (("text", "NULL"), ("words", "array(NULL)")):
        bad = texts.withColumn(name, F.expr(f"IF(id = 1, {null}, {name})"))
        with pytest.raises(InvalidDataError, match="1 lists of words, or words, are null in text, words"):
            vocabulary(max_size=2).fit(bad)
        with pytest.raises(Exception, match=r"words column '(text|words)'(, token 0,)? is null in row"):
            model.transform(bad).collect()


def test_words_of_spark_s_tokenizer_are_numbered_in_a_pipeline_that_is_saved(texts: DataFrame, tmp_path: Path) -> None:
    stages = [Tokenizer(inputCol="text", outputCol="split"), Vocabulary(inputCols=["split"], outputCols=["ids"])]
    fitted = Pipeline(stages=stages).fit(texts)
    fitted.write().save(str(tmp_path / "pipeline"))
    loaded = PipelineModel.load(str(tmp_path / "pipeline"))
    assert loaded.stages[1].words == fitted.stages[1].words and loaded.stages[1].uid == stages[1].uid
    assert rows(loaded.transform(texts), "ids") == rows(fitted.transform(texts), "ids")


def test_the_service_s_files_are_written_and_read(texts: DataFrame, model: VocabularyModel, tmp_path: Path) -> None:
    model.write_json(str(tmp_path / "vocab.json"))
    model.write_text(str(tmp_path / "vocab.txt"))
    assert json.loads((tmp_path / "vocab.json").read_text()) == model.ids
    assert (tmp_path / "vocab.txt").read_text().splitlines() == model.words
    columns = {"inputCols": ["text"], "outputCols": ["in0"]}
    for reads, name in ((VocabularyModel.read_json, "vocab.json"), (VocabularyModel.read_text, "vocab.txt")):
        read = reads(str(tmp_path / name), **columns)
        assert read.words == model.words
        assert rows(read.transform(texts), "in0") == rows(model.transform(texts), "in0")
    (tmp_path / "vocab.json").write_text('{"a": 0, "b": 2}')
    with pytest.raises(ValueError, match="is no map of words to the ids from 0 on, each once"):
        VocabularyModel.read_json(str(tmp_path / "vocab.json"))
    with pytest.raises(ValueError, match="the word 'a' is there twice"):
        VocabularyModel.from_words(["a", "b", "a"])


@pytest.mark.parametrize(("settings", "problem"), [
    ({"outputCols": ["in0"]}, "inputCols and outputCols must name equally many columns"),
    ({"inputCols": ["text", "id"]}, "inputCols: column 'id' is int; it must be a string or an array of strings"),
    ({"inputCols": ["text", "nowhere"]}, "inputCols: 'nowhere' is not a column of the dataset; it has id, text, words"),
    ({"max_size": 1}, "max_size is 1, less than the 2 reserved words"),
    ({"reserved": ["a", "a"]}, "reserved must be different words"),
    ({"reserved": ["a"]}, r"unknown_word '<unk>' is not among the reserved words \['a'\]"),
])  # fmt: skip
def test_what_cannot_work_is_refused(texts: DataFrame, settings: dict, problem: str) -> None:
    with pytest.raises(InvalidParams, match=problem):
        vocabulary(**settings).fit(texts)

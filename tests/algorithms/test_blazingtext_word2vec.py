"""Word vectors as a Spark ML Estimator and Model: neighbours, analogies, judgements of people and files of fastText."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from scipy.stats import spearmanr

from sparkml_algos import BlazingTextWord2Vec, BlazingTextWord2VecModel, InvalidParams
from sparkml_algos.algorithms.blazingtext.vocabulary import CountedWords
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.formats import fasttext

WORDS = ["man", "woman", "king", "queen", "apple", "nought"]
VECTORS = np.array([[1, 0, 0.1], [1, 1, 0], [3, 0, 2], [3.1, 1.9, 2], [-1, 0.5, 3], [0, 0, 0]], np.float32)
PAIRS = [("man", "woman", 8.0), ("king", "Queen", 7.0), ("man", "apple", 1.0), ("queen", "apple", 3.0), ("king", "nobody", 2.0)]
SMALL = {"vector_dim": 4, "min_count": 1, "sampling_threshold": 1.0, "epochs": 2, "num_workers": 1}


@pytest.fixture(scope="module")
def model(spark: SparkSession) -> BlazingTextWord2VecModel:
    found = BlazingTextWord2VecModel(mode="skipgram", vector_dim=3)
    words = CountedWords(pa.array(WORDS, pa.large_string()), np.arange(60, 0, -10))
    arrays = {**words.to_arrays(), "inputs": VECTORS, "outputs": VECTORS[::-1].copy(), "buckets": np.empty(0, np.int64)}
    found.artifact = Artifact(arrays, {"evaluated": {"mean_rho": 0.5, "pairs": 4, "missing_words": 1}})
    return found


@pytest.fixture(scope="module")
def pairs(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(PAIRS, "word1 string, word2 string, score double")


@pytest.fixture(scope="module")
def texts(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([("man woman king queen",), ("apple man\n",)] * 20, "text string")


def cosines(vector: np.ndarray) -> dict[str, float]:
    lengths = np.linalg.norm(VECTORS, axis=1) * np.linalg.norm(vector)
    return dict(zip(WORDS, (VECTORS @ vector / np.where(lengths == 0, 1, lengths)).tolist(), strict=True))


def told(found: DataFrame) -> dict[str, float]:
    return {row.word: row.similarity for row in found.collect()}


def test_the_words_most_like_another_are_found_by_their_cosines(model: BlazingTextWord2VecModel) -> None:
    expected = cosines(VECTORS[2])
    del expected["king"]
    found = told(model.find_synonyms("king", 9))
    assert list(found) == sorted(expected, key=lambda word: -expected[word]) and found == pytest.approx(expected, abs=1e-6)
    assert list(told(model.findSynonyms([3.0, 0.0, 2.0], 1))) == ["king"]
    for asked, message in (("nobody", "'nobody' is not in the vocabulary of 6 words"), ([1.0], r"has 3 numbers, got shape \(1,\)")):
        with pytest.raises(ValueError, match=message):
            model.find_synonyms(asked)
    with pytest.raises(ValueError, match="num must be an int >= 1, got 0"):
        model.find_synonyms("king", 0)


def test_a_woman_is_to_a_queen_as_a_man_is_to_a_king(model: BlazingTextWord2VecModel) -> None:
    one, other, third = (VECTORS[WORDS.index(word)] / np.linalg.norm(VECTORS[WORDS.index(word)]) for word in ("man", "king", "woman"))
    found = told(model.analogy("man", "king", "woman", 2))
    assert next(iter(found)) == "queen" and not set(found) & {"man", "king", "woman"}
    assert found["queen"] == pytest.approx(cosines(other - one + third)["queen"], abs=1e-6)


def test_vectors_agree_with_people_as_far_as_ranks_do(model: BlazingTextWord2VecModel, pairs: DataFrame) -> None:
    known = [(VECTORS[WORDS.index(one)], VECTORS[WORDS.index(other.lower())], score) for one, other, score in PAIRS[:4]]
    ours = [one @ other / np.linalg.norm(one) / np.linalg.norm(other) for one, other, _ in known]
    scores = [score for *_, score in known]
    expected = {"mean_rho": spearmanr(ours, scores).statistic, "pairs": 4, "missing_words": 1}
    assert model.mean_rho(pairs) == pytest.approx(expected)
    sets = [spearmanr(part, given).statistic for part, given in ((ours[:2], scores[:2]), (ours[2:], scores[2:]))]
    apart = pairs.selectExpr("*", "IF(word1 = 'man' AND word2 = 'woman' OR word1 = 'king', 1, 2) AS set")
    assert model.mean_rho(apart)["mean_rho"] == pytest.approx(np.mean(sets))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["word1", "word2"], "need the columns word1, word2, score; the dataset has word1, word2"),
        (["word1", "word2", "IF(score > 5, 'high', '2') AS score"], "a word, score or set is null, or a score no number"),
        (["word1", "NULL AS word2", "score"], "a word, score or set is null, or a score no number"),
    ],
    ids=["missing", "no number", "null"],
)
def test_pairs_that_are_none_are_refused(pairs: DataFrame, columns: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BlazingTextWord2Vec(mode="cbow").setWordPairs(pairs.selectExpr(*columns))


def test_pairs_are_scored_in_training_from_wherever_they_come(texts: DataFrame, pairs: DataFrame, tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "a.csv").write_text("Word 1,Word 2,Human (mean)\nman,woman,8\nking,queen,7\nman,nobody,3\n")
    (tmp_path / "pairs" / "b.txt").write_text("man\tapple\t1\n\nqueen apple 3\n")
    learner = BlazingTextWord2Vec(mode="skipgram", word_pairs_path=str(tmp_path / "pairs"), **SMALL)
    found = learner.fit(texts).artifact.values["evaluated"]
    assert (found["pairs"], found["missing_words"]) == (4, 1) and abs(found["mean_rho"]) <= 1
    given = BlazingTextWord2Vec(mode="skipgram", **SMALL).setWordPairs(pairs)
    given.save(str(tmp_path / "estimator"))
    model = BlazingTextWord2Vec.load(str(tmp_path / "estimator")).fit(texts)
    assert model.artifact.values["evaluated"]["pairs"] == 4 and "train:mean_rho" in model.training_summary.metrics
    assert sorted(model.words) == sorted(WORDS[:5])
    with pytest.raises(InvalidParams, match="word_pairs_path and setWordPairs are both given; leave one out"):
        learner.setWordPairs(pairs).fit(texts)
    with pytest.raises(InvalidParams, match="pairs of words are given, but evaluation=False; leave one out"):
        given.copy({given.evaluation: False}).fit(texts)
    (tmp_path / "none.txt").write_text("nothing here\n")
    with pytest.raises(ValueError, match=r"word_pairs_path: no line of .*none\.txt is two words and a number"):
        BlazingTextWord2Vec(mode="skipgram", word_pairs_path=str(tmp_path / "none.txt"), **SMALL).fit(texts)


def test_files_of_fasttext_come_back_and_say_the_same_of_unknown_words(texts: DataFrame, tmp_path: Path) -> None:
    model = BlazingTextWord2Vec(mode="skipgram", subwords=True, buckets=50, **SMALL).fit(texts)
    model.write_vectors(str(tmp_path / "made" / "here"))
    words, vectors = fasttext.read_vectors(tmp_path / "made" / "here" / "vectors.txt")
    assert words == model.words and np.array_equal(vectors, model.word_vectors)
    assert not (tmp_path / "made" / "here" / "eval.json").exists()
    again = BlazingTextWord2VecModel.read_fasttext(str(tmp_path / "made" / "here" / "vectors.bin"), vectorCol="of words")
    assert (again.words, again.counts.tolist()) == (model.words, model.counts.tolist())
    unknown = texts.limit(1).selectExpr("'womanly queens' AS text")
    found = again.transform(unknown).first()["of words"]
    assert np.abs(found.toArray()).max() > 0
    np.testing.assert_allclose(found.toArray(), model.transform(unknown).first().vector.toArray(), rtol=1e-6)


def test_what_people_said_is_written_beside_the_vectors(model: BlazingTextWord2VecModel, tmp_path: Path) -> None:
    model.write_vectors(str(tmp_path))
    assert json.loads((tmp_path / "eval.json").read_text()) == {"mean_rho": 0.5, "pairs": 4, "missing_words": 1}
    assert fasttext.read_model(str(tmp_path / "vectors.bin")).settings.model == fasttext.SKIPGRAM

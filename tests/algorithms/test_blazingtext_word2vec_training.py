"""Training of word vectors on arrays: what they say, on any number of workers, with and without compiled kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from sparkml_algos import BlazingTextWord2Vec, kernels
from sparkml_algos.algorithms.blazingtext.word2vec import training
from sparkml_algos.algorithms.blazingtext.word2vec.exchange import LONGEST, STEPS, SharedTable, all_are_due, damping, periods
from sparkml_algos.algorithms.blazingtext.word2vec.prediction import WordVectors
from sparkml_algos.algorithms.blazingtext.word2vec.similarity import agreement, spearman
from sparkml_algos.algorithms.blazingtext.word2vec.steps import Texts
from sparkml_algos.algorithms.blazingtext.word2vec.training import WORD2VEC
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training.run import train_arrays
from tests.gang import in_threads

GROUPS, WORDS_OF_A_GROUP = 4, 8
SETTINGS = {"mode": "batch_skipgram", "vector_dim": 8, "epochs": 6, "min_count": 1, "sampling_threshold": 1.0}


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def texts(count: int = 400) -> list[list[str]]:
    """Each of words of one group."""
    random = np.random.default_rng(0)
    return [[f"w{row % GROUPS}_{random.integers(WORDS_OF_A_GROUP)}" for _ in range(12)] for row in range(count)]


def settings(**given: Any) -> dict[str, Any]:
    return BlazingTextWord2Vec(**{**SETTINGS, **given}).hyperparameters()


def fit(rows: list[list[str]], communicator: Communicator | None = None, pairs: Any = None, **given: Any) -> Artifact:
    options = {name: given.pop(name) for name in ("input_mode", "replicated", "checkpoint_dir", "seed") if name in given}
    chosen = settings(**given) | ({"word_pairs": pairs} if pairs else {})
    return train_arrays(WORD2VEC, chosen, communicator=communicator, text=rows, **options)


def vectors(artifact: Artifact, **given: Any) -> WordVectors:
    return WordVectors.of(artifact, Hyperparameters(**settings(**given)))


def gap(artifact: Artifact, **given: Any) -> float:
    """By how much words of a group are more like each other than like others, mean cosines."""
    found = vectors(artifact, **given)
    rows = found.of_vocabulary() / np.linalg.norm(found.of_vocabulary(), axis=1, keepdims=True)
    group = np.array([word[1] for word in found.words.words.to_pylist()])
    cosines, same = rows @ rows.T, group[:, None] == group
    return float(cosines[same].mean() - cosines[~same].mean())


@pytest.mark.parametrize(
    ("mode", "subwords"), [("batch_skipgram", False), ("skipgram", False), ("cbow", False), ("skipgram", True), ("cbow", True)]
)
def test_words_of_the_same_texts_have_like_vectors(mode: str, subwords: bool) -> None:
    given = {"mode": mode, "subwords": subwords, "buckets": 500, "learning_rate": 0.1, "epochs": 15}
    assert gap(fit(texts(), **given), **given) > 0.5


@pytest.mark.parametrize("mode", ["batch_skipgram", "skipgram", "cbow"])
@pytest.mark.parametrize("replicated", [False, True])
def test_several_workers_learn_the_same(mode: str, replicated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = texts()
    monkeypatch.setattr(training, "BLOCK_TOKENS", 400)

    def work(communicator: Communicator) -> Artifact:
        own = rows if replicated else rows[communicator.rank :: communicator.size]
        return fit(own, communicator, mode=mode, replicated=replicated, learning_rate=0.1, epochs=15)

    found = in_threads(3, work)[0]
    assert found.arrays["words/counts"].sum() == 12 * len(rows)
    assert gap(found) > 0.5


@pytest.mark.parametrize("compiled", ["1", "0"])
@pytest.mark.parametrize("mode", ["batch_skipgram", "skipgram", "cbow"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_vectors_that_grow_beyond_all_numbers_are_an_error(mode: str, compiled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARKML_ALGOS_KERNELS", compiled)
    with pytest.raises(FloatingPointError, match="the vectors are not finite in epoch 1: lower learning_rate"):
        fit(texts(40), mode=mode, learning_rate=1e9)


def test_subwords_are_not_spread_over_workers() -> None:
    assert "the exchange of n-grams takes what a second one saves" in BlazingTextWord2Vec(mode="cbow", subwords=True).only_one_worker()
    assert all(BlazingTextWord2Vec(mode=mode).only_one_worker() is None for mode in ("batch_skipgram", "skipgram", "cbow"))


def test_the_same_seed_gives_the_same_vectors_and_another_others() -> None:
    first, again, other = (fit(texts(40), seed=seed).arrays["inputs"] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_pipe_gives_what_a_file_gives() -> None:
    by_file, by_pipe = (fit(texts(40), input_mode=mode, epochs=1) for mode in ("File", "Pipe"))
    assert by_pipe.arrays["words/counts"].tolist() == by_file.arrays["words/counts"].tolist()


def test_numpy_makes_the_steps_where_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = fit(texts(40), epochs=1)
    monkeypatch.setenv(kernels.SWITCH, "0")
    found = fit(texts(40), epochs=1)
    assert found.values["kernels"] == "numpy"
    np.testing.assert_allclose(found.arrays["inputs"], compiled.arrays["inputs"], rtol=1e-3, atol=1e-4)


def test_unknown_words_have_the_mean_of_their_ngrams() -> None:
    given = {"mode": "skipgram", "subwords": True, "buckets": 1000, "min_char": 2, "max_char": 3}
    artifact = fit(texts(40), **given)
    found = vectors(artifact, **given)
    composed, is_known = found.of_words(["w1_99", "§"])
    assert is_known.tolist() == [True, False] and composed[0].any() and not composed[1].any()
    assert not vectors(fit(texts(40))).of_words(["w1_99"])[1].any()


def test_the_vector_of_a_text_is_the_mean_of_its_known_words() -> None:
    artifact = fit(texts(40))
    predict = WORD2VEC.load(artifact, Hyperparameters(**settings()), "cpu")
    kind = WORD2VEC.fields[0].kind
    reader = kind.reader("text", ["text"])
    rows = reader.read(kind.arrays([["w0_1", "never", "w1_2"], [], ["never"], ["w0_1"]]))
    from sparkml_algos.rows.batch import Batch

    found = predict(Batch(text=rows))["vector"]
    one, two = vectors(artifact).of_words(["w0_1", "w1_2"])[0]
    np.testing.assert_allclose(found, [(one + two) / 2, np.zeros(8), np.zeros(8), one], rtol=1e-6)


def test_pairs_are_scored_after_each_epoch() -> None:
    pairs = [[("w0_1", "w0_2", 9.0), ("w0_1", "w1_2", 1.0), ("W1_1", "w1_3", 8.0), ("w2_1", "w3_1", 2.0), ("w2_1", "absent", 5.0)]]
    found = fit(texts(), pairs=pairs, learning_rate=0.1, epochs=10)
    assert found.values["evaluated"] == {"mean_rho": found.values["train:mean_rho"], "pairs": 4, "missing_words": 1}
    assert found.values["train:mean_rho"] >= 0.6


def test_rank_correlation_is_that_of_scipy() -> None:
    random = np.random.default_rng(1)
    first, second = random.integers(0, 9, 50), random.normal(size=50)
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)
    assert np.isnan(spearman(np.ones(3), np.arange(3))) and np.isnan(
        agreement([[("a", "b", 1.0)]], lambda words: np.zeros((len(words), 2))).mean_rho
    )


def test_movements_are_added_up_where_few_and_averaged_where_many() -> None:
    np.testing.assert_allclose(damping(np.array([0, 1e9]), np.array([4, 4], np.uint16), 0.01), [1, 0.25], rtol=1e-4)
    np.testing.assert_allclose(damping(np.array([7.0]), np.array([1]), 0.1), 1)


def test_parts_of_texts_have_about_as_many_words() -> None:
    random = np.random.default_rng(0)
    lengths, order = random.integers(0, 100, 500), random.permutation(500)

    def cut(offsets: np.ndarray, order: np.ndarray, parts: int) -> list[np.ndarray]:
        learner = object.__new__(training.WordLearner)
        learner._texts = Texts(np.empty(0, np.int32), offsets)
        return learner._alike(order, parts)

    found = cut(np.append(0, np.cumsum(lengths)), order, 7)
    np.testing.assert_array_equal(np.concatenate(found), order)
    assert len(found) == 7 and np.ptp([lengths[part].sum() for part in found]) <= 2 * lengths.max()
    assert [len(part) for part in cut(np.zeros(1, np.int64), np.empty(0, np.int64), 3)] == [0, 0, 0]
    assert sorted(np.concatenate(cut(np.zeros(4, np.int64), np.arange(3), 2))) == [0, 1, 2]


def test_rows_are_due_the_more_often_the_more_they_are_moved() -> None:
    steps = STEPS * np.array([7, 1, 0.6, 0.5, 0.2, 1e-3, 0])
    assert periods(steps).tolist() == [1, 1, 1, 2, 4, LONGEST, LONGEST]
    assert [block for block in range(1, 2 * LONGEST + 3) if all_are_due(block, 2 * LONGEST + 2)] == [LONGEST, 2 * LONGEST, 2 * LONGEST + 2]


def exchanged(steps: list[float], blocks: int, moves: dict[int, list[float]]) -> list[np.ndarray]:
    """Of one worker of two, the table after each block, of rows of one number: from 0 on each worker has moved them so far in a block."""

    def work(communicator: Communicator) -> list[np.ndarray]:
        shared = SharedTable(np.zeros((len(steps), 1), np.float32), np.array(steps), blocks, communicator)
        found = []
        for block in range(1, blocks + 1):
            shared.table += np.array(moves[communicator.rank], np.float32)[:, None]
            shared.exchange(block, share=1e-12)
            found.append(shared.table[:, 0].copy())
        return found

    one, other = in_threads(2, work)
    np.testing.assert_array_equal(one[-1], other[-1])
    return one


def test_frequent_rows_are_brought_together_after_each_block_and_rare_ones_at_last() -> None:
    found = exchanged([STEPS * 5, STEPS / 8 * 5, 1.0, 1.0], 5, {0: [1, 1, 1, 0], 1: [2, 2, 2, 0]})
    np.testing.assert_allclose([table[0] for table in found], [3, 6, 9, 12, 15])
    np.testing.assert_allclose([table[1] for table in found], [1, 2, 3, 12, 15])
    np.testing.assert_allclose([table[2] for table in found], [1, 2, 3, 4, 15])
    assert found[-1][3] == 0


def test_rows_in_any_order_of_their_frequency_are_brought_together() -> None:
    found = exchanged([1.0, STEPS * 5], 5, {0: [1, 1], 1: [2, 2]})
    np.testing.assert_allclose([table[1] for table in found], [3, 6, 9, 12, 15])
    np.testing.assert_allclose([table[0] for table in found], [1, 2, 3, 4, 15])


@pytest.mark.parametrize(
    ("rows", "message"), [([["a", "b"]], "min_count=3 times among the 2 words"), ([[], []], "no words: all are empty")]
)
def test_a_vocabulary_without_words_is_refused(rows: list[list[str]], message: str) -> None:
    with pytest.raises(InvalidRows, match=message):
        fit(rows, min_count=3)

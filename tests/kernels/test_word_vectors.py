"""Kernels of word2vec make the steps that NumPy makes."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from sparkml_algos.algorithms.blazingtext.word2vec import steps
from sparkml_algos.algorithms.blazingtext.word2vec.steps import Parts, Texts
from sparkml_algos.algorithms.blazingtext.word2vec.tables import tables, whole_words

word_vectors = pytest.importorskip("sparkml_algos.kernels.word_vectors", reason="needs numba: pip install sparkml-algos[fast]")

WORDS, DIM = 30, 11
RATES = np.array([0.05, 0.01])


@pytest.fixture
def texts() -> Texts:
    """Of up to 40 words, some empty, some of a single word, with words that are in no vocabulary."""
    random = np.random.default_rng(3)
    lengths = np.concatenate([[0, 1, 2], random.integers(0, 40, 30)])
    tokens = (random.integers(0, 1 << 30, lengths.sum()) % random.integers(1, WORDS + 1, lengths.sum()) - 1).astype(np.int32)
    return Texts(tokens, np.concatenate([[0], np.cumsum(lengths)]))


@pytest.fixture
def lookups(texts: Texts) -> steps.Tables:
    return tables(np.bincount(texts.tokens[texts.tokens >= 0], minlength=WORDS) + 1, 0.05)


def start(rows: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    return tuple(random.normal(0, 0.3, (size, DIM)).astype(np.float32) for size in (rows, WORDS))


@pytest.mark.parametrize(("window", "negatives", "batch_size"), [(5, 5, 11), (3, 2, 20), (4, 13, 1), (1, 1, 2), (6, 8, 5)])
def test_batches(texts: Texts, lookups: steps.Tables, window: int, negatives: int, batch_size: int) -> None:
    order, by_numpy, by_kernel = np.random.default_rng(5).permutation(len(texts)), start(WORDS), start(WORDS)
    seed, numbers = np.uint64(12345678901234567891), (window, negatives, batch_size, RATES)
    expected = steps.batch_skipgram(texts, order, *by_numpy, lookups, *numbers, seed)
    arrays = lookups.keep, lookups.noise, lookups.sigmoids, lookups.losses
    found = word_vectors.batch_skipgram(texts.tokens, texts.offsets, order, *by_kernel, *arrays, *numbers, seed)
    assert found[1] == expected[1] > 100 and found[0] == pytest.approx(expected[0], rel=1e-3)
    for one, other in zip(by_kernel, by_numpy, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-3)


def test_a_score_that_is_no_number_has_a_cell() -> None:
    scores = np.array([np.nan, np.inf, -np.inf, 0, 5.999, -7], np.float32)
    assert [word_vectors._place(score, steps.CELLS) for score in scores] == [0, steps.CELLS - 1, 0, steps.CELLS // 2, steps.CELLS - 1, 0]


@pytest.mark.parametrize("mode", ["skipgram", "cbow"])
@pytest.mark.parametrize("subwords", [False, True])
def test_pairs_and_centres(texts: Texts, lookups: steps.Tables, mode: str, subwords: bool) -> None:
    random = np.random.default_rng(6)
    parts = whole_words(WORDS)
    if subwords:
        lengths = random.integers(1, 5, WORDS)
        parts = Parts(np.concatenate([[0], np.cumsum(lengths)]), random.integers(0, WORDS + 9, lengths.sum()))
    order, by_numpy, by_kernel = random.permutation(len(texts)), start(WORDS + 9), start(WORDS + 9)
    seed, numbers = np.uint64(987654321), (4, 7, RATES)
    expected = getattr(steps, mode)(texts, order, *by_numpy, parts, lookups, *numbers, seed)
    arrays = parts.starts, parts.rows, lookups.keep, lookups.noise, lookups.sigmoids, lookups.losses
    found = getattr(word_vectors, mode)(texts.tokens, texts.offsets, order, *by_kernel, *arrays, *numbers, seed)
    assert found[1] == expected[1] > 100 and found[0] == pytest.approx(expected[0], rel=1e-3)
    for one, other in zip(by_kernel, by_numpy, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("rows", [np.empty(0, np.int64), np.array([7, 0, 29, 3]), np.arange(WORDS)])
def test_rows_are_brought_together(rows: np.ndarray) -> None:
    random, (_, before) = np.random.default_rng(7), start(WORDS)
    table = before + (random.random((WORDS, 1)) < 0.5) * random.normal(0, 0.1, before.shape).astype(np.float32)
    sums, factors = random.normal(size=(len(rows), DIM)).astype(np.float32), random.random(len(rows)).astype(np.float32)

    def brought(way: ModuleType) -> list[np.ndarray]:
        moved, ways, tables = np.empty(WORDS, np.uint8), np.empty((len(rows), DIM), np.float32), (before.copy(), table.copy())
        way.find_moved(*tables, moved)
        way.take_ways(rows, *tables, ways)
        way.go_ways(rows, sums, factors, *tables)
        return [moved, ways, *tables]

    found = brought(word_vectors)
    assert 0 < found[0].sum() < WORDS and np.array_equal(found[2][rows], found[3][rows])
    for one, other in zip(found, brought(steps), strict=True):
        np.testing.assert_array_equal(one, other)

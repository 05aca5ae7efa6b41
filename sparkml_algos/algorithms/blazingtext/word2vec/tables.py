"""What the steps of word2vec look up: which words stay, which are drawn as negative samples, sigmoids; and the parts of words."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sparkml_algos.algorithms.blazingtext.subwords import ngram_buckets
from sparkml_algos.algorithms.blazingtext.word2vec.steps import CELLS, REACH, Parts, Tables

# Words are drawn as negative samples in proportion to this power of their counts (Mikolov et al. 2013).
NOISE_POWER = 0.75
# Cells of the table of negative samples: so many for each word, within these bounds.
CELLS_PER_WORD, MIN_CELLS, MAX_CELLS = 64, 1 << 16, 1 << 27


def tables(counts: np.ndarray, sampling_threshold: float) -> Tables:
    """The tables for words of these counts.

    Parameters
    ----------
    counts : ndarray of int64, shape (words,)
    sampling_threshold : float
        Words of a larger share t of all are kept with the chance √(threshold / t) + threshold / t.
    """
    share = counts / counts.sum()
    chance = np.minimum(1.0, np.sqrt(sampling_threshold / share) + sampling_threshold / share)
    middles = ((np.arange(CELLS) + 0.5) / CELLS * 2 - 1) * REACH
    sigmoids = (1 / (1 + np.exp(-middles))).astype(np.float32)
    sigmoids[0], sigmoids[-1] = 0, 1  # beyond the range nothing is left to learn
    return Tables((chance * 2.0**32).astype(np.uint64), _noise(counts), sigmoids, np.log1p(np.exp(-middles)).astype(np.float32))


def _noise(counts: np.ndarray) -> np.ndarray:
    """Words, each as often as it is to be drawn, int32; every word at least once."""
    cells = min(max(MIN_CELLS, 1 << int(CELLS_PER_WORD * len(counts)).bit_length()), MAX_CELLS)
    weights = np.cumsum(counts.astype(np.float64) ** NOISE_POWER)
    ends = np.round(weights / weights[-1] * cells).astype(np.int64)
    return np.repeat(np.arange(len(counts), dtype=np.int32), np.diff(ends, prepend=0))


def parts(words: pa.Array, min_char: int, max_char: int, buckets: int) -> tuple[Parts, np.ndarray]:
    """The parts of words with subwords: a row of its own, and the rows of the buckets of its n-grams.

    Buckets that no n-gram of these words falls in have no row.

    Returns
    -------
    Parts
    ndarray of int64, shape (buckets used,)
        Which bucket each row behind those of the words is, ascending.
    """
    ngrams = ngram_buckets(words, min_char, max_char, buckets)
    used, rows = np.unique(ngrams.values, return_inverse=True)
    starts = ngrams.offsets + np.arange(len(words) + 1)
    own = starts[:-1]
    together = np.empty(starts[-1], np.int64)
    together[own] = np.arange(len(words))
    is_ngram = np.ones(len(together), bool)
    is_ngram[own] = False
    together[is_ngram] = len(words) + rows
    return Parts(starts, together), used


def whole_words(count: int) -> Parts:
    """The parts of words without subwords: each has a row of its own."""
    return Parts(np.arange(count + 1), np.arange(count))

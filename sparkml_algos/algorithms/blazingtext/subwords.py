"""The pieces of words that share vectors: character n-grams, each known by its bucket.

The buckets are those of fastText, whose models can so be read and written: an n-gram is a run of characters of ``<word>``, the hash is
FNV-1a of 32 bits over its UTF-8 bytes, each taken for a signed number, modulo the number of buckets.

References
----------
P. Bojanowski, E. Grave, A. Joulin, T. Mikolov, "Enriching word vectors with subword information", TACL 5, 2017.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sparkml_algos.arrays.ragged import Ragged

# Of FNV-1a: G. Fowler, L. C. Noll, K.-P. Vo, "The FNV non-cryptographic hash algorithm", draft-eastlake-fnv.
OFFSET_BASIS, PRIME = 2166136261, 16777619

_OPEN, _CLOSE = ord("<"), ord(">")
_CONTINUATION_MASK, _CONTINUATION = 0xC0, 0x80


def extended_hashes(hashes: np.ndarray, data: np.ndarray) -> np.ndarray:
    """FNV-1a hashes after one more byte each.

    Parameters
    ----------
    hashes : ndarray of uint32, shape (n,)
        `OFFSET_BASIS` before the first byte.
    data : ndarray of uint8, shape (n,)

    Returns
    -------
    ndarray of uint32, shape (n,)
    """
    # fastText adds bytes as signed characters, which fills the upper bits of those from 128 on.
    return (hashes ^ data.view(np.int8).astype(np.int32).view(np.uint32)) * np.uint32(PRIME)


def ngram_buckets(words: pa.Array, min_char: int, max_char: int, buckets: int) -> Ragged:
    """Buckets of the character n-grams of words.

    Parameters
    ----------
    words : pyarrow.Array of strings, without nulls
    min_char, max_char : int
        Characters of an n-gram, the marks of begin and end of the word included; a mark by itself is none.
    buckets : int

    Returns
    -------
    Ragged of int64
        For each word, n-gram by n-gram: by where they begin, then by their length, as fastText has them.
    """
    data, word_of_byte = _marked(words)
    starts = np.flatnonzero((data & _CONTINUATION_MASK) != _CONTINUATION)  # of characters
    word_of = word_of_byte[starts]
    ends = np.append(starts[1:], len(data))
    first = np.append(True, word_of[1:] != word_of[:-1]) if len(word_of) else np.empty(0, bool)
    last = np.append(first[1:], True) if len(word_of) else first
    found = np.zeros((len(starts), max(0, max_char - min_char + 1)), np.int64)
    is_there = np.zeros(found.shape, bool)
    hashes = np.full(len(starts), OFFSET_BASIS, np.uint32)
    for length in range(1, max_char + 1):
        # The character that follows the first length − 1, where it is of the same word still.
        own = np.arange(len(starts) - length + 1)
        own = own[word_of[own] == word_of[own + length - 1]]
        hashes[own] = _after_character(hashes[own], data, starts[own + length - 1], ends[own + length - 1])
        if length < min_char:
            continue
        if length == 1:
            own = own[~(first[own] | last[own])]
        found[own, length - min_char] = hashes[own] % np.uint32(buckets) if buckets < 1 << 32 else hashes[own]
        is_there[own, length - min_char] = True
    counts = np.bincount(word_of, weights=is_there.sum(axis=1), minlength=len(words)).astype(np.int64)
    return Ragged(found[is_there], np.concatenate([[0], np.cumsum(counts)]))


def _after_character(hashes: np.ndarray, data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Hashes after the bytes of one more character each, of which each has one to four."""
    hashes = hashes.copy()
    for place in range(int((ends - starts).max(initial=0))):
        own = np.flatnonzero(starts + place < ends)
        hashes[own] = extended_hashes(hashes[own], data[starts[own] + place])
    return hashes


def _marked(words: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of ``<word>`` for all words, uint8, and which word each is of."""
    words = words.cast(pa.large_string())
    _, offsets, text = words.buffers()
    if not len(words):
        return np.empty(0, np.uint8), np.empty(0, np.int64)
    offsets = np.frombuffer(offsets, np.int64)[words.offset : words.offset + len(words) + 1]
    text = np.empty(0, np.uint8) if text is None else np.frombuffer(text, np.uint8)
    lengths = np.diff(offsets) + 2
    word_of = np.repeat(np.arange(len(words)), lengths)
    ends = np.cumsum(lengths)
    data = np.full(ends[-1], _OPEN, np.uint8)
    data[ends - 1] = _CLOSE
    inside = np.ones(len(data), bool)
    inside[ends - lengths] = inside[ends - 1] = False
    data[inside] = text[offsets[0] : offsets[-1]]
    return data, word_of

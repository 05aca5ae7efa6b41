"""From texts to the ids of their words, of their word n-grams and of the labels in them, as fastText finds them; no Spark here.

A text ends with the token ``</s>``, as each line does for fastText. The n-gram of words w₁ … wₙ is known by its bucket: with the hashes
h(w) of the words, FNV-1a of 32 bits taken for a signed number, ((h(w₁) · c + h(w₂)) · c + …) mod 2⁶⁴ mod buckets, c being 116,049,371.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkml_algos import kernels
from sparkml_algos.algorithms.blazingtext.subwords import OFFSET_BASIS, extended_hashes
from sparkml_algos.algorithms.blazingtext.vocabulary import UNKNOWN, CountedWords
from sparkml_algos.arrays.ragged import Ragged

#: What a token begins with that is a label.
LABEL_PREFIX = "__label__"
#: The token at the end of every text.
END_OF_TEXT = "</s>"

# What parts words, as in fastText: the blank, tab, line feed, vertical tab, form feed, carriage return, and the zero byte.
BLANK = np.zeros(256, bool)
BLANK[[*b" \t\n\v\f\r\0"]] = True

NGRAM_FACTOR = np.uint64(116_049_371)


@dataclass(frozen=True)
class Encoded:
    """Texts as ids.

    Attributes
    ----------
    features : Ragged of int32
        Of each text the ids of its words and n-grams: rows of the matrix of vectors.
    labels : Ragged of int32
        Of each text the ids of the labels in it, of those that are known.
    """

    features: Ragged
    labels: Ragged


@dataclass(frozen=True)
class Tokens:
    """The tokens of texts, apart from labels and what ends a text.

    Attributes
    ----------
    words, labels : Ragged of strings
        Labels without their prefix.
    """

    words: Ragged
    labels: Ragged


def tokens_of(texts: pa.Array) -> Tokens:
    """The tokens of texts, as far as a token ``</s>`` where there is one."""
    data, ends = _bytes(texts)
    is_word = ~BLANK[data]
    starts = is_word.copy()
    starts[1:] &= ~is_word[:-1]
    rows = ends[:-1][ends[:-1] < ends[1:]]
    starts[rows] = is_word[rows]
    places = np.flatnonzero(starts)
    offsets = np.append((np.cumsum(is_word) - 1)[places], np.count_nonzero(is_word)).astype(np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data[is_word])]
    tokens = Ragged(pa.Array.from_buffers(pa.large_string(), len(places), buffers), np.searchsorted(places, ends).astype(np.int64))
    tokens = _as_far_as_the_end(tokens)
    is_label = pc.starts_with(tokens.values, LABEL_PREFIX).to_numpy(zero_copy_only=False)
    labels = _chosen(tokens, is_label)
    names = pc.utf8_slice_codeunits(labels.values, len(LABEL_PREFIX)) if len(labels.values) else labels.values
    return Tokens(_chosen(tokens, ~is_label) if len(labels.values) else tokens, Ragged(names, labels.offsets))


def hashes_of(words: pa.Array) -> np.ndarray:
    """FNV-1a hashes of words, shape (words,), uint32."""
    data, ends = _bytes(words)
    lengths = np.diff(ends)
    order = np.argsort(-lengths, kind="stable")
    starts, hashes = ends[:-1][order], np.full(len(lengths), OFFSET_BASIS, np.uint32)
    longer = np.searchsorted(-lengths[order], -np.arange(lengths.max(initial=0)), side="left")
    for place, count in enumerate(longer.tolist()):
        hashes[:count] = extended_hashes(hashes[:count], data[starts[:count] + place])
    found = np.empty_like(hashes)
    found[order] = hashes
    return found


def buckets_of(hashes: np.ndarray, ends: np.ndarray, ngrams: int, buckets: int) -> np.ndarray:
    """Buckets of the n-grams that begin at each word.

    Parameters
    ----------
    hashes : ndarray of uint32, shape (words,)
        Of the words of all texts.
    ends : ndarray of int64, shape (texts + 1,)
    ngrams : int
        Words of an n-gram at most.
    buckets : int

    Returns
    -------
    ndarray of int64, shape (words, ngrams - 1)
        Of the n-gram of two words, of three …; -1 where the text ends before.
    """
    wide = hashes.view(np.int32).astype(np.int64).view(np.uint64)
    left = np.repeat(ends[1:], np.diff(ends)) - np.arange(len(hashes))
    found, running = np.full((len(hashes), ngrams - 1), -1, np.int64), wide.copy()
    for more in range(1, ngrams):
        own = np.flatnonzero(left > more)
        running[own] = running[own] * NGRAM_FACTOR + wide[own + more]
        found[own, more - 1] = running[own] % np.uint64(buckets)
    return found


def with_ends(words: Ragged, value: int, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the words of texts with one more for the end of each text, and where texts begin then."""
    ends = words.offsets + np.arange(len(words.offsets))
    found = np.full(ends[-1], value, ids.dtype)
    is_word = np.ones(len(found), bool)
    is_word[ends[1:] - 1] = False
    found[is_word] = ids
    return found, ends


class Encoder:
    """Turns texts into ids.

    Parameters
    ----------
    words : CountedWords
        Word i has the id i.
    labels : sequence of str
        Without prefix.
    kept : ndarray of int, shape (kept,)
        The buckets of n-grams that have ids of their own, those after the words; all others share the one after these, whose vector is 0,
        for as in fastText they count in the mean.
    word_ngrams, buckets : int
    """

    def __init__(self, words: CountedWords, labels: list[str], kept: np.ndarray, word_ngrams: int, buckets: int) -> None:
        self._words, self._labels = words, {label: place for place, label in enumerate(labels)}
        self._ngrams, self._buckets = word_ngrams, buckets
        self._places = np.full(buckets if word_ngrams > 1 else 0, len(kept), np.int32)
        self._places[kept] = np.arange(len(kept), dtype=np.int32)
        self._end_hash = int(hashes_of(pa.array([END_OF_TEXT]))[0])
        self._end_id = int(words.ids_of(pa.array([END_OF_TEXT]))[0])
        self._encode = self._by_kernel(labels) if kernels.available() else self._by_numpy

    def __call__(self, texts: pa.Array) -> Encoded:
        return self._encode(texts)

    def label_ids(self, labels: pa.Array) -> np.ndarray:
        """Ids of labels, `UNKNOWN` of those that are not known, shape (labels,), int32."""
        return self._ids_of(map(without_prefix, labels.to_pylist()))

    def _ids_of(self, names: Iterable[str]) -> np.ndarray:
        return np.array([self._labels.get(name, UNKNOWN) for name in names], np.int32)

    def _by_numpy(self, texts: pa.Array) -> Encoded:
        tokens = tokens_of(texts)
        ids, ends = with_ends(tokens.words, self._end_id, self._words.ids_of(tokens.words.values))
        found = ids[:, None]
        if self._ngrams > 1:
            hashes, _ = with_ends(tokens.words, self._end_hash, hashes_of(tokens.words.values))
            buckets = buckets_of(hashes, ends, self._ngrams, self._buckets)
            found = np.hstack([found, np.where(buckets < 0, UNKNOWN, len(self._words) + self._places[buckets])])
        is_known = found >= 0
        counts = np.append(0, np.cumsum(is_known.sum(axis=1)))[ends]
        labels = Ragged(self._ids_of(tokens.labels.values.to_pylist()), tokens.labels.offsets)
        return Encoded(Ragged(found[is_known].astype(np.int32), counts), _chosen(labels, labels.values >= 0))

    def _by_kernel(self, labels: list[str]) -> Callable[[pa.Array], Encoded]:
        from sparkml_algos.kernels import text_classifier

        names = pa.array([LABEL_PREFIX + label for label in labels], pa.large_string())
        entries = pa.concat_arrays([self._words.words.cast(pa.large_string()), names])
        data, ends = _bytes(entries)
        hashes = hashes_of(entries)
        table = np.full(1 << max(4, (2 * len(entries)).bit_length()), UNKNOWN, np.int32)
        text_classifier.build_table(hashes, table)
        prefix, end = (np.frombuffer(text.encode(), np.uint8) for text in (LABEL_PREFIX, END_OF_TEXT))
        known = (len(self._words), data, ends, hashes, table, self._places, self._ngrams)
        known = (BLANK, prefix, end, np.uint32(self._end_hash), self._end_id, *known)

        def encode(texts: pa.Array) -> Encoded:
            text, text_ends = _bytes(texts)
            tokens = np.empty(len(texts), np.int64)
            text_classifier.count_tokens(text, text_ends, BLANK, tokens)
            total = int(tokens.sum())
            features = np.empty((total + len(texts)) * self._ngrams, np.int32)
            targets = np.empty(total, np.int32)
            counts, target_counts = np.empty_like(tokens), np.empty_like(tokens)
            text_classifier.encode(text, text_ends, *known, features, counts, targets, target_counts)
            return Encoded(_ragged(features, counts), _ragged(targets, target_counts))

        return encode


def without_prefix(label: str) -> str:
    """The name of a label."""
    return label.removeprefix(LABEL_PREFIX)


def _ragged(values: np.ndarray, counts: np.ndarray) -> Ragged:
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return Ragged(values[: offsets[-1]], offsets)


def _chosen(tokens: Ragged, chosen: np.ndarray) -> Ragged:
    """Some of the elements of each list."""
    values = tokens.values.filter(pa.array(chosen)) if isinstance(tokens.values, pa.Array) else tokens.values[chosen]
    return Ragged(values, np.append(0, np.cumsum(chosen))[tokens.offsets])


def _as_far_as_the_end(tokens: Ragged) -> Ragged:
    is_end = pc.equal(tokens.values, END_OF_TEXT).to_numpy(zero_copy_only=False)
    if not is_end.any():
        return tokens
    before = np.append(0, np.cumsum(is_end))
    return _chosen(tokens, before[1:] == np.repeat(before[tokens.offsets[:-1]], tokens.lengths))


def _bytes(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """UTF-8 bytes of all texts, and where each begins and the last one ends, int64."""
    texts = texts.cast(pa.large_string())
    _, offsets, data = texts.buffers()
    if not len(texts):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
    return data, ends - ends[0]

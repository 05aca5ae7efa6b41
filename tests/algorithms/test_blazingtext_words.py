"""Vocabularies and character n-grams of BlazingText."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from sparkml_algos.algorithms.blazingtext.subwords import ngram_buckets
from sparkml_algos.algorithms.blazingtext.vocabulary import UNKNOWN, CountedWords, WordCounter
from sparkml_algos.collectives.communicator import Communicator, SingleProcess
from tests.gang import in_threads


def ngrams_by_hand(word: str, shortest: int, longest: int, buckets: int) -> list[int]:
    """Character by character, as the paper's program goes through a word."""
    marked, found = f"<{word}>", []
    for start in range(len(marked)):
        for length in range(shortest, longest + 1):
            if start + length > len(marked) or length == 1 and start in (0, len(marked) - 1):
                continue
            value = 2166136261
            for byte in marked[start : start + length].encode():
                value = ((value ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619) & 0xFFFFFFFF
            found.append(value % buckets)
    return found


@pytest.mark.parametrize(("shortest", "longest", "buckets"), [(3, 6, 2_000_000), (1, 2, 7), (2, 2, 1), (5, 4, 100), (1, 30, 1 << 32)])
def test_buckets_of_ngrams_are_those_of_a_program_that_goes_through_each_word(shortest: int, longest: int, buckets: int) -> None:
    words = ["where", "a", "", "Straße", "日本語", "né🙂e", "where", "co-operate's"]
    found = ngram_buckets(pa.array(["cut off", *words]).slice(1), shortest, longest, buckets)
    assert [row.tolist() for row in found] == [ngrams_by_hand(word, shortest, longest, buckets) for word in words]


def test_no_words_have_no_ngrams() -> None:
    assert len(ngram_buckets(pa.array([], pa.string()), 3, 6, 10)) == 0


TEXTS = [["b", "a", "a", "ü"], ["c", "ü", "a", "日"], [], ["b", "c", "c"]]


def test_words_are_numbered_by_falling_frequency_and_then_by_their_bytes() -> None:
    counter = WordCounter()
    numbers = [counter.add(pa.array(text, pa.string())) for text in TEXTS]
    words, ids = counter.merged(SingleProcess(), 2)
    expected = Counter(word for text in TEXTS for word in text)
    assert words.words.to_pylist() == ["a", "c", "b", "ü"]
    assert words.counts.tolist() == [expected[word] for word in "acbü"]
    known = {"a": 0, "c": 1, "b": 2, "ü": 3}
    assert [ids[row].tolist() for row in numbers] == [[known.get(word, UNKNOWN) for word in text] for text in TEXTS]
    assert words.ids_of(pa.array(["ü", "never", "a"])).tolist() == [3, UNKNOWN, 0]
    assert counter.tokens == 11


def test_a_vocabulary_comes_back_from_arrays() -> None:
    words = CountedWords(pa.array(["日", "", "b"], pa.large_string()), np.array([3, 2, 1]))
    again = CountedWords.from_arrays(words.to_arrays())
    assert again.words.equals(words.words) and again.counts.tolist() == [3, 2, 1]


@pytest.mark.parametrize("replicated", [False, True])
def test_workers_agree_on_one_vocabulary(replicated: bool) -> None:
    def count(communicator: Communicator) -> tuple[list[str], list[int], list[list[int]]]:
        counter, texts = WordCounter(), TEXTS if replicated else TEXTS[communicator.rank :: communicator.size]
        numbers = [counter.add(pa.array(text, pa.string())) for text in texts]
        words, ids = counter.merged(communicator, 1, replicated)
        return words.words.to_pylist(), words.counts.tolist(), [ids[row].tolist() for row in numbers]

    (alone,) = in_threads(1, count)
    for rank, (words, counts, ids) in enumerate(in_threads(3, count)):
        assert (words, counts) == alone[:2]
        assert ids == (alone[2] if replicated else alone[2][rank::3])

"""Which words there are and how often they occur, counted by workers that see a part of the texts each; no Spark here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkml_algos.collectives.communicator import Communicator

#: In place of the id of a word that the vocabulary does not have.
UNKNOWN = -1


@dataclass(frozen=True)
class CountedWords:
    """Words in the order of their ids: the more frequent, the smaller, words of equal frequency in the order of their UTF-8 bytes.

    Attributes
    ----------
    words : pyarrow.LargeStringArray, length (size,)
        Each once.
    counts : ndarray of int64, shape (size,)
        How often each occurs.
    """

    words: pa.LargeStringArray
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.counts)

    @cached_property
    def ids(self) -> dict[str, int]:
        """Of each word its id."""
        return {word: place for place, word in enumerate(self.words.to_pylist())}

    def ids_of(self, words: pa.Array) -> np.ndarray:
        """Ids of words, `UNKNOWN` of those that are not here, shape (words,), int32."""
        encoded = words.dictionary_encode()
        of_distinct = np.array([self.ids.get(word, UNKNOWN) for word in encoded.dictionary.to_pylist()], np.int32)
        return of_distinct[encoded.indices.to_numpy()] if len(words) else np.empty(0, np.int32)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """As arrays of a model: ``words/text``, the UTF-8 bytes of all words, ``words/ends``, where each begins and the last one ends, and
        ``words/counts``."""
        text, ends = _bytes(self.words)
        return {"words/text": text, "words/ends": ends, "words/counts": self.counts}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> CountedWords:
        """From what `to_arrays` gave, and perhaps other arrays."""
        return CountedWords(_strings(arrays["words/text"], arrays["words/ends"]), arrays["words/counts"])


class WordCounter:
    """Numbers the words of one worker in the order in which they come, and counts them.

    Attributes
    ----------
    tokens : int
        Words that were added, each time they came.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._counts = np.zeros(0, np.int64)
        self.tokens = 0

    def add(self, words: pa.Array) -> np.ndarray:
        """Count words.

        Parameters
        ----------
        words : pyarrow.Array of strings, without nulls

        Returns
        -------
        ndarray of int32, shape (words,)
            The number of each; what it is in the end, `merged` says.
        """
        if not len(words):
            return np.empty(0, np.int32)
        encoded, numbers = words.dictionary_encode(), self._numbers
        of_distinct = np.array([numbers.setdefault(word, len(numbers)) for word in encoded.dictionary.to_pylist()], np.int32)
        found = encoded.indices.to_numpy()
        counts = np.bincount(found, minlength=len(of_distinct))
        if len(numbers) > len(self._counts):
            self._counts = np.pad(self._counts, (0, max(len(numbers), 2 * len(self._counts)) - len(self._counts)))
        self._counts[of_distinct] += counts
        self.tokens += len(words)
        return of_distinct[found]

    def merged(self, communicator: Communicator, min_count: int, replicated: bool = False) -> tuple[CountedWords, np.ndarray]:
        """The words of all workers that occur at least `min_count` times, the same on every worker. All workers call it.

        Workers send each other their distinct words and how often these occur, never a text.

        Parameters
        ----------
        communicator : Communicator
        min_count : int
        replicated : bool
            Whether every worker has counted the same texts, so that those of the first count.

        Returns
        -------
        CountedWords
        ndarray of int32, shape (distinct words of this worker,)
            Of each number that `add` gave, the id, or `UNKNOWN`.
        """
        own = pa.array(self._numbers, pa.large_string())
        counts = self._counts[: len(own)]
        text, ends = _bytes(own)
        texts, sizes, all_counts = (
            communicator.allgather(array)
            for array in (text, np.diff(ends), counts if not replicated or communicator.rank == 0 else 0 * counts)
        )
        every = _strings(np.concatenate(texts), np.concatenate([[0], np.cumsum(np.concatenate(sizes))])).dictionary_encode()
        distinct = every.dictionary
        totals = np.zeros(len(distinct), np.int64)
        np.add.at(totals, every.indices.to_numpy(), np.concatenate(all_counts))
        kept = np.flatnonzero(totals >= max(min_count, 1))
        table = pa.table({"word": distinct.take(pa.array(kept)), "count": totals[kept]})
        order = pc.sort_indices(table, [("count", "descending"), ("word", "ascending")]).to_numpy()
        places = np.full(len(distinct), UNKNOWN, np.int32)
        places[kept[order]] = np.arange(len(order), dtype=np.int32)
        start = sum(map(len, sizes[: communicator.rank]))
        ids = places[every.indices.to_numpy()[start : start + len(own)]]
        return CountedWords(distinct.take(pa.array(kept[order])), totals[kept[order]]), ids


def _bytes(words: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """UTF-8 bytes of all words, and where each begins and the last one ends, int64."""
    words = pa.concat_arrays([words.cast(pa.large_string())])
    _, offsets, data = words.buffers()
    ends = np.frombuffer(offsets, np.int64)[words.offset : words.offset + len(words) + 1] if len(words) else np.zeros(1, np.int64)
    text = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]] if data is not None else np.empty(0, np.uint8)
    return text, ends - ends[0]


def _strings(text: np.ndarray, ends: np.ndarray) -> pa.LargeStringArray:
    """The strings whose bytes and ends these are."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(ends, np.int64)), pa.py_buffer(np.ascontiguousarray(text, np.uint8))]
    return pa.Array.from_buffers(pa.large_string(), len(ends) - 1, buffers)

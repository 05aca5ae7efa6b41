"""What a training must know of all texts before its first step: words, labels, which buckets of n-grams are used; no Spark here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sparkml_algos.algorithms.blazingtext.classifier.texts import (
    END_OF_TEXT,
    Encoder,
    buckets_of,
    hashes_of,
    tokens_of,
    with_ends,
    without_prefix,
)
from sparkml_algos.algorithms.blazingtext.vocabulary import CountedWords, WordCounter
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows

# Characters of a text in a message about it.
_SHOWN = 60


@dataclass(frozen=True)
class Counted:
    """What the texts of all workers have shown.

    Attributes
    ----------
    words : CountedWords
        Those that have a vector of their own.
    labels : list of str
        The more frequent, the smaller the id.
    label_counts : ndarray of int64, shape (labels,)
    kept : ndarray of int32, shape (kept,)
        The buckets of n-grams that occur, ascending.
    tokens : int
        Words of all texts, the ends of texts included.
    """

    words: CountedWords
    labels: list[str]
    label_counts: np.ndarray
    kept: np.ndarray
    tokens: int

    def encoder(self, word_ngrams: int, buckets: int) -> Encoder:
        return Encoder(self.words, self.labels, self.kept, word_ngrams, buckets)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """As arrays of a model."""
        return {**self.words.to_arrays(), "labels/counts": self.label_counts, "kept": self.kept}

    def to_values(self) -> dict[str, object]:
        """The rest, as values of a model."""
        return {"labels": self.labels, "tokens": self.tokens}

    @staticmethod
    def of(arrays: Mapping[str, np.ndarray], values: Mapping[str, object]) -> Counted:
        """From what `to_arrays` and `to_values` gave."""
        words = CountedWords.from_arrays(arrays)
        return Counted(words, list(values["labels"]), arrays["labels/counts"], arrays["kept"], values["tokens"])


def count(batches: Iterable[Batch], hyperparameters: Hyperparameters, communicator: Communicator, replicated: bool) -> Counted:
    """Read the texts of this worker, and agree with the others; all workers call it.

    Raises
    ------
    InvalidRows
        If a text has no label, or no word is frequent enough.
    """
    words, labels = WordCounter(), WordCounter()
    ngrams, buckets = hyperparameters.word_ngrams, hyperparameters.buckets
    used = np.zeros(buckets if ngrams > 1 else 0, np.uint8)
    end = pa.array([END_OF_TEXT])
    end_hash = int(hashes_of(end)[0])
    for batch in batches:
        tokens = tokens_of(batch.text)
        given = 0 if batch.label is None else batch.label.lengths
        _refuse_unlabelled(batch.text, tokens.labels.lengths + given, batch.label is not None)
        words.add(tokens.words.values)
        words.add(end.take(pa.array(np.zeros(len(batch), np.int64))))
        labels.add(tokens.labels.values)
        if batch.label is not None:
            labels.add(pa.array([without_prefix(label) for label in batch.label.values.to_pylist()], pa.string()))
        if ngrams > 1:
            hashes, ends = with_ends(tokens.words, end_hash, hashes_of(tokens.words.values))
            found = buckets_of(hashes, ends, ngrams, buckets)
            used[found[found >= 0]] = 1
    tokens = np.array([words.tokens if not replicated or communicator.rank == 0 else 0], np.int64)
    tokens = int(communicator.allreduce(tokens)[0])
    known, _ = words.merged(communicator, hyperparameters.min_count, replicated)
    names, _ = labels.merged(communicator, 1, replicated)
    if not len(known):
        raise InvalidRows(f"no word occurs min_count={hyperparameters.min_count} times: lower min_count")
    kept = np.flatnonzero(communicator.allreduce(used, "max")).astype(np.int32)
    return Counted(known, names.words.to_pylist(), names.counts, kept, tokens)


def _refuse_unlabelled(texts: pa.Array, labels: np.ndarray, has_column: bool) -> None:
    if labels.all():
        return
    shown = texts[int(np.argmin(labels))].as_py()[:_SHOWN]
    wanted = "labelCol has none for it" if has_column else "name a labelCol, or mark labels in the text with __label__"
    raise InvalidRows(f"the text that begins {shown!r} has no label: {wanted}")

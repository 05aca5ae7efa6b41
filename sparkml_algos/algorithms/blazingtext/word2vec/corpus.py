"""The texts of a worker as ids of words; no Spark here."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from sparkml_algos.algorithms.blazingtext.vocabulary import CountedWords, WordCounter
from sparkml_algos.algorithms.blazingtext.word2vec.steps import Texts
from sparkml_algos.arrays.hashing import mixed
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.shard import Shard

# Rows taken at a time off a pipe that is read once.
PIPE_ROWS = 4096


def read(shard: Shard, communicator: Communicator, min_count: int, replicated: bool) -> tuple[CountedWords, Texts]:
    """Read the texts once, count the words of all workers, and number them.

    A worker holds four bytes for each word of its texts; the texts themselves it needs no more.

    Parameters
    ----------
    shard : Shard
    communicator : Communicator
    min_count : int
    replicated : bool
        Whether every worker has all texts; each then takes its part of them, by a hash of what they say.

    Returns
    -------
    CountedWords
        The same on every worker.
    Texts
        Of this worker.

    Raises
    ------
    InvalidRows
        If no word occurs often enough.
    """
    counter, numbers, lengths = WordCounter(), [np.empty(0, np.int32)], [np.zeros(1, np.int64)]
    for batch in _batches(shard):
        numbers.append(counter.add(batch.text.values))
        lengths.append(batch.text.lengths)
    words, ids = counter.merged(communicator, min_count, replicated)
    if not len(words):
        seen = int(communicator.allreduce(np.array([counter.tokens], np.int64))[0]) // (communicator.size if replicated else 1)
        raise InvalidRows(
            f"no word occurs at least min_count={min_count} times among the {seen} words of all texts; lower min_count"
            if seen
            else "the texts have no words: all are empty"
        )
    texts = Texts(ids[np.concatenate(numbers)], np.cumsum(np.concatenate(lengths)))
    return words, _part(texts, communicator) if replicated and communicator.size > 1 else texts


def _batches(shard: Shard) -> Iterator[Batch]:
    """All rows, in memory or as they arrive."""
    if shard.num_rows is not None:
        return shard.batches()
    return shard.minibatches(0, itertools.repeat(PIPE_ROWS))


def _part(texts: Texts, communicator: Communicator) -> Texts:
    """The texts of this worker out of all: which are whose is the same on every worker, whatever the order of its rows."""
    with np.errstate(over="ignore"):
        sums = np.cumsum(np.append(np.uint64(0), mixed(texts.tokens.astype(np.uint64) + np.uint64(1))))
        hashes = mixed(np.diff(sums[texts.offsets]))
    own = hashes % np.uint64(communicator.size) == communicator.rank
    lengths = np.diff(texts.offsets)
    return Texts(texts.tokens[np.repeat(own, lengths)], np.concatenate([[0], np.cumsum(lengths[own])]))

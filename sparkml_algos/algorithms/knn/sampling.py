"""A uniform sample without replacement of the rows of all workers, in one pass.

Every row gets a random key; the rows with the smallest keys are the sample, whichever workers they are on. Each worker keeps those it has
met that may still be among them, and the workers find the largest key of the sample by bisection, exchanging counts alone.

References
----------
Y. Tillé, "Sampling algorithms", Springer 2006, chapter 4 (sequential sampling by random sorting).
"""

from __future__ import annotations

import numpy as np

from sparkml_algos.training.batch import Batch
from sparkml_algos.training.communicator import Communicator

KEY_BITS = 62

# Rows beyond the sample that are held before they are sorted out again.
SLACK = 0.25
MIN_SLACK_ROWS = 1024


class Reservoir:
    """The rows of one worker that may be in the sample.

    Parameters
    ----------
    size : int
        Rows of the sample, of all workers together.
    random : numpy.random.Generator
        Another one on every worker.
    """

    def __init__(self, size: int, random: np.random.Generator) -> None:
        self._size, self._random = size, random
        self._capacity = size + max(MIN_SLACK_ROWS, int(SLACK * size))
        self._bound = 1 << KEY_BITS  # keys from here on are too large
        self._keys: list[np.ndarray] = []
        self._batches: list[Batch] = []

    def add(self, batch: Batch) -> None:
        """Meet the rows of a batch."""
        keys = self._random.integers(1 << KEY_BITS, size=len(batch), dtype=np.int64)
        kept = np.flatnonzero(keys < self._bound)
        if not len(kept):
            return
        self._keys.append(keys[kept])
        self._batches.append(batch if len(kept) == len(batch) else batch.take(kept))
        if sum(map(len, self._batches)) > self._capacity:
            keys, _ = self._gathered()
            self._bound = int(np.partition(keys, self._size)[self._size])
            self._drop(self._bound)

    def share(self, communicator: Communicator) -> Batch | None:
        """This worker's rows of the sample; None without any. All workers call it, once all rows have been met."""
        keys, _ = self._gathered()
        keys = np.sort(keys)
        low, high = 0, 1 << KEY_BITS  # the bound of the sample lies between, high included
        if _total(len(keys), communicator) > self._size:
            while low + 1 < high:
                middle = (low + high) // 2
                below = _total(int(np.searchsorted(keys, middle)), communicator)
                low, high = (low, middle) if below >= self._size else (middle, high)
        self._drop(high)
        return self._gathered()[1]

    def _drop(self, bound: int) -> None:
        """Let go of rows with keys from `bound` on."""
        keys, batch = self._gathered()
        kept = np.flatnonzero(keys < bound)
        self._keys, self._batches = ([keys[kept]], [batch.take(kept)]) if len(kept) else ([], [])

    def _gathered(self) -> tuple[np.ndarray, Batch | None]:
        """All that is held, in one piece."""
        if not self._batches:
            return np.empty(0, np.int64), None
        if len(self._batches) > 1:
            self._keys, self._batches = [np.concatenate(self._keys)], [Batch.concat(self._batches)]
        return self._keys[0], self._batches[0]


def _total(count: int, communicator: Communicator) -> int:
    return int(communicator.allreduce(np.array([count], np.int64))[0])

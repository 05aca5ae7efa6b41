"""Workers that train apart for a while and then bring their tables together.

Each worker moves its own copy of the tables over a block of its texts. Then the movements of the rows that are due are added up, and every
worker goes on from there. What a worker does with a row until it is due does not see what the others do with it, which is the staleness.

A frequent word is moved thousands of times in the time in which a rare one is moved once, so rows are not due alike: a row is due after 1,
2, 4, … blocks, as many as it takes the workers to move it about `STEPS` times, `LONGEST` at most. Which rows these are follows from the
counts of the words, so that every worker knows it without asking. Few rows are so exchanged often, and all of them rarely.

Even so movements cannot simply be added up: of a row that is moved often each worker alone goes much of the way to where all together
would go, and k such ways lead too far. n steps each of which goes the share h of the way left lead to 1 − exp(−nh) of it, k·n steps to
1 − exp(−knh). So the sum of the movements of k workers is multiplied by ::

    (1 − exp(−k·n·h)) / (k · (1 − exp(−n·h)))

which is near 1 for a row that was moved a few times, and near 1/k for one that was moved often. For one step of learning rate r, h is r
times the curvature of the loss, σ(s)·σ(−s) times the squared length of the vector on the other side.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from sparkml_algos import kernels
from sparkml_algos.collectives.communicator import Communicator

# Words of a worker's texts, those that are thinned out included, for each of its threads between two exchanges.
BLOCK_TOKENS = 75_000
# Steps of all workers after which a row is due, and blocks after which all are: a power of 2.
STEPS, LONGEST = 400.0, 32
# σ(s)·σ(−s) of a typical pair is about 0.1; a step goes its way along one of many directions, of which a word's pairs have about twenty.
CURVATURE = 0.005

_TINY = 1e-9


class SharedTable:
    """A table that several workers move. All workers make it, and call what it has.

    Parameters
    ----------
    table : ndarray of float32, shape (rows, dim)
        Equal on every worker; moved in place.
    steps : ndarray of float, shape (rows,)
        About how many steps this worker makes with each row in a pass.
    blocks : int
        Of a pass.
    communicator : Communicator
    """

    def __init__(self, table: np.ndarray, steps: np.ndarray, blocks: int, communicator: Communicator) -> None:
        self.table, self._blocks, self._communicator = table, blocks, communicator
        self._before = table.copy()
        total, squares = communicator.allreduce(np.stack([steps, np.square(steps)]).astype(np.float64))
        # So many workers that move a row alike move it as those do that there are.
        self._workers = np.where(total > 0, total**2 / np.maximum(squares, _TINY), 1)
        self._steps = total / self._workers / blocks
        self._periods = periods(total / blocks)
        # Rows of each period, behind those of shorter ones.
        self._order = np.argsort(self._periods, kind="stable")
        self._ways = np.empty((0, table.shape[1]), np.float32)

    def exchange(self, block: int, share: float) -> None:
        """Bring the rows that are due together.

        Parameters
        ----------
        block : int
            How many blocks of this pass are done.
        share : float
            Of the way left, what a step goes.
        """
        rows = self._moved() if all_are_due(block, self._blocks) else self._due(block & -block)
        if not len(rows):
            return
        since = block % self._periods[rows]
        blocks = np.where(since > 0, since, self._periods[rows])
        factors = damping(self._steps[rows] * blocks, self._workers[rows], share)
        if len(self._ways) < len(rows):
            self._ways = np.empty((len(rows), self.table.shape[1]), np.float32)
        ways = self._ways[: len(rows)]
        _way().take_ways(rows, self._before, self.table, ways)
        _way().go_ways(rows, self._communicator.allreduce(ways), factors, self._before, self.table)

    def _due(self, longest: int) -> np.ndarray:
        """Rows of periods up to this one."""
        return self._order[: np.count_nonzero(self._periods <= longest)]

    def _moved(self) -> np.ndarray:
        """Rows that a worker has moved since they were exchanged."""
        moved = np.empty(len(self.table), np.uint8)
        _way().find_moved(self._before, self.table, moved)
        return np.flatnonzero(self._communicator.allreduce(moved, "max"))


def _way() -> ModuleType:
    """Compiled, where that is possible, or with NumPy."""
    if kernels.available():
        from sparkml_algos.kernels import word_vectors

        return word_vectors
    from sparkml_algos.algorithms.blazingtext.word2vec import steps

    return steps


def all_are_due(block: int, blocks: int) -> bool:
    """Whether all rows are due after a block of a pass: now and then, and at the end."""
    return block % LONGEST == 0 or block == blocks


def periods(steps: np.ndarray) -> np.ndarray:
    """After how many blocks rows are due.

    Parameters
    ----------
    steps : ndarray of float, shape (rows,)
        Of all workers, in a block.

    Returns
    -------
    ndarray of int64, shape (rows,)
        Powers of 2.
    """
    blocks = np.clip(STEPS / np.maximum(steps, _TINY), 1, LONGEST)
    return np.int64(1) << np.floor(np.log2(blocks)).astype(np.int64)


def damping(steps: np.ndarray, workers: np.ndarray, share: float) -> np.ndarray:
    """What the sum of several workers' movements is multiplied by, float32.

    Parameters
    ----------
    steps : ndarray, shape (rows,)
        Of each worker that has moved a row.
    workers : ndarray, shape (rows,)
        How many these are.
    share : float
        Of the way left, what a step goes.
    """
    way, workers = np.maximum(np.asarray(steps, np.float64) * share, _TINY), np.asarray(workers, np.float64)
    return (np.expm1(-workers * way) / (workers * np.expm1(-way))).astype(np.float32)

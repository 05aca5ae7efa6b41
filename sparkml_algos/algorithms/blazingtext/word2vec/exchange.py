"""Workers that train apart for a while and then bring their tables together.

Each worker moves its own copy of the tables over a block of its texts. Then the movements of the rows that any of them has moved are added
up, and every worker goes on from the same tables. What a worker does within a block does not see what the others do in theirs, which is
the staleness: at most `BLOCK_TOKENS` words of each.

Movements cannot simply be added up: of a frequent word each worker alone goes most of the way to where all together would go, and k such
ways lead k times too far; nor be averaged, for then rare words, which few workers meet once or twice, would learn k times too slowly. In
between, n steps each of which goes the share h of the way left lead to 1 − exp(−nh) of it, k·n steps to 1 − exp(−knh). So the sum of the
movements of the k workers that have moved a row is multiplied by ::

    (1 − exp(−k·n·h)) / (k · (1 − exp(−n·h)))

which is near 1 for a row that was moved a few times, and near 1/k for one that was moved often. For one step of learning rate r, h is r
times the curvature of the loss, σ(s)·σ(−s) times the squared length of the vector on the other side.
"""

from __future__ import annotations

import numpy as np

from sparkml_algos.collectives.communicator import Communicator

# Words of a worker's texts, those that are thinned out included, between two exchanges. An exchange of 43,000 words' vectors of length 100
# takes as long as 40,000 of them.
BLOCK_TOKENS = 500_000
# σ(s)·σ(−s) of a typical pair.
CURVATURE = 0.1


class SharedTable:
    """A table that several workers move.

    Parameters
    ----------
    table : ndarray of float32, shape (rows, dim)
        Equal on every worker; moved in place.
    communicator : Communicator
    """

    def __init__(self, table: np.ndarray, communicator: Communicator) -> None:
        self.table, self._communicator = table, communicator
        self._before = table.copy()

    def exchange(self, steps: np.ndarray, share: float) -> None:
        """Bring the tables of all workers together; all call it.

        Parameters
        ----------
        steps : ndarray of float, shape (rows,)
            About how many steps the worker has made with each row since the last exchange.
        share : float
            Of the way left, what a step goes.
        """
        moved = (self.table != self._before).any(axis=1)
        workers = self._communicator.allreduce(moved.astype(np.uint16))
        rows = np.flatnonzero(workers)
        ways = self.table[rows] - self._before[rows]
        steps = self._communicator.allreduce(np.where(moved, steps, 0).astype(np.float32)[rows])
        ways = self._communicator.allreduce(ways)
        self._before[rows] += ways * damping(steps / workers[rows], workers[rows], share)[:, None]
        self.table[rows] = self._before[rows]


def damping(steps: np.ndarray, workers: np.ndarray, share: float) -> np.ndarray:
    """What the sum of several workers' movements is multiplied by, float32.

    Parameters
    ----------
    steps : ndarray, shape (rows,)
        Of each worker that has moved a row, the mean.
    workers : ndarray of int, shape (rows,)
        How many these are.
    share : float
        Of the way left, what a step goes.
    """
    way, workers = np.maximum(np.asarray(steps, np.float64) * share, 1e-9), np.asarray(workers, np.float64)
    return (np.expm1(-workers * way) / (workers * np.expm1(-way))).astype(np.float32)

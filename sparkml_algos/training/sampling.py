"""Samples of the rows of all workers.

`draw_sample` is uniform, without replacement, in one pass.

Every row gets a random key; the rows with the smallest keys are the sample, whichever workers they are on. Each worker keeps those it has
met that may still be among them, and the workers find the largest key of the sample by bisection, exchanging counts alone.

References
----------
Y. Tillé, "Sampling algorithms", Springer 2006, chapter 4 (sequential sampling by random sorting).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch, Features
from sparkml_algos.rows.fields import LABEL, WEIGHT
from sparkml_algos.training.job import Job

# Rows of a pipe that all workers together look at in a step of `draw_sample`.
STEP_ROWS = 10_000

KEY_BITS = 62

# Rows beyond the sample that are held before they are sorted out again.
SLACK = 0.25
MIN_SLACK_ROWS = 1024


def share_of_sample(rows: int, job: Job) -> Batch:
    """This worker's share of a sample of so many training rows of all workers: all of its rows if there are no more, else some of those in
    memory at random, or the first of a pipe. Costs no pass."""
    total = job.total_rows()
    share = -(-rows // job.communicator.size) if total is None else -(-rows * job.shard.num_rows // max(total, 1))
    return job.shard.head(min(rows, share))


def draw_sample(rows: int, job: Job, communicator: Communicator) -> Batch:
    """Draw rows, every set of so many being equally likely however they are spread. Call it within an epoch of the job.

    Parameters
    ----------
    rows : int
        How many; all of them where there are no more.
    job : Job
    communicator : Communicator

    Returns
    -------
    Batch
        The same on every worker, worker after worker. Features are sparse if those of any worker are.
    """
    reservoir = Reservoir(rows, np.random.default_rng([job.seed, communicator.rank]))
    # Keys are random, so rows may come as they lie: in mini-batches they would be copied in random order first.
    for batch in job.minibatches(STEP_ROWS) if job.total_rows() is None else job.shard.batches():
        reservoir.add(batch)
    share = reservoir.share(communicator)
    return _on_every_worker(job.shard.empty() if share is None else share, communicator)


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


def _on_every_worker(batch: Batch, communicator: Communicator) -> Batch:
    """The rows of all workers, worker after worker, on each of them."""
    columns = (batch.features, batch.label, batch.weight)
    own = [len(batch) > 0 and column is not None for column in columns]
    is_sparse = len(batch) > 0 and sp.issparse(batch.features)
    found = communicator.allreduce(np.array([is_sparse, *own], np.int64), "max")
    features = _gathered_sparse(batch.features, communicator) if found[0] else _gathered_dense(batch.features, communicator)
    scalars = []
    for there, column in zip(found[2:], columns[1:], strict=True):
        part = np.empty(0, np.float32) if column is None else column
        scalars.append(np.concatenate(communicator.allgather(part)) if there else None)
    return Batch(features=features, **dict(zip((LABEL, WEIGHT), scalars, strict=True)))


def _gathered_dense(features: Features, communicator: Communicator) -> np.ndarray:
    return np.concatenate(communicator.allgather(np.ascontiguousarray(features, np.float32)))


def _gathered_sparse(features: Features, communicator: Communicator) -> sp.csr_matrix:
    features = sp.csr_matrix(features)
    data = np.concatenate(communicator.allgather(features.data.astype(np.float32, copy=False)))
    indices = np.concatenate(communicator.allgather(features.indices.astype(np.int64)))
    lengths = np.concatenate(communicator.allgather(np.diff(features.indptr).astype(np.int64)))
    return sp.csr_matrix((data, indices, np.append(0, np.cumsum(lengths))), shape=(len(lengths), features.shape[1]))

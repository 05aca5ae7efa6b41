"""A sample of the rows of all workers."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sparkml_algos.training.batch import Batch, Features
from sparkml_algos.training.communicator import Communicator
from sparkml_algos.training.job import Job

# Rows that all workers together look at in a step.
STEP_ROWS = 10_000


def draw_sample(rows: int, job: Job, communicator: Communicator) -> Batch:
    """Draw rows without replacement in one pass, every set of so many rows being equally likely however they are spread.

    Each row gets a random number, and the rows with the smallest ones are the sample. A worker holds at most about twice as many rows as
    are wanted. Call it within an epoch of the job.

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
    keys, batch = _smallest(rows, job, np.random.default_rng([job.seed, communicator.rank]))
    everyone = communicator.allgather(keys)
    total = sum(map(len, everyone))
    if total > rows:
        last = np.partition(np.concatenate(everyone), rows - 1)[rows - 1]
        batch = batch.take(np.flatnonzero(keys <= last))
    return _gathered(batch, communicator)


def _smallest(rows: int, job: Job, random: np.random.Generator) -> tuple[np.ndarray, Batch]:
    """Of this worker's rows those with the smallest random numbers, and these numbers."""
    keys, batches, limit = np.empty(0), [], np.inf
    for batch in job.minibatches(STEP_ROWS):
        drawn = random.random(len(batch))
        chosen = np.flatnonzero(drawn < limit)
        if len(chosen):
            keys = np.append(keys, drawn[chosen])
            batches.append(batch.take(chosen))
        if len(keys) > 2 * rows:
            keys, batches = _cut(keys, batches, rows)
            limit = keys.max()
    if len(keys) > rows:
        keys, batches = _cut(keys, batches, rows)
    return keys, Batch.concat(batches) if batches else Batch.empty(job.shard.num_features or 0)


def _cut(keys: np.ndarray, batches: list[Batch], rows: int) -> tuple[np.ndarray, list[Batch]]:
    smallest = np.sort(np.argpartition(keys, rows - 1)[:rows])
    return keys[smallest], [Batch.concat(batches).take(smallest)]


def _gathered(batch: Batch, communicator: Communicator) -> Batch:
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
    return Batch(features, *scalars)


def _gathered_dense(features: Features, communicator: Communicator) -> np.ndarray:
    return np.concatenate(communicator.allgather(np.ascontiguousarray(features, np.float32)))


def _gathered_sparse(features: Features, communicator: Communicator) -> sp.csr_matrix:
    features = sp.csr_matrix(features)
    data = np.concatenate(communicator.allgather(features.data.astype(np.float32, copy=False)))
    indices = np.concatenate(communicator.allgather(features.indices.astype(np.int64)))
    lengths = np.concatenate(communicator.allgather(np.diff(features.indptr).astype(np.int64)))
    return sp.csr_matrix((data, indices, np.append(0, np.cumsum(lengths))), shape=(len(lengths), features.shape[1]))

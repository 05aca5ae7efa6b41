"""Mini-batches of a training whose epochs are stretches of equally many steps, wherever passes over the rows begin and end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.job import Job

# Mini-batches that are made of the same rows, out of which like ones are put together.
WINDOW_STEPS = 128

# What random numbers are drawn for.
_ORDER_OF_STEPS, _ORDER_OF_ROWS = 0, 1


class Stretches:
    """The mini-batches of each stretch. They depend on the seed and on where they stand alone, so that a training that goes on later meets
    the very ones that it would have met.

    Parameters
    ----------
    job : Job
        All of whose rows have arrived.
    rows : int
        Of a mini-batch, of all workers together.
    steps : int
        Of a stretch.
    total : int, optional
        Steps after which the training is over, in the middle of a stretch perhaps.
    prepare : callable, optional
        ``prepare(batch)`` is what rows become that are soon to be trained on, many at a time.
    bucket : callable, optional
        ``bucket(batch)``, of prepared rows, is a number for each; a mini-batch then has rows of like numbers, on all workers, and
        mini-batches come in random order. Otherwise rows are put together at random.

    Attributes
    ----------
    steps_per_pass : int
    """

    def __init__(
        self,
        job: Job,
        rows: int,
        steps: int,
        *,
        total: int | None = None,
        prepare: Callable[[Batch], Batch] = lambda batch: batch,
        bucket: Callable[[Batch], np.ndarray] | None = None,
    ) -> None:
        self._job, self._steps, self._total, self._prepare, self._bucket = job, steps, total, prepare, bucket
        self.steps_per_pass = steps_per_pass(job, rows)
        self._sizes = np.diff(np.linspace(0, job.shard.num_rows, self.steps_per_pass + 1).astype(int))
        self._next, self._stream = 0, self._from(0)

    def steps(self, epoch: int) -> int:
        """Steps of a stretch, counted from 0."""
        return self._steps if self._total is None else min(self._steps, self._total - epoch * self._steps)

    def of_epoch(self, epoch: int) -> Iterator[Batch]:
        """This worker's part of each mini-batch of a stretch."""
        first, steps = epoch * self._steps, self.steps(epoch)
        if first != self._next:
            self._stream = self._from(first)
        self._next = first + steps
        for step in range(steps):
            yield next(self._stream)
            self._job.tell((step + 1) / steps)

    def _from(self, step: int) -> Iterator[Batch]:
        while True:
            number, skipped = divmod(step, self.steps_per_pass)
            yield from self._pass(number, skipped)
            step += self.steps_per_pass - skipped

    def _pass(self, number: int, skipped: int) -> Iterator[Batch]:
        """The mini-batches of a pass, but for the first ones."""
        groups = [self._sizes[start : start + WINDOW_STEPS] for start in range(0, len(self._sizes), WINDOW_STEPS)]
        windows = self._job.shard.minibatches(number, iter([int(sizes.sum()) for sizes in groups]))
        for place, (sizes, window) in enumerate(zip(groups, windows, strict=True)):
            if skipped >= len(sizes):
                skipped -= len(sizes)
                continue
            rows = self._prepare(window)
            parts = self._arranged(rows, sizes, number, place)
            for part in parts[skipped:]:
                yield rows.take(part)
            skipped = 0

    def _arranged(self, rows: Batch, sizes: np.ndarray, number: int, place: int) -> list[np.ndarray]:
        """Of the rows of a window, which are in each mini-batch."""
        seed = [self._job.seed, number, place]
        order = np.random.default_rng([*seed, _ORDER_OF_ROWS, self._job.communicator.rank]).permutation(len(rows))
        if self._bucket is not None:
            order = order[np.argsort(self._bucket(rows)[order], kind="stable")]
        parts = np.split(order, np.cumsum(sizes)[:-1])
        # Of all workers those parts come together that have like rows.
        return [parts[step] for step in np.random.default_rng([*seed, _ORDER_OF_STEPS]).permutation(len(parts))]


def steps_per_pass(job: Job, rows: int) -> int:
    """Steps of a pass over the rows of all workers, in mini-batches of so many."""
    return max(1, -(-job.total_rows() // rows))

"""Mini-batches that threads prepare ahead of what is trained: images are decoded while the network is busy with those before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sparkml_algos.images.ahead import Waiting, prepared_ahead, threads_of_task
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.job import Job
from sparkml_algos.training.trainer import Passes


@dataclass(frozen=True)
class Place:
    """Where rows stand in a training.

    Attributes
    ----------
    seed : int
    epoch, step : int
        Counted from 0; steps within the epoch.
    rank : int
        Of the worker.
    first : int
        Number of the first of the rows in this worker's part of the mini-batch.
    """

    seed: int
    epoch: int
    step: int
    rank: int
    first: int = 0

    def random(self, row: int) -> np.random.Generator:
        """Random numbers for one of the rows, which depend on the place alone: a training that is resumed draws what it would have drawn,
        however many threads it has."""
        return np.random.default_rng([self.seed, self.epoch, self.step, self.rank, self.first + row])


#: What a thread makes of some rows of a mini-batch; of none, rows of the same columns.
Prepare = Callable[[Batch, Place], Batch]


class PreparedBatches:
    """The mini-batches that `trainer.fit` makes by itself, each prepared in threads; `Job.input_wait` says how long they were waited for.

    Parameters
    ----------
    job : Job
    mini_batch_size : int
        Rows of a mini-batch, of all workers together.
    prepare : callable
        ``prepare(batch, place)``, called in threads with a part of this worker's rows.
    threads : int, optional
        As many as the task has CPUs by default.
    """

    def __init__(self, job: Job, mini_batch_size: int, prepare: Prepare, *, threads: int | None = None) -> None:
        self._job, self._prepare = job, prepare
        self._passes = Passes(job, mini_batch_size, 1)
        self._threads = threads or threads_of_task()
        self._waiting, self._seconds = Waiting(), 0.0

    def steps(self, epoch: int) -> int | None:
        return self._passes.steps(epoch)

    def of_epoch(self, epoch: int) -> Iterator[Batch]:
        start = time.perf_counter()
        job = self._job
        placed = ((batch, Place(job.seed, epoch, step, job.communicator.rank)) for step, batch in enumerate(self._passes.of_epoch(epoch)))
        yield from self._prepared(placed, self._prepare, self._waiting)
        self._seconds += time.perf_counter() - start
        job.input_wait = self.report()

    def scored(self, batches: Iterable[Batch], prepare: Prepare, rows: int = 32) -> Iterator[Batch]:
        """Rows outside the training steps, such as those for validation, prepared alike.

        Parameters
        ----------
        batches : iterable of Batch
        prepare : callable
            Nothing in it should be drawn at random: the epoch and the step are 0.
        rows : int
            Of what is given at most.
        """
        parts = (batch.take(slice(start, start + rows)) for batch in batches for start in range(0, len(batch), rows))
        nowhere = Place(self._job.seed, 0, 0, self._job.communicator.rank)
        return self._prepared(((part, nowhere) for part in parts), prepare, None)

    def report(self) -> dict[str, float]:
        """Seconds that the steps of this worker have waited for their rows, which share of the epochs that is, and threads."""
        share = self._waiting.seconds / self._seconds if self._seconds else 0.0
        return {"seconds": round(self._waiting.seconds, 3), "share": round(share, 4), "threads": self._threads}

    def _prepared(self, items: Iterable[tuple[Batch, Place]], prepare: Prepare, waiting: Waiting | None) -> Iterator[Batch]:
        return prepared_ahead(items, _parts, lambda part: prepare(*part), Batch.concat, threads=self._threads, waiting=waiting)


def _parts(item: tuple[Batch, Place], threads: int) -> Sequence[tuple[Batch, Place]]:
    """A mini-batch in as many parts as there are threads."""
    batch, place = item
    step = max(1, -(-len(batch) // threads))
    if step >= len(batch):
        return [item]
    return [(batch.take(slice(start, start + step)), replace(place, first=start)) for start in range(0, len(batch), step)]

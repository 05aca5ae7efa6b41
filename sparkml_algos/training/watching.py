"""The rows by which a training is watched: those marked for validation, and a sample of those that are trained on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training.job import Job
from sparkml_algos.training.sampling import share_of_sample

# Training rows, of all workers together, up to which the figures of an epoch are measured on all of them once it has ended.
WATCHED_ROWS = 10_000
# Rows scored at a time outside the training steps.
SCORE_ROWS = 4096


class WatchedRows:
    """This worker's share of the rows by which a training is watched. Make it before the first epoch, for of a pipe the sample is its
    first rows.

    Parameters
    ----------
    job : Job
    sample_rows : int
        Training rows to be drawn, of all workers together.

    Attributes
    ----------
    marks_validation : bool
        Whether a column says which rows are for validation.
    sample : Batch
        This worker's share of the training rows that were drawn.
    has_all : bool
        Whether these are all training rows, and no more than `WATCHED_ROWS`. Figures of a part of the rows would choose, of the states that
        a learning rate makes still jump about, the one that has learned most of that part by heart: of more rows take the mean over the
        mini-batches of the epoch, each before the step that it makes.
    count : int or None
        This worker's rows for validation, once `of_validation` has counted them.
    """

    def __init__(self, job: Job, sample_rows: int = WATCHED_ROWS) -> None:
        self._job = job
        self.marks_validation = job.shard.marks_validation
        self.sample = share_of_sample(sample_rows, job)
        total = job.total_rows()
        self.has_all = total is not None and total <= min(sample_rows, WATCHED_ROWS)
        self.count: int | None = None

    def of_training(self) -> Iterator[Batch]:
        """The training rows that were drawn, `SCORE_ROWS` at most at a time."""
        return in_parts(self.sample)

    def of_validation(self) -> Iterator[Batch]:
        """The rows for validation, `SCORE_ROWS` at most at a time; those of a pipe are there after its first pass. All workers call it.

        Raises
        ------
        InvalidRows
            If no worker has any.
        """
        if self.count is None:
            self.count = len(self._job.shard.validation)
            if not self._job.communicator.allreduce(np.array([self.count], np.int64))[0]:
                raise InvalidRows("no row is marked for validation; mark some, or leave validationIndicatorCol unset")
        return (part for batch in self._job.shard.validation for part in in_parts(batch))


def in_parts(batch: Batch) -> Iterator[Batch]:
    """The rows of a batch, `SCORE_ROWS` at most at a time."""
    for start in range(0, len(batch), SCORE_ROWS):
        yield batch.take(slice(start, start + SCORE_ROWS))

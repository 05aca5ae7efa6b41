"""Mini-batches prepared ahead are those of the common loop, row by row with random numbers of their own."""

from __future__ import annotations

import numpy as np
import pytest

from sparkml_algos.collectives.communicator import Communicator, SingleProcess
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.job import Job
from sparkml_algos.training.prepared import Place, PreparedBatches
from tests.decoding import decoder_of, record_batches
from tests.gang import in_threads

ROWS = np.arange(100, dtype=np.float32)[:, None]


def job_of(rows: np.ndarray = ROWS, mode: str = "File", communicator: Communicator | None = None, seed: int = 5) -> Job:
    communicator = communicator or SingleProcess()
    shard = Shard(record_batches(rows, rows=7), decoder_of(["x"]), input_mode=mode, passes=2, rank=communicator.rank, seed=seed)
    return Job(shard, communicator, seed=seed)


def drawn(batch: Batch, place: Place) -> Batch:
    """Each row with a random number of its own."""
    numbers = [place.random(row).random() for row in range(len(batch))]
    return batch.replace(drawn=np.array(numbers, np.float64))


def epochs(job: Job, size: int = 16, threads: int | None = None) -> list[Batch]:
    batches = PreparedBatches(job, size, drawn, threads=threads)
    found = []
    for epoch in job.epochs(2):
        batches.steps(epoch)
        found += list(batches.of_epoch(epoch))
        job.end_epoch(None)
    assert job.input_wait == batches.report() and job.input_wait["threads"] == (threads or job.input_wait["threads"])
    return found


@pytest.mark.parametrize("mode", ["File", "Pipe"])
def test_every_row_comes_once_an_epoch(mode: str) -> None:
    found = epochs(job_of(mode=mode))
    values = np.concatenate([batch.features[:, 0] for batch in found])
    np.testing.assert_array_equal(np.sort(values), np.repeat(np.arange(100), 2))


def test_what_is_drawn_does_not_depend_on_the_number_of_threads() -> None:
    one, three = (epochs(job_of(), threads=threads) for threads in (1, 3))
    for first, second in zip(one, three, strict=True):
        np.testing.assert_array_equal(first.features, second.features)
        np.testing.assert_array_equal(first.drawn, second.drawn)


def test_no_two_rows_draw_the_same() -> None:
    numbers = np.concatenate([batch.drawn for batch in epochs(job_of())])
    assert len(np.unique(numbers)) == 200
    assert (
        len({Place(*place).random(0).random() for place in ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0, 0, 0, 0, 1))}) == 5
    )
    assert Place(0, 0, 0, 0, 3).random(0).random() == Place(0, 0, 0, 0).random(3).random()


@pytest.mark.parametrize("mode", ["File", "Pipe"])
def test_every_worker_gets_equally_many_however_few_rows_it_has(mode: str) -> None:
    parts = [ROWS[:3], ROWS[3:]]
    found = in_threads(2, lambda communicator: epochs(job_of(parts[communicator.rank], mode, communicator)))
    assert len(found[0]) == len(found[1])
    values = np.concatenate([batch.features[:, 0] for batches in found for batch in batches])
    np.testing.assert_array_equal(np.sort(values), np.repeat(np.arange(100), 2))
    assert all(batch.drawn is not None for batches in found for batch in batches)


def test_rows_outside_the_steps_are_prepared_in_small_parts() -> None:
    job = job_of()
    batches = PreparedBatches(job, 16, drawn, threads=2)
    found = list(batches.scored(job.shard.batches(), lambda batch, place: batch.replace(twice=2 * batch.features), rows=9))
    assert max(map(len, found)) <= 9
    values = np.concatenate([batch.twice[:, 0] for batch in found])
    np.testing.assert_array_equal(values, 2 * np.arange(100))

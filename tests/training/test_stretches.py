"""Stretches of steps: all rows once a pass, the same wherever a training goes on, and like rows together on all workers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sparkml_algos.collectives.communicator import SingleProcess
from sparkml_algos.rows.decoder import Decoder, record_batches
from sparkml_algos.rows.fields import Source, features
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.job import Job
from sparkml_algos.training.stretches import Stretches, steps_per_pass
from tests.gang import in_threads

ROWS = 50


def job(communicator=None, part=slice(None), **options):
    communicator = communicator or SingleProcess()
    field = features()
    values = np.arange(ROWS, dtype=np.float32)[part, None]
    batches = record_batches([field], {"features": values}) if len(values) else iter(())
    made = Job(Shard(batches, Decoder([Source(field, ["f"])]), passes=2, rank=communicator.rank, seed=3), communicator, seed=3, **options)
    next(made.epochs(None))
    return made


def ids(batches):
    return [batch.features[:, 0].astype(int).tolist() for batch in batches]


def length(batch):
    return batch.features[:, 0].astype(int) // 10


@pytest.mark.parametrize("bucket", [None, length])
@pytest.mark.parametrize("steps", [1, 3, 7, 30])
def test_every_row_comes_once_a_pass_wherever_stretches_end(steps, bucket):
    stretches = Stretches(job(), 8, steps, bucket=bucket)
    found = [one for epoch in range(-(-28 // steps)) for one in ids(stretches.of_epoch(epoch))]
    assert stretches.steps_per_pass == 7
    for number in range(4):
        part = found[7 * number : 7 * number + 7]
        assert sorted(itertools.chain.from_iterable(part)) == list(range(ROWS))
        assert {len(batch) for batch in part} <= {7, 8}
    assert found[:7] != found[7:14]


@pytest.mark.parametrize("bucket", [None, length])
def test_a_training_that_goes_on_meets_what_it_would_have_met(bucket, monkeypatch):
    monkeypatch.setattr("sparkml_algos.training.stretches.WINDOW_STEPS", 3)
    whole = Stretches(job(), 8, 5, bucket=bucket)
    expected = [ids(whole.of_epoch(epoch)) for epoch in range(6)]
    for epoch in range(6):
        assert ids(Stretches(job(), 8, 5, bucket=bucket).of_epoch(epoch)) == expected[epoch]


def test_rows_of_like_numbers_come_together_and_in_random_order():
    found = ids(Stretches(job(), 10, 5, bucket=length).of_epoch(0))
    assert sorted(sorted(batch) for batch in found) == [list(range(start, start + 10)) for start in range(0, ROWS, 10)]
    assert found[0] != sorted(found[0]) or found[1] != sorted(found[1])


def test_all_workers_have_like_rows_at_the_same_time():
    parts = [slice(0, ROWS, 2), slice(1, ROWS, 2)]

    def work(communicator):
        return ids(Stretches(job(communicator, parts[communicator.rank]), 10, 5, bucket=length).of_epoch(0))

    for one, other in zip(*in_threads(2, work), strict=True):
        assert {number // 10 for number in one} == {number // 10 for number in other}


def test_a_worker_without_rows_takes_part_in_every_step():
    parts = [slice(None), slice(0, 0)]

    def work(communicator):
        batches = Stretches(job(communicator, parts[communicator.rank]), 10, 7, bucket=lambda batch: np.arange(len(batch))).of_epoch(0)
        return [len(batch) for batch in batches]

    one, other = in_threads(2, work)
    assert len(one) == len(other) == 7
    assert other == [0] * 7
    assert sum(one[:5]) == ROWS


def test_the_last_stretch_ends_with_the_training():
    stretches = Stretches(job(), 8, 5, total=12)
    assert [stretches.steps(epoch) for epoch in range(3)] == [5, 5, 2]
    assert len(ids(stretches.of_epoch(2))) == 2


def test_rows_are_prepared_once_a_window():
    seen = []
    stretches = Stretches(job(), 8, 7, prepare=lambda batch: seen.append(len(batch)) or batch)
    ids(stretches.of_epoch(0))
    assert seen == [ROWS]
    assert steps_per_pass(job(), 8) == 7


def test_progress_goes_on_with_the_steps():
    told = []
    made = job(report=told.append)
    ids(Stretches(made, 8, 4).of_epoch(0))
    assert [one["done"] for one in told] == [0.25, 0.5, 0.75, 1.0]
    assert told[-1]["total"] == 1

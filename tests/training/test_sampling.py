"""A sample of the rows of all workers: every row is as likely as any other, however rows are spread."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from sparkml_algos.collectives.communicator import Communicator, SingleProcess
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training import sampling
from sparkml_algos.training.job import Job
from sparkml_algos.training.sampling import draw_sample
from tests.decoding import decoder_of, record_batches
from tests.gang import in_threads


def sample(
    rows: int, features: np.ndarray | sp.csr_matrix, communicator: Communicator | None = None, seed: int = 0, **columns: np.ndarray
) -> Batch:
    communicator = communicator or SingleProcess()
    decoder = decoder_of(["features"], features={"num_features": features.shape[1]}, **{name: name for name in columns})
    shard = Shard(record_batches(features, **columns), decoder, seed=seed, rank=communicator.rank)
    job = Job(shard, communicator, seed=seed)
    return next(draw_sample(rows, job, communicator) for _ in job.epochs(1))


def test_rows_of_large_and_small_shards_are_equally_likely() -> None:
    numbers = np.arange(60, dtype=np.float32).reshape(-1, 1)
    shards = [numbers[:3], numbers[3:3], numbers[3:15], numbers[15:]]
    draws = 200

    def drawn(communicator: Communicator) -> list[np.ndarray]:
        return [sample(12, shards[communicator.rank], communicator, seed).features.ravel() for seed in range(draws)]

    found = in_threads(4, drawn)
    assert all(np.array_equal(one, other) for one, other in zip(found[0], found[3], strict=True))
    assert all(len(np.unique(one)) == 12 for one in found[0])
    counts = np.bincount(np.concatenate(found[0]).astype(int), minlength=60)
    # Drawing without replacement: variance draws · f · (1 − f), and a sum of squares of 60 − 1 degrees of freedom.
    chance = 12 / 60
    chi_square = ((counts - draws * chance) ** 2 / (draws * chance * (1 - chance))).sum() * 59 / 60
    assert 30 < chi_square < 100


def test_pairs_of_rows_are_equally_likely() -> None:
    numbers = np.arange(6, dtype=np.float32).reshape(-1, 1)
    pairs = [tuple(sorted(sample(2, numbers, seed=seed).features.ravel())) for seed in range(900)]
    counts = [pairs.count(pair) for pair in set(pairs)]
    assert len(counts) == 15 and ((np.array(counts) - 60) ** 2 / 60).sum() < 36.1  # 14 degrees of freedom, 0.1 %


def test_a_long_stream_is_cut_to_the_sample_as_it_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "STEP_ROWS", 50)
    numbers = np.arange(5000, dtype=np.float32).reshape(-1, 1)
    found = np.concatenate([sample(20, numbers, seed=seed).features.ravel() for seed in range(20)])
    assert len(found) == 400 and 2200 < found.mean() < 2800  # deviation of the mean: 72
    assert all(len(np.unique(part)) == 20 for part in np.split(found, 20))


def test_all_rows_come_where_there_are_no_more_than_wanted() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    parts = [rows[:11], rows[11:]]
    found = in_threads(2, lambda communicator: sample(30, parts[communicator.rank], communicator))[1]
    assert sorted(map(tuple, found.features)) == sorted(map(tuple, rows))


def test_labels_and_weights_stay_with_their_rows() -> None:
    rows = np.arange(40, dtype=np.float32).reshape(-1, 1)
    parts = [slice(0, 0), slice(0, 10), slice(10, 40)]

    def drawn(communicator: Communicator) -> Batch:
        own = parts[communicator.rank]
        return sample(15, rows[own], communicator, label=rows[own, 0] * 2, weight=rows[own, 0] + 1)

    found = in_threads(3, drawn)[0]
    assert len(found) == 15
    assert np.array_equal(found.label, found.features[:, 0] * 2) and np.array_equal(found.weight, found.features[:, 0] + 1)


def test_sparse_rows_stay_sparse() -> None:
    rows = sp.random(50, 400, density=0.01, format="csr", random_state=0, dtype=np.float32)
    parts = [rows[:20], rows[20:]]
    found = in_threads(2, lambda communicator: sample(1000, parts[communicator.rank], communicator))[0]
    assert sp.issparse(found.features)
    assert np.array_equal(np.sort(found.features.toarray(), axis=0), np.sort(rows.toarray(), axis=0))

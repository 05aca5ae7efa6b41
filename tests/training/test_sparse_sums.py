"""Sums of which few rows are not 0 add up over workers as whole arrays do."""

from __future__ import annotations

import numpy as np
import pytest

from sparkml_algos.training import sparse_sums
from sparkml_algos.training.communicator import SingleProcess
from sparkml_algos.training.sparse_sums import SparseSums
from tests.gang import in_threads, process_gang

LENGTH, WIDTH = 50, 3


def part(rank, touched):
    """Sums of a worker that has touched so many rows."""
    random = np.random.default_rng([rank, touched])
    ids = np.sort(random.permutation(LENGTH)[:touched]).astype(np.int32)
    return SparseSums(random.normal(size=2), ids, random.normal(size=(touched, WIDTH)).astype(np.float32), LENGTH)


def whole(sums):
    """As one flat array."""
    found = np.zeros((LENGTH, WIDTH))
    found[sums.ids] = sums.rows
    return np.concatenate([sums.totals, found.ravel()])


def over_workers(communicator, touched, small_bytes=None):
    if small_bytes is not None:  # of this process alone
        sparse_sums.SMALL_BYTES = small_bytes
    return part(communicator.rank, touched[communicator.rank]).over_workers(communicator)


@pytest.fixture(params=[0, 1 << 20], ids=["large", "small"])
def _small(request, monkeypatch):
    """Whether the whole arrays count as small."""
    monkeypatch.setattr(sparse_sums, "SMALL_BYTES", request.param)


# In the last two much is touched.
@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("touched", [[5, 9], [5, 0, 9], [0, 0], [40, 3, 50], [50, 50], [40, 40, 40]], ids=str)
class TestSums:
    def test_are_those_of_the_whole_arrays(self, touched):
        found = in_threads(len(touched), lambda communicator: over_workers(communicator, touched))[0]
        np.testing.assert_allclose(whole(found), sum(whole(part(*each)) for each in enumerate(touched)), rtol=1e-6, atol=1e-6)
        assert found.length == LENGTH and found.rows.dtype == np.float32

    def test_are_the_same_on_every_worker_and_have_every_touched_row_once(self, touched):
        found = in_threads(len(touched), lambda communicator: over_workers(communicator, touched))
        expected = sorted(set(np.concatenate([part(*each).ids for each in enumerate(touched)]).tolist()))
        for one in found:
            assert one.ids.tolist() == expected
            np.testing.assert_array_equal(whole(one), whole(found[0]))


@pytest.mark.parametrize("small_bytes", [0, 1 << 20], ids=["large", "small"])
@pytest.mark.parametrize("touched", [[5, 9], [50, 50]], ids=str)
def test_sums_over_processes_are_those_over_threads(touched, small_bytes):
    found = process_gang(2)(over_workers, touched, small_bytes)
    expected = in_threads(2, lambda communicator: over_workers(communicator, touched))
    for one in found:
        np.testing.assert_array_equal(whole(one), whole(found[0]))
    np.testing.assert_allclose(whole(found[0]), whole(expected[0]), rtol=1e-6)


def test_sums_of_a_single_worker_are_its_own():
    own = part(0, 7)
    assert own.over_workers(SingleProcess()) is own

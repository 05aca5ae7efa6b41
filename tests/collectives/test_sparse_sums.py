"""Sums of which few rows are not 0 add up over workers as whole arrays do."""

from __future__ import annotations

import numpy as np
import pytest

from sparkml_algos.collectives.communicator import SingleProcess
from sparkml_algos.collectives.sparse_sums import SparseSums, has_owners, only_owned, rows_of_others
from tests.gang import in_threads, process_gang

LENGTH, WIDTH = 50, 3
# Of each worker; in the last two much is touched.
TOUCHED = pytest.mark.parametrize("touched", [[5, 9], [5, 0, 9], [0, 0], [40, 3, 50], [50, 50], [40, 40, 40]], ids=str)


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


def expected(touched):
    return sum(whole(part(*each)) for each in enumerate(touched))


def all_touched(touched):
    return sorted(set(np.concatenate([part(*each).ids for each in enumerate(touched)]).tolist()))


def over_workers(communicator, touched):
    return part(communicator.rank, touched[communicator.rank]).over_workers(communicator)


def at_owners(communicator, touched):
    return part(communicator.rank, touched[communicator.rank]).at_owners(communicator)


def told_to_all(communicator, touched):
    """The sums of the owners, and what every worker hears of the others."""
    own = at_owners(communicator, touched)
    found = np.zeros((LENGTH, WIDTH), np.float32)
    found[own.ids] = own.rows
    for ids, rows in rows_of_others(own.ids, own.rows, communicator):
        assert not found[ids].any()
        found[ids] = rows
    return found


@TOUCHED
class TestSmallArrays:
    def test_have_the_sums_of_the_whole(self, touched):
        found = in_threads(len(touched), lambda communicator: over_workers(communicator, touched))[0]
        np.testing.assert_allclose(whole(found), expected(touched), rtol=1e-6, atol=1e-6)
        assert found.length == LENGTH and found.rows.dtype == np.float32

    def test_are_the_same_on_every_worker_and_have_every_touched_row_once(self, touched):
        found = in_threads(len(touched), lambda communicator: over_workers(communicator, touched))
        for one in found:
            assert one.ids.tolist() == all_touched(touched)
            np.testing.assert_array_equal(whole(one), whole(found[0]))


@TOUCHED
class TestLargeArrays:
    def test_have_the_sums_of_the_whole_each_row_at_its_owner(self, touched):
        found = in_threads(len(touched), lambda communicator: at_owners(communicator, touched))
        for rank, one in enumerate(found):
            assert one.ids.tolist() == [row for row in all_touched(touched) if row % len(touched) == rank]
            np.testing.assert_array_equal(one.totals, found[0].totals)
            assert one.length == LENGTH and one.rows.dtype == np.float32
        summed = sum(whole(one)[2:] for one in found)
        np.testing.assert_allclose(summed, expected(touched)[2:], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(found[0].totals, expected(touched)[:2])

    def test_are_told_to_every_worker(self, touched):
        found = in_threads(len(touched), lambda communicator: told_to_all(communicator, touched))
        for one in found:
            np.testing.assert_array_equal(one, found[0])
        np.testing.assert_allclose(found[0].ravel(), expected(touched)[2:], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("work", [over_workers, at_owners, told_to_all])
@pytest.mark.parametrize("touched", [[5, 9], [50, 50], [5, 0, 9]], ids=str)
def test_processes_find_what_threads_find(touched, work):
    found = process_gang(len(touched))(work, touched)
    for one, other in zip(found, in_threads(len(touched), lambda communicator: work(communicator, touched)), strict=True):
        np.testing.assert_allclose(*(array if work is told_to_all else whole(array) for array in (one, other)), rtol=1e-6)


def test_what_workers_own_adds_up_to_the_whole():
    array = np.random.default_rng(0).normal(size=(LENGTH, WIDTH))
    np.testing.assert_array_equal(sum(in_threads(3, lambda communicator: only_owned(array, communicator))), array)


def test_rows_have_owners_where_the_array_is_large_and_there_are_several_workers():
    assert in_threads(2, lambda communicator: has_owners(1_000_000, WIDTH, communicator)) == [True, True]
    assert in_threads(2, lambda communicator: has_owners(LENGTH, WIDTH, communicator)) == [False, False]
    assert not has_owners(1_000_000, WIDTH, SingleProcess())


def test_sums_of_a_single_worker_are_its_own():
    own = part(0, 7)
    assert own.over_workers(SingleProcess()) is own

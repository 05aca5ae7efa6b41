"""Collectives between processes give every worker the same, and a lost peer is an error, not a hang."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from sparkml_algos.collectives.communicator import CommunicationError, SingleProcess
from sparkml_algos.collectives.tcp import SMALL_BYTES
from tests.gang import ProcessGang, needs_version_6, process_gang

DTYPES = ["float32", "float64", "int32", "int64", "uint8"]
KINDS = ["tcp", "gloo", pytest.param("horovod", marks=pytest.mark.horovod)]
GANGS = [(2, "tcp"), (3, "tcp"), (2, "gloo"), *(pytest.param((size, "horovod"), marks=pytest.mark.horovod) for size in (2, 3))]

# Seconds within which a test of a lost peer expects the error, and the grace it allows a busy machine.
TIMEOUT, GRACE = 3.0, 5.0


@pytest.fixture(params=GANGS, ids=["two", "three", "two of gloo", "two of Horovod", "three of Horovod"])
def gang(request):
    return process_gang(*request.param)


def numbers(rank, dtype, shape=(2, 3)):
    """What a worker contributes."""
    return ((np.arange(np.prod(shape)).reshape(shape) * (rank + 1)) % 11).astype(dtype)


def reduce_numbers(communicator, dtype, operation):
    return communicator.allreduce(numbers(communicator.rank, dtype), operation)


@pytest.mark.parametrize("operation", ["sum", "max", "min"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_allreduce_combines_the_arrays_of_all_workers(gang, dtype, operation):
    results = gang(reduce_numbers, dtype, operation)
    contributed = np.stack([numbers(rank, dtype) for rank in range(len(results))])
    expected = getattr(np, operation)(contributed, axis=0).astype(dtype)
    for result in results:
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, expected)


def reduce_fractions(communicator, count):
    return communicator.allreduce(np.random.default_rng(communicator.rank).normal(size=count).astype(np.float32))


@pytest.mark.parametrize("nbytes", [4, SMALL_BYTES, SMALL_BYTES + 4])
def test_sums_are_equal_to_the_bit_on_all_workers(gang, nbytes):
    first, *others = gang(reduce_fractions, nbytes // 4)
    expected = sum(np.random.default_rng(rank).normal(size=nbytes // 4) for rank in range(len(others) + 1))
    np.testing.assert_allclose(first, expected, rtol=1e-5, atol=1e-6)
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("count", [3, SMALL_BYTES // 4 + 7], ids=["small", "large"])
def test_collectives_of_five_workers_reach_everyone(five, count):
    first, *others = five(reduce_fractions, count)
    expected = sum(np.random.default_rng(rank).normal(size=count) for rank in range(5))
    np.testing.assert_allclose(first, expected, rtol=1e-5, atol=1e-6)
    for other in others:
        np.testing.assert_array_equal(other, first)
    for root in (0, 3):
        contributed = np.random.default_rng(root).normal(size=count)
        for result in five(broadcast_fractions, count, root):
            np.testing.assert_array_equal(result, contributed)


@pytest.fixture(scope="module")
def five():
    gang = ProcessGang(5)
    yield gang
    gang.stop()


def broadcast_fractions(communicator, count, root):
    mine = np.random.default_rng(communicator.rank).normal(size=count)
    return communicator.broadcast(mine if communicator.rank == root else np.zeros(count), root)


def reduce_strided(communicator):
    array = numbers(communicator.rank, "float64").T
    array.flags.writeable = False
    return communicator.allreduce(array), array


def test_allreduce_leaves_its_argument_alone_however_it_lies_in_memory(gang):
    for rank, (result, argument) in enumerate(results := gang(reduce_strided)):
        np.testing.assert_array_equal(argument, numbers(rank, "float64").T)
        np.testing.assert_array_equal(result, sum(numbers(peer, "float64").T for peer in range(len(results))))


def broadcast_numbers(communicator, dtype, root):
    array = numbers(7, dtype) if communicator.rank == root else np.zeros((2, 3), dtype)
    return communicator.broadcast(array, root)


@pytest.mark.parametrize("root", [0, 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_broadcast_gives_all_the_array_of_the_root(gang, dtype, root):
    for result in gang(broadcast_numbers, dtype, root):
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, numbers(7, dtype))


def gather_rows(communicator, counts, dtype):
    return communicator.allgather(numbers(communicator.rank, dtype, (counts[communicator.rank], 2)))


@pytest.mark.parametrize("counts", [[1, 4, 2], [3, 0, 1], [0, 0, 0]], ids=["uneven", "one without rows", "none with rows"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_allgather_gives_all_arrays_in_order_of_rank(gang, dtype, counts):
    for results in gang(gather_rows, counts, dtype):
        for rank, result in enumerate(results):
            assert result.dtype == dtype
            np.testing.assert_array_equal(result, numbers(rank, dtype, (counts[rank], 2)))


def send_to_each(communicator, longest):
    """To each worker as many numbers as its rank, up to a limit."""
    mine = 10 * communicator.rank
    return communicator.alltoall([np.full(min(peer, longest), mine + peer, np.int32) for peer in range(communicator.size)])


@pytest.mark.parametrize("longest", [5, 0])
def test_alltoall_gives_each_what_all_have_for_it(gang, longest):
    for rank, results in enumerate(received := gang(send_to_each, longest)):
        assert len(results) == len(received)
        for peer, result in enumerate(results):
            assert result.dtype == np.int32
            assert result.tolist() == [10 * peer + rank] * min(rank, longest)


def gather_rows_at(communicator, root):
    return communicator.gather(numbers(communicator.rank, "int64", (communicator.rank + 1, 2)), root)


@pytest.mark.parametrize("root", [0, 1])
def test_gather_gives_all_arrays_to_the_root_alone(gang, root):
    results = gang(gather_rows_at, root)
    assert [len(result) for result in results] == [len(results) * (rank == root) for rank in range(len(results))]
    for rank, result in enumerate(results[root]):
        np.testing.assert_array_equal(result, numbers(rank, "int64", (rank + 1, 2)))


def gather_json(communicator):
    return communicator.allgather_json({"rank": communicator.rank, "text": "ä" * communicator.rank, "none": None})


def test_json_values_of_all_workers_arrive_in_order_of_rank(gang):
    results = gang(gather_json)
    assert results == [[{"rank": rank, "text": "ä" * rank, "none": None} for rank in range(len(results))]] * len(results)


def pass_barrier_late(communicator):
    if communicator.rank == 1:
        time.sleep(0.3)
    arrived = time.time()
    communicator.barrier()
    return arrived, time.time()


def test_nobody_passes_a_barrier_before_the_last_has_arrived(gang):
    arrived, passed = zip(*gang(pass_barrier_late), strict=True)
    assert min(passed) >= max(arrived)


def count_steps(communicator):
    before = communicator.steps
    communicator.allreduce(np.zeros(1))
    communicator.allgather_json([communicator.rank])
    return communicator.steps - before


def test_workers_in_step_have_counted_the_same_collectives(gang):
    assert len(set(gang(count_steps))) == 1


def lose_last_worker(communicator):
    communicator.barrier()
    if communicator.rank == communicator.size - 1:
        os._exit(1)
    start = time.perf_counter()
    with pytest.raises(CommunicationError):
        communicator.allreduce(np.zeros(1000))
    return time.perf_counter() - start


@pytest.mark.parametrize("kind", KINDS)
def test_a_peer_that_dies_is_an_error_long_before_the_timeout(kind):
    gang = ProcessGang(2, kind, timeout=60)
    seconds, lost = gang.outcomes(lose_last_worker)
    gang.stop()
    assert isinstance(lost, EOFError)
    assert isinstance(seconds, float) and seconds < GRACE, seconds


def wait_for_sleeper(communicator):
    """The error is due after the timeout; the peer would answer later."""
    communicator.barrier()
    if communicator.rank == communicator.size - 1:
        time.sleep(TIMEOUT + GRACE)
        return None
    start = time.perf_counter()
    with pytest.raises(CommunicationError):
        communicator.allreduce(np.zeros(1000))
    return time.perf_counter() - start


@pytest.mark.parametrize("kind", KINDS)
def test_a_peer_that_does_not_answer_is_an_error_once_the_timeout_is_over(kind):
    gang = ProcessGang(2, kind, timeout=TIMEOUT)
    seconds = next(gang.outcomes(wait_for_sleeper))
    gang.stop()
    assert isinstance(seconds, float) and TIMEOUT - 1 <= seconds <= TIMEOUT + GRACE, seconds


@needs_version_6
@pytest.mark.parametrize("kind", ["tcp", "gloo"])
def test_workers_may_have_addresses_of_version_6_only(kind):
    gang = ProcessGang(3, kind, host="::1")
    try:
        first, *others = gang(reduce_fractions, SMALL_BYTES)
        assert all(np.array_equal(other, first) for other in others)
    finally:
        gang.stop()


def leave_in_the_middle(communicator):
    """One leaves the others as after a failure of its own; how long these wait for it."""
    communicator.barrier()
    if communicator.rank == communicator.size - 1:
        communicator.abandon()
        time.sleep(GRACE)  # its process lives on
        return None
    start = time.perf_counter()
    with pytest.raises(CommunicationError):
        communicator.allreduce(np.zeros(1000))
    return time.perf_counter() - start


@pytest.mark.parametrize("kind", KINDS)
def test_those_whom_a_worker_leaves_notice_it_long_before_the_timeout(kind):
    gang = ProcessGang(2, kind, timeout=60)
    seconds = next(gang.outcomes(leave_in_the_middle))
    gang.stop()
    assert isinstance(seconds, float) and seconds < GRACE, seconds


class TestSingleProcess:
    alone = SingleProcess()

    def test_is_worker_zero_of_one(self):
        assert (self.alone.rank, self.alone.size) == (0, 1)

    @pytest.mark.parametrize("operation", ["sum", "max", "min"])
    def test_reduces_to_its_own_array(self, operation):
        np.testing.assert_array_equal(self.alone.allreduce(numbers(0, "float64"), operation), numbers(0, "float64"))

    def test_receives_its_own_broadcast(self):
        np.testing.assert_array_equal(self.alone.broadcast(numbers(0, "float64")), numbers(0, "float64"))

    def test_gathers_its_own_json(self):
        assert self.alone.allgather_json({"a": [1, None]}) == [{"a": [1, None]}]

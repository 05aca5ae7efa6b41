"""What is special about Horovod: it is started and ended within one process, counts in 32 bits, and finds its peers through a server."""

from __future__ import annotations

import os
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

from sparkml_algos.collectives import horovod as horovod_communicator
from sparkml_algos.collectives.communicator import CommunicationError
from sparkml_algos.collectives.horovod import HorovodCommunicator, _Place, _Rendezvous, import_horovod
from tests.gang import ProcessGang, process_gang

HOST = "127.0.0.1"


@pytest.fixture
def gang():
    return process_gang(2, "horovod")


class LeftOpen:
    """What connects the workers of a gang, for several communicators one after the other."""

    def __init__(self, control):
        self._control = control

    def __getattr__(self, name):
        return getattr(self._control, name)

    def close(self):
        """The next one needs it."""


def train_again_and_again(control, closes):
    found = []
    for count in range(1, 4):
        before = dict(os.environ)
        communicator = HorovodCommunicator(LeftOpen(control), HOST)
        assert dict(os.environ) == before
        found.append(communicator.allreduce(np.full(count, float(communicator.rank + 1))).tolist())
        if closes:
            communicator.close()
    return found


@pytest.mark.horovod
@pytest.mark.parametrize("closes", [True, False], ids=["after an end", "after a failure"])
def test_a_process_starts_horovod_anew_for_each_training(closes):
    assert process_gang(2)(train_again_and_again, closes) == [[[3.0], [3.0] * 2, [3.0] * 3]] * 2


def reduce_extremes(communicator, dtype, operation):
    return communicator.allreduce(np.array([0, 1, np.iinfo(dtype).max], dtype) if dtype != "bool" else np.array([False, True]), operation)


@pytest.mark.horovod
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "uint32"])
def test_sums_of_small_integers_wrap_around_as_in_numpy(gang, dtype):
    one = np.array([0, 1, np.iinfo(dtype).max], dtype)
    for operation, expected in [("sum", one + one), ("max", one), ("min", one)]:
        for result in gang(reduce_extremes, dtype, operation):
            assert result.dtype == dtype
            np.testing.assert_array_equal(result, expected)


@pytest.mark.horovod
def test_truth_values_are_reduced_as_in_numpy(gang):
    for operation in ("sum", "max", "min"):
        for result in gang(reduce_extremes, "bool", operation):
            assert result.dtype == bool and result.tolist() == [False, True]


def reduce_complex(communicator):
    return communicator.allreduce(np.ones(2, complex))


@pytest.mark.horovod
def test_what_horovod_cannot_reduce_is_refused(gang):
    for outcome in gang.outcomes(reduce_complex):
        assert isinstance(outcome, TypeError) and "complex128" in str(outcome)


def numbers(rank, dtype):
    return np.arange(rank, rank + 3).astype(dtype).reshape(3, 1)


def move(communicator, dtype):
    mine = numbers(communicator.rank, dtype)
    return communicator.broadcast(mine, 1), communicator.allgather(mine), communicator.allgather(mine, [3, 3])


@pytest.mark.horovod
@pytest.mark.parametrize("dtype", ["bool", "float16", "uint64", "complex128", "datetime64[s]"])
def test_arrays_of_any_type_can_be_moved(gang, dtype):
    for broadcast, *gathered in gang(move, dtype):
        np.testing.assert_array_equal(broadcast, numbers(1, dtype))
        for parts in gathered:
            assert [part.dtype for part in parts] == [np.dtype(dtype)] * 2
            np.testing.assert_array_equal(parts, [numbers(0, dtype), numbers(1, dtype)])


def move_much(communicator, limit):
    before, horovod_communicator.MAX_ELEMENTS = horovod_communicator.MAX_ELEMENTS, limit
    try:
        mine = np.arange(20.0).reshape(10, 2) + communicator.rank
        return communicator.allreduce(mine), communicator.broadcast(mine, 1), communicator.allgather(mine[: 10 - communicator.rank])
    finally:
        horovod_communicator.MAX_ELEMENTS = before


@pytest.mark.horovod
def test_more_elements_than_horovod_can_count_go_in_pieces(gang):
    one = np.arange(20.0).reshape(10, 2)
    for total, broadcast, parts in gang(move_much, 7):
        np.testing.assert_array_equal(total, 2 * one + 1)
        np.testing.assert_array_equal(broadcast, one + 1)
        for part, expected in zip(parts, [one, one[:9] + 1], strict=True):
            np.testing.assert_array_equal(part, expected)


def reduce_different_arrays(communicator):
    communicator.barrier()
    start = time.perf_counter()
    with pytest.raises(CommunicationError, match="Mismatched ALLREDUCE tensor shapes"):
        communicator.allreduce(np.zeros(3 + communicator.rank))
    return time.perf_counter() - start


@pytest.mark.horovod
def test_workers_out_of_step_are_told_so_long_before_the_timeout(gang):
    for seconds in gang(reduce_different_arrays):
        assert seconds < 5


def close_unless_last(communicator):
    communicator.barrier()
    if communicator.rank == 0:
        return communicator.close()
    with pytest.raises(CommunicationError):
        while True:
            communicator.allreduce(np.zeros(3))


@pytest.mark.horovod
def test_a_peer_that_has_left_is_an_error():
    gang = ProcessGang(2, "horovod")
    assert gang(close_unless_last) == [None, None]
    gang.stop()


def test_without_horovod_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "horovod", None)
    with pytest.raises(ImportError, match=r"needs horovod\.torch in .*install-horovod\.sh builds and installs it"):
        import_horovod()


def test_places_count_workers_by_host():
    hosts = ["b", "a", "b", "c", "b", "a"]
    found = [_Place.of(rank, hosts) for rank in range(len(hosts))]
    assert [(place.local_rank, place.local_size) for place in found] == [(0, 3), (0, 2), (1, 3), (0, 1), (2, 3), (1, 2)]
    assert [(place.cross_rank, place.cross_size) for place in found] == [(0, 3), (1, 3), (0, 2), (2, 3), (0, 1), (1, 2)]


class TestRendezvous:
    @pytest.fixture
    def address(self):
        rendezvous = _Rendezvous(HOST)
        yield rendezvous.address
        rendezvous.close()

    def ask(self, address, path, value=None):
        """What the server answers; None where it does not know. Horovod adds a port to the address it is given."""
        request = urllib.request.Request(f"http://{address}:0/{path}", data=value, method="GET" if value is None else "PUT")
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            assert error.code == 404
            return None

    def test_gives_what_it_was_given(self, address):
        assert self.ask(address, "global/0") is None
        for value in (b"somewhere", b""):
            assert self.ask(address, "global/0", value) == b""
            assert self.ask(address, "global/0") == value

    def test_tells_and_takes_nothing_without_the_secret(self, address):
        self.ask(address, "global/0", b"somewhere")
        stranger = address[:-1] + ("0" if address[-1] != "0" else "1")
        assert self.ask(stranger, "global/0") is None
        assert self.ask(stranger, "global/0", b"elsewhere") is None
        assert self.ask(address, "global/0") == b"somewhere"

"""The library's own collectives between workers: quiet, and over addresses of either family."""

from __future__ import annotations

import sys

import pytest

from sparkml_algos.algorithms.xgboost.library import _without_ranks, collectives
from sparkml_algos.collectives.communicator import Communicator
from tests.gang import ProcessGang, needs_version_6


def exchange(communicator: Communicator, host: str) -> object:
    from xgboost import collective

    with collectives(communicator, host):
        found = collective.broadcast("of worker 0" if communicator.rank == 0 else None, 0), collective.get_rank()
    print("exchanged")
    sys.stdout.flush()
    return found


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_version_6)])
def test_workers_find_each_other_and_say_nothing_of_it(host: str, capfd: pytest.CaptureFixture) -> None:
    gang = ProcessGang(2, host=host)
    try:
        assert gang(exchange, host) == [("of worker 0", 0), ("of worker 0", 1)]
    finally:
        gang.stop()
    assert capfd.readouterr().out.split() == ["exchanged", "exchanged"]


def test_what_else_the_library_says_is_passed_on(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(ValueError), _without_ranks():
        print("[19:38:13] Task 00000001 got rank 1\nWARNING: no NCCL here")
        raise ValueError
    assert capsys.readouterr().out == "WARNING: no NCCL here\n"

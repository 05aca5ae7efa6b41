"""What torch raises, wherever it does, is a failed collective; what it raises of this worker alone is not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from sparkml_algos.collectives.communicator import CommunicationError, SingleProcess

torch = pytest.importorskip("torch")

from sparkml_algos.collectives.torch import TorchCommunicator  # noqa: E402 - only with torch

LOST = "NCCL error: remote process exited or there was a network error"


@pytest.fixture
def alone() -> Iterator[TorchCommunicator]:
    communicator = TorchCommunicator(SingleProcess(), "127.0.0.1")
    yield communicator
    if torch.distributed.is_initialized():
        communicator.close()


class Started:
    """A tensor of a collective that was started and went wrong then, as on a GPU: whoever touches it is told."""

    def __init__(self, tensor: object, error: Exception) -> None:
        self._tensor, self._error = tensor, error

    def cpu(self) -> None:
        raise self._error


@pytest.fixture
def fails_later(alone: TorchCommunicator, monkeypatch: pytest.MonkeyPatch):
    """Make collectives fail once they have been started."""

    def fail(error: Exception) -> None:
        monkeypatch.setattr(alone, "_tensor", lambda array: Started(array, error))
        monkeypatch.setattr(torch, "empty_like", lambda tensor: Started(tensor, error))
        for name in ("all_reduce", "broadcast", "all_gather", "gather"):
            monkeypatch.setattr(torch.distributed, name, lambda *arguments, **options: None)

    return fail


COLLECTIVES = {
    "allreduce": lambda communicator: communicator.allreduce(np.ones(3)),
    "broadcast": lambda communicator: communicator.broadcast(np.ones(3)),
    "allgather": lambda communicator: communicator.allgather(np.ones(3)),
    "allgather of known lengths": lambda communicator: communicator.allgather(np.ones(3), lengths=[3]),
    "gather": lambda communicator: communicator.gather(np.ones(3)),
    "barrier": lambda communicator: communicator.barrier(),
    "json": lambda communicator: communicator.allgather_json({}),
}


@pytest.mark.parametrize("collective", COLLECTIVES.values(), ids=COLLECTIVES)
def test_what_is_raised_where_a_result_is_touched_is_a_failed_collective(alone, fails_later, collective) -> None:
    fails_later(RuntimeError(LOST))
    with pytest.raises(CommunicationError, match="remote process exited"):
        collective(alone)


def test_so_is_what_is_raised_on_leaving(alone, monkeypatch: pytest.MonkeyPatch) -> None:
    def destroy() -> None:
        raise torch.distributed.DistBackendError(LOST)

    monkeypatch.setattr(torch.distributed, "destroy_process_group", destroy)
    with pytest.raises(CommunicationError, match="remote process exited"):
        alone.close()
    alone.abandon()  # says nothing: it has failed already
    monkeypatch.undo()


def test_so_is_a_store_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_store(*arguments: object, **options: object) -> None:
        raise torch.distributed.DistNetworkError("connection refused")

    monkeypatch.setattr(torch.distributed, "TCPStore", open_store)
    with pytest.raises(CommunicationError, match="workers could not connect to each other: connection refused"):
        TorchCommunicator(SingleProcess(), "127.0.0.1")


def test_memory_that_is_full_is_this_worker_s_own_trouble(alone, fails_later) -> None:
    fails_later(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(torch.OutOfMemoryError):
        alone.allreduce(np.ones(3))


def test_a_worker_that_leaves_the_others_can_begin_anew(alone) -> None:
    alone.abandon()
    again = TorchCommunicator(SingleProcess(), "127.0.0.1")
    assert again.allreduce(np.ones(3)).tolist() == [1, 1, 1]
    again.close()

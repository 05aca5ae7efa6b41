"""The handful of collectives through which workers talk while they train."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np


class CommunicationError(RuntimeError):
    """A collective failed: another worker died, stopped answering, or the network broke.

    Attributes
    ----------
    peer : int or None
        The worker that was waited for, where that is known.
    """

    def __init__(self, message: str, peer: int | None = None) -> None:
        super().__init__(message)
        self.peer = peer


def is_timeout(message: str) -> bool:
    """Whether a message says that a collective took too long, in our words or a library's: "timed out", "Timed out"."""
    return "imed out" in message


class Communicator(ABC):
    """Collectives over all workers of a gang. Every worker calls the same ones in the same order, with or without rows.

    Attributes
    ----------
    rank, size : int
        This worker, counted from 0, and how many there are.
    timeout : float
        Seconds a worker waits for the others in a collective.
    takes_tensors : bool
        Whether it has ``allreduce_`` and ``allgather_tensors`` too, which take torch's tensors on the device where they are.
    """

    rank: int
    size: int
    timeout: float = 600.0
    takes_tensors: bool = False

    @abstractmethod
    def allreduce(self, array: np.ndarray, operation: str = "sum") -> np.ndarray:
        """Element-wise ``sum``, ``max`` or ``min`` of equally shaped arrays; the same result on every worker."""

    @abstractmethod
    def broadcast(self, array: np.ndarray, root: int = 0) -> np.ndarray:
        """The array of worker `root`, which alone must know its content; all must know shape and dtype."""

    @abstractmethod
    def allgather(self, array: np.ndarray, lengths: Sequence[int] | None = None) -> list[np.ndarray]:
        """The arrays of all workers in order of rank; their first dimensions may differ. Where every worker knows them, as `lengths`, it
        takes one exchange instead of two."""

    def alltoall(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What each worker has for this one, in order of rank; `arrays` is what this one has for each of them. Flat arrays of one type."""
        lengths = np.concatenate(self.allgather(np.array([[len(array) for array in arrays]]), lengths=[1] * self.size))
        parts = self.allgather(np.concatenate(arrays), lengths.sum(axis=1).tolist())
        ends = lengths.cumsum(axis=1)
        return [part[end - length : end] for part, end, length in zip(parts, ends[:, self.rank], lengths[:, self.rank], strict=True)]

    def gather(self, array: np.ndarray, root: int = 0) -> list[np.ndarray]:
        """What `allgather` gives, on worker `root` alone; an empty list on the others."""
        parts = self.allgather(array)
        return parts if self.rank == root else []

    def allgather_json(self, value: Any) -> list[Any]:
        """The JSON values of all workers in order of rank."""
        encoded = np.frombuffer(json.dumps(value).encode(), np.uint8)
        return [json.loads(part.tobytes()) for part in self.allgather(encoded)]

    def barrier(self) -> None:
        """Return once every worker has called."""
        self.allreduce(np.zeros(1))

    def close(self) -> None:  # noqa: B027 - nothing to release unless a subclass holds something
        """Release connections, once all workers have finished."""

    def abandon(self) -> None:  # noqa: B027 - likewise
        """Release connections after a failure, without the other workers: those who wait for this one raise `CommunicationError`."""


class SingleProcess(Communicator):
    """The only worker there is."""

    rank, size = 0, 1

    def allreduce(self, array: np.ndarray, operation: str = "sum") -> np.ndarray:
        return array

    def broadcast(self, array: np.ndarray, root: int = 0) -> np.ndarray:
        return array

    def allgather(self, array: np.ndarray, lengths: Sequence[int] | None = None) -> list[np.ndarray]:
        return [array]

"""The handful of collectives through which workers talk while they train."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch.distributed import Store


class CommunicationError(RuntimeError):
    """A collective failed: another worker died, stopped answering, or the network broke."""


class Communicator(ABC):
    """Collectives over all workers of a gang. Every worker calls the same ones in the same order, with or without rows.

    Attributes
    ----------
    rank, size : int
        This worker, counted from 0, and how many there are.
    """

    rank: int
    size: int

    @abstractmethod
    def allreduce(self, array: np.ndarray, operation: str = "sum") -> np.ndarray:
        """Element-wise ``sum``, ``max`` or ``min`` of equally shaped arrays; the same result on every worker."""

    @abstractmethod
    def broadcast(self, array: np.ndarray, root: int = 0) -> np.ndarray:
        """The array of worker `root`, which alone must know its content; all must know shape and dtype."""

    @abstractmethod
    def allgather(self, array: np.ndarray) -> list[np.ndarray]:
        """The arrays of all workers in order of rank; their first dimensions may differ."""

    def allgather_json(self, value: Any) -> list[Any]:
        """The JSON values of all workers in order of rank."""
        encoded = np.frombuffer(json.dumps(value).encode(), np.uint8)
        return [json.loads(part.tobytes()) for part in self.allgather(encoded)]

    def barrier(self) -> None:
        """Return once every worker has called."""
        self.allreduce(np.zeros(1))

    def close(self) -> None:  # noqa: B027 - nothing to release unless a subclass holds something
        """Release connections."""


class SingleProcess(Communicator):
    """The only worker there is."""

    rank, size = 0, 1

    def allreduce(self, array: np.ndarray, operation: str = "sum") -> np.ndarray:
        return array

    def broadcast(self, array: np.ndarray, root: int = 0) -> np.ndarray:
        return array

    def allgather(self, array: np.ndarray) -> list[np.ndarray]:
        return [array]


class TorchCommunicator(Communicator):
    """torch.distributed between processes: gloo between CPUs, NCCL between GPUs.

    Parameters
    ----------
    store : torch.distributed.Store
        Where the workers meet.
    rank, size : int
    timeout : float
        Seconds a collective may take before it raises `CommunicationError`.
    device : str
        ``cpu``, or the CUDA device of this worker.

    Attributes
    ----------
    steps : int
        Collectives started so far. Workers that wait for each other have the same number.
    """

    def __init__(self, store: Store, rank: int, size: int, timeout: float, device: str = "cpu") -> None:
        import torch
        import torch.distributed as dist

        self.rank, self.size, self.steps = rank, size, 0
        self._torch, self._dist, self._device = torch, dist, torch.device(device)
        self._operations = {"sum": dist.ReduceOp.SUM, "max": dist.ReduceOp.MAX, "min": dist.ReduceOp.MIN}
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)
        try:
            dist.init_process_group(
                "nccl" if self._device.type == "cuda" else "gloo",
                store=dist.PrefixStore("collectives", store),
                rank=rank,
                world_size=size,
                timeout=timedelta(seconds=timeout),
            )
        except RuntimeError as error:
            raise CommunicationError(f"workers could not connect to each other: {error}") from error

    def allreduce(self, array: np.ndarray, operation: str = "sum") -> np.ndarray:
        tensor = self._tensor(array.copy())
        self._run(self._dist.all_reduce, tensor, op=self._operations[operation])
        return tensor.cpu().numpy().reshape(array.shape)

    def broadcast(self, array: np.ndarray, root: int = 0) -> np.ndarray:
        tensor = self._tensor(array.copy())
        self._run(self._dist.broadcast, tensor, src=root)
        return tensor.cpu().numpy().reshape(array.shape)

    def allgather(self, array: np.ndarray) -> list[np.ndarray]:
        lengths = self._gather(np.array([len(array)], np.int64))
        longest = max(int(length[0]) for length in lengths)
        padded = np.zeros((longest, *array.shape[1:]), array.dtype)
        padded[: len(array)] = array
        parts = self._gather(padded)
        return [part[: int(length[0])] for part, length in zip(parts, lengths, strict=True)]

    def close(self) -> None:
        self._dist.destroy_process_group()

    def _gather(self, array: np.ndarray) -> list[np.ndarray]:
        tensor = self._tensor(array)
        parts = [self._torch.empty_like(tensor) for _ in range(self.size)]
        self._run(self._dist.all_gather, parts, tensor)
        return [part.cpu().numpy().reshape(array.shape) for part in parts]

    def _tensor(self, array: np.ndarray) -> Any:
        if not array.flags.writeable:
            array = array.copy()
        return self._torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _run(self, collective: Any, *args: Any, **options: Any) -> None:
        self.steps += 1
        try:
            collective(*args, **options)
        except RuntimeError as error:
            raise CommunicationError(str(error)) from error

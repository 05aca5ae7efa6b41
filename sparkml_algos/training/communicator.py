"""The handful of collectives through which workers talk while they train."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch.distributed import Store


# Up to this many bytes an array is added up by recursive doubling (R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of collective
# communication operations in MPICH", 2005): log₂(size) exchanges, where gloo's ring has 2·(size − 1) steps that each wake a thread.
# Of 16 KiB to 1 MiB between processes of one machine it takes 0.4 to 0.8 of the ring's time with two, 0.2 to 0.7 with three; of 4 MiB
# 1.5 times as long.
DOUBLING_BYTES = 1 << 20

_UFUNCS = {"sum": np.add, "max": np.maximum, "min": np.minimum}


class CommunicationError(RuntimeError):
    """A collective failed: another worker died, stopped answering, or the network broke."""


class Communicator(ABC):
    """Collectives over all workers of a gang. Every worker calls the same ones in the same order, with or without rows.

    Attributes
    ----------
    rank, size : int
        This worker, counted from 0, and how many there are.
    timeout : float
        Seconds a worker waits for the others in a collective.
    """

    rank: int
    size: int
    timeout: float = 600.0

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
        """Release connections."""


class SingleProcess(Communicator):
    """The only worker there is."""

    rank, size = 0, 1

    def allreduce(self, array: np.ndarray, operation: str = "sum") -> np.ndarray:
        return array

    def broadcast(self, array: np.ndarray, root: int = 0) -> np.ndarray:
        return array

    def allgather(self, array: np.ndarray, lengths: Sequence[int] | None = None) -> list[np.ndarray]:
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

        self.rank, self.size, self.timeout, self.steps = rank, size, timeout, 0
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
        total = array.copy()
        if self._device.type == "cpu" and 0 < total.nbytes <= DOUBLING_BYTES:
            self._run(self._double, total.reshape(-1), _UFUNCS[operation])
            return total
        tensor = self._tensor(total)
        self._run(self._dist.all_reduce, tensor, op=self._operations[operation])
        return tensor.cpu().numpy().reshape(array.shape)

    def _double(self, total: np.ndarray, combine: np.ufunc) -> None:
        """Reduce in place by recursive doubling. Both ends of an exchange combine the same two arrays: results are equal to the bit."""
        other = np.empty_like(total)
        mine, theirs = self._torch.from_numpy(total), self._torch.from_numpy(other)
        paired = 1 << (self.size.bit_length() - 1)
        # Workers beyond the largest power of 2 hand their array to one within it, and are told the result.
        lower, upper = self.rank - paired, self.rank + paired
        if lower >= 0:
            self._dist.send(mine, lower)
            self._dist.recv(mine, lower)
            return
        if upper < self.size:
            self._dist.recv(theirs, upper)
            combine(total, other, out=total)
        distance = 1
        while distance < paired:
            peer = self.rank ^ distance
            sending = self._dist.isend(mine, peer)
            self._dist.recv(theirs, peer)
            sending.wait()
            combine(total, other, out=total)
            distance *= 2
        if upper < self.size:
            self._dist.send(mine, upper)

    def broadcast(self, array: np.ndarray, root: int = 0) -> np.ndarray:
        tensor = self._tensor(array.copy())
        self._run(self._dist.broadcast, tensor, src=root)
        return tensor.cpu().numpy().reshape(array.shape)

    def allgather(self, array: np.ndarray, lengths: Sequence[int] | None = None) -> list[np.ndarray]:
        padded, lengths = self._padded(array, lengths)
        return [part[:length] for part, length in zip(self._gather(padded), lengths, strict=True)]

    def gather(self, array: np.ndarray, root: int = 0) -> list[np.ndarray]:
        padded, lengths = self._padded(array)
        tensor = self._tensor(padded)
        parts = [self._torch.empty_like(tensor) for _ in lengths] if self.rank == root else None
        self._run(self._dist.gather, tensor, parts, dst=root)
        return [part.cpu().numpy()[:length] for part, length in zip(parts, lengths, strict=True)] if parts else []

    def close(self) -> None:
        self._dist.destroy_process_group()

    def _padded(self, array: np.ndarray, lengths: Sequence[int] | None = None) -> tuple[np.ndarray, Sequence[int]]:
        """The array as long as the longest of all workers, and the lengths of all."""
        if lengths is None:
            lengths = [int(length[0]) for length in self._gather(np.array([len(array)], np.int64))]
        padded = np.zeros((max(lengths), *array.shape[1:]), array.dtype)
        padded[: len(array)] = array
        return padded, lengths

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

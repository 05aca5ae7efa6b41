"""Collectives of torch.distributed: gloo between CPUs, NCCL between GPUs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkml_algos.arrays.device import to_device
from sparkml_algos.collectives.addresses import interface_of, listen
from sparkml_algos.collectives.communicator import CommunicationError, Communicator

if TYPE_CHECKING:
    from torch import Tensor


class TorchCommunicator(Communicator):
    """torch.distributed between processes.

    The workers find each other through a store on worker 0. Neither it nor the connections of gloo and NCCL know a secret: unlike `Mesh`
    they take whoever comes.

    Parameters
    ----------
    control : Communicator
        Connects the same workers already. Its timeout is that of a collective here, and it is closed with this one.
    host : str
        Address under which the other workers reach this one.
    device : str
        ``cpu``, or the CUDA device of this worker.

    Attributes
    ----------
    steps : int
        Collectives started so far. Workers that wait for each other have the same number.

    Raises
    ------
    CommunicationError
        If the workers cannot connect to each other, or a collective fails or takes longer than the timeout.
    """

    takes_tensors = True

    def __init__(self, control: Communicator, host: str, device: str = "cpu") -> None:
        import torch
        import torch.distributed as dist

        self.rank, self.size, self.timeout, self.steps = control.rank, control.size, control.timeout, 0
        self._control, self._torch, self._dist, self._device = control, torch, dist, torch.device(device)
        self._operations = {"sum": dist.ReduceOp.SUM, "max": dist.ReduceOp.MAX, "min": dist.ReduceOp.MIN}
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)
        elif interface := interface_of(host):
            os.environ["GLOO_SOCKET_IFNAME"] = interface
        with self._failures("workers could not connect to each other: "):
            dist.init_process_group(
                "nccl" if self._device.type == "cuda" else "gloo",
                store=self._open_store(host),
                rank=self.rank,
                world_size=self.size,
                timeout=timedelta(seconds=self.timeout),
            )

    def _open_store(self, host: str) -> Any:
        listener = listen(host) if self.rank == 0 else None
        address, port = self._control.allgather_json(listener and listener.getsockname()[:2])[0]
        options = {"master_listen_fd": listener.detach()} if listener else {}
        return self._dist.TCPStore(address, port, is_master=self.rank == 0, wait_for_workers=False, **options)

    def allreduce(self, array: np.ndarray, operation: str = "sum") -> np.ndarray:
        tensor = self._tensor(array.copy())
        return self._run(self._dist.all_reduce, tensor, tensor, op=self._operations[operation]).reshape(array.shape)

    def allreduce_(self, tensor: Tensor, operation: str = "sum") -> None:
        """`allreduce` of a contiguous tensor on this worker's device, in place and without a way through NumPy."""
        self._start(self._dist.all_reduce, tensor, op=self._operations[operation])

    def allgather_tensors(self, tensor: Tensor, lengths: Sequence[int]) -> list[Tensor]:
        """`allgather` of a contiguous tensor on this worker's device, whose first dimensions, of all workers, are `lengths`."""
        padded = tensor.new_zeros((max(lengths), *tensor.shape[1:]))
        padded[: len(tensor)] = tensor
        parts = [self._torch.empty_like(padded) for _ in lengths]
        self._start(self._dist.all_gather, parts, padded)
        return [part[:length] for part, length in zip(parts, lengths, strict=True)]

    def broadcast(self, array: np.ndarray, root: int = 0) -> np.ndarray:
        tensor = self._tensor(array.copy())
        return self._run(self._dist.broadcast, tensor, tensor, src=root).reshape(array.shape)

    def allgather(self, array: np.ndarray, lengths: Sequence[int] | None = None) -> list[np.ndarray]:
        padded, lengths = self._padded(array, lengths)
        return [part[:length] for part, length in zip(self._gather(padded), lengths, strict=True)]

    def gather(self, array: np.ndarray, root: int = 0) -> list[np.ndarray]:
        padded, lengths = self._padded(array)
        tensor = self._tensor(padded)
        parts = [self._torch.empty_like(tensor) for _ in lengths] if self.rank == root else None
        arrays = self._run(self._dist.gather, parts, tensor, parts, dst=root)
        return [part[:length] for part, length in zip(arrays, lengths, strict=True)] if parts else []

    def close(self) -> None:
        with self._failures("leaving the other workers: "):
            self._dist.destroy_process_group()
        self._control.barrier()  # worker 0 holds the store
        self._control.close()

    def abandon(self) -> None:
        with suppress(CommunicationError), self._failures():
            self._dist.destroy_process_group()
        self._control.abandon()

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
        return [part.reshape(array.shape) for part in self._run(self._dist.all_gather, parts, parts, tensor)]

    def _tensor(self, array: np.ndarray) -> Any:
        return to_device(array if array.flags.writeable else array.copy(), str(self._device))

    def _run(self, collective: Callable[..., object], result: Any, *arguments: Any, **options: Any) -> Any:
        """Call a collective with some arguments; `result`, the tensor or tensors that it fills, as arrays.

        On a GPU it has only been started when it returns. What goes wrong later is raised by whoever touches a tensor next, which is here.
        """
        self._start(collective, *arguments, **options)
        with self._failures():
            if isinstance(result, list):
                return [tensor.cpu().numpy() for tensor in result]
            return None if result is None else result.cpu().numpy()

    def _start(self, collective: Callable[..., object], *arguments: Any, **options: Any) -> None:
        self.steps += 1
        with self._failures():
            collective(*arguments, **options)

    @contextmanager
    def _failures(self, prefix: str = "") -> Iterator[None]:
        """What torch raises inside is another worker's fault, as far as can be told; that this one's memory is full is not."""
        try:
            yield
        except (CommunicationError, self._torch.OutOfMemoryError):
            raise
        except (RuntimeError, OSError) as error:
            raise CommunicationError(f"{prefix}{error}") from error

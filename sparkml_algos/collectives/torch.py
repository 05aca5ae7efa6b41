"""Collectives of torch.distributed: gloo between CPUs, NCCL between GPUs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from sparkml_algos.arrays.device import to_device
from sparkml_algos.collectives.addresses import interface_of, listen
from sparkml_algos.collectives.communicator import CommunicationError, Communicator


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
        try:
            dist.init_process_group(
                "nccl" if self._device.type == "cuda" else "gloo",
                store=self._open_store(host),
                rank=self.rank,
                world_size=self.size,
                timeout=timedelta(seconds=self.timeout),
            )
        except RuntimeError as error:
            raise CommunicationError(f"workers could not connect to each other: {error}") from error

    def _open_store(self, host: str) -> Any:
        listener = listen(host) if self.rank == 0 else None
        address = self._control.allgather_json(listener and listener.getsockname())[0]
        options = {"master_listen_fd": listener.detach()} if listener else {}
        return self._dist.TCPStore(*address, is_master=self.rank == 0, wait_for_workers=False, **options)

    def allreduce(self, array: np.ndarray, operation: str = "sum") -> np.ndarray:
        tensor = self._tensor(array.copy())
        self._run(self._dist.all_reduce, tensor, op=self._operations[operation])
        return tensor.cpu().numpy().reshape(array.shape)

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
        self._control.barrier()  # worker 0 holds the store
        self._control.close()

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
        return to_device(array if array.flags.writeable else array.copy(), str(self._device))

    def _run(self, collective: Any, *args: Any, **options: Any) -> None:
        self.steps += 1
        try:
            collective(*args, **options)
        except RuntimeError as error:
            raise CommunicationError(str(error)) from error

"""Several workers on one machine: threads for tests of order and sharing, processes for tests of the network."""

from __future__ import annotations

import functools
import multiprocessing
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from sparkml_algos.training.communicator import Communicator, TorchCommunicator

# Seconds after which a test gives up on workers that wait for each other.
PATIENCE = 60.0

_REDUCTIONS = {"sum": np.sum, "max": np.max, "min": np.min}


class ThreadCommunicator(Communicator):
    """Collectives between threads; a worker that calls another collective than its peers breaks the barrier instead of hanging."""

    def __init__(self, rank: int, shared: list, barrier: threading.Barrier) -> None:
        self.rank, self.size = rank, len(shared)
        self._shared, self._barrier = shared, barrier

    def allreduce(self, array: np.ndarray, operation: str = "sum") -> np.ndarray:
        return _REDUCTIONS[operation](np.stack(self._exchange("allreduce", array)), axis=0).astype(array.dtype)

    def broadcast(self, array: np.ndarray, root: int = 0) -> np.ndarray:
        return self._exchange("broadcast", array)[root].copy()

    def allgather(self, array: np.ndarray, lengths: Sequence[int] | None = None) -> list[np.ndarray]:
        arrays = self._exchange("allgather", array)
        assert lengths is None or [len(one) for one in arrays] == list(lengths)
        return arrays

    def _exchange(self, collective: str, array: np.ndarray) -> list[np.ndarray]:
        self._shared[self.rank] = (collective, array.copy())
        self._barrier.wait()
        calls, arrays = zip(*self._shared, strict=True)
        self._barrier.wait()
        assert set(calls) == {collective}, f"workers are out of step: {calls}"
        return list(arrays)


def in_threads(size: int, work: Callable[[Communicator], Any]) -> list[Any]:
    """Run `work` on `size` workers at once and return what each returned, in order of rank."""
    shared, barrier = [None] * size, threading.Barrier(size, timeout=PATIENCE)

    def guarded(rank: int) -> Any:
        try:
            return work(ThreadCommunicator(rank, shared, barrier))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(guarded, rank) for rank in range(size)]
    errors = [error for future in futures if (error := future.exception())]
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [future.result() for future in futures]


class ProcessGang:
    """Worker processes connected by `TorchCommunicator`, ready to run functions of a module.

    Parameters
    ----------
    size : int
    meet_at : {"file", "tcp"}
        The store they find each other through.
    timeout : float
        Of a collective, in seconds.
    """

    def __init__(self, size: int, meet_at: str = "file", timeout: float = PATIENCE) -> None:
        context = multiprocessing.get_context("spawn")
        self._directory = tempfile.TemporaryDirectory()
        self._server = _tcp_server() if meet_at == "tcp" else None
        address = self._server.port if self._server else str(Path(self._directory.name) / "store")
        self._pipes, self._processes = [], []
        for rank in range(size):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(rank, size, address, timeout, theirs), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def outcomes(self, work: Callable[..., Any], *arguments: Any) -> Iterator[Any]:
        """What ``work(communicator, *arguments)`` returned or raised, EOFError for a worker that died; waits for one worker at a time."""
        for pipe in self._pipes:
            pipe.send((work, arguments))
        return map(_received, self._pipes)

    def __call__(self, work: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What `work` returned on each worker."""
        outcomes = list(self.outcomes(work, *arguments))
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return outcomes

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()
        self._directory.cleanup()


@functools.cache
def process_gang(size: int) -> ProcessGang:
    """A gang that all tests of this run share, for a process takes seconds to start."""
    return ProcessGang(size, meet_at="tcp" if size == 2 else "file")


def _tcp_server() -> Any:
    from torch.distributed import TCPStore

    return TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


def _serve(rank: int, size: int, address: str | int, timeout: float, pipe: Any) -> None:
    import torch
    from torch.distributed import FileStore, TCPStore

    torch.set_num_threads(1)
    store = FileStore(address, size) if isinstance(address, str) else TCPStore("127.0.0.1", address, is_master=False)
    store.set(f"started/{rank}", "")
    store.wait([f"started/{peer}" for peer in range(size)], timedelta(seconds=PATIENCE))
    communicator = TorchCommunicator(store, rank, size, timeout)
    while True:
        try:
            work, arguments = pipe.recv()
        except EOFError:  # the tests are over
            return
        try:
            pipe.send(work(communicator, *arguments))
        except Exception as error:
            pipe.send(error)


def _received(pipe: Any) -> Any:
    if not pipe.poll(PATIENCE):
        return TimeoutError("the worker does not answer")
    try:
        return pipe.recv()
    except EOFError as error:
        return error

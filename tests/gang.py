"""Several workers on one machine: threads for tests of order and sharing, processes for tests of the network."""

from __future__ import annotations

import functools
import multiprocessing
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from sparkml_algos.collectives.addresses import listen
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.collectives.handshake import new_secret
from sparkml_algos.collectives.mesh import Mesh
from sparkml_algos.collectives.tcp import TcpCommunicator

# Seconds after which a test gives up on workers that wait for each other.
PATIENCE = 60.0


def _has_version_6() -> bool:
    try:
        listen("::1").close()
    except OSError:
        return False
    return True


needs_version_6 = pytest.mark.skipif(not _has_version_6(), reason="this machine has no address of version 6")

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
    """Connected worker processes, ready to run functions of a module.

    Parameters
    ----------
    size : int
    kind : {"tcp", "gloo", "horovod"}
    timeout : float
        Of a collective, in seconds.
    host : str
        Address on which they listen.
    """

    def __init__(self, size: int, kind: str = "tcp", timeout: float = PATIENCE, host: str = "127.0.0.1") -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes, self._processes, secret = [], [], new_secret()
        for rank in range(size):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(rank, kind, secret, timeout, host, theirs), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        addresses = [pipe.recv() for pipe in self._pipes]
        for pipe in self._pipes:
            pipe.send(addresses)

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


@functools.cache
def process_gang(size: int, kind: str = "tcp") -> ProcessGang:
    """A gang that all tests of this run share, for processes take time to start."""
    return ProcessGang(size, kind)


def connect(
    kind: str, rank: int, addresses: Sequence[tuple[str, int]], listener: socket.socket, secret: str, timeout: float
) -> Communicator:
    """A worker's end of collectives of some kind."""
    host = listener.getsockname()[0]
    communicator = TcpCommunicator(Mesh(rank, addresses, listener, secret, timeout))
    if kind == "tcp":
        return communicator
    import torch

    from sparkml_algos.collectives.horovod import HorovodCommunicator
    from sparkml_algos.collectives.torch import TorchCommunicator

    torch.set_num_threads(1)
    return {"gloo": TorchCommunicator, "horovod": HorovodCommunicator}[kind](communicator, host)


def _serve(rank: int, kind: str, secret: str, timeout: float, host: str, pipe: Any) -> None:
    listener = listen(host)
    pipe.send(listener.getsockname()[:2])
    communicator = connect(kind, rank, pipe.recv(), listener, secret, timeout)
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

"""Collectives over Horovod (A. Sergeev, M. Del Balso, "Horovod: fast and easy distributed deep learning in TensorFlow", 2018)."""

from __future__ import annotations

import hmac
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from sparkml_algos.collectives.addresses import endpoint, family_of, interface_of
from sparkml_algos.collectives.communicator import CommunicationError, Communicator
from sparkml_algos.collectives.handshake import new_secret

if TYPE_CHECKING:
    from torch import Tensor

INSTALL = "bash spark-conf/install-horovod.sh"
# Horovod counts the elements of a collective in 32 bits.
MAX_ELEMENTS = (1 << 31) - 1
SECONDS_BETWEEN_POLLS = 1e-4
# Horovod matches what workers call by kind and name. With one name for all, workers whose arrays differ are told so at once; those that
# call different kinds wait for each other until they time out. A name per step was measured to take twice the time.
_NAME = "collective"

# Horovod adds up no smaller integers. That the sum of an uint8 is one of 8 bits is seen to afterwards: it wraps around as the other would.
_WIDENED = {"bool": "int32", "int8": "int32", "uint8": "int32", "int16": "int32", "uint16": "int32", "uint32": "int64"}
_REDUCED = ("int32", "int64", "float16", "float32", "float64")
# What is only moved is taken for integers of the size.
_MOVED = {1: np.uint8, 2: np.int16, 4: np.int32, 8: np.int64}


class HorovodCommunicator(Communicator):
    """Horovod between processes, each of which has one at a time; gloo carries both the data and what workers agree on.

    The workers find each other through a small server on worker 0. It answers only them, but the connections of gloo know no secret:
    unlike `Mesh` they take whoever comes.

    Parameters
    ----------
    control : Communicator
        Connects the same workers already. Its timeout is that of a collective here, and it is closed with this one.
    host : str
        Address under which the other workers reach this one.

    Attributes
    ----------
    steps : int
        Collectives started so far. Workers that wait for each other have the same number.

    Raises
    ------
    ImportError
        If Horovod is not installed, or was built for another torch.
    CommunicationError
        If the workers cannot connect to each other, or a collective fails or takes longer than the timeout.

    Notes
    -----
    In rounds of a millisecond or more Horovod's processes agree on what all of them are ready for. A collective of few numbers takes two to
    three of them between two processes of one machine, where `TcpCommunicator` takes 0.15 ms; one of 8 MB takes as long as there. A worker
    that is lost in the fraction of a second in which Horovod starts takes the processes of the others with it, for Horovod aborts them.
    """

    def __init__(self, control: Communicator, host: str) -> None:
        hvd = import_horovod()
        import torch

        self.rank, self.size, self.timeout, self.steps = control.rank, control.size, control.timeout, 0
        self._control, self._hvd, self._from_numpy = control, hvd, torch.from_numpy
        self._operations = {"sum": hvd.Sum, "max": hvd.Max, "min": hvd.Min}
        if hvd.is_initialized():  # by a training that failed in this process
            hvd.shutdown()
        rendezvous = _Rendezvous(host) if self.rank == 0 else None
        found = control.allgather_json([host, rendezvous and rendezvous.address])
        try:
            with _environment(_settings(found[0][1], self.rank, [host for host, _ in found], self.timeout)):
                hvd.init()
            control.barrier()  # worker 0 answers the others until they have found each other
        except ValueError as error:
            raise CommunicationError(f"workers could not connect to each other: {error}") from error
        finally:
            if rendezvous:
                rendezvous.close()

    def allreduce(self, array: np.ndarray, operation: str = "sum") -> np.ndarray:
        dtype = _WIDENED.get(array.dtype.name, array.dtype.name)
        if dtype not in _REDUCED:
            raise TypeError(f"Horovod cannot reduce arrays of {array.dtype}")
        total = np.array(array, dtype, order="C")
        for part in _parts(total):
            self._run(self._hvd.allreduce_async_, part, op=self._operations[operation])
        return total.astype(array.dtype, copy=False)

    def broadcast(self, array: np.ndarray, root: int = 0) -> np.ndarray:
        received = np.array(array, order="C")
        for part in _parts(_as_integers(received)):
            self._run(self._hvd.broadcast_async_, part, root_rank=root)
        return received

    def allgather(self, array: np.ndarray, lengths: Sequence[int] | None = None) -> list[np.ndarray]:
        if lengths is None:
            lengths = self._allgather(np.array([len(array)], np.int64)).tolist()
        shapes = [(length, *array.shape[1:]) for length in lengths]
        elements = sum(map(math.prod, shapes))
        if elements * (1 if array.itemsize in _MOVED else array.itemsize) > MAX_ELEMENTS:
            return [self.broadcast(array if rank == self.rank else np.empty(shape, array.dtype), rank) for rank, shape in enumerate(shapes)]
        if not elements:
            return [np.empty(shape, array.dtype) for shape in shapes]
        rows = self._allgather(_as_integers(np.ascontiguousarray(array))).view(array.dtype).reshape(-1, *array.shape[1:])
        return np.split(rows, np.cumsum(lengths)[:-1])

    def close(self) -> None:
        """Leave Horovod, once all have finished; this process can start it anew."""
        self._hvd.shutdown()
        self._control.close()

    def abandon(self) -> None:
        self._hvd.shutdown()  # of all workers: what the others wait for fails
        self._control.abandon()

    def _allgather(self, flat: np.ndarray) -> np.ndarray:
        return self._run(self._hvd.allgather_async, flat).numpy()

    def _run(self, collective: Callable[..., int], array: np.ndarray, **options: int) -> Tensor:
        self.steps += 1
        tensor = self._from_numpy(array if array.flags.writeable else array.copy())
        deadline = time.monotonic() + self.timeout
        try:
            handle = collective(tensor, name=_NAME, **options)
            # Horovod itself would wait forever for a worker that is alive but does not take part.
            while not self._hvd.poll(handle):
                if time.monotonic() > deadline:
                    raise CommunicationError(f"timed out after {self.timeout:g} s of waiting for other workers")
                time.sleep(SECONDS_BETWEEN_POLLS)
            return self._hvd.synchronize(handle)
        except self._hvd.HorovodInternalError as error:
            raise CommunicationError(f"a collective of Horovod failed: {str(error).splitlines()[0]}") from error


def import_horovod() -> ModuleType:
    """``horovod.torch``, as this communicator needs it.

    Raises
    ------
    ImportError
        If it is not there, cannot be loaded with the installed torch, or was built without gloo.
    """
    try:
        import horovod.torch as hvd

        trouble = "" if hvd.gloo_built() else "it was built without gloo"
    except (ImportError, AttributeError) as error:  # AttributeError: it was built for other frameworks alone
        trouble = str(error)
    if trouble:
        raise ImportError(f"communicator='horovod' needs horovod.torch in {sys.executable} ({trouble}): {INSTALL} builds and installs it")
    return hvd


class _Rendezvous:
    """Where workers tell each other their addresses as they start Horovod: an HTTP server in a thread of worker 0.

    Attributes
    ----------
    address : str
        Contains a secret, without which the server tells nothing.
    """

    def __init__(self, host: str) -> None:
        self._server = _Server((host, 0), _Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.address = f"{endpoint(host, self._server.server_address[1])}/{self._server.secret}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.secret, self.values, self.address_family = new_secret(), {}, family_of(address[0])
        super().__init__(address, handler)


class _Handler(BaseHTTPRequestHandler):
    """Sets, gets and deletes the value of a path; 404 where there is none yet, and to strangers."""

    server: _Server
    timeout = 10

    def do_PUT(self) -> None:
        if self._is_worker():
            self.server.values[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"" if self._is_worker() else None)

    def do_GET(self) -> None:
        self._answer(self.server.values.get(self.path) if self._is_worker() else None)

    def do_DELETE(self) -> None:
        """A worker has found all others; the server ends soon."""
        self._answer(b"" if self._is_worker() else None)

    def _is_worker(self) -> bool:
        return hmac.compare_digest(self.path[1:].partition(":")[0].encode(), self.server.secret.encode())

    def _answer(self, value: bytes | None) -> None:
        self.send_response(404 if value is None else 200)
        self.send_header("Content-Length", str(len(value or b"")))
        self.end_headers()
        self.wfile.write(value or b"")

    def log_message(self, *_: object) -> None:
        """Workers ask again and again; nobody reads that."""


@dataclass(frozen=True)
class _Place:
    """Where among the workers one is.

    Attributes
    ----------
    local_rank, local_size : int
        Among those of its host.
    cross_rank, cross_size : int
        Among those of all hosts with the same `local_rank`.
    """

    local_rank: int
    local_size: int
    cross_rank: int
    cross_size: int

    @classmethod
    def of(cls, rank: int, hosts: Sequence[str]) -> _Place:
        locals_ = [hosts[:worker].count(host) for worker, host in enumerate(hosts)]
        peers = [worker for worker, local_rank in enumerate(locals_) if local_rank == locals_[rank]]
        return cls(locals_[rank], hosts.count(hosts[rank]), peers.index(rank), len(peers))


def _settings(rendezvous: str, rank: int, hosts: Sequence[str], timeout: float) -> dict[str, str | int]:
    place, interface = _Place.of(rank, hosts), interface_of(hosts[rank])
    settings: dict[str, str | int] = {
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
        "HOROVOD_RANK": rank,
        "HOROVOD_SIZE": len(hosts),
        "HOROVOD_LOCAL_RANK": place.local_rank,
        "HOROVOD_LOCAL_SIZE": place.local_size,
        "HOROVOD_CROSS_RANK": place.cross_rank,
        "HOROVOD_CROSS_SIZE": place.cross_size,
        "HOROVOD_HOSTNAME": hosts[rank],
        # Horovod asks http://ADDR:PORT/scope/key; here ADDR has the port already, and the secret is part of the path.
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": rendezvous,
        "HOROVOD_GLOO_RENDEZVOUS_PORT": 0,
        # For a peer that vanishes. One that is alive but late is no trouble to Horovod, which would only warn of it.
        "HOROVOD_GLOO_TIMEOUT_SECONDS": math.ceil(timeout),
        "HOROVOD_STALL_CHECK_DISABLE": 1,
    }
    return settings | ({"HOROVOD_GLOO_IFACE": interface} if interface else {})


@contextmanager
def _environment(settings: dict[str, str | int]) -> Iterator[None]:
    """Variables for the time in which Horovod reads them."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update({name: str(value) for name, value in settings.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _as_integers(array: np.ndarray) -> np.ndarray:
    """The bytes of a contiguous array as one row of integers."""
    flat = array.reshape(-1)
    return flat.view(_MOVED[array.itemsize]) if array.itemsize in _MOVED else flat.view(np.uint8)


def _parts(array: np.ndarray) -> Iterator[np.ndarray]:
    """A contiguous array as flat pieces of a size that Horovod can take; none of an empty one."""
    flat = array.reshape(-1)
    return (flat[start : start + MAX_ELEMENTS] for start in range(0, flat.size, MAX_ELEMENTS))

"""Collectives over TCP connections between the workers, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.collectives.mesh import Mesh

# Up to this many bytes a message's latency counts, beyond them its bytes do: arrays are then reduced and spread piece by piece.
SMALL_BYTES = 1 << 19

_UFUNCS = {"sum": np.add, "max": np.maximum, "min": np.minimum}


class TcpCommunicator(Communicator):
    """Collectives between CPUs.

    Small arrays are reduced by recursive doubling, large ones in pieces around a ring (R. Thakur, R. Rabenseifner, W. Gropp, "Optimization
    of collective communication operations in MPICH", 2005). Either way all workers end up with the same bits.

    Parameters
    ----------
    mesh : Mesh

    Attributes
    ----------
    steps : int
        Collectives started so far. Workers that wait for each other have the same number.
    """

    def __init__(self, mesh: Mesh) -> None:
        self.rank, self.size, self.timeout, self.steps = mesh.rank, mesh.size, mesh.timeout, 0
        self._mesh = mesh
        self._next, self._previous = (self.rank + 1) % self.size, (self.rank - 1) % self.size

    @property
    def bytes_sent(self) -> int:
        """Bytes that this worker has sent to others."""
        return self._mesh.bytes_sent

    def allreduce(self, array: np.ndarray, operation: str = "sum") -> np.ndarray:
        self.steps += 1
        total = np.array(array, order="C")
        flat, combine = total.reshape(-1), _UFUNCS[operation]
        if total.nbytes <= SMALL_BYTES:
            self._double(flat, combine)
        else:
            pieces = np.array_split(flat, self.size)
            self._reduce_pieces(pieces, combine)
            self._spread_pieces(pieces, first=self.rank + 1)
        return total

    def broadcast(self, array: np.ndarray, root: int = 0) -> np.ndarray:
        self.steps += 1
        result = np.array(array, order="C")
        if result.nbytes <= SMALL_BYTES:
            self._pass_on(result.reshape(-1), root)
            return result
        pieces = np.array_split(result.reshape(-1), self.size)
        if self.rank != root:
            self._exchange(source=root, into=pieces[self.rank])
        else:
            for peer in self._others():
                self._exchange(to=peer, message=pieces[peer])
        self._spread_pieces(pieces, first=self.rank)
        return result

    def allgather(self, array: np.ndarray, lengths: Sequence[int] | None = None) -> list[np.ndarray]:
        self.steps += 1
        parts = {self.rank: np.array(array, order="C")}
        for distance in range(self.size - 1):
            message, source = parts[(self.rank - distance) % self.size], (self.rank - distance - 1) % self.size
            parts[source] = self._shaped(self._exchange(to=self._next, message=message, source=self._previous), array)
        return [parts[rank] for rank in range(self.size)]

    def alltoall(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.steps += 1
        parts = {self.rank: arrays[self.rank]}
        for distance in range(1, self.size):
            to, source = (self.rank + distance) % self.size, (self.rank - distance) % self.size
            parts[source] = self._shaped(self._exchange(to=to, message=arrays[to], source=source), arrays[to])
        return [parts[rank] for rank in range(self.size)]

    def gather(self, array: np.ndarray, root: int = 0) -> list[np.ndarray]:
        self.steps += 1
        if self.rank != root:
            self._exchange(to=root, message=np.ascontiguousarray(array))
            return []
        parts = {peer: self._shaped(self._exchange(source=peer), array) for peer in self._others()}
        return [parts.get(rank, array) for rank in range(self.size)]

    def close(self) -> None:
        self._mesh.close()

    def abandon(self) -> None:
        self._mesh.close()

    def _double(self, total: np.ndarray, combine: np.ufunc) -> None:
        """Reduce in place by recursive doubling. Both ends of an exchange combine the same two arrays: results are equal to the bit."""
        other = np.empty_like(total)
        paired = 1 << (self.size.bit_length() - 1)
        # Workers beyond the largest power of 2 hand their array to one within it, and are told the result.
        lower, upper = self.rank - paired, self.rank + paired
        if lower >= 0:
            self._exchange(to=lower, message=total)
            self._exchange(source=lower, into=total)
            return
        if upper < self.size:
            self._exchange(source=upper, into=other)
            combine(total, other, out=total)
        distance = 1
        while distance < paired:
            peer = self.rank ^ distance
            self._exchange(to=peer, message=total, source=peer, into=other)
            combine(total, other, out=total)
            distance *= 2
        if upper < self.size:
            self._exchange(to=upper, message=total)

    def _reduce_pieces(self, pieces: list[np.ndarray], combine: np.ufunc) -> None:
        """Around the ring, until the piece after this worker's own is reduced over all."""
        received = np.empty_like(pieces[0])  # the first piece is the longest
        for distance in range(self.size - 1):
            mine, theirs = ((self.rank - distance - back) % self.size for back in (0, 1))
            other = received[: len(pieces[theirs])]
            self._exchange(to=self._next, message=pieces[mine], source=self._previous, into=other)
            combine(pieces[theirs], other, out=pieces[theirs])

    def _spread_pieces(self, pieces: list[np.ndarray], first: int) -> None:
        """Around the ring, until every worker has all pieces; it begins with number `first` alone."""
        for distance in range(self.size - 1):
            mine, theirs = ((first - distance - back) % self.size for back in (0, 1))
            self._exchange(to=self._next, message=pieces[mine], source=self._previous, into=pieces[theirs])

    def _pass_on(self, array: np.ndarray, root: int) -> None:
        """Down a binomial tree: each worker that has the array passes it on to one as far away as the tree has grown."""
        place, reach = (self.rank - root) % self.size, 1
        while reach < self.size:
            if place < reach and place + reach < self.size:
                self._exchange(to=(self.rank + reach) % self.size, message=array)
            elif reach <= place < 2 * reach:
                self._exchange(source=(self.rank - reach) % self.size, into=array)
            reach *= 2

    def _exchange(
        self, *, to: int | None = None, message: np.ndarray | None = None, source: int | None = None, into: np.ndarray | None = None
    ) -> memoryview:
        sent, received = _bytes(message) if message is not None else b"", _bytes(into) if into is not None else None
        return self._mesh.exchange(self.steps, to=to, message=sent, source=source, into=received)

    def _shaped(self, message: memoryview, like: np.ndarray) -> np.ndarray:
        """An array whose first dimension may differ from that of `like`."""
        return np.frombuffer(message, like.dtype).reshape(-1, *like.shape[1:])

    def _others(self) -> list[int]:
        return [peer for peer in range(self.size) if peer != self.rank]


def _bytes(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data

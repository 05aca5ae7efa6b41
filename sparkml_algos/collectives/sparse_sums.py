"""Sums of which few rows are not 0, and their exchange between workers.

A mini-batch of sparse rows touches few of the rows of a large array of parameters, one per feature. Workers exchange these alone, so that a
step costs what its mini-batch holds, however many features there are. Nor does each worker make the whole step: every row of the array has
an owner, who is sent the sums of the others, moves the row, and lets them know where it is now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sparkml_algos.collectives.communicator import Communicator

# Up to this size a whole array is added up in less time than its rows take on their way to their owners and back.
SMALL_BYTES = 1 << 20


@dataclass(frozen=True)
class SparseSums:
    """A few sums that are always there, and the rows of an array (length, width) that are not 0.

    Attributes
    ----------
    totals : ndarray of float64, shape (any,)
    ids : ndarray of int32, shape (touched,)
        Which rows are there, ascending.
    rows : ndarray of float32, shape (touched, width)
        May be overwritten by whoever is given them.
    length : int
        Rows of the whole array.
    """

    totals: np.ndarray
    ids: np.ndarray
    rows: np.ndarray
    length: int

    def over_workers(self, communicator: Communicator) -> SparseSums:
        """The sums of all workers, the same to the last bit on every worker. Made for small arrays: the whole array is added up."""
        if communicator.size == 1:
            return self
        whole = np.zeros((self.length, 1 + self.rows.shape[1]))
        whole[self.ids, 0], whole[self.ids, 1:] = 1, self.rows
        summed = communicator.allreduce(np.append(whole, self.totals))
        whole, totals = summed[: whole.size].reshape(whole.shape), summed[whole.size :]
        ids = np.flatnonzero(whole[:, 0]).astype(np.int32)
        return SparseSums(totals, ids, whole[:, 1:].take(ids, axis=0).astype(np.float32), self.length)

    def at_owners(self, communicator: Communicator) -> SparseSums:
        """The totals of all workers, and of the sums of all workers the rows that this one owns; added in order of rank."""
        order = np.argsort((self.ids % communicator.size).astype(np.uint16), kind="stable")
        ends = np.cumsum(np.bincount(self.ids % communicator.size, minlength=communicator.size))[:-1]
        messages = [_packed(self.ids[own], self.rows.take(own, axis=0), self.totals) for own in np.split(order, ends)]
        width, count = self.rows.shape[1], len(self.totals)
        parts = [_unpacked(message, width, count) for message in communicator.alltoall(messages)]
        ids = np.sort(np.concatenate([own for own, _, _ in parts]))
        ids = ids[np.diff(ids, prepend=-1) > 0]
        rows = np.zeros((len(ids), width), np.float32)
        for own, summands, _ in parts:
            rows[np.searchsorted(ids, own)] += summands
        return SparseSums(np.sum([totals for *_, totals in parts], axis=0), ids, rows, self.length)


def has_owners(length: int, width: int, communicator: Communicator) -> bool:
    """Whether the rows of an array have owners: with several workers, if it is large."""
    return communicator.size > 1 and length * (1 + width) * 8 > SMALL_BYTES


def only_owned(array: np.ndarray, communicator: Communicator) -> np.ndarray:
    """An array with 0 for the rows that other workers own; over the workers it adds up to the whole."""
    owned = np.zeros_like(array)
    owned[communicator.rank :: communicator.size] = array[communicator.rank :: communicator.size]
    return owned


def rows_of_others(ids: np.ndarray, rows: np.ndarray, communicator: Communicator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Let the other workers know rows that this one owns; what they say of theirs, as `ids` and `rows`."""
    for rank, message in enumerate(communicator.allgather(_packed(ids, rows))):
        if rank != communicator.rank:
            yield _unpacked(message, rows.shape[1])[:2]


def _packed(ids: np.ndarray, rows: np.ndarray, totals: np.ndarray | None = None) -> np.ndarray:
    head = [] if totals is None else [totals.view(np.int32)]
    return np.concatenate([*head, ids, np.ascontiguousarray(rows).view(np.int32).ravel()])


def _unpacked(message: np.ndarray, width: int, count: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    totals, message = message[: 2 * count].view(np.float64), message[2 * count :]
    touched = len(message) // (1 + width)
    return message[:touched], message[touched:].view(np.float32).reshape(touched, width), totals

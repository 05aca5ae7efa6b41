"""Sums of which few rows are not 0, and their exchange between workers.

A mini-batch of sparse rows touches few of the rows of a large array of parameters, one per feature. Workers exchange these alone, so that a
step costs what its mini-batch holds, however many features there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparkml_algos.training.communicator import Communicator

# Up to this size a whole array is added up in less time than gathering takes, which is two exchanges.
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
        """The sums of all workers, the same to the last bit on every worker.

        The rows are gathered, after their number, and added in order of rank. A whole array that is small is added up instead, which takes
        a single exchange; so is one of which so much is touched that gathering would move more than the two times its size that adding up
        moves through every worker.
        """
        if communicator.size == 1:
            return self
        if self.length * (1 + self.rows.shape[1]) * 8 <= SMALL_BYTES:
            whole = communicator.allreduce(np.append(self._whole(np.float64), self.totals))
            return self._from_whole(whole[: -len(self.totals)], whole[-len(self.totals) :])
        headers = communicator.allgather(np.append(self.totals, len(self.ids))[None], lengths=[1] * communicator.size)
        *totals, touched = np.concatenate(headers).sum(axis=0)
        if touched >= 2 * self.length:
            return self._from_whole(communicator.allreduce(self._whole(np.float32)), np.array(totals))
        return self._gathered(communicator, np.array(totals), [int(header[0, -1]) for header in headers])

    def _gathered(self, communicator: Communicator, totals: np.ndarray, lengths: list[int]) -> SparseSums:
        packed = np.empty((len(self.ids), 1 + self.rows.shape[1]), np.int32)
        packed[:, 0], packed[:, 1:] = self.ids, self.rows.view(np.int32)
        parts = communicator.allgather(packed, lengths)
        ids = np.sort(np.concatenate([part[:, 0] for part in parts]))
        ids = ids[np.diff(ids, prepend=-1) > 0]
        rows = np.zeros((len(ids), self.rows.shape[1]), np.float32)
        for part in parts:
            rows[np.searchsorted(ids, part[:, 0])] += part[:, 1:].view(np.float32)
        return SparseSums(totals, ids, rows, self.length)

    def _whole(self, dtype: type) -> np.ndarray:
        """The whole array, flat, each row behind a number that is not 0 if it is touched."""
        whole = np.zeros((self.length, 1 + self.rows.shape[1]), dtype)
        whole[self.ids, 0], whole[self.ids, 1:] = 1, self.rows
        return whole.ravel()

    def _from_whole(self, whole: np.ndarray, totals: np.ndarray) -> SparseSums:
        whole = whole.reshape(self.length, -1)
        ids = np.flatnonzero(whole[:, 0]).astype(np.int32)
        return SparseSums(totals, ids, whole[:, 1:].take(ids, axis=0).astype(np.float32), self.length)

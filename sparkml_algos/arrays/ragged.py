"""Rows of different lengths as two arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Ragged:
    """Lists of different lengths, one a row.

    Attributes
    ----------
    values : ndarray or pyarrow.Array, (sum of the lengths, …)
        What the lists hold, list after list: numbers, vectors of one length, or strings.
    offsets : ndarray of int, (rows + 1,)
        Row i is ``values[offsets[i]:offsets[i + 1]]``.
    """

    values: np.ndarray | pa.Array
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> np.ndarray | pa.Array:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[np.ndarray | pa.Array]:
        return (self[row] for row in range(len(self)))

    @property
    def lengths(self) -> np.ndarray:
        """Of each row, shape (rows,)."""
        return np.diff(self.offsets)

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.offsets.nbytes

    def take(self, rows: np.ndarray | slice) -> Ragged:
        """Some rows, in the order asked."""
        starts, lengths = self.offsets[:-1][rows], self.lengths[rows]
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        positions = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        values = self.values.take(pa.array(positions)) if isinstance(self.values, pa.Array) else self.values[positions]
        return Ragged(values, offsets)

    @staticmethod
    def concat(parts: Sequence[Ragged]) -> Ragged:
        """All rows, part after part."""
        values = [part.values[part.offsets[0] : part.offsets[-1]] for part in parts]
        lengths = np.concatenate([part.lengths for part in parts])
        together = pa.concat_arrays(values) if isinstance(values[0], pa.Array) else np.concatenate(values)
        return Ragged(together, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

"""What a column of a batch may be, and what every such column can do.

Numbers are an ndarray, (rows, …); sparse vectors a csr_matrix; lists of different lengths a `Ragged`; texts and bytes an Arrow array.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from sparkml_algos.arrays.hashing import mixed
from sparkml_algos.arrays.ragged import Ragged

Column = np.ndarray | sp.csr_matrix | Ragged | pa.Array

# Rows whose words are widened to 64 bits at a time.
_BLOCK_ROWS = 4096
# Odd, with bits all over: the multiplier of Knuth's multiplicative hashing for 64 bits.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def length(column: Column) -> int:
    """Number of rows."""
    return column.shape[0] if hasattr(column, "shape") else len(column)


def nbytes(column: Column) -> int:
    """Bytes of a column's arrays."""
    if sp.issparse(column):
        return column.data.nbytes + column.indices.nbytes + column.indptr.nbytes
    return column.nbytes


def take(column: Column, rows: np.ndarray | slice) -> Column:
    """Some rows of a column, in the order asked."""
    if isinstance(column, Ragged):
        return column.take(rows)
    if isinstance(column, pa.Array):
        return column[rows] if isinstance(rows, slice) else column.take(pa.array(rows))
    return column[rows]


def concat(parts: Sequence[Column]) -> Column:
    """One column of the rows of all parts, which are of one kind."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    if isinstance(parts[0], Ragged):
        return Ragged.concat(parts)
    if isinstance(parts[0], pa.Array):
        return pa.concat_arrays(parts)
    return sp.vstack(parts, format="csr")


def row_hashes(column: Column) -> np.ndarray:
    """A number for each row that depends on its content alone, shape (rows,), uint64.

    Sparse rows have the number of dense ones of the same values. Made to notice that rows are other rows, not against an adversary.
    """
    if isinstance(column, pa.Array):
        return np.array([zlib.crc32(value.as_buffer()) if value.is_valid else 1 for value in _as_bytes(column)], np.uint64)
    if isinstance(column, Ragged):
        elements = row_hashes(column.values)
        places = np.arange(len(elements)) - np.repeat(column.offsets[:-1], column.lengths) + 1
        sums = np.append(np.uint64(0), np.cumsum(mixed(elements) * places.astype(np.uint64)))
        return sums[column.offsets[1:]] - sums[column.offsets[:-1]] + column.lengths.astype(np.uint64)
    if sp.issparse(column):
        words = sp.csr_matrix((_words(column.data[:, None])[:, 0], column.indices, column.indptr), shape=column.shape)
        return np.asarray(words @ _multipliers(column.shape[1])).ravel()
    flat = column.reshape(len(column), math.prod(column.shape[1:]))  # -1 is refused where there are no rows
    found, multipliers = np.empty(len(flat), np.uint64), _multipliers(flat.shape[1])
    for start in range(0, len(flat), _BLOCK_ROWS):
        found[start : start + _BLOCK_ROWS] = _words(flat[start : start + _BLOCK_ROWS]) @ multipliers
    return found


def combined(hashes: Sequence[np.ndarray]) -> int:
    """Of rows, a number for each in every column: one number that does not depend on the order of the rows, and adds up over batches
    modulo 2⁶⁴."""
    total = np.zeros(len(hashes[0]), np.uint64)
    for column in hashes:
        total = mixed(total * _MULTIPLIER + column)
    return int(total.sum(dtype=np.uint64))


def _multipliers(count: int) -> np.ndarray:
    return mixed(np.arange(1, count + 1, dtype=np.uint64) * _MULTIPLIER) | np.uint64(1)


def _words(values: np.ndarray) -> np.ndarray:
    """Numbers as uint64 by their bits, which are 0 for zero."""
    if values.dtype == bool:
        return values.astype(np.uint64)
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}").astype(np.uint64)


def _as_bytes(column: pa.Array) -> pa.Array:
    return column if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type) else column.cast(pa.binary())

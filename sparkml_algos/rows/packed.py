"""Vectors as the JVM bridge packs them, back into the Arrow columns that a decoder reads.

A row is little-endian bytes: the size (int32), the number of indices or -1 if the vector is dense (int32), the indices (int32), the
values (float32). They cross from the JVM in one copy, where lists of numbers take a call per element.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

# The size and the number of indices, in words of four bytes.
HEADER = 2
_NO_VALUES = np.array([0, -1], "<i4").tobytes()


def unpack(column: pa.BinaryArray) -> tuple[pa.ListArray, pa.ListArray, pa.Int32Array]:
    """Values, and of the sparse rows indices and size, which are null in dense ones. What is null stays so.

    Parameters
    ----------
    column : pyarrow.BinaryArray
    """
    nulls = np.asarray(column.is_null()) if column.null_count else None
    if nulls is not None:
        column = column.fill_null(_NO_VALUES)
    words, starts = _words(column)
    size, count = words[starts], words[starts + 1]
    is_dense = count < 0
    if is_dense.all():
        values, lengths = _dense(words, starts, size), size
        indices, size = pa.nulls(len(column), pa.list_(pa.int32())), pa.nulls(len(column), pa.int32())
    else:
        stored = np.where(is_dense, 0, count)
        lengths = np.where(is_dense, size, count)
        values = words[_positions(starts + HEADER + stored, lengths)].view("<f4")
        indices = _lists(words[_positions(starts + HEADER, stored)], stored, is_dense)
        size = pa.array(size, mask=is_dense)
    return _lists(values, lengths, nulls), indices, size


def _words(column: pa.BinaryArray) -> tuple[np.ndarray, np.ndarray]:
    """All bytes as int32, and where each row starts among them."""
    wide = pa.types.is_large_binary(column.type)
    _, offsets, data = column.buffers()
    offsets = np.frombuffer(offsets, np.int64 if wide else np.int32)[column.offset : column.offset + len(column) + 1]
    if not len(column):
        return np.empty(0, "<i4"), np.empty(0, np.int64)
    words = np.frombuffer(data, "<i4", count=(offsets[-1] - offsets[0]) // 4, offset=offsets[0])
    return words, (offsets[:-1] - offsets[0]) // 4


def _dense(words: np.ndarray, starts: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The values of rows that are all dense."""
    if len(size) and (size == size[0]).all():
        return words.view("<f4").reshape(len(size), -1)[:, HEADER:].ravel()
    return words[_positions(starts + HEADER, size)].view("<f4")


def _positions(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Places of all words of runs that begin at `starts`."""
    before = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(starts - before, lengths)


def _lists(values: np.ndarray, lengths: np.ndarray, nulls: np.ndarray | None) -> pa.ListArray:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.ListArray.from_arrays(offsets, values, mask=None if nulls is None else pa.array(nulls))

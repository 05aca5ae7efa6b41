"""Protobuf's wire format for many messages at once: arrays of cursors into one buffer."""

from __future__ import annotations

import numpy as np

MAX_VARINT = 10
# A length in a message is below 2 ** 31, five bytes of seven bits.
MAX_LENGTH_VARINT = 5


def read_lengths(buffer: np.ndarray, cursors: np.ndarray, alive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A varint at every cursor: values and the cursors behind them. Rows with a longer or truncated one leave ``alive``."""
    last = len(buffer) - 1
    byte = buffer[np.minimum(cursors, last)]
    values = (byte & 127).astype(np.int64)
    cursors = cursors + 1
    more = byte > 127
    for shift in range(7, 7 * MAX_LENGTH_VARINT, 7):
        if not more.any():
            break
        byte = buffer[np.minimum(cursors, last)]
        values += np.where(more, (byte & 127).astype(np.int64) << shift, 0)
        cursors = cursors + more
        more = more & (byte > 127)
    alive &= ~more
    return values, cursors


def equal_bytes(buffer: np.ndarray, cursors: np.ndarray, expected: bytes) -> np.ndarray:
    """Whether these bytes stand at each cursor."""
    last, same = len(buffer) - 1, np.ones(len(cursors), bool)
    for position, byte in enumerate(expected):
        same &= buffer[np.minimum(cursors + position, last)] == byte
    return same


def positions(starts: np.ndarray, counts: np.ndarray, step: int = 1) -> np.ndarray:
    """``starts[i], starts[i] + step, …``, ``counts[i]`` of them, for all i in one flat array."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - (ends - counts) * step, counts) + np.arange(0, total * step, step, dtype=np.int64)


def gather(buffer: np.ndarray, starts: np.ndarray, counts: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Fixed-width numbers of all spans, one after the other."""
    if not len(starts) or not counts.any():
        return np.empty(0, dtype)
    if (counts == counts[0]).all():
        strides = np.diff(starts)
        if len(strides) == 0 or (strides == strides[0]).all():
            shape, step = (len(starts), int(counts[0]) * dtype.itemsize), int(strides[0]) if len(strides) else 0
            view = np.lib.stride_tricks.as_strided(buffer[int(starts[0]) :], shape, (step, 1), writeable=False)
            return np.ascontiguousarray(view).reshape(-1).view(dtype).copy()
    if dtype.itemsize == 1:
        return buffer[positions(starts, counts)].view(dtype)
    return _unaligned(buffer, dtype)[positions(starts, counts, dtype.itemsize)]


def scatter(buffer: np.ndarray, starts: np.ndarray, counts: np.ndarray, values: np.ndarray) -> None:
    """The inverse of `gather`: write flat numbers into the spans."""
    if not values.size:
        return
    if (counts == counts[0]).all():
        strides = np.diff(starts)
        if len(strides) == 0 or (strides == strides[0]).all():
            shape, step = (len(starts), int(counts[0]) * values.itemsize), int(strides[0]) if len(strides) else 0
            view = np.lib.stride_tricks.as_strided(buffer[int(starts[0]) :], shape, (step, 1))
            view[:] = np.ascontiguousarray(values).reshape(-1).view(np.uint8).reshape(shape)
            return
    _unaligned(buffer, values.dtype)[positions(starts, counts, values.itemsize)] = values


def _unaligned(buffer: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The number that begins at every byte."""
    return np.ndarray((len(buffer) - dtype.itemsize + 1,), dtype, buffer, strides=(1,))


def decode_varints(buffer: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Packed varints of all spans.

    Returns
    -------
    values : ndarray of uint64, (numbers,)
    counts : ndarray of int64, (spans,)
    bad : ndarray of bool, (spans,)
        Spans that end within a varint or hold one of more than 64 bits; if there are any, ``values`` and ``counts`` mean nothing.
    """
    data = gather(buffer, starts, sizes, np.dtype(np.uint8))
    ends_of_spans = np.cumsum(sizes)
    filled = sizes > 0
    final = data < 128
    bad = np.zeros(len(starts), bool)
    bad[filled] = ~final[ends_of_spans[filled] - 1]
    before = np.concatenate([[0], np.cumsum(final, dtype=np.int64)])
    counts = before[ends_of_spans] - before[ends_of_spans - sizes]
    if final.all():
        return data.astype(np.uint64), counts, bad
    last = np.flatnonzero(final)
    first = np.concatenate([[0], last[:-1] + 1])
    lengths = last - first + 1
    excess = (lengths > MAX_VARINT) | ((lengths == MAX_VARINT) & (data[last] > 1)) if len(last) else np.zeros(0, bool)
    if excess.any():
        bad[np.searchsorted(ends_of_spans, last[excess], side="right")] = True
    if bad.any():
        return np.empty(0, np.uint64), counts, bad
    values = (data[first] & 127).astype(np.uint64)
    longer = np.flatnonzero(lengths > 1)
    for position in range(1, MAX_VARINT):
        if not len(longer):
            break
        values[longer] |= (data[first[longer] + position] & 127).astype(np.uint64) << np.uint64(7 * position)
        longer = longer[lengths[longer] > position + 1]
    return values, counts, bad


def varint_sizes(values: np.ndarray) -> np.ndarray:
    """Bytes of each number as a varint."""
    sizes = np.ones(len(values), np.int64)
    bound = int(values.max()) if len(values) else 0
    for bits in range(7, 64, 7):
        if bound >> bits == 0:
            break
        sizes += values >= np.uint64(1 << bits)
    return sizes


def encode_varints(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bytes of all numbers (uint64) one after the other, and the size of each."""
    values = values.astype(np.uint64, copy=False)
    sizes = varint_sizes(values)
    if not len(values) or sizes.max() == 1:
        return values.astype(np.uint8), sizes
    starts = np.cumsum(sizes) - sizes
    data = np.empty(int(sizes.sum()), np.uint8)
    rows = np.arange(len(values))
    for position in range(int(sizes.max())):
        rows = rows[sizes[rows] > position]
        more = (sizes[rows] > position + 1).astype(np.uint8) << 7
        data[starts[rows] + position] = ((values[rows] >> np.uint64(7 * position)) & np.uint64(127)).astype(np.uint8) | more
    return data, sizes


def varint(value: int) -> bytes:
    """One varint."""
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    data.append(value)
    return bytes(data)

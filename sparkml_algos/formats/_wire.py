"""Protobuf's wire format for many messages at once: arrays of cursors into one buffer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

MAX_VARINT = 10
# A length in a message is below 2 ** 31, five bytes of seven bits.
MAX_LENGTH_VARINT = 5
# A mask is made and read some four times faster per byte of the buffer than an index per byte of the spans.
SPARSE_BYTES = 4
# Handled at a time, so that what is made of them stays in the second level of cache.
CHUNK_BYTES = 1 << 17
# Four bytes of seven bits fit in 32.
WIDER = 5
NONE = np.empty(0, np.int64)


def read_lengths(buffer: np.ndarray, cursors: np.ndarray, alive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A varint at every cursor: values and the cursors behind them. Rows with a longer or truncated one leave ``alive``."""
    byte = buffer.take(cursors, mode="clip")
    values = (byte & 127).astype(np.int64)
    cursors = cursors + 1
    more = byte > 127
    for shift in range(7, 7 * MAX_LENGTH_VARINT, 7):
        if not more.any():
            break
        byte = buffer.take(cursors, mode="clip")
        values += ((byte & 127) * more).astype(np.int64) << shift
        cursors = cursors + more
        more = more & (byte > 127)
    alive &= ~more
    return values, cursors


def equal_bytes(buffer: np.ndarray, cursors: np.ndarray, expected: bytes) -> np.ndarray:
    """Whether these bytes stand at each cursor; means nothing where they would reach beyond the end of the buffer."""
    same, position = np.ones(len(cursors), bool), 0
    while position < len(expected):
        width = next(width for width in (8, 4, 2, 1) if width <= min(len(expected) - position, len(buffer)))
        word = np.frombuffer(expected, f"<u{width}", 1, position)
        same &= _unaligned(buffer, word.dtype)[np.minimum(cursors + position, len(buffer) - width)] == word
        position += width
    return same


def positions(starts: np.ndarray, counts: np.ndarray, step: int = 1) -> np.ndarray:
    """``starts[i], starts[i] + step, …``, ``counts[i]`` of them, for all i in one flat array."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - (ends - counts) * step, counts) + np.arange(0, total * step, step, dtype=np.int64)


def gather(buffer: np.ndarray, starts: np.ndarray, counts: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Fixed-width numbers of all spans, one after the other. Spans ascend and do not overlap."""
    if not len(starts) or not counts.any():
        return np.empty(0, dtype)
    if (table := _table(buffer, starts, counts, dtype)) is not None:
        copied = np.empty(table.shape, np.uint8)
        copied[:] = table
        return copied.reshape(-1).view(dtype)
    if _few(starts, counts, dtype):
        return _unaligned(buffer, dtype)[positions(starts, counts, dtype.itemsize)]
    numbers = np.empty(int(counts.sum()) * dtype.itemsize, np.uint8)
    for part, window, mask in _windows(buffer, starts, counts * dtype.itemsize):
        numbers[part] = window[mask]
    return numbers.view(dtype)


def scatter(buffer: np.ndarray, starts: np.ndarray, counts: np.ndarray, values: np.ndarray) -> None:
    """The inverse of `gather`: write flat numbers into the spans."""
    if not values.size:
        return
    if (table := _table(buffer, starts, counts, values.dtype)) is not None:
        table[:] = np.ascontiguousarray(values).reshape(-1).view(np.uint8).reshape(table.shape)
        return
    if _few(starts, counts, values.dtype):
        _unaligned(buffer, values.dtype)[positions(starts, counts, values.itemsize)] = values
        return
    numbers = np.ascontiguousarray(values).view(np.uint8)
    for part, window, mask in _windows(buffer, starts, counts * values.itemsize):
        window[mask] = numbers[part]


def _table(buffer: np.ndarray, starts: np.ndarray, counts: np.ndarray, dtype: np.dtype) -> np.ndarray | None:
    """The bytes of spans of equal length and distance as a view, (spans, bytes); None if they are not."""
    strides = np.diff(starts)
    if (counts != counts[0]).any() or len(strides) and (strides != strides[0]).any():
        return None
    shape, step = (len(starts), int(counts[0]) * dtype.itemsize), int(strides[0]) if len(strides) else 0
    return np.lib.stride_tricks.as_strided(buffer[int(starts[0]) :], shape, (step, 1), writeable=buffer.flags.writeable)


def _few(starts: np.ndarray, counts: np.ndarray, dtype: np.dtype) -> bool:
    """Whether spans fill so little of the buffer that an index costs less than a mask."""
    return int(counts.sum()) * dtype.itemsize * SPARSE_BYTES < int(starts[-1] - starts[0])


def _windows(buffer: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Parts of the buffer around some spans each: which of all bytes of spans are there, the part, and which bytes of it those are."""
    ends, stops = starts + sizes, np.cumsum(sizes)
    for spans in _chunks(ends - starts[0]):
        first, last = spans.start, spans.stop - 1
        runs = np.empty(2 * (last - first) + 1, np.int64)
        runs[::2] = sizes[spans]
        runs[1::2] = starts[first + 1 : last + 1] - ends[first:last]
        inside = np.zeros(len(runs), bool)
        inside[::2] = True
        part = slice(int(stops[first] - sizes[first]), int(stops[last]))
        yield part, buffer[int(starts[first]) : int(ends[last])], np.repeat(inside, runs)


def _chunks(ends: np.ndarray) -> Iterator[slice]:
    """Slices of spans of about `CHUNK_BYTES`, by where each span ends."""
    first = 0
    while first < len(ends):
        begin = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, begin + CHUNK_BYTES)))
        yield slice(first, last)
        first = last


def _unaligned(buffer: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The number that begins at every byte."""
    return np.ndarray((len(buffer) - dtype.itemsize + 1,), dtype, buffer, strides=(1,))


def decode_varints(buffer: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Packed varints of all spans.

    Returns
    -------
    values : ndarray of uint32 or uint64, (numbers,)
        The wider type only if a number needs it.
    counts : ndarray of int64, (spans,)
    bad : ndarray of bool, (spans,)
        Spans that end within a varint or hold one of more than 64 bits; if there are any, ``values`` and ``counts`` mean nothing.
    """
    chunks, counts, bad = [np.empty(0, np.uint32)], np.empty(len(starts), np.int64), np.zeros(len(starts), bool)
    for part in _chunks(np.cumsum(sizes)):
        data, ends = gather(buffer, starts[part], sizes[part], np.dtype(np.uint8)), np.cumsum(sizes[part])
        filled = sizes[part] > 0
        bad[part][filled] = data[ends[filled] - 1] > 127
        if bad[part].any():
            continue
        more = data > 127
        last = np.flatnonzero(~more)
        if (more[1:] & more[:-1]).any():
            values, excess = _long_numbers(data, last)
        else:
            values, excess = _short_numbers(data, more)[last], NONE
        bad[part][np.searchsorted(ends, excess, side="right")] = True
        counts[part] = np.diff(np.searchsorted(last, ends), prepend=0)
        chunks.append(values)
    return np.concatenate(chunks, dtype=np.result_type(*chunks)), counts, bad


def _short_numbers(data: np.ndarray, more: np.ndarray) -> np.ndarray:
    """At the last byte of every varint of one or two bytes its number."""
    second = more[:-1].view(np.uint8)
    numbers = data.astype(np.uint16)
    # A second byte counts 128, and the first loses its highest bit.
    numbers[1:] *= second * np.uint8(127) + np.uint8(1)
    numbers[1:] += data[:-1] & second * np.uint8(127)
    return numbers


def _long_numbers(data: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers whose varints end at ``last``, and the ends of those of more than 64 bits."""
    final = data[last]
    values, before = final.astype(np.uint32), last
    for length in range(2, MAX_VARINT + 2):
        # Before the first byte stands, by the index -1, the last, which ends a number too.
        before = before - 1
        byte = data[before]
        if length == 2:
            more = byte > 127
        else:
            more &= byte > 127
        if not more.any():
            break
        if length == MAX_VARINT:
            excess = more & (final > 1)
        elif length > MAX_VARINT:
            return values, last[excess | more]
        if length == WIDER:
            values = values.astype(np.uint64)
        values = np.where(more, values << values.dtype.type(7) | (byte & 127), values)
    return values, last[excess] if length > MAX_VARINT else NONE


def encode_varints(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (none below 0) of all spans as varints: bytes one after the other, and the bytes of each span."""
    if not len(values):
        return np.empty(0, np.uint8), np.zeros(len(counts), np.int64)
    dtype = np.uint32 if int(values.max()) < 1 << 32 else np.uint64
    stops, chunks, sizes = np.cumsum(counts), [], np.empty(len(counts), np.int64)
    for part in _chunks(stops):
        begin = int(stops[part.start] - counts[part.start])
        data, ends = _varints(values[begin : int(stops[part.stop - 1])].astype(dtype))
        chunks.append(data)
        sizes[part] = np.diff(ends[stops[part] - begin], prepend=0)
    return np.concatenate(chunks), sizes


def _varints(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of numbers, and how many there are before each number and at the end."""
    bound, of = int(values.max(initial=0)), values.dtype.type
    longest = max(1, -(-bound.bit_length() // 7))
    if longest == 1:
        return values.astype(np.uint8), np.arange(len(values) + 1)
    sizes = np.ones(len(values), np.uint8)
    for bits in range(7, bound.bit_length(), 7):
        sizes += values >= of(1 << bits)
    ends = np.zeros(len(values) + 1, np.int64)
    np.cumsum(sizes, out=ends[1:])
    data, starts, rest = np.empty(int(ends[-1]), np.uint8), ends[:-1], values
    for length in range(1, longest + 1):
        more = rest > 127
        data[starts] = rest.astype(np.uint8) & 127 | more.view(np.uint8) << 7
        if length < longest:
            if not more.all():
                starts, rest = starts[more], rest[more]
            starts, rest = starts + 1, rest >> of(7)
    return data, ends


def varint(value: int) -> bytes:
    """One varint."""
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    data.append(value)
    return bytes(data)

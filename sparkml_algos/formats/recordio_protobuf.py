"""RecordIO-protobuf: batches of columns to bytes and back::

    batch = decode(data)                    # RecordBatch; batch.values is (rows, features) or CSR, batch.label is (rows,)
    data = encode(RecordBatch.of(features, labels))
    for batch in read(file): ...            # files larger than memory
    write(file, batches)

Records of the usual layouts are decoded and encoded all at once, array by array; anything else goes through protobuf's own messages, one
by one, to the same result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

from sparkml_algos.formats import _assemble, _walk, _wire, recordio
from sparkml_algos.formats._assemble import Entries, RawColumn, RawRows
from sparkml_algos.formats._encode import encode
from sparkml_algos.formats.columns import Column, RecordBatch
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.formats.messages import TENSORS, parse

__all__ = ["Column", "FormatError", "RecordBatch", "decode", "decode_frames", "encode", "read", "write"]

# A file has one layout, or a few where rows have no entries or no label; more are not worth a walk over all rows each.
MAX_LAYOUTS = 16
BATCH_ROWS = 65_536


def decode(data: bytes, *, file: str = "<bytes>") -> RecordBatch:
    """All records of a file or body, gzip or not, as one batch.

    Raises
    ------
    FormatError
        With file and byte offset: bad framing, a message that is not a Record, ``keys`` and ``values`` of different lengths, keys beyond
        ``shape``, sparse entries without ``shape``, rows that differ in their names, types or shapes.
    """
    return decode_frames(recordio.read_body(data, file=file))


def read(
    source: BinaryIO, *, file: str = "<stream>", batch_rows: int = BATCH_ROWS, block_bytes: int = recordio.BLOCK_BYTES
) -> Iterator[RecordBatch]:
    """The records of a binary file object, gzip or not, in batches of at most ``batch_rows`` rows and about ``block_bytes`` bytes.

    Raises
    ------
    FormatError
        As `decode`; rows must agree within a batch only.
    """
    for frames in recordio.read_blocks(source, file=file, block_bytes=block_bytes):
        for start in range(0, len(frames), batch_rows):
            yield decode_frames([frames[start : start + batch_rows]])


def write(file: BinaryIO, batches: Iterable[RecordBatch]) -> None:
    """Append batches to a binary file object."""
    for batch in batches:
        file.write(encode(batch))


def decode_frames(blocks: list[recordio.Frames]) -> RecordBatch:
    """The messages of framed blocks as one batch."""
    if not blocks:
        return RecordBatch(0)
    rows, base = [], 0
    for frames in blocks:
        rows += [(part_rows + base, part) for part_rows, part in _parts(frames)]
        base += len(frames)
    return _assemble.assemble(rows, np.concatenate([frames.offsets for frames in blocks]), blocks[0].file)


def _parts(frames: recordio.Frames) -> Iterator[tuple[np.ndarray, RawRows]]:
    """Rows and what they hold, layout by layout."""
    remaining = np.arange(len(frames))
    unusual: list[int] = []
    for _ in range(MAX_LAYOUTS):
        if not len(remaining):
            break
        layout = _walk.layout_of(frames.payload(int(remaining[0])))
        taken = None if layout is None else _take(frames, remaining, layout)
        if taken is None:
            unusual.append(int(remaining[0]))
            remaining = remaining[1:]
            continue
        alive, part = taken
        yield remaining[alive], part
        remaining = remaining[~alive]
    rest = np.sort(np.concatenate([np.array(unusual, np.int64), remaining]))
    if len(rest):
        yield rest, _one_by_one(frames, rest)


def _take(frames: recordio.Frames, rows: np.ndarray, layout: _walk.Layout) -> tuple[np.ndarray, RawRows] | None:
    """Which rows have the layout and what they hold; None if not even one has."""
    alive, spans = _walk.walk(frames.buffer, frames.starts[rows], frames.lengths[rows], layout)
    while alive.any():
        columns: dict[tuple[int, str], RawColumn] = {}
        bad = np.zeros(int(alive.sum()), bool)

        def field(item: _walk.Entry, number: int, *, bad: np.ndarray = bad) -> tuple[np.ndarray, np.ndarray]:
            dtype = TENSORS[item.kind][1] if number == _walk.VALUES else np.dtype(np.uint64)
            if number not in item.fields:
                return np.empty(0, dtype), np.zeros(len(bad), np.int64)
            starts, sizes = spans[item.section, item.name, number]
            if len(bad) < len(alive):
                starts, sizes = starts[alive], sizes[alive]
            if number == _walk.VALUES and item.kind != "int32_tensor":
                return _wire.gather(frames.buffer, starts, sizes // dtype.itemsize, dtype), sizes // dtype.itemsize
            numbers, counts, wrong = _wire.decode_varints(frames.buffer, starts, sizes)
            bad |= wrong
            # An int32 is its lowest 32 bits, also where a writer spent ten bytes on a negative one.
            return (numbers.astype(np.uint32).view(dtype) if dtype.kind == "i" else numbers), counts

        for item in layout:
            if isinstance(item, _walk.Entry):
                values, keys, shape = (Entries(*field(item, number)) for number in (1, 2, 3))
                columns[item.section, item.name] = RawColumn(item.kind, values, keys, shape)
        if not bad.any():
            return alive, RawRows(columns, _strings(frames, rows[alive], {k: v for k, v in spans.items() if isinstance(k, int)}, alive))
        alive[np.flatnonzero(alive)[bad]] = False
    return None


def _strings(frames: recordio.Frames, rows: np.ndarray, spans: dict[int, _walk.Spans], alive: np.ndarray) -> dict[str, list[str | None]]:
    found: dict[str, list[str | None]] = {}
    for number, (starts, sizes) in spans.items():
        texts = found[_walk.STRINGS[number]] = []
        for row, start, size in zip(rows.tolist(), starts[alive].tolist(), sizes[alive].tolist(), strict=True):
            try:
                texts.append(frames.buffer[start : start + size].tobytes().decode())
            except UnicodeDecodeError as error:
                raise FormatError(f"{_walk.STRINGS[number]} is not UTF-8: {error}", frames.file, int(frames.offsets[row])) from error
    return found


def _one_by_one(frames: recordio.Frames, rows: np.ndarray) -> RawRows:
    """The same through protobuf messages."""
    records = []
    for row in rows.tolist():
        try:
            records.append(parse(frames.payload(row)))
        except ValueError as error:
            raise FormatError(str(error), frames.file, int(frames.offsets[row])) from error
    offsets = frames.offsets[rows]
    return _assemble.from_records(records, offsets, frames.file)

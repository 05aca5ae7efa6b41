"""Columns to framed Record messages, all rows at once.

The bytes of a record are a sequence of pieces: names and tags, which are the same in every row, and lengths and numbers, which are not. The
sizes of all pieces are known first, so every piece is written into one buffer for all rows at once.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from sparkml_algos.formats import _wire, recordio
from sparkml_algos.formats.columns import Column, Ragged, RecordBatch
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.formats.messages import TENSORS, RawRecord, RawTensor, build

KINDS = {dtype: kind for kind, (_, dtype) in TENSORS.items()}
FEATURES, LABELS = 1, 2
VALUES, KEYS, SHAPE = 1, 2, 3


class _Piece(NamedTuple):
    """Numbers of all rows one after the other (one row's, if ``repeat``), how many each row has, and their bytes."""

    numbers: np.ndarray
    counts: np.ndarray
    repeat: bool = False

    @property
    def sizes(self) -> np.ndarray:
        return self.counts * self.numbers.itemsize


def encode(batch: RecordBatch) -> bytes:
    """Framed messages of all rows of a batch.

    Float32, float64 and int32 columns keep their type; other types are refused, for narrowing is the caller's decision. ``shape`` is
    written for sparse rows and for those with more than one dimension.

    Raises
    ------
    FormatError
        On a column of another type or of another number of rows, or a record of 512 MiB or more.
    """
    parts = ((FEATURES, batch.features), (LABELS, batch.labels))
    sections = [(number, name, column) for number, part in parts for name, column in part.items()]
    for _, name, column in sections:
        if len(column) != batch.rows:
            raise FormatError(f"column {name!r} has {len(column)} rows, the batch {batch.rows}")
    if not batch.rows:
        return b""
    if any(isinstance(column.values, list) for _, _, column in sections):
        return b"".join(recordio.frame(build(record).SerializeToString()) for record in _records(batch))
    pieces = [piece for section, name, column in sections for piece in _entry(section, name, column)]
    for number, texts in ((3, batch.uid), (4, batch.metadata), (5, batch.configuration)):
        if texts is not None:
            pieces += _strings(number, texts, batch.rows)
    return _framed(pieces, batch.rows)


def _framed(pieces: list[_Piece], rows: int) -> bytes:
    lengths = _total(pieces, rows)
    if int(lengths.max()) > recordio.LENGTH_MASK:
        raise FormatError(f"record {int(lengths.argmax())}: a payload has at most {recordio.LENGTH_MASK} bytes, got {int(lengths.max())}")
    header = np.empty((rows, 2), "<u4")
    header[:, 0], header[:, 1] = recordio.MAGIC, lengths
    frame_sizes = lengths + recordio.HEADER.size + (-lengths) % 4
    ends = np.cumsum(frame_sizes)
    # The buffer of this file becomes the bytes that it returns, without a copy.
    sink = io.BytesIO(bytes(int(ends[-1])))
    _write(np.frombuffer(sink.getbuffer(), np.uint8), ends - frame_sizes, [_Piece(header.reshape(-1), np.full(rows, 2)), *pieces])
    return sink.getvalue()


def _write(data: np.ndarray, cursors: np.ndarray, pieces: list[_Piece]) -> None:
    for piece in pieces:
        numbers = piece.numbers
        if piece.repeat:
            if not piece.counts.any():
                continue
            if (piece.counts == piece.counts[0]).all():
                for position, byte in enumerate(numbers.tolist()):
                    data[cursors + position] = byte
                cursors = cursors + piece.sizes
                continue
            numbers = np.tile(numbers, int(np.count_nonzero(piece.counts)))
        _wire.scatter(data, cursors, piece.counts, numbers)
        cursors = cursors + piece.sizes


def _total(pieces: list[_Piece], rows: int) -> np.ndarray:
    return sum((piece.sizes for piece in pieces), np.zeros(rows, np.int64))


def _entry(section: int, name: str, column: Column) -> list[_Piece]:
    """The map entry of one column."""
    rows, values = len(column), column.values
    keys = shape = None
    if isinstance(values, sp.spmatrix | sp.sparray):
        values = sp.csr_matrix(values)
        counts = np.diff(values.indptr).astype(np.int64)
        used = slice(int(values.indptr[0]), int(values.indptr[-1]))
        numbers, keys, shape = values.data[used], values.indices[used], column.shape or values.shape[1:]
    elif isinstance(values, Ragged):
        counts = np.diff(values.offsets)
        numbers = values.values[int(values.offsets[0]) : int(values.offsets[-1])]
    else:
        values = np.asarray(values)
        shape = values.shape[1:] if values.ndim > 2 else None
        numbers = values.reshape(-1)
        counts = np.full(rows, values.size // rows, np.int64)
    kind = KINDS.get(numbers.dtype.newbyteorder("<"))
    if kind is None:
        raise FormatError(f"column {name!r} is {numbers.dtype}; a Record holds float32, float64 or int32")
    number, dtype = TENSORS[kind]
    numbers = numbers.astype(dtype, copy=False)
    if kind == "int32_tensor":
        # Protobuf writes a negative int32 as the 64 bits of its two's complement.
        tensor = _packed(VALUES, _varints(numbers.astype(np.int64).view(np.uint64), counts))
    else:
        tensor = _packed(VALUES, _Piece(numbers, counts))
    if keys is not None:
        tensor += _packed(KEYS, _varints(keys, counts))
    if shape is not None:
        data = b"".join(map(_wire.varint, shape))
        tensor += _same(_tag(SHAPE) + _wire.varint(len(data)) + data, rows)
    value = _message(number, tensor, rows)
    key = name.encode()
    return _message(section, [*_same(_tag(1) + _wire.varint(len(key)) + key, rows), *_message(2, value, rows)], rows)


def _varints(numbers: np.ndarray, counts: np.ndarray) -> _Piece:
    """Numbers as varints; ``counts`` become bytes per row."""
    return _Piece(*_wire.encode_varints(numbers, counts))


def _packed(number: int, content: _Piece) -> list[_Piece]:
    """A packed field, left out where a row has no numbers, as protobuf does."""
    there = content.counts > 0
    sizes = _varints(content.sizes[there].astype(np.uint64), np.ones(int(there.sum()), np.int64))
    lengths = np.zeros(len(there), np.int64)
    lengths[there] = sizes.counts
    return [_Piece(np.frombuffer(_tag(number), np.uint8), there.astype(np.int64), True), _Piece(sizes.numbers, lengths), content]


def _message(number: int, pieces: list[_Piece], rows: int) -> list[_Piece]:
    lengths = _varints(_total(pieces, rows).astype(np.uint64), np.ones(rows, np.int64))
    return [*_same(_tag(number), rows), lengths, *pieces]


def _strings(number: int, texts: Sequence[str | None], rows: int) -> list[_Piece]:
    if len(texts) != rows:
        raise FormatError(f"{len(texts)} strings for {rows} rows")
    data = [b"" if text is None else text.encode() for text in texts]
    heads = [b"" if text is None else _tag(number) + _wire.varint(len(raw)) for text, raw in zip(texts, data, strict=True)]
    whole = [head + raw for head, raw in zip(heads, data, strict=True)]
    return [_Piece(np.frombuffer(b"".join(whole), np.uint8), np.array([len(raw) for raw in whole], np.int64))]


def _same(data: bytes, rows: int) -> list[_Piece]:
    return [_Piece(np.frombuffer(data, np.uint8), np.full(rows, len(data), np.int64), True)]


def _tag(number: int) -> bytes:
    return bytes([number << 3 | 2])


def _records(batch: RecordBatch) -> list[RawRecord]:
    """Row by row, for what is not numbers only."""
    none: list[None] = [None] * batch.rows
    strings = [batch.uid or none, batch.metadata or none, batch.configuration or none]
    return [
        RawRecord(
            {name: _raw(column, row) for name, column in batch.features.items()},
            {name: _raw(column, row) for name, column in batch.labels.items()},
            *(texts[row] for texts in strings),
        )
        for row in range(batch.rows)
    ]


def _raw(column: Column, row: int) -> RawTensor | list[bytes]:
    values, none = column.values, np.empty(0, np.uint64)
    if isinstance(values, list):
        return values[row]
    if isinstance(values, sp.spmatrix | sp.sparray):
        part = slice(int(values.indptr[row]), int(values.indptr[row + 1]))
        numbers, keys = values.data[part], values.indices[part].astype(np.uint64)
        shape = np.array(column.shape or values.shape[1:], np.uint64)
    else:
        numbers, keys = np.asarray(values[row]), none
        shape = np.array(numbers.shape, np.uint64) if numbers.ndim > 1 else none
    kind = KINDS.get(numbers.dtype.newbyteorder("<"))
    if kind is None:
        raise FormatError(f"a column is {numbers.dtype}; a Record holds float32, float64 or int32")
    return RawTensor(kind, numbers.reshape(-1), keys, shape)

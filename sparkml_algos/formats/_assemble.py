"""Checked columns from the raw numbers of records, whoever read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from sparkml_algos.formats import _wire
from sparkml_algos.formats.columns import Column, Ragged, RecordBatch
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.formats.messages import BYTES, RawRecord, RawTensor

SECTIONS = {1: "feature", 2: "label"}
MAX_SIZE = np.iinfo(np.int64).max
# NumPy 1's limit, less the one for rows.
MAX_DIMENSIONS = 31


class Entries(NamedTuple):
    """Numbers of all rows one after the other, and how many each row has."""

    numbers: np.ndarray
    counts: np.ndarray


class RawColumn(NamedTuple):
    """One name in some rows, unchecked; for bytes, ``kind`` is ``bytes`` and ``content`` has a list per row."""

    kind: str
    values: Entries
    keys: Entries
    shape: Entries
    content: list[list[bytes]] | None = None


@dataclass(frozen=True)
class RawRows:
    """Rows that hold the same names with the same types."""

    columns: dict[tuple[int, str], RawColumn]
    strings: dict[str, list[str | None]] = field(default_factory=dict)


class _Place(NamedTuple):
    """To say where a fault is."""

    what: str
    file: str
    offsets: np.ndarray

    def error(self, reason: str, row: int) -> FormatError:
        return FormatError(f"record {row}, {self.what}: {reason}", self.file, int(self.offsets[row]))


def from_records(records: list[RawRecord], offsets: np.ndarray, file: str) -> RawRows:
    """Single records put into columns."""
    columns: dict[tuple[int, str], RawColumn] = {}
    sections = [{**{(1, name): e for name, e in r.features.items()}, **{(2, name): e for name, e in r.labels.items()}} for r in records]
    kinds = [{key: _kind(entry) for key, entry in section.items()} for section in sections]
    for row, found in enumerate(kinds):
        if found != kinds[0]:
            raise FormatError(_difference(found, kinds[0]), file, int(offsets[row]))
    for key, kind in kinds[0].items():
        entries = [section[key] for section in sections]
        if kind == BYTES:
            none = Entries(np.empty(0), np.zeros(len(entries), np.int64))
            columns[key] = RawColumn(BYTES, none, none, none, [entry for entry in entries if isinstance(entry, list)])
            continue
        fields = [[getattr(entry, name) for entry in entries] for name in ("values", "keys", "shape")]
        values, keys, shape = (Entries(np.concatenate(f), np.array([len(a) for a in f], np.int64)) for f in fields)
        columns[key] = RawColumn(kind, values, keys, shape)
    strings = {name: [getattr(record, name) for record in records] for name in ("uid", "metadata", "configuration")}
    return RawRows(columns, {name: texts for name, texts in strings.items() if any(text is not None for text in texts)})


def _kind(entry: RawTensor | list[bytes]) -> str:
    return entry.kind if isinstance(entry, RawTensor) else BYTES


def _difference(found: dict[tuple[int, str], str], expected: dict[tuple[int, str], str]) -> str:
    def names(kinds: dict[tuple[int, str], str]) -> str:
        return ", ".join(sorted(f"{SECTIONS[section]} {name!r} ({kind})" for (section, name), kind in kinds.items())) or "nothing"

    return f"this record has {names(found)}, others of the batch {names(expected)}"


def assemble(parts: Sequence[tuple[np.ndarray, RawRows]], offsets: np.ndarray, file: str) -> RecordBatch:
    """One batch from parts of known rows; ``offsets`` of all rows, for errors."""
    rows = len(offsets)
    expected = {key: column.kind for key, column in parts[0][1].columns.items()}
    for part_rows, part in parts[1:]:
        found = {key: column.kind for key, column in part.columns.items()}
        if found != expected:
            raise FormatError(_difference(found, expected), file, int(offsets[part_rows[0]]))
    sections: dict[int, dict[str, Column]] = {1: {}, 2: {}}
    order = None if len(parts) == 1 else np.argsort(np.concatenate([part_rows for part_rows, _ in parts]), kind="stable")
    for section, name in expected:
        column = _merge([part.columns[section, name] for _, part in parts], order)
        place = _Place(f"{SECTIONS[section]} {name!r}", file, offsets)
        sections[section][name] = Column(column.content, None) if column.content is not None else _column(column, place)
    strings: dict[str, list[str | None]] = {}
    for part_rows, part in parts:
        for name, texts in part.strings.items():
            target = strings.setdefault(name, [None] * rows)
            for row, text in zip(part_rows.tolist(), texts, strict=True):
                target[row] = text
    return RecordBatch(rows, sections[1], sections[2], **strings)


def _merge(columns: list[RawColumn], order: np.ndarray | None) -> RawColumn:
    if order is None:
        return columns[0]
    fields = []
    for entries in zip(*((column.values, column.keys, column.shape) for column in columns), strict=True):
        counts = np.concatenate([entry.counts for entry in entries])
        starts = np.cumsum(counts) - counts
        numbers = np.concatenate([entry.numbers for entry in entries])
        counts = counts[order]
        fields.append(Entries(numbers[_wire.positions(starts[order], counts)], counts))
    content = None
    if columns[0].content is not None:
        together = [row for column in columns for row in column.content or []]
        content = [together[index] for index in order.tolist()]
    values, keys, shape = fields
    return RawColumn(columns[0].kind, values, keys, shape, content)


def _column(column: RawColumn, place: _Place) -> Column:
    values, keys, shape = column.values, column.keys, column.shape
    if (shapeless := np.flatnonzero((keys.counts > 0) & (shape.counts == 0))).size:
        raise place.error("keys without shape", int(shapeless[0]))
    sizes, one_shape = _sizes(shape, values.counts, place)
    dense = (keys.counts == 0) & (values.counts == sizes)
    if dense.all():
        if not (sizes == sizes[0]).all():
            return Column(Ragged(values.numbers, np.concatenate([[0], np.cumsum(sizes)])), None)
        if one_shape is None:
            # Some rows name their shape, others only have the same number of values.
            one_shape = (int(sizes[0]),)
        return Column(values.numbers.reshape(len(sizes), *one_shape), one_shape)
    return _sparse(values, keys, sizes, dense, one_shape, place)


def _sizes(shape: Entries, counts: np.ndarray, place: _Place) -> tuple[np.ndarray, tuple[int, ...] | None]:
    """Numbers of every row when all are written out, and the shape that all rows agree on."""
    if not shape.counts.any():
        return counts, (int(counts[0]),) if (counts == counts[0]).all() else None
    dimensions = int(shape.counts[0])
    if (shape.counts == dimensions).all():
        table = shape.numbers.reshape(-1, dimensions)
        if (table == table[0]).all():
            one = tuple(int(size) for size in table[0])
            return np.full(len(counts), _product(one, place, 0), np.int64), one
    sizes, start = counts.copy(), 0
    for row, length in enumerate(shape.counts.tolist()):
        if length:
            sizes[row] = _product(shape.numbers[start : start + length].tolist(), place, row)
        start += length
    return sizes, None


def _product(shape: Sequence[int], place: _Place, row: int) -> int:
    size = math.prod(shape)
    if len(shape) > MAX_DIMENSIONS or len(shape) > 1 and size == 0:
        raise place.error(f"shape needs 1 to {MAX_DIMENSIONS} dimensions, more than one only if none is 0; got {len(shape)} of them", row)
    if size > MAX_SIZE:
        raise place.error(f"shape {list(shape)} has more than {MAX_SIZE} entries", row)
    return size


def _sparse(values: Entries, keys: Entries, sizes: np.ndarray, dense: np.ndarray, shape: tuple[int, ...] | None, place: _Place) -> Column:
    """CSR rows; dense ones among them are taken as sparse with all their keys."""
    sparse = ~dense
    if (wrong := np.flatnonzero(sparse & (keys.counts != values.counts))).size:
        row = int(wrong[0])
        raise place.error(_count_fault(int(values.counts[row]), int(keys.counts[row]), int(sizes[row])), row)
    if dense.any():
        starts = np.cumsum(keys.counts) - keys.counts
        counts = np.where(dense, values.counts, keys.counts)
        merged = _wire.positions(np.zeros(len(counts), np.int64), counts).astype(np.uint64)
        rows = np.repeat(sparse, counts)
        merged[rows] = keys.numbers[_wire.positions(starts[sparse], keys.counts[sparse])]
        keys = Entries(merged, counts)
    if not (sizes == sizes[0]).all():
        row = int(np.flatnonzero(sizes != sizes[0])[0])
        raise place.error(f"{sizes[row]} entries, where the first record has {sizes[0]}", row)
    size = int(sizes[0])
    if len(keys.numbers) and int(keys.numbers.max()) >= size:
        beyond = np.flatnonzero(keys.numbers >= np.uint64(size))
        row = int(np.searchsorted(np.cumsum(keys.counts), beyond[0], side="right"))
        raise place.error(f"key {keys.numbers[beyond[0]]} is not below the product of shape, {size}", row)
    index = np.int32 if max(size, len(keys.numbers)) <= np.iinfo(np.int32).max else np.int64
    pointers = np.concatenate([[0], np.cumsum(values.counts)]).astype(index)
    indices = keys.numbers.view(index) if keys.numbers.itemsize == np.dtype(index).itemsize else keys.numbers.astype(index)
    matrix = sp.csr_matrix((values.numbers, indices, pointers), shape=(len(sizes), size))
    if matrix.has_canonical_format:
        return Column(matrix, shape or (size,))
    matrix.sort_indices()
    if (twice := np.flatnonzero(np.diff(matrix.indices) == 0)).size:
        rows = np.searchsorted(pointers, [twice + 1], side="right")[0] - 1
        same_row = np.searchsorted(pointers, twice, side="right") - 1 == rows
        if same_row.any():
            first = int(np.flatnonzero(same_row)[0])
            raise place.error(f"key {matrix.indices[twice[first]]} occurs twice", int(rows[first]))
    return Column(matrix, shape or (size,))


def _count_fault(values: int, keys: int, size: int) -> str:
    if keys:
        return f"{keys} keys for {values} values"
    return f"{values} values without keys, where shape has {size} entries"

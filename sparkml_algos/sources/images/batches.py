"""Forms of labels, and batches of rows with images that are not too large."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from sparkml_algos.rows.boxes import BOX_PARTS

NUMBER, NUMBERS, BOXES, MASK, TEXT = "number", "numbers", "boxes", "mask", "text"

_BOX = pa.struct([(part, pa.float32()) for part in BOX_PARTS])
TYPES = {NUMBER: pa.float64(), NUMBERS: pa.list_(pa.float32()), BOXES: pa.list_(_BOX), MASK: pa.binary(), TEXT: pa.string()}
SPARK_TYPES = {
    NUMBER: "double",
    NUMBERS: "array<float>",
    BOXES: f"array<struct<{', '.join(f'{part}: float' for part in BOX_PARTS)}>>",
    MASK: "binary",
    TEXT: "string",
}
# Of a record batch at most: rows, and about so many bytes.
BATCH_ROWS, BATCH_BYTES = 512, 32 << 20


def in_batches(rows: Iterable[tuple[Any, ...]], names: Sequence[str], types: Sequence[pa.DataType]) -> Iterator[pa.RecordBatch]:
    """Rows, the last or first of whose columns are images, as record batches that are not too large."""
    held: list[tuple[Any, ...]] = []
    size = 0
    for row in rows:
        held.append(row)
        size += sum(len(value) for value in row if isinstance(value, bytes))
        if len(held) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield _batch(held, names, types)
            held, size = [], 0
    if held:
        yield _batch(held, names, types)


def _batch(rows: Sequence[tuple[Any, ...]], names: Sequence[str], types: Sequence[pa.DataType]) -> pa.RecordBatch:
    arrays = [pa.array(values, type_) for values, type_ in zip(zip(*rows, strict=True), types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=list(names))

"""CSV without a header line: label columns first, then, with ``csv_weights``, the weight, then features."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

from sparkml_algos.formats import recordio
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.formats.lines import Rows, lines_of, one_batch, read_line_blocks


def read(
    source: BinaryIO | bytes,
    *,
    label_size: int = 0,
    weights: bool = False,
    missing: bool = False,
    file: str = "<stream>",
    block_bytes: int = recordio.BLOCK_BYTES,
    batch_rows: int | None = None,
) -> Iterator[Rows]:
    """Batches of the rows of a file.

    Parameters
    ----------
    label_size : int
        Leading columns that are label.
    weights : bool
        The column after the label is the weight of the row.
    missing : bool
        Whether an empty cell is a NaN; otherwise it is an error.
    block_bytes : int
        Text of a batch, about.
    batch_rows : int, optional
        Rows of a batch, at most; no limit by default.

    Raises
    ------
    FormatError
        With the offset of the line: a cell that is not a number, or another number of columns than in the first line.
    """
    columns: int | None = None
    head = label_size + weights
    for block, base in read_line_blocks(source, file=file, block_bytes=block_bytes):
        first = next(lines_of(block, base), None)
        if first is None:
            continue
        if columns is None:
            columns = first[0].count(b",") + 1
            if columns < head:
                raise FormatError(f"{columns} columns, where label and weight take {head}", file, first[1])
        yield from _rows(_parse(block, base, columns, missing, file), label_size, weights).split(batch_rows)


def _rows(table: np.ndarray, label_size: int, weights: bool) -> Rows:
    """Cells, (rows, columns), as label, weight and features."""
    labels = table[:, 0] if label_size == 1 else table[:, :label_size] if label_size else None
    return Rows(table[:, label_size + weights :], labels, table[:, label_size] if weights else None)


def _parse(block: bytes, base: int, columns: int, missing: bool, file: str) -> np.ndarray:
    names = [str(number) for number in range(columns)]
    convert = pc.ConvertOptions(column_types=dict.fromkeys(names, pa.float32()), null_values=[""] if missing else [])
    # Arrow wants a line within its block.
    options = pc.ReadOptions(column_names=names, use_threads=False, block_size=len(block) + 1)
    try:
        table = pc.read_csv(io.BytesIO(block), read_options=options, convert_options=convert)
        return np.stack([column.to_numpy() for column in table.columns], axis=1)
    except pa.ArrowInvalid as error:
        raise FormatError(*_fault(block, base, columns, missing, str(error), file)) from error


def _fault(block: bytes, base: int, columns: int, missing: bool, said: str, file: str) -> tuple[str, str, int]:
    """The first line that cannot be read."""
    for line, offset in lines_of(block, base):
        cells = line.split(b",")
        if len(cells) != columns:
            return f"{len(cells)} columns, where the first line has {columns}", file, offset
        for number, cell in enumerate(cells, start=1):
            try:
                if cell or not missing:
                    float(cell)
            except ValueError:
                return f"column {number} is not a number: {cell[:40]!r}", file, offset
    return said, file, base


def read_strings(
    source: BinaryIO | bytes, *, columns: int = 2, file: str = "<stream>", block_bytes: int = recordio.BLOCK_BYTES
) -> Iterator[pa.Table]:
    """Batches of rows of UTF-8 strings, such as entity and address, as an Arrow table with columns ``"0"``, ``"1"``, ….

    A cell in double quotes may hold commas, not line ends; an empty cell is an empty string.

    Raises
    ------
    FormatError
        With the offset of the first line of the batch: another number of columns, or bytes that are not UTF-8.
    """
    names = [str(number) for number in range(columns)]
    convert = pc.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    for block, base in read_line_blocks(source, file=file, block_bytes=block_bytes):
        if not block.strip():
            continue
        options = pc.ReadOptions(column_names=names, use_threads=False, block_size=len(block) + 1)
        try:
            yield pc.read_csv(io.BytesIO(block), read_options=options, convert_options=convert)
        except pa.ArrowInvalid as error:
            raise FormatError(f"not {columns} columns of strings: {error}", file, base) from error


def decode(data: bytes, *, label_size: int = 0, weights: bool = False, missing: bool = False, file: str = "<bytes>") -> Rows:
    """All rows of a body; see `read`. One without rows has no features, and as many labels and weights as rows."""
    batches = list(read(data, label_size=label_size, weights=weights, missing=missing, file=file))
    return one_batch(batches, file) if batches else _rows(np.empty((0, label_size + weights), np.float32), label_size, weights)


def encode(rows: Rows | np.ndarray) -> bytes:
    """Lines of dense rows: labels, weights, features, (rows, features) or (rows,); every number reads back as the same."""
    rows = rows if isinstance(rows, Rows) else Rows(rows)
    features = rows.features if isinstance(rows.features, np.ndarray) else rows.features.toarray()
    features = features[:, None] if features.ndim == 1 else features
    front = [part.reshape(len(rows), -1) for part in (rows.labels, rows.weights) if part is not None]
    table = np.concatenate([*front, features], axis=1)
    arrow = pa.table({str(number): column for number, column in enumerate(table.T)})
    sink = io.BytesIO()
    pc.write_csv(arrow, sink, pc.WriteOptions(include_header=False))
    return sink.getvalue()

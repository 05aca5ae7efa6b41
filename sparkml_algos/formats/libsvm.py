"""libsvm: ``label[:weight] index:value index:value …``, absent entries zero."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from sparkml_algos.formats import recordio
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.formats.lines import Rows, lines_of, read_line_blocks

# Every character class excludes what follows it, so matching takes linear time.
NUMBER = rb"[-+]?(?:[0-9.][0-9.eE+-]*|nan|inf|NaN)"
PAIRS = rb"((?:\s*(?<!\S)[0-9]{1,18}:%b(?!\S))*)" % NUMBER
LABELLED = re.compile(rb"(%b)(?::(%b))?(?!\S)%b" % (NUMBER, NUMBER, PAIRS))
OPTIONAL = re.compile(rb"(?:(%b)(?!\S))?()%b" % (NUMBER, PAIRS))


def read(
    source: BinaryIO | bytes,
    *,
    labelled: bool = True,
    index_base: Literal[0, 1] = 0,
    num_features: int | None = None,
    file: str = "<stream>",
    block_bytes: int = recordio.BLOCK_BYTES,
    batch_rows: int | None = None,
) -> Iterator[Rows]:
    """Batches of CSR rows.

    Parameters
    ----------
    labelled : bool
        Whether every line begins with ``label`` or ``label:weight``. If not, as at inference, a line may begin with a label without weight;
        ``1:0.7`` at the beginning is then feature 1. The format itself does not tell them apart.
    index_base : 0 or 1
        Index of the first feature. Nothing in a file tells it: of two with the same base, one may use the first feature and one not.
    num_features : int, optional
        Default: the largest index of a block says it.
    block_bytes : int
        Text of a block, about.
    batch_rows : int, optional
        Rows of a batch, at most; by default a batch is a block.

    Raises
    ------
    FormatError
        With the offset of the line: anything else than the format, indices that do not ascend or are out of range, labels or weights
        in some lines only.
    ValueError
        If `index_base` is neither 0 nor 1.
    """
    _check_base(index_base)
    for block, base in read_line_blocks(source, file=file, block_bytes=block_bytes):
        batch = _batch(block, base, labelled, index_base, num_features, file)
        if batch is not None:
            yield from batch.split(batch_rows)


def _batch(block: bytes, base: int, labelled: bool, index_base: int, num_features: int | None, file: str) -> Rows | None:
    labels, weights, offsets, counts = [], [], [], []
    flat: list[float] = []
    for line, offset in lines_of(block, base):
        match = (LABELLED if labelled else OPTIONAL).fullmatch(line)
        if match is None:
            raise FormatError(f"not 'label[:weight] index:value …': {line[:60]!r}", file, offset)
        label, weight, pairs = match.groups()
        numbers = pairs.replace(b":", b" ").split()
        try:
            labels += [float(label)] if label is not None else []
            weights += [float(weight)] if weight else []
            flat += map(float, numbers[1::2])
        except ValueError as error:
            raise FormatError(str(error), file, offset) from error
        indices = list(map(int, numbers[::2]))
        if any(a >= b for a, b in pairwise(indices)):
            raise FormatError("indices must ascend", file, offset)
        counts.append(indices)
        offsets.append(offset)
        for name, found in (("label", labels), ("weight", weights)):
            if len(found) not in (0, len(offsets)):
                raise FormatError(f"a {name} in some lines only", file, offset)
    if offsets:
        features = _matrix(counts, flat, offsets, index_base, num_features, file)
        return Rows(features, *(np.array(found, np.float32) if found else None for found in (labels, weights)))
    return None


def _matrix(
    rows: list[list[int]], values: list[float], offsets: list[int], index_base: int, num_features: int | None, file: str
) -> sp.csr_matrix:
    indices = np.array([index for row in rows for index in row], np.int64)
    pointers = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    indices -= index_base
    size = num_features if num_features is not None else int(indices.max()) + 1 if len(indices) else 0
    if (wrong := np.flatnonzero((indices < 0) | (indices >= size))).size:
        row = int(np.searchsorted(pointers, wrong[0], side="right")) - 1
        raise FormatError(f"index {indices[wrong[0]] + index_base} is not within {size} features from {index_base}", file, offsets[row])
    with np.errstate(over="ignore"):
        return sp.csr_matrix((np.array(values).astype(np.float32), indices, pointers), shape=(len(rows), size))


def decode(
    data: bytes,
    *,
    labelled: bool = True,
    index_base: Literal[0, 1] = 0,
    num_features: int | None = None,
    file: str = "<bytes>",
) -> Rows:
    """All rows of a body; see `read`."""
    _check_base(index_base)
    blocks = list(read_line_blocks(data, file=file))
    base = blocks[0][1] if blocks else 0
    batch = _batch(b"".join(block for block, _ in blocks), base, labelled, index_base, num_features, file)
    if batch is None:
        return Rows(sp.csr_matrix((0, num_features or 0), dtype=np.float32), np.empty(0, np.float32) if labelled else None)
    return batch


def _check_base(index_base: int) -> None:
    if index_base not in (0, 1):
        raise ValueError(f"index_base must be 0 or 1, got {index_base!r}")


def encode(rows: Rows, *, index_base: Literal[0, 1] = 0) -> bytes:
    """Lines of rows; zeros that are not stored are left out."""
    _check_base(index_base)
    if not len(rows):
        return b""
    matrix = sp.csr_matrix(rows.features)
    matrix.sort_indices()
    pairs = pc.binary_join_element_wise(_text(matrix.indices + index_base), _text(matrix.data), _scalar(":"))
    lines = pc.binary_join(pa.LargeListArray.from_arrays(matrix.indptr.astype(np.int64), pairs), _scalar(" "))
    if rows.labels is not None:
        lead = _text(rows.labels)
        if rows.weights is not None:
            lead = pc.binary_join_element_wise(lead, _text(rows.weights), _scalar(":"))
        pairs_if_any = pc.if_else(pc.equal(lines, _scalar("")), _scalar(None), lines)
        lines = pc.binary_join_element_wise(lead, pairs_if_any, _scalar(" "), null_handling="skip")
    body = pc.binary_join(pa.LargeListArray.from_arrays([0, len(lines)], lines), _scalar("\n"))
    return body[0].as_buffer().to_pybytes() + b"\n"


def _text(numbers: np.ndarray) -> pa.LargeStringArray:
    """The shortest text that reads as the same number of this type."""
    return pa.array(numbers).cast(pa.large_string())


def _scalar(text: str | None) -> pa.LargeStringScalar:
    return pa.scalar(text, pa.large_string())

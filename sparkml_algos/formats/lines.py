"""Text formats, some whole lines at a time, and the rows that numeric ones hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import scipy.sparse as sp

from sparkml_algos.formats import recordio
from sparkml_algos.formats.errors import FormatError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Rows:
    """Numeric rows.

    Attributes
    ----------
    features : ndarray or csr_matrix of float32, (rows, features)
    labels : ndarray of float32, (rows,) or (rows, label_size), optional
    weights : ndarray of float32, (rows,), optional
    """

    features: np.ndarray | sp.csr_matrix
    labels: np.ndarray | None = None
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return self.features.shape[0]

    def __getitem__(self, part: slice) -> Rows:
        return Rows(*(None if array is None else array[part] for array in (self.features, self.labels, self.weights)))

    def split(self, batch_rows: int | None) -> Iterator[Rows]:
        """These rows, at most ``batch_rows`` at a time; None: all at once."""
        step = batch_rows or max(len(self), 1)
        for start in range(0, len(self), step):
            yield self[start : start + step]


def read_line_blocks(
    source: BinaryIO | bytes, *, file: str = "<bytes>", block_bytes: int = recordio.BLOCK_BYTES
) -> Iterator[tuple[bytes, int]]:
    """Whole lines of about ``block_bytes`` bytes, gzip or not, and the offset of the first."""
    stream = recordio.open_stream(source)
    pending: list[bytes] = []
    base = read = 0
    while data := recordio.read_some(stream, block_bytes, file, read):
        if read == 0 and data.startswith(BYTE_ORDER_MARK):
            base, data = len(BYTE_ORDER_MARK), data[len(BYTE_ORDER_MARK) :]
            read = base
        read += len(data)
        cut = data.rfind(b"\n") + 1
        if cut:
            block = b"".join([*pending, data[:cut]])
            yield block, base
            base += len(block)
            pending = []
        pending.append(data[cut:])
    if rest := b"".join(pending):
        yield rest, base


def lines_of(block: bytes, base: int) -> Iterator[tuple[bytes, int]]:
    """Lines that are not blank, without their ends, and their offsets."""
    for line in block.split(b"\n"):
        if text := line.strip():
            yield text, base
        base += len(line) + 1


def one_batch(batches: list[Rows], file: str) -> Rows:
    """Batches of dense rows, at least one, put together."""
    widths = {batch.features.shape[1] for batch in batches}
    if len(widths) > 1:
        raise FormatError(f"rows of {sorted(widths)} features", file)

    def together(name: str) -> np.ndarray | None:
        parts = [getattr(batch, name) for batch in batches]
        return None if parts[0] is None else np.concatenate(parts)

    return Rows(together("features"), together("labels"), together("weights"))

"""Rows at rest: in memory up to a budget, beyond it in an anonymous temporary file that vanishes with the process, however that ends."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.decoder import Decoder

# A window of spilled rows that is shuffled as one takes at most this share of the byte budget; its rows, the mini-batch cut from it and the
# next record batch are in memory at the same time.
WINDOW_SHARE = 0.25

# Rows at rest are kept in blocks of this size, for a mini-batch takes rows from every block: 10,000 rows of 64 floats as they arrive are
# 2.5 MB, and gathering mini-batches of 2,500 from 50 such blocks took a fifth of the time of k-means with 1000 centres.
BLOCK_BYTES = 1 << 24


class Budget:
    """Bytes that several stores may hold in memory together."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.held = max_bytes, 0

    def take(self, nbytes: int) -> bool:
        """Whether so many more may be held; they are then."""
        if self.held + nbytes > self.max_bytes:
            return False
        self.held += nbytes
        return True


class Store:
    """Rows that can be read time and again.

    Parameters
    ----------
    decode : Decoder
    budget : Budget
    spill_dir : str, optional
        Where spilled rows rest; the system's temporary directory by default.
    """

    def __init__(self, decode: Decoder, budget: Budget, spill_dir: str | None = None) -> None:
        self._decode, self._budget, self._spill_dir = decode, budget, spill_dir
        self._blocks: list[Batch] = []
        self._spill: Spill | None = None
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[Batch]:
        """All rows in the order they came, a block at a time; what is in memory is not copied."""
        yield from self._blocks
        for index in range(self._spill.num_batches if self._spill else 0):
            yield self._read(index)

    @property
    def is_spilled(self) -> bool:
        """Whether some rows rest in a file."""
        return self._spill is not None

    def add(self, record_batch: pa.RecordBatch, batch: Batch) -> None:
        """Keep rows, given both as they came and decoded."""
        self._rows += len(batch)
        if self._spill is None and self._budget.take(batch.nbytes):
            self._blocks.append(batch)
            return
        if self._spill is None:
            self._spill = Spill(record_batch.schema, self._spill_dir)
        self._spill.append(record_batch)

    def finish(self) -> None:
        """No more rows will come."""
        if self._spill:
            self._spill.finish()

    def release(self) -> None:
        """Forget the rows; nothing will ask for them again."""
        self._blocks, self._spill = [], None

    def windows(self, random: np.random.Generator) -> Iterator[list[Batch]]:
        """All blocks in memory as one window; then spilled blocks in random order, as many at a time as the budget holds."""
        if self._blocks:
            self._blocks = _merged(self._blocks)
            yield self._blocks
        window: list[Batch] = []
        for index in random.permutation(self._spill.num_batches if self._spill else 0):
            window.append(self._read(index))
            if sum(batch.nbytes for batch in window) >= WINDOW_SHARE * self._budget.max_bytes:
                yield window
                window = []
        if window:
            yield window

    def _read(self, index: int) -> Batch:
        return self._decode.again(self._spill.read(index)).replace(validation=None)


class Spill:
    """Record batches in an unlinked temporary Arrow file, read back one at a time."""

    def __init__(self, schema: pa.Schema, directory: str | None) -> None:
        self._directory = directory or tempfile.gettempdir()
        with self._naming_the_directory():
            self._file = tempfile.TemporaryFile(dir=directory)
            self._writer = pa.ipc.new_file(pa.PythonFile(self._file, "w"), schema)
        self._reader: pa.RecordBatchFileReader | None = None

    def append(self, batch: pa.RecordBatch) -> None:
        with self._naming_the_directory():
            self._writer.write_batch(batch)

    def finish(self) -> None:
        with self._naming_the_directory():
            self._writer.close()
            self._file.flush()
        self._file.seek(0)
        self._reader = pa.ipc.open_file(pa.PythonFile(self._file, "r"))

    @contextmanager
    def _naming_the_directory(self) -> Iterator[None]:
        """A full disk is said to be full, but not which one."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, f"rows cannot be spilled to {self._directory}: {error.strerror or error}") from error

    @property
    def num_batches(self) -> int:
        return self._reader.num_record_batches

    def read(self, index: int) -> pa.RecordBatch:
        return self._reader.get_batch(index)


def _merged(blocks: list[Batch]) -> list[Batch]:
    """The same rows in blocks of about `BLOCK_BYTES`; the ones given are let go as they are copied."""
    merged, group = [], []
    blocks.reverse()
    while blocks:
        group.append(blocks.pop())
        if not blocks or sum(block.nbytes for block in group) + blocks[-1].nbytes > BLOCK_BYTES:
            merged.append(Batch.concat(group))
            group = []
    return merged

"""A worker's share of the rows, as re-iterable mini-batches.

``File`` mode reads every row first; ``Pipe`` mode trains while rows arrive. Rows beyond a byte budget, and rows of a pipe
that are needed again, rest in an anonymous temporary file that vanishes with the process, however that ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkml_algos.rows.batch import VALIDATION, Batch, Decoder

# A window of spilled or arriving rows that is shuffled as one takes at most this share of the byte budget; its rows, the
# mini-batch cut from it and the next record batch are in memory at the same time.
WINDOW_SHARE = 0.25

# Rows at rest are kept in blocks of this size, for a mini-batch takes rows from every block: 10,000 rows of 64 floats as they arrive are
# 2.5 MB, and gathering mini-batches of 2,500 from 50 such blocks took a fifth of the time of k-means with 1000 centres.
BLOCK_BYTES = 1 << 24


class Shard:
    """The rows of one worker.

    Parameters
    ----------
    source : iterator of pyarrow.RecordBatch
        Rows as they arrive; read once.
    decode : Decoder
    input_mode : {"File", "Pipe"}
        Whether all rows are read before the first mini-batch.
    passes : int
        How often the rows will be iterated. A pipe keeps rows for later passes only when there are any.
    max_bytes : int
        Decoded rows held in memory at most; further rows are spilled.
    seed : int
        Of the shuffles; combined with the rank and the epoch.
    rank : int
    spill_dir : str, optional
        Where spilled rows rest; the system's temporary directory by default.

    Attributes
    ----------
    num_rows : int or None
        Rows of this shard; None while a pipe is still being read for the first time.
    num_features : int or None
        None until the first row has been seen.
    validation : list of Batch
        Rows marked for validation, in the order they arrived; they are held in memory and in no mini-batch.
    """

    def __init__(
        self,
        source: Iterator[pa.RecordBatch],
        decode: Decoder,
        *,
        input_mode: str = "File",
        passes: int = 1,
        max_bytes: int = 1 << 40,
        seed: int = 0,
        rank: int = 0,
        spill_dir: str | None = None,
    ) -> None:
        self.num_rows: int | None = None
        self.num_features: int | None = decode.num_features
        self._source, self._decode = source, decode
        self._max_bytes, self._seed, self._rank = max_bytes, seed, rank
        self._keep = input_mode == "File" or passes > 1
        self._spill_dir = spill_dir
        self.validation: list[Batch] = []
        self._blocks: list[Batch] = []
        self._held = 0
        self._spill: _Spill | None = None
        self._head: list[Batch] = []
        self._rows_read = 0
        if input_mode == "File":
            self.drain()

    def head(self, rows: int) -> Batch:
        """Up to `rows` rows to start from: a random sample of what is in memory and, where that is too little, of the spill; or the
        first rows of a pipe."""
        if self._arriving:
            while sum(map(len, self._head)) < rows and (batch := self._next()) is not None:
                self._head.append(batch)
            window = self._head
        else:
            window = []
            for stored in self._stored_windows(self._random(0, 1)):
                window = [*window, *stored]
                if sum(map(len, window)) >= rows:
                    break
        total = sum(map(len, window))
        chosen = self._random(0, 2).permutation(total)[:rows]
        return _gather(window, chosen, self.num_features or 0)

    def minibatches(self, epoch: int, sizes: Iterator[int]) -> Iterator[Batch]:
        """The rows of one pass in random order, cut into mini-batches of the given sizes, until either runs out."""
        random = self._random(epoch, 0)
        if epoch > 0:
            self.drain()
        windows = self._arriving_windows() if self._arriving else self._stored_windows(random)
        cursor = _Cursor(windows, random, self.num_features)
        for size in sizes:
            batch = cursor.take(size)
            self.num_features = self.num_features or self._decode.num_features
            if batch is None:
                return
            yield batch

    def batches(self) -> Iterator[Batch]:
        """All rows in the order they arrived, a block at a time; what is in memory is not copied. A pipe must have more than one pass."""
        self.drain()
        yield from self._blocks
        for index in range(self._spill.num_batches if self._spill else 0):
            yield replace(self._decode(self._spill.read(index)), validation=None)

    def release(self) -> None:
        """Forget the rows; nothing will ask for them again."""
        self._blocks, self._spill = [], None

    @property
    def marks_validation(self) -> bool:
        """Whether a column says which rows are for validation; of a pipe, they are known after the first pass."""
        return self._decode.validation is not None

    @property
    def largest_label(self) -> float:
        """The largest class among the rows read so far, those for validation included; -inf without any."""
        return self._decode.largest_label

    @property
    def _arriving(self) -> bool:
        """Whether the first pass is still to come, even where a pipe was so short that reading ahead has reached its end."""
        return self.num_rows is None or bool(self._head)

    def _random(self, epoch: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, self._rank, epoch, purpose])

    def _next(self) -> Batch | None:
        """The next rows to arrive, kept for later passes if there are any."""
        if self.num_rows is not None:
            return None
        record_batch = next(self._source, None)
        if record_batch is None:
            self.num_rows = self._rows_read
            if self._spill:
                self._spill.finish()
            return None
        batch = self._decode(record_batch)
        self.num_features = self._decode.num_features
        if batch.validation is not None:
            record_batch, batch = self._without_validation(record_batch, batch)
        self._rows_read += len(batch)
        if self._keep:
            self._store(record_batch, batch)
        return batch

    def _without_validation(self, record_batch: pa.RecordBatch, batch: Batch) -> tuple[pa.RecordBatch, Batch]:
        """What is to be trained on; the rest is kept aside."""
        marked = batch.validation
        if not marked.any():
            return record_batch, replace(batch, validation=None)
        aside = replace(batch.take(np.flatnonzero(marked)), validation=None)
        self.validation.append(aside)
        self._held += aside.nbytes
        record_batch = record_batch.filter(pc.invert(record_batch[VALIDATION]))
        return record_batch, replace(batch.take(np.flatnonzero(~marked)), validation=None)

    def _store(self, record_batch: pa.RecordBatch, batch: Batch) -> None:
        """Hold the rows in memory up to the budget, from then on in the spill."""
        if self._spill is None and self._held + batch.nbytes > self._max_bytes:
            self._spill = _Spill(record_batch.schema, self._spill_dir)
        if self._spill is None:
            self._blocks.append(batch)
            self._held += batch.nbytes
        else:
            self._spill.append(record_batch)

    def drain(self) -> None:
        """Read all rows that are still to arrive."""
        self._head.clear()
        while self._next() is not None:
            pass

    def _arriving_windows(self) -> Iterator[list[Batch]]:
        """Windows of a pipe: what was read ahead, then one arriving record batch after the other."""
        if self._head:
            window, self._head = self._head, []
            yield window
        while (batch := self._next()) is not None:
            yield [batch]

    def _stored_windows(self, random: np.random.Generator) -> Iterator[list[Batch]]:
        """All blocks in memory as one window; then spilled blocks in random order, as many at a time as the budget holds."""
        if self._blocks:
            self._blocks = _merged(self._blocks)
            yield self._blocks
        window: list[Batch] = []
        for index in random.permutation(self._spill.num_batches if self._spill else 0):
            window.append(replace(self._decode(self._spill.read(index)), validation=None))
            if sum(batch.nbytes for batch in window) >= WINDOW_SHARE * self._max_bytes:
                yield window
                window = []
        if window:
            yield window


class _Cursor:
    """Cuts shuffled windows of batches into mini-batches of asked sizes."""

    def __init__(self, windows: Iterator[list[Batch]], random: np.random.Generator, num_features: int | None) -> None:
        self._windows, self._random = windows, random
        self._num_features = num_features
        self._window: list[Batch] = []
        self._order = np.empty(0, np.int64)

    def take(self, size: int) -> Batch | None:
        """The next `size` rows, fewer at the end, None after it. A size of zero gives an empty batch."""
        parts: list[Batch] = []
        missing = size
        while missing > 0:
            if not len(self._order):
                window = next(self._windows, None)
                if window is None:
                    break
                self._window = window
                self._order = self._random.permutation(sum(map(len, window)))
                self._num_features = window[0].features.shape[1]
                continue
            rows, self._order = self._order[:missing], self._order[missing:]
            parts.append(_gather(self._window, rows, self._num_features))
            missing -= len(rows)
        if parts:
            return Batch.concat(parts)
        return None if size else Batch.empty(self._num_features or 0)


class _Spill:
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


def _gather(blocks: list[Batch], rows: np.ndarray, num_features: int) -> Batch:
    """The given rows, counted over all blocks, in an order that keeps rows of a block together."""
    if not blocks or not len(rows):
        return Batch.empty(num_features)
    rows = np.sort(rows)
    ends = np.cumsum([len(block) for block in blocks])
    cuts = np.searchsorted(rows, ends)
    parts = []
    for block, end, start_cut, cut in zip(blocks, ends, np.append(0, cuts[:-1]), cuts, strict=True):
        if cut > start_cut:
            parts.append(block.take(rows[start_cut:cut] - (end - len(block))))
    return Batch.concat(parts)

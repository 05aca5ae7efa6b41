"""A worker's share of the rows, as re-iterable mini-batches.

``File`` mode reads every row first; ``Pipe`` mode trains while rows arrive. Rows beyond a byte budget, and rows of a pipe
that are needed again, rest in a file, see `rows.store`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.columns import combined, row_hashes
from sparkml_algos.rows.decoder import Decoder
from sparkml_algos.rows.fields import LABEL, VALIDATION
from sparkml_algos.rows.kinds import Facts
from sparkml_algos.rows.store import Budget, Store

_WORDS = 1 << 64

Made = TypeVar("Made")


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
        Decoded rows held in memory at most, those to validate on included; further rows are spilled.
    seed : int
        Of the shuffles; combined with the rank and the epoch.
    rank : int
    spill_dir : str, optional
        Where spilled rows rest; the system's temporary directory by default.
    keeps_digest : bool
        Whether `digest` is computed.

    Attributes
    ----------
    num_rows : int or None
        Rows to train on; None while a pipe is still being read for the first time.
    validation : Store
        Rows marked for validation, which are in no mini-batch: an iterable of batches, with a length in rows. Of a pipe they are there
        after the first pass.
    digest : int
        A number that depends on the rows read so far, whatever their order and form; it adds up over shards modulo 2⁶⁴.
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
        keeps_digest: bool = False,
    ) -> None:
        self.num_rows: int | None = None
        self.digest = 0
        self._source, self._decode = source, decode
        self._seed, self._rank = seed, rank
        self._keep, self._keeps_digest = input_mode == "File" or passes > 1, keeps_digest
        budget = Budget(max_bytes)
        self.validation, self._stored = (Store(decode, budget, spill_dir) for _ in range(2))
        self._head: list[Batch] = []
        self._rows_read = 0
        self._made: dict[str, tuple[object, Any]] = {}
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
            for stored in self._stored.windows(self._random(0, 1)):
                window = [*window, *stored]
                if sum(map(len, window)) >= rows:
                    break
        total = sum(map(len, window))
        return _gather(window, self._random(0, 2).permutation(total)[:rows]) or self.empty()

    def minibatches(self, epoch: int, sizes: Iterator[int]) -> Iterator[Batch]:
        """The rows of one pass in random order, cut into mini-batches of the given sizes, until either runs out."""
        random = self._random(epoch, 0)
        if epoch > 0:
            self.drain()
        windows = self._arriving_windows() if self._arriving else self._stored.windows(random)
        cursor = _Cursor(windows, random)
        for size in sizes:
            batch = cursor.take(size)
            if batch is None and size:
                return
            yield self.empty() if batch is None else batch

    def batches(self) -> Iterator[Batch]:
        """All rows in the order they arrived, a block at a time; what is in memory is not copied. A pipe must have more than one pass."""
        self.drain()
        return iter(self._stored)

    def empty(self) -> Batch:
        """A batch like those of the shard, without rows."""
        return self._decode.empty().replace(validation=None)

    def made(self, what: str, key: object, make: Callable[[], Made]) -> Made:
        """What was made of the rows before, for the next training on them, if it was made with an equal key; else it is made, in place of
        what there was under this name. Whoever asks must not change it, and on every worker asks for the same."""
        if what not in self._made or self._made[what][0] != key:
            self._made.pop(what, None)  # before there is another one beside it
            self._made[what] = (key, make())
        return self._made[what][1]

    def release(self) -> None:
        """Forget the rows, and what was made of them; nothing will ask for them again."""
        self._stored.release()
        self._made.clear()

    @property
    def is_spilled(self) -> bool:
        """Whether rows rest in a file, there having been no room for all of them in memory."""
        return self._stored.is_spilled

    def drain(self) -> None:
        """Read all rows that are still to arrive."""
        self._head.clear()
        while self._next() is not None:
            pass

    @property
    def facts(self) -> dict[str, Facts]:
        """By role, what is known of the rows; see `Decoder`. Before `learn` that is what this worker's own have shown."""
        return self._decode.facts

    def learn(self, facts: list[dict[str, Facts]]) -> None:
        """Know what the rows of all workers have shown.

        Raises
        ------
        InvalidRows
            If they contradict each other.
        """
        self._decode.merge(facts)

    def column(self, role: str) -> str:
        """What messages call the column of a role."""
        return self._decode.column(role)

    @property
    def num_features(self) -> int | None:
        """Length of the vectors; None before the first row has been seen, or where there are none."""
        return self._decode.num_features

    @property
    def marks_validation(self) -> bool:
        """Whether a column says which rows are for validation; of a pipe, they are known after the first pass."""
        return self._decode.has(VALIDATION)

    @property
    def largest_label(self) -> int:
        """The largest class among the rows read so far, those for validation included; -1 without any."""
        return self.facts.get(LABEL, {}).get("largest", -1)

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
            self._stored.finish()
            self.validation.finish()
            return None
        batch = self._decode.arriving(record_batch)
        if self._keeps_digest and len(batch):
            self.digest = (self.digest + combined([row_hashes(column) for column in batch.columns.values()])) % _WORDS
        if batch.validation is not None:
            record_batch, batch = self._without_validation(record_batch, batch)
        self._rows_read += len(batch)
        if self._keep:
            self._stored.add(record_batch, batch)
        return batch

    def _without_validation(self, record_batch: pa.RecordBatch, batch: Batch) -> tuple[pa.RecordBatch, Batch]:
        """What is to be trained on; the rest is kept aside."""
        marked, batch = batch.validation, batch.replace(validation=None)
        if not marked.any():
            return record_batch, batch
        self.validation.add(record_batch.filter(record_batch[VALIDATION]), batch.take(np.flatnonzero(marked)))
        return record_batch.filter(pc.invert(record_batch[VALIDATION])), batch.take(np.flatnonzero(~marked))

    def _arriving_windows(self) -> Iterator[list[Batch]]:
        """Windows of a pipe: what was read ahead, then one arriving record batch after the other."""
        if self._head:
            window, self._head = self._head, []
            yield window
        while (batch := self._next()) is not None:
            yield [batch]


class _Cursor:
    """Cuts shuffled windows of batches into mini-batches of asked sizes."""

    def __init__(self, windows: Iterator[list[Batch]], random: np.random.Generator) -> None:
        self._windows, self._random = windows, random
        self._window: list[Batch] = []
        self._order = np.empty(0, np.int64)

    def take(self, size: int) -> Batch | None:
        """The next `size` rows, fewer at the end; None after it, and for a size of zero."""
        parts: list[Batch] = []
        missing = size
        while missing > 0:
            if not len(self._order):
                window = next(self._windows, None)
                if window is None:
                    break
                self._window = window
                self._order = self._random.permutation(sum(map(len, window)))
                continue
            rows, self._order = self._order[:missing], self._order[missing:]
            parts.append(_gather(self._window, rows))
            missing -= len(rows)
        return Batch.concat(parts) if parts else None


def _gather(blocks: list[Batch], rows: np.ndarray) -> Batch | None:
    """The given rows, counted over all blocks, in an order that keeps rows of a block together; None of none."""
    if not blocks or not len(rows):
        return None
    rows = np.sort(rows)
    ends = np.cumsum([len(block) for block in blocks])
    cuts = np.searchsorted(rows, ends)
    parts = []
    for block, end, start_cut, cut in zip(blocks, ends, np.append(0, cuts[:-1]), cuts, strict=True):
        if cut > start_cut:
            parts.append(block.take(rows[start_cut:cut] - (end - len(block))))
    return Batch.concat(parts)

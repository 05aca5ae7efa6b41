"""Rows as they came, which several shards are made of, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.store import Budget, Spill

#: The column that says in which fold a row is held out, beside those that a decoder reads.
FOLD = "sparkml_algos fold"


class RecurringRows:
    """Record batches that can be read time and again, whole or without a fold; in memory up to a budget, then in a file.

    Parameters
    ----------
    source : iterator of pyarrow.RecordBatch
        With a column `FOLD`; read at once.
    folds : int
        Numbers of folds are below it; rows of a negative one are never held out.
    max_bytes : int
    spill_dir : str, optional
    """

    def __init__(self, source: Iterator[pa.RecordBatch], folds: int, max_bytes: int, spill_dir: str | None = None) -> None:
        self._blocks: list[pa.RecordBatch] = []
        self._spill: Spill | None = None
        budget = Budget(max_bytes)
        for batch in source:
            self._check(batch, folds)
            if self._spill is None and budget.take(batch.nbytes):
                self._blocks.append(batch)
                continue
            if self._spill is None:
                self._spill = Spill(batch.schema, spill_dir)
            self._spill.append(batch)
        if self._spill:
            self._spill.finish()

    def all(self) -> Iterator[pa.RecordBatch]:
        """All rows."""
        yield from self._blocks
        for index in range(self._spill.num_batches if self._spill else 0):
            yield self._spill.read(index)

    def without(self, fold: int) -> Iterator[pa.RecordBatch]:
        """The rows that are not of a fold."""
        return (batch.filter(pc.not_equal(batch[FOLD], fold)) for batch in self.all())

    def of(self, fold: int) -> Iterator[pa.RecordBatch]:
        """The rows of a fold."""
        return (batch.filter(pc.equal(batch[FOLD], fold)) for batch in self.all())

    def _check(self, batch: pa.RecordBatch, folds: int) -> None:
        numbers = batch[FOLD]
        if numbers.null_count:
            raise InvalidRows("a row has no number of its fold")
        largest = pc.max(numbers).as_py()
        if largest is not None and largest >= folds:
            raise InvalidRows(f"a row is of fold {largest}; there are {folds} folds, counted from 0")

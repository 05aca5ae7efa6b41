"""From Arrow record batches to batches, field by field, checking every row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.fields import Field, Source
from sparkml_algos.rows.kinds import Facts, InvalidRows, InvalidValue, arrow_names
from sparkml_algos.rows.vectors import Vector


class Decoder:
    """Turns Arrow record batches into `Batch`es, and names what is wrong with a row that cannot be one.

    Parameters
    ----------
    sources : sequence of Source
        The fields that the record batches have.

    Attributes
    ----------
    where : str
        Follows the number of a row in messages.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = list(sources)
        self.where = ""
        self._readers = {source.field.role: source.field.kind.reader(source.field.role, source.names) for source in self.sources}
        self._rows = self._last = 0

    @property
    def fields(self) -> list[Field]:
        return [source.field for source in self.sources]

    def __call__(self, record_batch: pa.RecordBatch) -> Batch:
        """Decode a record batch whose rows come for the first time."""
        return self._noted(self._decoded(record_batch))

    def arriving(self, record_batch: pa.RecordBatch) -> Batch:
        """Decode one with rows to train on, and look once at what costs too much to be looked at whenever rows are read."""
        found = self._decoded(record_batch)
        with self.naming_rows(self._rows):
            for role, reader in self._readers.items():
                reader.check(found.columns[role])
        return self._noted(found)

    @contextmanager
    def naming_rows(self, first: int | None = None) -> Iterator[None]:
        """Within it, an `InvalidValue` becomes `InvalidRows` with the number of the row.

        Parameters
        ----------
        first : int, optional
            Number of the first row of the batch that is worked on; by default it is the one that was decoded last.
        """
        try:
            yield
        except InvalidValue as error:
            row = (self._last if first is None else first) + error.row
            raise InvalidRows(f"{error} in row {row}{self.where}") from None

    def again(self, record_batch: pa.RecordBatch) -> Batch:
        """Decode one that has been decoded before."""
        return self._kept(self._decoded(record_batch))

    def of_values(self, columns: Mapping[str, Any]) -> Batch | None:
        """Values as a program without Spark has them, by role, as a batch, where all can be read without the detour by Arrow; else None."""
        with self.naming_rows(self._rows):
            found = {role: self._readers[role].of_values(values) for role, values in columns.items()}
        return None if any(column is None for column in found.values()) else self._kept(Batch(**found))

    def empty(self) -> Batch:
        """A batch without rows."""
        return Batch(**{role: reader.empty() for role, reader in self._readers.items()})

    def has(self, role: str) -> bool:
        """Whether rows have such a column."""
        return role in self._readers

    def column(self, role: str) -> str:
        """What messages call the column of a role."""
        return self._readers[role].column

    @property
    def facts(self) -> dict[str, Facts]:
        """By role, what the rows so far have shown, where anything is known."""
        return {role: facts for role, reader in self._readers.items() if (facts := reader.facts)}

    def merge(self, facts: Sequence[Mapping[str, Facts]]) -> None:
        """Know what the rows of all workers have shown, of each of which the facts are given.

        Raises
        ------
        InvalidRows
            If they contradict each other.
        """
        for field in self.fields:
            self._readers[field.role].learn(field.kind.merge([of_worker.get(field.role, {}) for of_worker in facts]))

    def know(self, facts: Mapping[str, Facts]) -> None:
        """Know what was found out before, as by training."""
        for role, found in facts.items():
            if role in self._readers:
                self._readers[role].learn(found)

    @property
    def num_features(self) -> int | None:
        """Length of the vectors, of the first field that has such; None before it is known."""
        role = next((field.role for field in self.fields if isinstance(field.kind, Vector)), None)
        return self.facts.get(role, {}).get("num_features")

    @property
    def knows_widths(self) -> bool:
        """Whether rows to come say nothing new about how long vectors are."""
        return all("num_features" in self.facts.get(field.role, {}) for field in self.fields if isinstance(field.kind, Vector))

    def _decoded(self, record_batch: pa.RecordBatch) -> Batch:
        columns = dict(zip(record_batch.schema.names, record_batch.columns, strict=True))
        with self.naming_rows(self._rows):
            return Batch(**{field.role: self._readers[field.role].read(_parts(field, columns)) for field in self.fields})

    def _noted(self, batch: Batch) -> Batch:
        """What is left of rows that come for the first time, once they are counted and the readers know of them."""
        self._last, self._rows = self._rows, self._rows + len(batch)
        for role, reader in self._readers.items():
            reader.note(batch.columns[role])
        return self._kept(batch)

    def _kept(self, batch: Batch) -> Batch:
        for field in self.fields:
            kept = field.kind.keeps(batch.columns[field.role])
            if kept is not None:
                batch = batch.take(np.flatnonzero(kept))
        return batch


def record_batches(fields: Iterable[Field], columns: Mapping[str, Any], rows: int = 10_000) -> Iterator[pa.RecordBatch]:
    """Values as a program without Spark has them, as the record batches that a `Decoder` of these fields reads.

    Parameters
    ----------
    fields : iterable of Field
    columns : mapping of str to array or sequence
        By role; see `Kind.arrays` for what each kind takes.
    rows : int
        Of a record batch.
    """
    kinds = {field.role: field.kind for field in fields}
    total = {_length(values) for values in columns.values()}
    if len(total) != 1:
        raise ValueError(f"columns differ in their number of rows: {', '.join(f'{role} {_length(v)}' for role, v in columns.items())}")
    for start in range(0, total.pop(), rows):
        arrays: dict[str, pa.Array] = {}
        for role, values in columns.items():
            for part, array in kinds[role].arrays(_sliced(values, slice(start, start + rows))).items():
                arrays[dict(zip(kinds[role].parts, arrow_names(role, kinds[role]), strict=True))[part]] = array
        yield pa.RecordBatch.from_pydict(arrays)


def _parts(field: Field, columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    names = zip(field.kind.parts, arrow_names(field.role, field.kind), strict=True)
    return {part: columns[name] for part, name in names if name in columns}


def _length(values: Any) -> int:
    return values.shape[0] if hasattr(values, "shape") else len(values)


def _sliced(values: Any, part: slice) -> Any:
    return values.take(part) if hasattr(values, "offsets") and hasattr(values, "take") else values[part]

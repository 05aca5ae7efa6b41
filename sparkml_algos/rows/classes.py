"""The classes of a row, of which it may have several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from sparkml_algos.rows.kinds import Facts, InvalidRows, InvalidValue, Kind, Reader, flat_values, offsets_of


@dataclass(frozen=True)
class ClassSet(Kind):
    """The classes that a row has, as float32, (rows, classes), of 0 and 1.

    The reader's fact is ``classes``, how many there are.

    Parameters
    ----------
    classes : int, optional
        How many there are; by default as many as the rows have numbers, which are then no ids.
    of_ids : bool
        Whether a row has the ids of its classes, from 0, and not a 0 or 1 for each class.
    hint : str
        What to do about another number of classes; follows the message.
    """

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.list_(pa.float32())}

    classes: int | None = None
    of_ids: bool = False
    hint: str = ""
    row_bytes: ClassVar[int] = 256

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _ClassSetReader(self, role, names)

    def arrays(self, values: Sequence[Sequence[float]] | np.ndarray) -> dict[str, pa.Array]:
        return {"": pa.array([np.asarray(row, np.float32) for row in values], pa.list_(pa.float32()))}

    def merge(self, facts: Sequence[Facts]) -> Facts:
        found = {fact["classes"] for fact in facts if fact}
        if len(found) > 1:
            raise InvalidRows(f"rows have different numbers of classes: {', '.join(map(str, sorted(found)))}")
        return {"classes": found.pop()} if found else {}


class _ClassSetReader(Reader):
    def __init__(self, kind: ClassSet, role: str, names: Sequence[str]) -> None:
        super().__init__(role, names)
        self._kind, self._classes = kind, kind.classes

    def read(self, parts: Mapping[str, pa.Array]) -> np.ndarray:
        self.refuse_nulls(parts[""])
        offsets = offsets_of(parts[""]).astype(np.int64)
        values = flat_values(parts[""]).to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
        rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        return self._of_ids(values, rows, len(offsets) - 1) if self._kind.of_ids else self._of_flags(values, rows, np.diff(offsets))

    def _of_ids(self, ids: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
        classes = self._classes or 0
        wrong = np.flatnonzero(~((ids >= 0) & (ids < classes) & (ids == np.floor(ids))))
        if len(wrong):
            raise InvalidValue(
                f"{self.column} has the class {ids[wrong[0]]:g}, expected integers from 0 to {classes - 1},", int(rows[wrong[0]])
            )
        found = np.zeros((count, classes), np.float32)
        found[rows, ids.astype(np.int64)] = 1
        return found

    def _of_flags(self, flags: np.ndarray, rows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        if self._classes is None and len(lengths):
            self._classes = int(lengths[0])
        if len(lengths) and not self._classes:
            raise InvalidValue(f"{self.column} is empty, expected 0 or 1 for each class,", 0)
        other = np.flatnonzero(lengths != self._classes) if len(lengths) else ()
        if len(other):
            hint = f" ({self._kind.hint})" if self._kind.hint else ""
            raise InvalidValue(f"{self.column} has {lengths[other[0]]} numbers, expected {self._classes}{hint},", int(other[0]))
        wrong = np.flatnonzero((flags != 0) & (flags != 1))
        if len(wrong):
            raise InvalidValue(f"{self.column} has {flags[wrong[0]]:g}, expected 0 or 1 for each class,", int(rows[wrong[0]]))
        return flags.reshape(len(lengths), self._classes or 0)

    def empty(self) -> np.ndarray:
        return np.empty((0, self._classes or 0), np.float32)

    @property
    def facts(self) -> Facts:
        return {} if self._classes is None else {"classes": self._classes}

    def learn(self, facts: Facts) -> None:
        self._classes = facts.get("classes", self._classes)

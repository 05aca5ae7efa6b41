"""Series: numbers at equal steps of time, and series that belong to one.

Their values are 32-bit floats, of which those that are missing are NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.rows.kinds import Facts, InvalidRows, InvalidValue, Kind, Reader, flat_values, offsets_of
from sparkml_algos.rows.lists import ListReader


@dataclass(frozen=True)
class Series(Kind):
    """Numbers in order of time, as a `Ragged` of float32; null and NaN are missing, NaN. A series has at least `min_length` steps.

    Parameters
    ----------
    min_length : int
    minimum, maximum : float
        Ends of the range of what is not missing, which belong to it.
    whole : bool
        Whether all of it are whole numbers.
    hint : str
        What asks for the range; follows the message about a value beyond it.
    """

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.list_(pa.float32())}

    min_length: int = 0
    minimum: float = -np.inf
    maximum: float = np.inf
    whole: bool = False
    hint: str = ""
    row_bytes: ClassVar[int] = 4096

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _SeriesReader(self, role, names)

    def arrays(self, values: Ragged | Sequence[Sequence[float]]) -> dict[str, pa.Array]:
        if isinstance(values, Ragged):
            return {"": pa.ListArray.from_arrays(values.offsets.astype(np.int32), pa.array(values.values, pa.float32()))}
        return {"": pa.array([np.asarray(row, np.float32) for row in values], pa.list_(pa.float32()))}

    def from_json(self, values: Sequence[Sequence[float | str | None]]) -> list[np.ndarray]:
        return [np.array([np.nan if value in (None, "NaN") else value for value in row], np.float32) for row in values]

    def outside(self, values: np.ndarray) -> np.ndarray:
        """Which values may not be; what is missing may."""
        return (values < self.minimum) | (values > self.maximum) | (self.whole & (values != np.floor(values)) & ~np.isnan(values))

    @property
    def is_bounded(self) -> bool:
        """Whether there are numbers that may not be."""
        return self.whole or np.isfinite(self.minimum) or np.isfinite(self.maximum)

    def __str__(self) -> str:
        number = "a whole number" if self.whole else "a number"
        return f"{number} from {self.minimum:g}{'' if np.isinf(self.maximum) else f' to {self.maximum:g}'}{self.hint}"


class _SeriesReader(ListReader):
    element = "step"

    def __init__(self, kind: Series, role: str, names: Sequence[str]) -> None:
        super().__init__(role, names)
        self._kind = kind

    def read(self, parts: Mapping[str, pa.Array]) -> Ragged:
        steps, offsets = self.lists(parts[""])
        values = steps.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
        infinite = np.flatnonzero(np.isinf(values))
        if len(infinite):
            raise self.invalid(f"is {values[infinite[0]]} as a 32-bit float", int(infinite[0]), offsets)
        wrong = np.flatnonzero(self._kind.outside(values)) if self._kind.is_bounded else ()
        if len(wrong):
            raise self.invalid(f"is {values[wrong[0]]:g}, expected {self._kind},", int(wrong[0]), offsets)
        short = np.flatnonzero(np.diff(offsets) < self._kind.min_length)
        if len(short):
            steps = offsets[short[0] + 1] - offsets[short[0]]
            raise InvalidValue(f"{self.column} has {steps} steps, at least {self._kind.min_length} are needed,", int(short[0]))
        return Ragged(values, offsets)

    def empty(self) -> Ragged:
        return Ragged(np.empty(0, np.float32), np.zeros(1, np.int64))


@dataclass(frozen=True)
class SeriesOfRows(Kind):
    """Several series a row, all of a row equally long, without gaps, as a `Ragged` of float32 vectors: one a step, a number a series.

    The reader's fact is ``series``, how many a row has, which is the same in all.

    Parameters
    ----------
    number : int, optional
        How many there must be.
    hint : str
        What says so; follows the message about another number.
    """

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.list_(pa.list_(pa.float32()))}

    number: int | None = None
    hint: str = ""
    row_bytes: ClassVar[int] = 8192

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _SeriesOfRowsReader(self, role, names)

    def arrays(self, values: Ragged | Sequence[Sequence[Sequence[float]]]) -> dict[str, pa.Array]:
        rows = [row.T for row in values] if isinstance(values, Ragged) else values
        return {"": pa.array([[np.asarray(series, np.float32) for series in row] for row in rows], self.parts[""])}

    def merge(self, facts: Sequence[Facts]) -> Facts:
        found = {fact["series"] for fact in facts if fact}
        if len(found) > 1:
            raise InvalidRows(f"rows have different numbers of series: {', '.join(map(str, sorted(found)))}")
        return {"series": found.pop()} if found else {}


class _SeriesOfRowsReader(ListReader):
    element = "series"

    def __init__(self, kind: SeriesOfRows, role: str, names: Sequence[str]) -> None:
        super().__init__(role, names)
        self._number, self._hint = kind.number, kind.hint

    def read(self, parts: Mapping[str, pa.Array]) -> Ragged:
        series, rows = self.lists(parts[""])
        self._check_numbers(np.diff(rows))
        self.refuse_null_elements(series, rows)
        steps, ends = flat_values(series), offsets_of(series).astype(np.int64)
        values = steps.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            place = int(np.searchsorted(ends, wrong[0], side="right")) - 1
            what = "null or NaN" if np.isnan(values[wrong[0]]) else f"{values[wrong[0]]} as a 32-bit float"
            raise self.invalid(f"step {wrong[0] - ends[place]}, is {what}, and must not be missing,", place, rows)
        number = self._number or 0
        lengths = np.diff(ends).reshape(-1, number) if number else np.zeros((len(rows) - 1, 0), np.int64)
        unequal = np.flatnonzero((lengths != lengths[:, :1]).any(1)) if number else ()
        if len(unequal):
            raise InvalidValue(
                f"{self.column} has series of different lengths: {', '.join(map(str, lengths[unequal[0]]))},", int(unequal[0])
            )
        steps_of_rows = lengths[:, 0] if number else np.zeros(len(rows) - 1, np.int64)
        offsets = np.concatenate([[0], np.cumsum(steps_of_rows)]).astype(np.int64)
        if not number:
            return Ragged(np.empty((0, 0), np.float32), offsets)
        # Number s of step t of a row is where series s of the row begins, and t on.
        starts = ends[:-1].reshape(-1, number)
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], steps_of_rows)
        return Ragged(values[np.repeat(starts, steps_of_rows, axis=0) + within[:, None]], offsets)

    def _check_numbers(self, numbers: np.ndarray) -> None:
        if self._number is None and len(numbers):
            self._number = int(numbers[0])
        wrong = np.flatnonzero(numbers != self._number) if self._number is not None else ()
        if len(wrong):
            hint = f" ({self._hint})" if self._hint else ""
            raise InvalidValue(f"{self.column} has {numbers[wrong[0]]} series, expected {self._number}{hint},", int(wrong[0]))

    def empty(self) -> Ragged:
        return Ragged(np.empty((0, self._number or 0), np.float32), np.zeros(1, np.int64))

    @property
    def facts(self) -> Facts:
        return {} if self._number is None else {"series": self._number}

    def learn(self, facts: Facts) -> None:
        self._number = facts.get("series", self._number)

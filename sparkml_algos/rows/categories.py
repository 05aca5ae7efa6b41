"""Categories of features, as many for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from sparkml_algos.rows.kinds import Facts, InvalidRows, InvalidValue, Kind, Reader
from sparkml_algos.rows.lists import ListReader

#: Categories of a feature at most, unless it is said how many there are: each that is not there is kept, and has an embedding.
MOST_CATEGORIES = 1 << 22


@dataclass(frozen=True)
class Categories(Kind):
    """The category of each of some features, whole numbers from 0, as int64, shape (rows, features); a single number is a list of one.

    The reader's facts are ``cardinality``, one more than the largest category of each feature, and ``absent``, which ones below that no row
    has. Once they are known, rows with another category are refused.

    Parameters
    ----------
    cardinality : tuple of int, optional
        What categories are less than; found out from the rows by default.
    hint : str
        What says so; follows the message about a larger one.
    """

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.list_(pa.int64())}

    cardinality: tuple[int, ...] | None = None
    hint: str = ""
    row_bytes: ClassVar[int] = 32

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _CategoriesReader(self, role, names)

    def arrays(self, values: np.ndarray | Sequence[Sequence[int] | int]) -> dict[str, pa.Array]:
        return {"": pa.array([row if np.ndim(row) else [row] for row in values], pa.list_(pa.int64()))}

    def from_json(self, values: Sequence[int | Sequence[int]]) -> list[list[int]]:
        lists = [value if isinstance(value, list) else [value] for value in values]
        wrong = [item for row in lists for item in row if not _is_whole(item)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no category, which is a whole number")
        return [[int(item) for item in row] for row in lists]

    def merge(self, facts: Sequence[Facts]) -> Facts:
        found = [fact for fact in facts if fact]
        lengths = {len(fact["cardinality"]) for fact in found}
        if len(lengths) > 1:
            raise InvalidRows(f"rows have different numbers of categories: {', '.join(map(str, sorted(lengths)))}")
        if not found:
            return {}
        cardinality, absent = [], []
        for place in range(lengths.pop()):
            largest = max(fact["cardinality"][place] for fact in found)
            missing = [{*fact["absent"][place], *range(fact["cardinality"][place], largest)} for fact in found]
            cardinality.append(largest)
            absent.append(sorted(set.intersection(*missing)))
        return {"cardinality": cardinality, "absent": absent}


def _is_whole(item: object) -> bool:
    return isinstance(item, int | float) and not isinstance(item, bool) and abs(item) < 1 << 63 and item == int(item)


class _CategoriesReader(ListReader):
    element = "category"

    def __init__(self, kind: Categories, role: str, names: Sequence[str]) -> None:
        super().__init__(role, names)
        self._kind = kind
        self._number = None if kind.cardinality is None else len(kind.cardinality)
        self._counts: list[np.ndarray] = []
        self._known: Facts = {}

    def read(self, parts: Mapping[str, pa.Array]) -> np.ndarray:
        items, offsets = self.lists(parts[""])
        self.refuse_null_elements(items, offsets)
        numbers = np.diff(offsets)
        if self._number is None and len(numbers):
            self._number = int(numbers[0])
        wrong = np.flatnonzero(numbers != self._number) if self._number is not None else ()
        if len(wrong):
            raise InvalidValue(f"{self.column} has {numbers[wrong[0]]} categories, expected {self._number},", int(wrong[0]))
        rows = items.to_numpy(zero_copy_only=False).astype(np.int64, copy=False).reshape(-1, self._number or 0)
        rows = rows if self._number else np.zeros((len(numbers), 0), np.int64)
        for place, categories in enumerate(rows.T):
            self._check(place, categories)
        return rows

    def _check(self, place: int, categories: np.ndarray) -> None:
        most = self._kind.cardinality[place] if self._kind.cardinality else None
        hint = f" ({self._kind.hint})" if self._kind.hint and most else ""
        if self._known:
            most = self._known["cardinality"][place] if most is None else most
            absent = np.isin(categories, self._known["absent"][place]) | (categories >= self._known["cardinality"][place])
            wrong = np.flatnonzero(absent & (categories >= 0) & (categories < most))
            if len(wrong):
                what = f"{self.column}, category {place}, is {categories[wrong[0]]}, which no row of the training had,"
                raise InvalidValue(what, int(wrong[0]))
        wrong = np.flatnonzero((categories < 0) | (categories >= (MOST_CATEGORIES if most is None else most)))
        if len(wrong):
            expected = f"from 0 to {(most or MOST_CATEGORIES) - 1}"
            if most is None:
                expected = "0 or more" if categories[wrong[0]] < 0 else f"{expected}; number categories from 0 on, as StringIndexer does"
            what = f"{self.column}, category {place}, is {categories[wrong[0]]}, expected a whole number {expected}{hint},"
            raise InvalidValue(what, int(wrong[0]))

    def note(self, column: np.ndarray) -> None:
        for place, categories in enumerate(column.T):
            counts = np.bincount(categories, minlength=1)
            if place == len(self._counts):
                self._counts.append(counts)
            else:
                small, large = sorted((self._counts[place], counts), key=len)
                self._counts[place] = large.copy()
                self._counts[place][: len(small)] += small

    def empty(self) -> np.ndarray:
        return np.empty((0, self._number or 0), np.int64)

    @property
    def facts(self) -> Facts:
        if self._known or not self._counts:
            return self._known
        return {
            "cardinality": [len(counts) for counts in self._counts],
            "absent": [np.flatnonzero(counts == 0).tolist() for counts in self._counts],
        }

    def learn(self, facts: Facts) -> None:
        if facts:
            self._known, self._number = facts, len(facts["cardinality"])

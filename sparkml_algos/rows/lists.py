"""Lists of different lengths: tokens, sentences, categories, boxes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.rows.kinds import Facts, InvalidRows, InvalidValue, Kind, Reader, first_null, flat_values, offsets_of

#: Categories of a feature at most, unless it is said how many there are: each that is not there is kept, and has an embedding.
MOST_CATEGORIES = 1 << 22
#: Numbers of a box, in this order: its class, its upper left corner, and how large it is.
BOX_PARTS = ("class_id", "left", "top", "width", "height")
# What rounding may add to the edge of a box that ends where its image does, of which the edges are 0 and 1.
_SLACK = 1e-4

_WORD = re.compile(r"\S+", re.ASCII)


def words_of(text: str) -> list[str]:
    """The words of a text, between the blanks of ASCII: those that Spark parts them at, and no others, such as one within a number."""
    return _WORD.findall(text)


def _words(row: str | Sequence[Any]) -> list[Any]:
    """Those of a text, or those, or their ids, that a list has."""
    return words_of(row) if isinstance(row, str) else list(row)


@dataclass(frozen=True)
class Tokens(Kind):
    """A list of words, as a `Ragged` of strings; a list may be empty.

    The reader's fact, where it is asked for, is ``vocabulary``: how often each word occurs, of all rows.

    Parameters
    ----------
    counts_words : bool
        Whether words are counted.
    """

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.list_(pa.string())}

    counts_words: bool = False
    row_bytes: ClassVar[int] = 1024

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _TokensReader(self, role, names)

    def arrays(self, values: Ragged | Sequence[str | Sequence[str]]) -> dict[str, pa.Array]:
        """Of texts, whose words have blanks between them, or of lists of words."""
        if isinstance(values, Ragged):
            return {"": pa.ListArray.from_arrays(values.offsets.astype(np.int32), values.values)}
        return {"": pa.array(list(map(_words, values)), pa.list_(pa.string()))}

    def merge(self, facts: Sequence[Facts]) -> Facts:
        if not self.counts_words:
            return {}
        total: Counter[str] = Counter()
        for fact in facts:
            total.update(fact["vocabulary"])
        return {"vocabulary": dict(total)}


class ListReader(Reader):
    """Lists of whose elements none is null."""

    element = "element"

    def lists(self, lists: pa.ListArray) -> tuple[pa.Array, np.ndarray]:
        """The elements of all lists, and where each list starts."""
        self.refuse_nulls(lists)
        return flat_values(lists), offsets_of(lists).astype(np.int64)

    def refuse_null_elements(self, elements: pa.Array, offsets: np.ndarray) -> None:
        if elements.null_count:
            raise self.invalid("is null", first_null(elements), offsets)

    def invalid(self, what: str, position: int, offsets: np.ndarray) -> InvalidValue:
        """What is wrong with the element at a place among those of all lists."""
        row = int(np.searchsorted(offsets, position, side="right")) - 1
        return InvalidValue(f"{self.column}, {self.element} {position - int(offsets[row])}, {what}", row)


class _TokensReader(ListReader):
    element = "token"

    def __init__(self, kind: Tokens, role: str, names: Sequence[str]) -> None:
        super().__init__(role, names)
        self._counts, self._vocabulary = kind.counts_words, Counter()

    def read(self, parts: Mapping[str, pa.Array]) -> Ragged:
        words, offsets = self.lists(parts[""])
        self.refuse_null_elements(words, offsets)
        return Ragged(words.cast(pa.string()), offsets)

    def note(self, column: Ragged) -> None:
        if self._counts:
            self._vocabulary.update({pair["values"]: pair["counts"] for pair in column.values.value_counts().to_pylist()})

    def empty(self) -> Ragged:
        return Ragged(pa.array([], pa.string()), np.zeros(1, np.int64))

    @property
    def facts(self) -> Facts:
        return {"vocabulary": dict(self._vocabulary)} if self._counts else {}

    def learn(self, facts: Facts) -> None:
        self._vocabulary = Counter(facts.get("vocabulary", {}))


@dataclass(frozen=True)
class Labels(Kind):
    """The names of the classes of a row, one or several, as a `Ragged` of strings; a single string or number is a list of one."""

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.list_(pa.string())}

    row_bytes: ClassVar[int] = 64

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _LabelsReader(role, names)

    def arrays(self, values: Ragged | Sequence[str | float | Sequence[str]]) -> dict[str, pa.Array]:
        if isinstance(values, Ragged):
            return {"": pa.ListArray.from_arrays(values.offsets.astype(np.int32), values.values)}
        return {"": pa.array([[_label(item) for item in _listed(value)] for value in values], pa.list_(pa.string()))}


def _listed(value: str | float | Sequence[str]) -> Sequence[str | float]:
    return value if isinstance(value, list | tuple | np.ndarray) and np.ndim(value) else [value]


def _label(value: str | float) -> str:
    """The name of a class that is known by a number, which has no point where it is whole."""
    if isinstance(value, str):
        return value
    return str(int(value)) if float(value).is_integer() else str(value)


class _LabelsReader(ListReader):
    element = "label"

    def read(self, parts: Mapping[str, pa.Array]) -> Ragged:
        labels, offsets = self.lists(parts[""])
        self.refuse_null_elements(labels, offsets)
        labels = labels.cast(pa.string())
        empty = np.flatnonzero(pc.equal(labels, "").to_numpy(zero_copy_only=False))
        if len(empty):
            raise self.invalid("is an empty string", int(empty[0]), offsets)
        return Ragged(labels, offsets)

    def empty(self) -> Ragged:
        return Ragged(pa.array([], pa.string()), np.zeros(1, np.int64))


@dataclass(frozen=True)
class TokenIds(Kind):
    """A list of token ids, whole numbers from 0, as a `Ragged` of int64; a single number is a list of one.

    Parameters
    ----------
    size : int, optional
        Ids are less than this.
    longest : int, optional
        Lists are cut to so many ids.
    hint : str
        What the size is called; follows the message about a larger id.
    may_be_empty : bool
        Whether there may be lists of no ids.
    """

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.list_(pa.int64())}

    size: int | None = None
    longest: int | None = None
    hint: str = ""
    may_be_empty: bool = False
    row_bytes: ClassVar[int] = 256

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _TokenIdsReader(self, role, names)

    def arrays(self, values: Ragged | np.ndarray | Sequence[Sequence[int] | int]) -> dict[str, pa.Array]:
        if isinstance(values, Ragged):
            return {"": pa.ListArray.from_arrays(values.offsets.astype(np.int32), pa.array(values.values, pa.int64()))}
        return {"": pa.array([row if np.ndim(row) else [row] for row in values], pa.list_(pa.int64()))}

    def from_json(self, values: Sequence[int | Sequence[int]]) -> list[list[int]]:
        lists = [value if isinstance(value, list) else [value] for value in values]
        if wrong := next((token for row in lists for token in row if isinstance(token, bool) or not isinstance(token, int)), None):
            raise ValueError(f"{wrong!r} is no token id, which is a whole number")
        return lists


class _TokenIdsReader(ListReader):
    element = "token"

    def __init__(self, kind: TokenIds, role: str, names: Sequence[str]) -> None:
        super().__init__(role, names)
        self._kind = kind

    def read(self, parts: Mapping[str, pa.Array]) -> Ragged:
        tokens, offsets = self.lists(parts[""])
        self.refuse_null_elements(tokens, offsets)
        ids, size = tokens.to_numpy(zero_copy_only=False).astype(np.int64, copy=False), self._kind.size
        wrong = np.flatnonzero((ids < 0) if size is None else (ids < 0) | (ids >= size))
        if len(wrong):
            expected = "0 or more" if size is None else f"from 0 to {size - 1}"
            hint = f" ({self._kind.hint})" if self._kind.hint else ""
            raise self.invalid(f"is {ids[wrong[0]]}, expected a token id {expected}{hint},", int(wrong[0]), offsets)
        lengths = np.diff(offsets)
        if not self._kind.may_be_empty and len(lengths) and not lengths.min():
            raise InvalidValue(f"{self.column} is empty, expected at least one token id,", int(lengths.argmin()))
        return self._cut(Ragged(ids, offsets))

    def _cut(self, lists: Ragged) -> Ragged:
        longest = self._kind.longest
        if longest is None or not len(lists) or lists.lengths.max() <= longest:
            return lists
        within = np.arange(len(lists.values)) - np.repeat(lists.offsets[:-1], lists.lengths)
        kept = np.concatenate([[0], np.cumsum(np.minimum(lists.lengths, longest))])
        return Ragged(lists.values[within < longest], kept.astype(np.int64))

    def empty(self) -> Ragged:
        return Ragged(np.empty(0, np.int64), np.zeros(1, np.int64))


@dataclass(frozen=True)
class Sentence(Kind):
    """Words, as a `Ragged` of strings, or their ids, whole numbers from 0, as a `Ragged` of int64; at least one a row.

    Parameters
    ----------
    of_ids : bool
        Whether a column without rows is of ids; one with rows tells itself.
    """

    of_ids: bool = False
    row_bytes: ClassVar[int] = 1024

    @property
    def parts(self) -> Mapping[str, pa.DataType]:  # type: ignore[override]
        return {"": pa.list_(pa.int64() if self.of_ids else pa.string())}

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _SentenceReader(self, role, names)

    def arrays(self, values: Ragged | Sequence[str | Sequence[str] | Sequence[int]]) -> dict[str, pa.Array]:
        if isinstance(values, Ragged):
            elements = values.values if isinstance(values.values, pa.Array) else pa.array(values.values, pa.int64())
            return {"": pa.ListArray.from_arrays(values.offsets.astype(np.int32), elements)}
        lists = list(map(_words, values))
        words = next((isinstance(row[0], str) for row in lists if row), not self.of_ids)
        return {"": pa.array(lists, pa.list_(pa.string() if words else pa.int64()))}


class _SentenceReader(ListReader):
    element = "word"

    def __init__(self, kind: Sentence, role: str, names: Sequence[str]) -> None:
        super().__init__(role, names)
        self._of_ids = kind.of_ids

    def read(self, parts: Mapping[str, pa.Array]) -> Ragged:
        elements, offsets = self.lists(parts[""])
        self.refuse_null_elements(elements, offsets)
        lengths = np.diff(offsets)
        if len(lengths) and not lengths.min():
            raise InvalidValue(f"{self.column} is empty, expected at least one word,", int(lengths.argmin()))
        if not pa.types.is_integer(elements.type):
            return Ragged(elements.cast(pa.string()), offsets)
        ids = elements.to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
        if len(wrong := np.flatnonzero(ids < 0)):
            raise self.invalid(f"is {ids[wrong[0]]}, expected an id >= 0,", int(wrong[0]), offsets)
        return Ragged(ids, offsets)

    def empty(self) -> Ragged:
        return Ragged(np.empty(0, np.int64) if self._of_ids else pa.array([], pa.string()), np.zeros(1, np.int64))


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


@dataclass(frozen=True)
class Boxes(Kind):
    """The objects in an image, as a `Ragged` of float32 rows of `BOX_PARTS`; an image may have none.

    Parameters
    ----------
    classes : int, optional
        Classes are numbers from 0 below this.
    most : int, optional
        Boxes of an image at most.
    hint : str
        What says so; follows the message about more of them.
    of_fractions : bool
        Whether edges are fractions of the image's width and height, and so from 0 to 1; else they are in its pixels.
    """

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.list_(pa.struct([(part, pa.float32()) for part in BOX_PARTS]))}

    classes: int | None = None
    most: int | None = None
    hint: str = ""
    of_fractions: bool = False
    row_bytes: ClassVar[int] = 256

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _BoxesReader(self, role, names)

    def arrays(self, values: Ragged | Sequence[np.ndarray]) -> dict[str, pa.Array]:
        rows = [np.asarray(row, np.float32).reshape(-1, len(BOX_PARTS)) for row in values]
        flat = np.concatenate(rows) if rows else np.empty((0, len(BOX_PARTS)), np.float32)
        boxes = pa.StructArray.from_arrays([pa.array(column) for column in flat.T.copy()], names=list(BOX_PARTS))
        return {"": pa.ListArray.from_arrays(np.cumsum([0, *map(len, rows)]).astype(np.int32), boxes)}

    def from_json(self, values: Sequence[Sequence[Mapping[str, float]]]) -> list[np.ndarray]:
        return [np.array([[box[part] for part in BOX_PARTS] for box in row], np.float32) for row in values]

    def merge(self, facts: Sequence[Facts]) -> Facts:
        return {"largest": max((fact["largest"] for fact in facts if fact), default=-1)}


class _BoxesReader(ListReader):
    element = "box"

    def __init__(self, kind: Boxes, role: str, names: Sequence[str]) -> None:
        super().__init__(role, names)
        self._kind, self._classes, self._largest = kind, kind.classes, -1

    def read(self, parts: Mapping[str, pa.Array]) -> Ragged:
        boxes, offsets = self.lists(parts[""])
        self.refuse_null_elements(boxes, offsets)
        numbers, most = np.diff(offsets), self._kind.most
        if most is not None and len(numbers) and numbers.max() > most:
            hint = f" ({self._kind.hint})" if self._kind.hint else ""
            raise InvalidValue(f"{self.column} has {numbers.max()} boxes, expected {most} at most{hint},", int(numbers.argmax()))
        values = np.empty((len(boxes), len(BOX_PARTS)), np.float32)
        for place, (name, column) in enumerate(zip(BOX_PARTS, boxes.flatten(), strict=True)):
            values[:, place] = column.to_numpy(zero_copy_only=False)
            self._check(values[:, place], name, offsets)
        if self._kind.of_fractions:
            self._check_fractions(values, offsets)
        return Ragged(values, offsets)

    def _check_fractions(self, values: np.ndarray, offsets: np.ndarray) -> None:
        """Refuse edges that are beyond the image's."""
        edges = np.concatenate([values[:, 1:3], values[:, 1:3] + values[:, 3:5]], axis=1)
        wrong = (edges < -_SLACK) | (edges > 1 + _SLACK)
        if wrong.any():
            position, edge = np.argwhere(wrong)[0].tolist()
            name = ("left", "top", "right", "bottom")[edge]
            what = f"has its {name} edge at {edges[position, edge]:g}, expected a fraction of the image from 0 to 1,"
            raise self.invalid(what, position, offsets)

    def note(self, column: Ragged) -> None:
        self._largest = max(self._largest, int(column.values[:, 0].max(initial=-1)))

    def _check(self, values: np.ndarray, name: str, offsets: np.ndarray) -> None:
        wrong, expected = ~np.isfinite(values), "a number"
        if name == "class_id":
            most = np.inf if self._classes is None else self._classes
            wrong, expected = wrong | (values < 0) | (values >= most) | (values != np.floor(values)), "a whole number from 0"
            expected += "" if self._classes is None else f" to {self._classes - 1}"
        if name in ("width", "height"):
            wrong, expected = wrong | (values <= 0), "a number > 0"
        if wrong.any():
            position = int(np.flatnonzero(wrong)[0])
            raise self.invalid(f"has {name} {values[position]:g}, expected {expected},", position, offsets)

    def empty(self) -> Ragged:
        return Ragged(np.empty((0, len(BOX_PARTS)), np.float32), np.zeros(1, np.int64))

    @property
    def facts(self) -> Facts:
        return {"largest": self._largest}

    def learn(self, facts: Facts) -> None:
        self._largest = max(self._largest, facts.get("largest", -1))

"""Lists of different lengths: words, labels, ids of tokens."""

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
from sparkml_algos.rows.kinds import Facts, InvalidValue, Kind, Reader, first_null, flat_values, offsets_of

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

"""Kinds of columns: what a field's values are, how they come out of Arrow, what is checked in every row.

A kind is a declaration, and makes the reader that does the work. Vectors are in `rows.vectors`, lists in
`rows.lists`, series in `rows.series`.
"""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkml_algos.rows.columns import Column

#: What is known of the rows in a field: JSON values by name.
Facts = dict[str, Any]

# Between a role and the name of a part, in the Arrow columns of a kind that takes several.
SEPARATOR = ":"


class InvalidRows(ValueError):
    """Rows that cannot be trained on or scored: nulls, NaN, ragged or of the wrong dimension."""


class InvalidValue(ValueError):
    """What is wrong with a value, and in which row of its batch."""

    def __init__(self, what: str, row: int) -> None:
        super().__init__(what)
        self.row = row


class Reader(ABC):
    """Turns the Arrow columns of a field into a column of a batch, batch after batch.

    Parameters
    ----------
    role : str
    names : sequence of str
        The user's columns; for messages.
    """

    def __init__(self, role: str, names: Sequence[str]) -> None:
        self.role, self.names = role, list(names)

    @abstractmethod
    def read(self, parts: Mapping[str, pa.Array]) -> Column:
        """The rows of one record batch.

        Parameters
        ----------
        parts : mapping of str to pyarrow.Array
            By the names of `Kind.parts`.

        Raises
        ------
        InvalidValue
        """

    def of_values(self, values: Any) -> Column | None:
        """The rows of values as `Kind.arrays` takes them, without the detour by Arrow, where there is such a way; checked alike."""
        return None

    @abstractmethod
    def empty(self) -> Column:
        """A column without rows."""

    def note(self, column: Column) -> None:  # noqa: B027 - most readers have nothing to find out
        """Find out facts about rows that are read for the first time; they may be read again."""

    def check(self, column: Column) -> None:  # noqa: B027 - most readers have looked at everything by now
        """Look at rows to train on, which come for the first time, for what costs too much to be looked at whenever rows are read.

        Raises
        ------
        InvalidValue
        """

    @property
    def facts(self) -> Facts:
        """What the rows so far have shown."""
        return {}

    def learn(self, facts: Facts) -> None:  # noqa: B027 - most readers need to know nothing
        """Know what the rows of all workers have shown."""

    @property
    def column(self) -> str:
        """What messages call the column."""
        return f"{self.role} column {self.names[0]!r}"

    def refuse_nulls(self, column: pa.Array) -> None:
        if column.null_count:
            raise InvalidValue(f"{self.column} is null", first_null(column))


class Kind(ABC):
    """What the values of a field are.

    Attributes
    ----------
    parts : mapping of str to pyarrow.DataType
        Names of the Arrow columns that rows of it take, "" for the only or main one, and their types, as far as these are fixed.
    row_bytes : int
        About as much a row takes, where its kind tells.
    """

    parts: ClassVar[Mapping[str, pa.DataType]]
    row_bytes: ClassVar[int] = 8

    @abstractmethod
    def reader(self, role: str, names: Sequence[str]) -> Reader:
        """What reads such a column of a user's, of these names."""

    @abstractmethod
    def arrays(self, values: Any) -> dict[str, pa.Array]:
        """Values as a program without Spark has them, as the Arrow columns of `parts`."""

    def from_json(self, values: Sequence[Any]) -> Any:
        """Values as a JSON request has them, one a row, as `arrays` takes them."""
        return values

    def merge(self, facts: Sequence[Facts]) -> Facts:
        """The facts of all workers together.

        Raises
        ------
        InvalidRows
            If they contradict each other.
        """
        return {}

    def keeps(self, column: Column) -> np.ndarray | None:
        """Which rows take part; None if all do."""
        return None


def arrow_names(role: str, kind: Kind) -> list[str]:
    """Names of the Arrow columns of a field."""
    return [f"{role}{SEPARATOR}{part}" if part else role for part in kind.parts]


@dataclass(frozen=True)
class Number(Kind):
    """A number, as float32.

    Parameters
    ----------
    minimum, maximum : float
        Ends of the range, which belong to it.
    min_exclusive : bool
        Whether the lower end does not.
    zero_leaves_out : bool
        Whether rows of 0 take no part, as those of no weight.
    """

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.float32()}

    minimum: float = -np.inf
    maximum: float = np.inf
    min_exclusive: bool = False
    zero_leaves_out: bool = False

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _NumberReader(self, role, names)

    def arrays(self, values: Any) -> dict[str, pa.Array]:
        return {"": pa.array(np.asarray(values, np.float32))}

    def keeps(self, column: Column) -> np.ndarray | None:
        return column != 0 if self.zero_leaves_out and not column.all() else None

    def outside(self, values: np.ndarray) -> np.ndarray:
        """Which values are not in the range."""
        return (values <= self.minimum if self.min_exclusive else values < self.minimum) | (values > self.maximum)

    def __str__(self) -> str:
        if np.isfinite(self.maximum):
            return f"a number from {self.minimum:g} to {self.maximum:g}"
        return f"a number {'>' if self.min_exclusive else '>='} {self.minimum:g}" if np.isfinite(self.minimum) else "a number"


class _NumberReader(Reader):
    def __init__(self, kind: Number, role: str, names: Sequence[str]) -> None:
        super().__init__(role, names)
        self._kind = kind

    def read(self, parts: Mapping[str, pa.Array]) -> np.ndarray:
        self.refuse_nulls(parts[""])
        values = to_float32(parts[""])
        # The sum of finite float32 values in float64 cannot overflow, so one cheap pass finds any NaN or infinity.
        if not np.isfinite(values.sum(dtype=np.float64)):
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise InvalidValue(f"{self.column} is {values[row]} as a 32-bit float", row)
        if self._kind.outside(values).any():
            row = int(np.flatnonzero(self._kind.outside(values))[0])
            raise InvalidValue(f"{self.column} is {values[row]:g}, expected {self._kind},", row)
        return values

    def empty(self) -> np.ndarray:
        return np.empty(0, np.float32)


@dataclass(frozen=True)
class ClassLabel(Kind):
    """The number of a class, from 0, as float32.

    The reader's facts are ``largest``, of all rows.

    Parameters
    ----------
    classes : int
        Labels are less than this.
    hint : str
        What to do about a larger label; follows the message.
    """

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.float32()}

    classes: int
    hint: str = ""

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _ClassLabelReader(self, role, names)

    def arrays(self, values: Any) -> dict[str, pa.Array]:
        return {"": pa.array(np.asarray(values, np.float32))}

    def merge(self, facts: Sequence[Facts]) -> Facts:
        return {"largest": max((fact["largest"] for fact in facts if fact), default=-1)}


class _ClassLabelReader(_NumberReader):
    def __init__(self, kind: ClassLabel, role: str, names: Sequence[str]) -> None:
        super().__init__(Number(), role, names)
        self._classes, self._hint, self._largest = kind.classes, kind.hint, -1

    def read(self, parts: Mapping[str, pa.Array]) -> np.ndarray:
        label = super().read(parts)
        wrong = np.flatnonzero((label < 0) | (label >= self._classes) | (label != np.floor(label)))
        if len(wrong):
            expected = "0 or 1" if self._classes == 2 else f"an integer from 0 to {self._classes - 1}"
            hint = f" ({self._hint})" if self._hint else ""
            raise InvalidValue(f"{self.column} is {label[wrong[0]]:g}, expected {expected}{hint},", int(wrong[0]))
        return label

    def note(self, column: np.ndarray) -> None:
        self._largest = max(self._largest, int(column.max(initial=-1)))

    @property
    def facts(self) -> Facts:
        return {"largest": self._largest}

    def learn(self, facts: Facts) -> None:
        self._largest = max(self._largest, facts.get("largest", -1))


class _ExactReader(Reader):
    """Values in their own type."""

    dtype: ClassVar[Any]

    def read(self, parts: Mapping[str, pa.Array]) -> np.ndarray:
        self.refuse_nulls(parts[""])
        return parts[""].to_numpy(zero_copy_only=False)

    def empty(self) -> np.ndarray:
        return np.empty(0, self.dtype)


@dataclass(frozen=True)
class Flag(Kind):
    """True or false."""

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.bool_()}

    row_bytes: ClassVar[int] = 1

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _FlagReader(role, names)

    def arrays(self, values: Any) -> dict[str, pa.Array]:
        return {"": pa.array(np.asarray(values, bool))}


class _FlagReader(_ExactReader):
    dtype = bool


@dataclass(frozen=True)
class Key(Kind):
    """What tells rows, or groups of rows, apart, as int64.

    Parameters
    ----------
    hashed : bool
        Whether it may be of any type: what is no whole number is then known by a hash of 64 bits. Two of a million keys share one with a
        chance of 3e-8.
    """

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.int64()}

    hashed: bool = False

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _KeyReader(role, names)

    def arrays(self, values: Any) -> dict[str, pa.Array]:
        return {"": pa.array(np.asarray(values, np.int64))}


class _KeyReader(_ExactReader):
    dtype = np.int64


@dataclass(frozen=True)
class Time(Kind):
    """A moment, as datetime64[us]: dates are midnight, moments with a time zone are in UTC, those without as they are.

    Parameters
    ----------
    of_clock : bool
        Whether it is what a clock shows, which has no time zone: moments that have one are as the session's clock shows them, and texts
        such as ``2024-01-31`` or ``2024-01-31 12:00:00`` are taken too.
    """

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.timestamp("us")}

    of_clock: bool = False

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _TimeReader(role, names)

    def arrays(self, values: Any) -> dict[str, pa.Array]:
        return {"": pa.array(np.asarray(values, "datetime64[us]"))}

    def from_json(self, values: Sequence[str]) -> np.ndarray:
        """JSON has moments as texts."""
        return np.array([np.datetime64(value, "us") for value in values], "datetime64[us]")


class _TimeReader(Reader):
    def read(self, parts: Mapping[str, pa.Array]) -> np.ndarray:
        self.refuse_nulls(parts[""])
        if pa.types.is_string(parts[""].type) or pa.types.is_large_string(parts[""].type):
            return self._of_texts(parts[""])
        moments = pc.cast(parts[""], pa.timestamp("us", getattr(parts[""].type, "tz", None)))
        return moments.cast(pa.int64()).to_numpy(zero_copy_only=False).view("datetime64[us]")

    def _of_texts(self, texts: pa.Array) -> np.ndarray:
        try:
            return (
                pc.cast(pc.utf8_trim_whitespace(texts), pa.timestamp("us"))
                .cast(pa.int64())
                .to_numpy(zero_copy_only=False)
                .view("datetime64[us]")
            )
        except pa.ArrowInvalid:
            row, text = next((row, text) for row, text in enumerate(texts.to_pylist()) if not _is_time(text))
        raise InvalidValue(f"{self.column} is {text!r}, expected a time such as 2024-01-31 12:00:00,", row)

    def empty(self) -> np.ndarray:
        return np.empty(0, "datetime64[us]")


def _is_time(text: str) -> bool:
    try:
        pa.array([text.strip()]).cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        return False
    return True


@dataclass(frozen=True)
class Text(Kind):
    """A text, as an Arrow array of strings; one that came as words of which one is null is null."""

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.string()}

    row_bytes: ClassVar[int] = 1024

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _TextReader(pa.string(), role, names)

    def arrays(self, values: Any) -> dict[str, pa.Array]:
        return {"": pa.array(values, pa.string())}


@dataclass(frozen=True)
class Bytes(Kind):
    """Bytes, such as the file of an image, as an Arrow array of binaries that are not empty."""

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.binary()}

    row_bytes: ClassVar[int] = 1 << 18

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _BytesReader(pa.binary(), role, names)

    def arrays(self, values: Any) -> dict[str, pa.Array]:
        return {"": pa.array(values, pa.binary())}

    def from_json(self, values: Sequence[str]) -> list[bytes]:
        """JSON has bytes as base64."""
        return [base64.b64decode(value, validate=True) for value in values]


class _ArrowReader(Reader):
    def __init__(self, type: pa.DataType, role: str, names: Sequence[str]) -> None:
        super().__init__(role, names)
        self._type = type

    def read(self, parts: Mapping[str, pa.Array]) -> pa.Array:
        self.refuse_nulls(parts[""])
        return parts[""].cast(self._type)

    def empty(self) -> pa.Array:
        return pa.array([], self._type)


class _TextReader(_ArrowReader):
    def refuse_nulls(self, column: pa.Array) -> None:
        if column.null_count:
            raise InvalidValue(f"{self.column} is null or has a null among its words", first_null(column))


class _BytesReader(_ArrowReader):
    def read(self, parts: Mapping[str, pa.Array]) -> pa.Array:
        found = super().read(parts)
        empty = np.flatnonzero(pc.equal(pc.binary_length(found), 0).to_numpy(zero_copy_only=False))
        if len(empty):
            raise InvalidValue(f"{self.column} is empty (0 bytes)", int(empty[0]))
        return found


def first_null(column: pa.Array) -> int:
    """Row of the first null."""
    return int(np.flatnonzero(np.asarray(column.is_null()))[0])


def to_float32(values: pa.Array) -> np.ndarray:
    """Numbers; nulls become NaN."""
    return values.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)


def offsets_of(lists: pa.ListArray) -> np.ndarray:
    """Start of each list in the flattened values, and the end of the last."""
    offsets = lists.offsets.to_numpy()
    return offsets - offsets[0] if len(offsets) else np.zeros(1, np.int32)


def flat_values(lists: pa.ListArray) -> pa.Array:
    """The values of all lists; nothing stands between them where no list is null."""
    offsets = lists.offsets
    return lists.values.slice(offsets[0].as_py(), offsets[-1].as_py() - offsets[0].as_py()) if len(lists) else lists.values

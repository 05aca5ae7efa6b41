"""Columns of a frame: what the stages share."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from sparkml_algos.rows.kinds import InvalidRows

#: Columns by name.
Frame = dict[str, Any]
#: What a column is to the stage that reads it.
NUMBER, TEXT, ANY, VECTOR, WORDS, NUMBER_OR_VECTOR = "number", "text", "any", "vector", "words", "number or vector"
_LARGEST = np.finfo(np.float64).max.item()


def length(column: Any) -> int:
    """Rows of a column."""
    return column.shape[0] if hasattr(column, "shape") else len(column)


def refuse(wrong: np.ndarray, what: str, values: Any = None, expected: str = "") -> None:
    """Refuse rows that are marked, naming the first and, if they are given, its value and what was expected."""
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        shown = "" if values is None else f" {str(values[row])[:60]!r}" if isinstance(values, list) else f" {values[row]:g}"
        raise InvalidRows(f"{what}{shown}{expected and ', '}{expected} in row {row}")


def numbers(frame: Frame, name: str) -> np.ndarray:
    """A column of numbers."""
    column = frame[name]
    if isinstance(column, np.ndarray) and column.ndim == 1:
        return column
    raise InvalidRows(f"column {name!r} must be numbers")


def vectors(frame: Frame, name: str) -> np.ndarray | sp.csr_matrix:
    """A column of vectors."""
    column = frame[name]
    if sp.issparse(column) or isinstance(column, np.ndarray) and column.ndim == 2:
        return column
    raise InvalidRows(f"column {name!r} must be vectors")


def dense(column: np.ndarray | sp.csr_matrix) -> np.ndarray:
    """Vectors with their zeros."""
    return column if isinstance(column, np.ndarray) else column.toarray()


def sized(column: np.ndarray | sp.csr_matrix, size: int, name: str) -> np.ndarray | sp.csr_matrix:
    """Vectors of this length."""
    if column.shape[1] != size:
        raise InvalidRows(f"column {name!r} has {column.shape[1]} values, expected {size} in row 0")
    return column


def texts(frame: Frame, name: str) -> list[str]:
    """A column of texts, of which none is null."""
    column = frame[name]
    if isinstance(column, np.ndarray):
        raise InvalidRows(f"column {name!r} must be texts")
    wrong = next((row for row, value in enumerate(column) if not isinstance(value, str)), None)
    if wrong is not None:
        raise InvalidRows(f"column {name!r} must be a text in row {wrong}")
    return column


def words(frame: Frame, name: str) -> list[list[str]]:
    """A column of lists of words."""
    column = frame[name]
    if isinstance(column, np.ndarray):
        raise InvalidRows(f"column {name!r} must be lists of words")
    for row, value in enumerate(column):
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise InvalidRows(f"column {name!r} must be a list of words in row {row}")
    return column


def matrix(entries: list[dict[int, float]], size: int) -> sp.csr_matrix:
    """Sparse vectors of entries by their places."""
    counts = [len(row) for row in entries]
    places = [place for row in entries for place in sorted(row)]
    values = [row[place] for row in entries for place in sorted(row)]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return sp.csr_matrix((np.array(values, np.float64), np.array(places, np.int64), offsets), shape=(len(entries), size))


def java_text(value: int | float) -> list[str]:
    """What a number may be as a text in Spark: of a whole number, as of type long and as of type double; as Java writes them."""
    if isinstance(value, int):  # of which a double may not hold all digits, or none
        return [str(value), *([java_double(float(value))] if abs(value) <= _LARGEST else [])]
    if value != value:
        return ["NaN"]
    whole = [str(int(value))] if abs(value) < 2**53 and value == int(value) else []
    return [*whole, java_double(value)]


def java_double(value: float) -> str:
    """A double as Java writes it."""
    if value in (np.inf, -np.inf):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0.0" if np.signbit(value) else "0.0"
    digits, exponent = np.format_float_scientific(abs(value), trim="-", unique=True).split("e")
    digits, power = digits.replace(".", ""), int(exponent)
    sign = "-" if value < 0 else ""
    if -3 <= power < 7:
        if power < 0:
            return f"{sign}0.{'0' * (-power - 1)}{digits}"
        digits = digits.ljust(power + 2, "0")
        return f"{sign}{digits[: power + 1]}.{digits[power + 1 :]}"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{power}"

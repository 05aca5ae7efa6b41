"""What one pass keeps of a column: counts, moments, a sketch of its numbers, its most frequent values; parts merge into the whole."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkml_algos.arrays.hashing import mixed, xxhash64
from sparkml_algos.monitor.sketch import SHRINKING, K, Kll

# Distinct values up to which all are counted; beyond, the most frequent, and the number of distinct ones is estimated.
MOST_VALUES = 10_000
_REGISTERS_BITS = 12
_WHOLE = r"^[+-]?[0-9]{1,18}$"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


class ColumnState:
    """All that is known of a column.

    Attributes
    ----------
    present, missing : int
        Rows with a value and without: null, the empty string, NaN and infinite numbers are none.
    whole, numbers : int
        Rows whose value is, or reads as, a whole number, and any number.
    total, mean, squares, low, high : float
        Of the numbers: sum, mean, sum of squared distances from it, smallest, largest.
    sketch : Kll
        Of the numbers.
    values : dict of str to int
        How often values of strings are; above `MOST_VALUES` distinct ones the most frequent, at least so often.
    registers : ndarray of uint8, or None
        From which the number of distinct values is estimated, once there are too many to count.
    """

    def __init__(self, seed: int = 0) -> None:
        self.present = self.missing = self.whole = self.numbers = 0
        self.total = self.mean = self.squares = 0.0
        self.low, self.high = math.inf, -math.inf
        self.sketch = Kll(seed=seed)
        self.values: dict[str, int] = {}
        self.registers: np.ndarray | None = None

    def add_numbers(self, column: np.ndarray) -> None:
        """Add a batch of a numeric column, shape (rows,); NaN is missing."""
        finite = np.isfinite(column)
        kept = column if finite.all() else column[finite]
        self.missing += len(column) - len(kept)
        self.present += len(kept)
        self.whole += int(np.count_nonzero(kept == np.floor(kept)))
        self._add(kept)

    def add_texts(self, column: pa.Array) -> None:
        """Add a batch of strings; null and the empty string are missing."""
        counted = column.value_counts()
        texts, counts = counted.field("values"), counted.field("counts").to_numpy()
        there = pc.and_kleene(pc.is_valid(texts), pc.not_equal(texts, "")).fill_null(False)
        self.missing += int(counts[~there.to_numpy(zero_copy_only=False)].sum())
        texts, counts = texts.filter(there), counts[there.to_numpy(zero_copy_only=False)]
        self.present += int(counts.sum())
        if not len(texts):
            return
        trimmed = pc.utf8_trim_whitespace(texts)
        numeric = pc.match_substring_regex(trimmed, _NUMBER)
        if pc.any(numeric).as_py():
            chosen = numeric.to_numpy(zero_copy_only=False)
            whole = pc.match_substring_regex(trimmed, _WHOLE).to_numpy(zero_copy_only=False)
            self.whole += int(counts[whole].sum())
            parsed = pc.utf8_ltrim(trimmed.filter(numeric), "+").cast(pa.float64()).to_numpy(zero_copy_only=False)
            finite = np.isfinite(parsed)  # what is too large for a number, such as 1e400, is a text
            self._add(np.repeat(parsed[finite], counts[chosen][finite]))
        self._count(texts, counts)

    def merge(self, other: ColumnState) -> None:
        """Add what another part of the column has."""
        self.present += other.present
        self.missing += other.missing
        self.whole += other.whole
        self._merge_moments(other.numbers, other.total, other.mean, other.squares, other.low, other.high)
        self.sketch.merge(other.sketch)
        for text, count in other.values.items():
            self.values[text] = self.values.get(text, 0) + count
        if other.registers is not None:
            self.registers = other.registers if self.registers is None else np.maximum(self.registers, other.registers)
        if self.registers is not None or len(self.values) > MOST_VALUES:
            self._register(pa.array(list(self.values), pa.string()))
            self._prune()

    def distinct(self) -> tuple[int, bool]:
        """Number of distinct strings, and whether it is estimated (HyperLogLog; P. Flajolet and others, 2007; relative error 1.6 %)."""
        if self.registers is None:
            return len(self.values), False
        buckets = len(self.registers)
        estimate = 0.7213 / (1 + 1.079 / buckets) * buckets**2 / np.sum(2.0 ** -self.registers.astype(float))
        empty = int(np.count_nonzero(self.registers == 0))
        return round(buckets * math.log(buckets / empty) if estimate < 2.5 * buckets and empty else estimate), True

    def deviation(self) -> float:
        """Standard deviation of the numbers, of the population."""
        return math.sqrt(self.squares / self.numbers) if self.numbers else math.nan

    def to_bytes(self) -> bytes:
        """The state for a journey between processes."""
        facts = [self.present, self.missing, self.whole, self.numbers, self.sketch.count]
        moments = [self.total, self.mean, self.squares, self.low, self.high]
        levels = [np.asarray(level) for level in self.sketch.data()]
        arrays: dict[str, Any] = {
            "facts": np.array(facts, np.int64),
            "moments": np.array(moments, np.float64),
            "lengths": np.array([len(level) for level in levels], np.int64),
            "kept": np.concatenate(levels),
            "values": np.frombuffer(json.dumps(self.values).encode(), np.uint8),
            "registers": np.empty(0, np.uint8) if self.registers is None else self.registers,
        }
        target = io.BytesIO()
        np.savez(target, **arrays)
        return target.getvalue()

    @classmethod
    def from_bytes(cls, read: bytes, seed: int = 0) -> ColumnState:
        """The state that `to_bytes` wrote."""
        with np.load(io.BytesIO(read), allow_pickle=False) as arrays:
            state = cls(seed)
            state.present, state.missing, state.whole, state.numbers, _ = map(int, arrays["facts"])
            state.total, state.mean, state.squares, state.low, state.high = map(float, arrays["moments"])
            levels = np.split(arrays["kept"], np.cumsum(arrays["lengths"])[:-1])
            state.sketch = Kll.from_data(levels, K, SHRINKING, seed)
            state.values = json.loads(arrays["values"].tobytes())
            state.registers = arrays["registers"] if len(arrays["registers"]) else None
        return state

    def _add(self, kept: np.ndarray) -> None:
        if len(kept):
            total = float(kept.sum())
            mean = total / len(kept)
            self._merge_moments(len(kept), total, mean, float(np.square(kept - mean).sum()), float(kept.min()), float(kept.max()))
            self.sketch.update(kept)

    def _merge_moments(self, count: int, total: float, mean: float, squares: float, low: float, high: float) -> None:
        """Of two parts; T. Chan, G. Golub, R. LeVeque, "Updating formulae … for computing sample variances", 1979."""
        if not count:
            return
        both = self.numbers + count
        apart = mean - self.mean
        self.squares += squares + apart**2 * self.numbers * count / both
        self.mean += apart * count / both
        self.numbers, self.total = both, self.total + total
        self.low, self.high = min(self.low, low), max(self.high, high)

    def _count(self, texts: pa.Array, counts: np.ndarray) -> None:
        for text, count in zip(texts.to_pylist(), counts.tolist(), strict=True):
            self.values[text] = self.values.get(text, 0) + count
        if self.registers is not None:
            self._register(texts)
        elif len(self.values) > MOST_VALUES:
            self._register(pa.array(list(self.values), pa.string()))
        if len(self.values) > 2 * MOST_VALUES:
            self._prune()

    def _register(self, texts: pa.Array) -> None:
        if self.registers is None:
            self.registers = np.zeros(1 << _REGISTERS_BITS, np.uint8)
        if len(texts):
            with np.errstate(over="ignore"):
                hashes = mixed(xxhash64(texts).view(np.uint64))
            rest = (hashes << np.uint64(_REGISTERS_BITS)) | np.uint64((1 << _REGISTERS_BITS) - 1)
            ranks = 64 - np.floor(np.log2(rest.astype(np.float64))).astype(np.int64)
            np.maximum.at(
                self.registers, (hashes >> np.uint64(64 - _REGISTERS_BITS)).astype(np.int64), np.clip(ranks, 1, 64).astype(np.uint8)
            )

    def _prune(self) -> None:
        if len(self.values) > MOST_VALUES:
            kept = sorted(self.values.items(), key=lambda item: (-item[1], item[0]))[:MOST_VALUES]
            self.values = dict(kept)


def top_values(state: ColumnState, most: int, other: str) -> list[dict[str, Any]]:
    """The most frequent values with their counts and, under the name `other`, the count of all further ones."""
    ordered = sorted(state.values.items(), key=lambda item: (-item[1], item[0]))[:most]
    buckets = [{"value": value, "count": count} for value, count in ordered]
    rest = state.present - sum(count for _, count in ordered)
    return [*buckets, {"value": other, "count": rest}] if rest else buckets

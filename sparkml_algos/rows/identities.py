"""Kinds of columns that say who, and from where: names that are known by their hash, and addresses of the Internet."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkml_algos.arrays.hashing import xxhash64
from sparkml_algos.rows.kinds import InvalidValue, Kind, Reader, _ExactReader

#: In place of an address that is missing.
NO_ADDRESS = -1

_OCTETS = 4
# An octet and the dot behind it.
_MOST_BYTES = 16
_ZERO, _NINE, _DOT = b"09."


@dataclass(frozen=True)
class Name(Kind):
    """A text, or a whole number for its decimal digits, known by a hash of 64 bits (XXH64 of its UTF-8 bytes with seed 42), as int64.

    Spark computes it where rows come from a DataFrame (``xxhash64``), `arrays.hashing.xxhash64` elsewhere; both give the same. Two of a
    million names share one with a chance of 3e-8.
    """

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.int64()}

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _NameReader(role, names)

    def arrays(self, values: Any) -> dict[str, pa.Array]:
        texts = pa.array([None if value is None else str(value) for value in values], pa.string())
        hashes = xxhash64(texts.fill_null(""))
        return {"": pa.array(hashes, mask=np.asarray(texts.is_null()) if texts.null_count else None)}


class _NameReader(_ExactReader):
    dtype = np.int64


@dataclass(frozen=True)
class Ipv4(Kind):
    """An address of version 4 in dotted decimal form, as the int64 of its 32 bits. Blanks around it are no part of it.

    Parameters
    ----------
    may_be_missing : bool
        Whether what is null, or no such address, is `NO_ADDRESS` instead of refused.
    """

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.string()}

    may_be_missing: bool = False
    row_bytes: ClassVar[int] = 16

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _Ipv4Reader(self, role, names)

    def arrays(self, values: Any) -> dict[str, pa.Array]:
        return {"": pa.array(values, pa.string())}


class _Ipv4Reader(Reader):
    def __init__(self, kind: Ipv4, role: str, names: Sequence[str]) -> None:
        super().__init__(role, names)
        self._may_be_missing = kind.may_be_missing

    def read(self, parts: Mapping[str, pa.Array]) -> np.ndarray:
        texts = parts[""]
        if not self._may_be_missing:
            self.refuse_nulls(texts)
        found = to_addresses(texts.fill_null("") if texts.null_count else texts)
        wrong = np.flatnonzero(found == NO_ADDRESS)
        if len(wrong) and not self._may_be_missing:
            text = texts[int(wrong[0])].as_py()
            version_6 = ", an address of version 6" if _is_version_6(text) else ""
            raise InvalidValue(f"{self.column} is {text!r}{version_6}, expected one of version 4 such as 192.0.2.10,", int(wrong[0]))
        return found

    def empty(self) -> np.ndarray:
        return np.empty(0, np.int64)


def _is_version_6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text.strip()).version == 6
    except ValueError:
        return False


def to_addresses(texts: pa.Array) -> np.ndarray:
    """Addresses of version 4 as the numbers of their bits; `NO_ADDRESS` for what is none.

    Octets are decimal numbers from 0 to 255 without needless zeros, which some programs take for octal.

    Parameters
    ----------
    texts : pyarrow.Array of strings, without nulls

    Returns
    -------
    ndarray of int64, shape (texts,)
    """
    texts = pc.ascii_trim_whitespace(texts.cast(pa.large_string()))
    lengths = pc.binary_length(texts).to_numpy(zero_copy_only=False)
    found, octet = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
    digits, dots = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
    right = lengths < _MOST_BYTES
    for place, byte in enumerate(_columns_of_bytes(texts, int(lengths[right].max(initial=0)))):
        is_there = place < lengths
        is_digit, is_dot = is_there & (byte >= _ZERO) & (byte <= _NINE), is_there & (byte == _DOT)
        right &= is_digit | is_dot | ~is_there
        right &= ~(is_digit & (digits > 0) & (octet == 0)) & ~(is_dot & (digits == 0))
        octet = np.where(is_digit, 10 * octet + byte - _ZERO, octet)
        digits += is_digit
        right &= octet <= 255
        found = np.where(is_dot, (found << 8) + octet, found)
        dots += is_dot
        octet, digits = np.where(is_dot, 0, octet), np.where(is_dot, 0, digits)
    right &= (dots == _OCTETS - 1) & (digits > 0)
    return np.where(right, (found << 8) + octet, NO_ADDRESS)


def _columns_of_bytes(texts: pa.Array, count: int) -> list[np.ndarray]:
    """The first bytes of all texts, the second … as int64; anything where a text is shorter."""
    if not len(texts) or not count:
        return []
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts)]
    data = np.frombuffer(data, np.uint8)
    return [data[np.minimum(starts + place, len(data) - 1)].astype(np.int64) for place in range(count)]

"""Find the numbers of many Record messages of the same layout at once.

A layout is the sequence of names and field numbers of a message, without its lengths. It is taken from one message; then all messages
are walked in step, an array of cursors moving from field to field, and those that turn out to be laid out differently drop out. What has
no such layout (unpacked numbers, bytes, fields repeated or unknown) is left to protobuf's own library.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sparkml_algos.formats import _wire
from sparkml_algos.formats.messages import TENSORS

FEATURES, LABELS = 1, 2
STRINGS = {3: "uid", 4: "metadata", 5: "configuration"}
VALUES, KEYS, SHAPE = 1, 2, 3
KINDS = {number: kind for kind, (number, _) in TENSORS.items()}
LENGTH_DELIMITED = 2
KEY_TAG, VALUE_TAG = b"\x0a", b"\x12"
NO_SPAN = np.empty(0, np.int64)


class Entry(NamedTuple):
    """One named tensor of a layout; ``fields`` are those it has, in their order."""

    section: int
    name: str
    kind: str
    fields: tuple[int, ...]


# Entries, and field numbers of `STRINGS`.
Layout = tuple[Entry | int, ...]


class Spans(NamedTuple):
    """Where something is in each row's message: starts and bytes."""

    starts: np.ndarray
    sizes: np.ndarray


def layout_of(payload: bytes) -> Layout | None:
    """The layout of a message, or None if it has none that can be walked."""
    try:
        layout: list[Entry | int] = []
        for number, body in _fields(payload):
            layout.append(number if number in STRINGS else _entry(number, body))
        identities = [item if isinstance(item, int) else item[:2] for item in layout]
        return tuple(layout) if len(set(identities)) == len(identities) else None
    except (ValueError, IndexError):
        return None


def _entry(section: int, body: bytes) -> Entry:
    if section not in (FEATURES, LABELS):
        raise ValueError("not an entry")
    (key, name), (second, value) = _fields(body)
    ((kind, tensor),) = _fields(value)
    fields = tuple(number for number, _ in _fields(tensor))
    if (key, second) != (1, 2) or kind not in KINDS or len(set(fields)) != len(fields) or not {VALUES, KEYS, SHAPE}.issuperset(fields):
        raise ValueError("not an entry as writers lay it out")
    return Entry(section, name.decode(), KINDS[kind], fields)


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    """Field numbers and contents of a message of length-delimited fields only."""
    found, position = [], 0
    while position < len(data):
        tag, size, shift = data[position], 0, 0
        if tag & 7 != LENGTH_DELIMITED or tag > 127:
            raise ValueError("another kind of field")
        while True:
            position += 1
            size |= (data[position] & 127) << shift
            shift += 7
            if data[position] < 128:
                break
            if shift >= 7 * _wire.MAX_LENGTH_VARINT:
                raise ValueError("not a length")
        position += 1
        if position + size > len(data):
            raise ValueError("truncated")
        found.append((tag >> 3, data[position : position + size]))
        position += size
    return found


def walk(
    buffer: np.ndarray, starts: np.ndarray, lengths: np.ndarray, layout: Layout
) -> tuple[np.ndarray, dict[tuple[int, str, int] | int, Spans]]:
    """Which messages have the layout, and for all messages where the fields are (meaningless for those that have not).

    Returns
    -------
    alive : ndarray of bool, (messages,)
    spans : dict
        Keys are (section, name, field number) or the number of a string.
    """
    walker = _Walker(buffer, starts, starts + lengths)
    for item in layout:
        if isinstance(item, int):
            walker.spans[item] = walker.leaf(_tag(item), walker.ends)
            continue
        entry_ends = walker.enter(_tag(item.section), walker.ends)
        name = item.name.encode()
        walker.literal(KEY_TAG + _wire.varint(len(name)) + name, entry_ends)
        value_ends = walker.enter(VALUE_TAG, entry_ends)
        tensor_ends = walker.enter(_tag(TENSORS[item.kind][0]), value_ends)
        for field in item.fields:
            span = walker.leaf(_tag(field), tensor_ends)
            if field == VALUES and item.kind != "int32_tensor":
                walker.alive &= span.sizes % TENSORS[item.kind][1].itemsize == 0
            walker.spans[item.section, item.name, field] = span
        for ends in (value_ends, entry_ends):
            walker.alive &= tensor_ends == ends
        walker.alive &= walker.cursors == entry_ends
    walker.alive &= walker.cursors == walker.ends
    return walker.alive, walker.spans


def _tag(number: int) -> bytes:
    return bytes([number << 3 | LENGTH_DELIMITED])


class _Walker:
    """Cursors into the messages. A row whose cursor would leave its message stops being alive; its cursor then means nothing."""

    def __init__(self, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
        self.buffer, self.cursors, self.ends = buffer, starts.copy(), ends
        self.alive = np.ones(len(starts), bool)
        self.spans: dict[tuple[int, str, int] | int, Spans] = {}

    def literal(self, expected: bytes, ends: np.ndarray) -> None:
        """Step over bytes that are the same in every row."""
        self.alive &= _wire.equal_bytes(self.buffer, self.cursors, expected)
        self.cursors = self.cursors + len(expected)
        self.alive &= self.cursors <= ends

    def enter(self, tag: bytes, ends: np.ndarray) -> np.ndarray:
        """Step over tag and length of a message within ``ends``; returns its ends."""
        self.literal(tag, ends)
        sizes, self.cursors = _wire.read_lengths(self.buffer, self.cursors, self.alive)
        inner = self.cursors + sizes
        self.alive &= inner <= ends
        # Rows that are out must not overflow what they add up.
        return np.where(self.alive, inner, self.cursors)

    def leaf(self, tag: bytes, ends: np.ndarray) -> Spans:
        """Step over a field; returns where its content is."""
        inner = self.enter(tag, ends)
        span = Spans(self.cursors, inner - self.cursors)
        self.cursors = inner
        return span

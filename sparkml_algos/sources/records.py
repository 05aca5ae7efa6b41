"""Records of the files of a data source, and the entries in them."""

from __future__ import annotations

from collections.abc import Iterable

from sparkml_algos.formats.errors import FormatError
from sparkml_algos.formats.messages import RawRecord, RawTensor, parse
from sparkml_algos.sources.columns import Slot


def parse_record(payload: bytes, file: str, offset: int) -> RawRecord:
    """The message of a frame; `FormatError` with file and offset where there is none."""
    try:
        return parse(payload)
    except ValueError as error:
        raise FormatError(str(error), file, offset) from error


def entries_of(record: RawRecord, slot: Slot) -> dict[str, RawTensor | list[bytes]]:
    """The map of a record in which a column has its place."""
    return record.labels if slot.is_label else record.features


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(map(repr, sorted(names))) or "nothing"

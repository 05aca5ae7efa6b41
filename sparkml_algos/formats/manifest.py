"""Augmented manifests: JSON Lines whose attributes are sent in the order that a channel names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from sparkml_algos.formats import recordio
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.formats.json_instances import read_lines

REFERENCE = "-ref"


def read(
    source: BinaryIO | bytes, attributes: Sequence[str], fetch: Callable[[str], bytes], *, file: str = "<manifest>"
) -> Iterator[list[bytes]]:
    """The attributes of each line, in the order of ``attributes``.

    Parameters
    ----------
    fetch : callable
        From the URI of an attribute whose name ends in ``-ref`` to the bytes there.

    Raises
    ------
    FormatError
        With the offset of a line that is not an object or lacks an attribute (names are case-sensitive).
    """
    for batch in read_lines(source, file=file):
        for item, offset in zip(batch.items, batch.offsets, strict=True):
            if not isinstance(item, dict):
                raise FormatError(f"expected an object, got {type(item).__name__}", file, offset)
            found = []
            for name in attributes:
                if name not in item:
                    raise FormatError(f"no attribute {name!r}", file, offset)
                value = item[name]
                if name.endswith(REFERENCE):
                    if not isinstance(value, str):
                        raise FormatError(f"{name!r} must be a URI", file, offset)
                    found.append(fetch(value))
                else:
                    found.append(_text(value, file, offset))
            yield found


def _text(value: Any, file: str, offset: int | None) -> bytes:
    try:
        return (value if isinstance(value, str) else json.dumps(value)).encode()
    except UnicodeEncodeError as error:
        raise FormatError(f"half of a surrogate pair: {error.reason}", file, offset) from error


def stream(samples: Iterator[list[bytes]], *, wrapper: str = "RecordIO") -> Iterator[bytes]:
    """The bytes of a channel: every attribute in a frame of its own, or with wrapper ``None`` back to back."""
    if wrapper not in ("RecordIO", "None"):
        raise ValueError(f"wrapper must be 'RecordIO' or 'None', got {wrapper!r}")
    for sample in samples:
        for data in sample:
            yield recordio.frame(data) if wrapper == "RecordIO" else data

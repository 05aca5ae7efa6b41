"""Image RecordIO: a header with label and index before the encoded image, and the ``.lst`` and ``.idx`` files beside it."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from sparkml_algos.formats import recordio
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.formats.lines import lines_of, read_line_blocks

# flag, label, index, high part of the index.
HEADER = struct.Struct("<IfQQ")
DETECTION_HEADER, OBJECT_WIDTH = 2, 5


@dataclass(frozen=True)
class ImageRecord:
    """One image: labels of float32, (labels,), and bytes of JPEG or PNG; ``scalar`` if the label is in the header itself."""

    index: int
    labels: np.ndarray
    image: bytes
    scalar: bool = True


class ListEntry(NamedTuple):
    """One line of a ``.lst`` file."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    labels: np.ndarray
    path: str


def pack(record: ImageRecord) -> bytes:
    """The payload of one record."""
    labels = np.asarray(record.labels, "<f4").reshape(-1)
    low, high = record.index & (1 << 64) - 1, record.index >> 64
    if record.scalar and len(labels) == 1:
        return HEADER.pack(0, float(labels[0]), low, high) + record.image
    return HEADER.pack(len(labels), 0.0, low, high) + labels.tobytes() + record.image


def unpack(payload: bytes, *, file: str = "<bytes>", offset: int | None = None) -> ImageRecord:
    """The inverse of `pack`; `FormatError` where the payload is shorter than its header says."""
    if len(payload) < HEADER.size:
        raise FormatError(f"an image record has at least {HEADER.size} bytes, got {len(payload)}", file, offset)
    flag, label, low, high = HEADER.unpack_from(payload)
    end = HEADER.size + 4 * flag
    if end > len(payload):
        raise FormatError(f"{flag} labels in a record of {len(payload)} bytes", file, offset)
    labels = np.frombuffer(payload, "<f4", flag, HEADER.size) if flag else np.array([label], np.float32)
    return ImageRecord(low | high << 64, labels, payload[end:], flag == 0)


def read(source: BinaryIO | bytes, *, file: str = "<stream>", block_bytes: int = recordio.BLOCK_BYTES) -> Iterator[ImageRecord]:
    """The images of a file, one after the other."""
    for frames in recordio.read_blocks(source, file=file, block_bytes=block_bytes):
        for number in range(len(frames)):
            yield unpack(frames.payload(number), file=file, offset=int(frames.offsets[number]))


def write(file: BinaryIO, records: Iterable[ImageRecord], index: BinaryIO | None = None) -> None:
    """Frames of images, split at the magic word; ``index`` gets the ``.idx`` lines. Offsets count from where ``file`` stands now."""
    offset = 0
    for record in records:
        data = recordio.split_frames(pack(record))
        if index is not None:
            index.write(f"{record.index}\t{offset}\n".encode())
        file.write(data)
        offset += len(data)


def pack_list(entries: Iterable[ListEntry], root: Path) -> Iterator[ImageRecord]:
    """Records of the images that a list names, with all label columns."""
    for entry in entries:
        yield ImageRecord(entry.index, entry.labels, (root / entry.path).read_bytes(), len(entry.labels) == 1)


def read_list(source: BinaryIO | bytes, *, file: str = "<bytes>") -> Iterator[ListEntry]:
    """Lines of a ``.lst`` file; `FormatError` on one that is not index, labels, path or repeats an index."""
    seen: set[int] = set()
    for block, base in read_line_blocks(source, file=file):
        for line, offset in lines_of(block, base):
            try:
                index, *labels, path = line.decode().split("\t")
                entry = ListEntry(int(index), np.array(list(map(float, labels)), np.float64).astype(np.float32), path)
            except ValueError as error:
                raise FormatError(f"not 'index<TAB>labels<TAB>path': {error}", file, offset) from error
            if not labels or entry.index in seen or entry.index < 0:
                raise FormatError("no label" if not labels else f"index {entry.index} is negative or there already", file, offset)
            seen.add(entry.index)
            yield entry


def write_list(entries: Iterable[ListEntry]) -> bytes:
    """The text of a ``.lst`` file."""
    return b"".join("\t".join([str(index), *map(_text, labels.tolist()), path]).encode() + b"\n" for index, labels, path in entries)


def _text(label: float) -> str:
    if not math.isfinite(label):
        raise FormatError(f"a label must be finite, got {label}")
    return str(int(label)) if label == int(label) else str(np.float32(label))


def read_index(source: BinaryIO | bytes, *, file: str = "<bytes>") -> dict[int, int]:
    """Image index to byte offset, from an ``.idx`` file."""
    found = {}
    for block, base in read_line_blocks(source, file=file):
        for line, offset in lines_of(block, base):
            try:
                index, position = map(int, line.split(b"\t"))
            except ValueError as error:
                raise FormatError(f"not 'index<TAB>offset': {error}", file, offset) from error
            found[index] = position
    return found


def objects(labels: Sequence[float] | np.ndarray, *, file: str = "<bytes>", offset: int | None = None) -> np.ndarray:
    """Boxes of a detection label, (objects, object width): class, xmin, ymin, xmax, ymax, …"""
    labels = np.asarray(labels, np.float32)
    sizes = labels[:DETECTION_HEADER]
    if len(sizes) < DETECTION_HEADER or not (np.isfinite(sizes).all() and (sizes == np.floor(sizes)).all()):
        raise FormatError("a detection label begins with header width and object width", file, offset)
    header, width = map(int, sizes)
    if header < DETECTION_HEADER or width < OBJECT_WIDTH or header > len(labels) or (len(labels) - header) % width:
        raise FormatError(f"{len(labels)} numbers are not a header of {header} and objects of {width}", file, offset)
    return labels[header:].reshape(-1, width)


def detection_label(boxes: np.ndarray) -> np.ndarray:
    """The inverse of `objects`, for boxes of shape (objects, object width)."""
    boxes = np.asarray(boxes, np.float32)
    return np.concatenate([np.array([DETECTION_HEADER, boxes.shape[1]], np.float32), boxes.reshape(-1)])

"""RecordIO: payloads between a magic word, a length and padding.

A frame is ``magic, flag and length, payload, zeros to the next multiple of 4``, integers little-endian. Flag 0 is a whole record; 1, 2
and 3 are the first, middle and last part of one that was split at the magic word, which goes back in between the parts.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar, cast

import numpy as np

from sparkml_algos.formats.errors import FormatError

MAGIC = 0xCED7230A
MAGIC_BYTES = struct.pack("<I", MAGIC)
HEADER = struct.Struct("<II")
LENGTH_BITS = 29
LENGTH_MASK = (1 << LENGTH_BITS) - 1
WHOLE, FIRST, MIDDLE, LAST = range(4)
GZIP_MAGIC = b"\x1f\x8b"
BLOCK_BYTES = 8 << 20
PIECE_BYTES = 256 << 10

_Lengths = TypeVar("_Lengths", int, np.ndarray)


@dataclass(frozen=True)
class Frames:
    """Records of one block of a file.

    Attributes
    ----------
    buffer : ndarray of uint8
        Holds the payloads.
    starts, lengths : ndarray of int64, (records,)
        Where in the buffer, without padding.
    offsets : ndarray of int64, (records,)
        Where in the file the (first) frame of each begins.
    file : str
    """

    buffer: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    offsets: np.ndarray
    file: str

    def __len__(self) -> int:
        return len(self.starts)

    def payload(self, index: int) -> bytes:
        """The bytes of one record."""
        start = int(self.starts[index])
        return self.buffer[start : start + int(self.lengths[index])].tobytes()

    def __getitem__(self, part: slice) -> Frames:
        return Frames(self.buffer, self.starts[part], self.lengths[part], self.offsets[part], self.file)


def open_stream(source: BinaryIO | bytes) -> BinaryIO:
    """A buffered binary stream over bytes or a file object; gzip is recognised by its first two bytes."""
    file = io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source
    peekable = file if isinstance(file, io.BufferedReader) else io.BufferedReader(_Raw(file))
    return cast(BinaryIO, gzip.GzipFile(fileobj=peekable) if peekable.peek(2)[:2] == GZIP_MAGIC else peekable)


class _Raw(io.RawIOBase):
    """Any object with ``read`` as the raw end of a buffered reader; closing it leaves the object open."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def read_blocks(source: BinaryIO | bytes, *, file: str = "<bytes>", block_bytes: int = BLOCK_BYTES, base: int = 0) -> Iterator[Frames]:
    """The records of a file, about ``block_bytes`` at a time (more where one record is larger).

    Parameters
    ----------
    source : binary file or bytes
    file : str
        Its name, for messages.
    block_bytes : int
    base : int
        Where in the file the source begins, if it is a part of one: offsets count from the file's start.

    Raises
    ------
    FormatError
        On a wrong magic word, a truncated frame, parts out of order or a damaged gzip stream.
    """
    stream, pending = open_stream(source), b""
    want = block_bytes
    while True:
        data = read_some(stream, want, file, base + len(pending))
        pending += data
        if not pending:
            return
        frames, used = scan(pending, file=file, base=base)
        if len(frames):
            yield frames
        if not data:
            if used < len(pending):
                raise FormatError("truncated frame: the file ends within it", file, base + used)
            return
        pending, base = pending[used:], base + used
        # A record larger than the block: read twice as much each time, so that the bytes are not copied again and again.
        want = max(block_bytes, len(pending))


def read_body(data: bytes, *, file: str = "<bytes>") -> list[Frames]:
    """The records of a whole body, gzip or not; errors as `read_blocks`. What is not compressed is not copied."""
    if data[:2] == GZIP_MAGIC:
        return list(read_blocks(data, file=file, block_bytes=max(len(data), 1)))
    frames, used = scan(data, file=file)
    if used < len(data):
        raise FormatError("truncated frame: the file ends within it", file, used)
    return [frames] if len(frames) else []


def read_some(stream: BinaryIO, size: int, file: str, offset: int) -> bytes:
    """Up to ``size`` bytes of a stream; `FormatError` where its gzip is damaged."""
    try:
        pieces = []
        # A buffered reader allocates what it is asked for, however little there is.
        while size > 0 and (piece := stream.read(min(size, PIECE_BYTES))):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FormatError(f"damaged gzip stream: {error}", file, offset) from error


def scan(data: bytes, *, file: str = "<bytes>", base: int = 0) -> tuple[Frames, int]:
    """The complete records at the start of ``data``, and how many bytes they take."""
    buffer = np.frombuffer(data, np.uint8)
    starts, lengths, flags = _scan_at_once(buffer) or _scan_one_by_one(data, file, base)
    offsets = starts - HEADER.size
    if flags.any():
        return _join(buffer, starts, lengths, flags, file, base)
    used = int(starts[-1] + _padded(lengths[-1])) if len(starts) else 0
    return Frames(buffer, starts, lengths, offsets + base, file), used


def _scan_at_once(buffer: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Every place of the magic word, if each is where the frame before it ends; None if that does not settle it."""
    words = buffer[: len(buffer) // 4 * 4].view("<u4")
    if len(words) < HEADER.size // 4:
        return None
    distance = (HEADER.size + _padded(int(words[1]) & LENGTH_MASK)) // 4
    if (words[::distance] == MAGIC).all() and (words[1::distance] == words[1]).all() and len(words) % distance == 0:
        starts = np.arange(HEADER.size, len(buffer), distance * 4)
        return starts, np.full(len(starts), int(words[1]) & LENGTH_MASK), np.full(len(starts), int(words[1]) >> LENGTH_BITS)
    found = np.flatnonzero(words == MAGIC)
    found = found[found + 1 < len(words)]
    if not len(found) or found[0]:
        return None
    headers = words[found + 1]
    positions = found.astype(np.int64) * 4
    lengths = (headers & LENGTH_MASK).astype(np.int64)
    following = positions + HEADER.size + _padded(lengths)
    if (following[:-1] != positions[1:]).any() or following[-1] < len(buffer):
        return None
    complete = following <= len(buffer)
    return positions[complete] + HEADER.size, lengths[complete], (headers >> LENGTH_BITS)[complete]


def _scan_one_by_one(data: bytes, file: str, base: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    position, size, found = 0, len(data), []
    while position + HEADER.size <= size:
        magic, header = HEADER.unpack_from(data, position)
        if magic != MAGIC:
            raise FormatError(f"expected the magic word {MAGIC:#010x}, got {magic:#010x}", file, base + position)
        length, start = header & LENGTH_MASK, position + HEADER.size
        if start + _padded(length) > size:
            break
        found.append((start, length, header >> LENGTH_BITS))
        position = start + _padded(length)
    starts, lengths, flags = np.array(found, np.int64).reshape(-1, 3).T
    return starts, lengths, flags


def _join(buffer: np.ndarray, starts: np.ndarray, lengths: np.ndarray, flags: np.ndarray, file: str, base: int) -> tuple[Frames, int]:
    """Records put together from their parts; a record whose last part is not there yet is left for later."""
    pieces: list[bytes] = []
    sizes: list[int] = []
    offsets: list[int] = []
    begun, used = False, 0
    for start, length, flag in zip(starts.tolist(), lengths.tolist(), flags.tolist(), strict=True):
        offset = base + start - HEADER.size
        if flag > LAST or begun != (flag in (MIDDLE, LAST)):
            raise FormatError(f"continuation flag {flag} {'within' if begun else 'outside'} a split record", file, offset)
        part = buffer[start : start + length].tobytes()
        if flag in (WHOLE, FIRST):
            offsets.append(offset)
            sizes.append(length)
            pieces.append(part)
        else:
            sizes[-1] += len(MAGIC_BYTES) + length
            pieces += [MAGIC_BYTES, part]
        begun = flag in (FIRST, MIDDLE)
        if not begun:
            used = start + _padded(length)
    if begun:
        offsets.pop()
        sizes.pop()
    ends = np.cumsum(np.array(sizes, np.int64))
    joined = np.frombuffer(b"".join(pieces), np.uint8)
    sizes_array = np.array(sizes, np.int64)
    return Frames(joined, ends - sizes_array, sizes_array, np.array(offsets, np.int64), file), used


def read_payloads(source: BinaryIO | bytes, *, file: str = "<bytes>", block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """The payload of one record after the other; errors as `read_blocks`."""
    for frames in read_blocks(source, file=file, block_bytes=block_bytes):
        for index in range(len(frames)):
            yield frames.payload(index)


def frame(payload: bytes, flag: int = WHOLE) -> bytes:
    """One frame around a payload."""
    if len(payload) > LENGTH_MASK:
        raise FormatError(f"a payload has at most {LENGTH_MASK} bytes, got {len(payload)}")
    return HEADER.pack(MAGIC, flag << LENGTH_BITS | len(payload)) + payload + b"\0" * (-len(payload) % 4)


def split_frames(payload: bytes) -> bytes:
    """A payload as the image library writes it: split at every magic word on a multiple of 4 bytes, which is left out."""
    parts, begin, at = [], 0, payload.find(MAGIC_BYTES)
    while at >= 0:
        if at % 4 == 0:
            parts.append(payload[begin:at])
            begin = at + len(MAGIC_BYTES)
        at = payload.find(MAGIC_BYTES, at + len(MAGIC_BYTES) if at % 4 == 0 else at + 1)
    parts.append(payload[begin:])
    if len(parts) == 1:
        return frame(payload)
    flags = [FIRST, *[MIDDLE] * (len(parts) - 2), LAST]
    return b"".join(map(frame, parts, flags))


def write_payloads(file: BinaryIO, payloads: Iterable[bytes], *, split: bool = False) -> None:
    """Frames of payloads, with flag 0, or with ``split`` as `split_frames`."""
    for payload in payloads:
        file.write(split_frames(payload) if split else frame(payload))


def _padded(length: _Lengths) -> _Lengths:
    return length + (-length) % 4

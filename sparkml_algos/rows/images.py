"""Images and masks: files as they are, decoded where they are used."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkml_algos.images import decoding
from sparkml_algos.images.ahead import threads_of_task
from sparkml_algos.images.decoding import MAX_PIXELS, UnreadableImage
from sparkml_algos.images.sample import size_with_shorter
from sparkml_algos.rows.kinds import InvalidValue, Kind, Reader

# Images that a thread checks at a time.
_CHECKED_TOGETHER = 16


@dataclass(frozen=True)
class Image(Kind):
    """An image, as an Arrow array of binaries that are not empty: files of JPEG, PNG …, or Spark's ``image`` structs in packed form.

    Rows to train on are decoded once as they arrive, so that one that cannot be decoded is told before training, with its number.

    Parameters
    ----------
    channels : {1, 3}
        Grey, or red, green and blue: what it will be decoded to.
    resize : int, optional
        Length that its shorter side will be brought to.
    least : (int, int), optional
        Height and width that it must then have at least.
    max_pixels : int
        An image of more is refused by its header.
    hint : str
        What to do about one that is too small; follows the message.
    """

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.binary()}

    channels: int = 3
    resize: int | None = None
    least: tuple[int, int] | None = None
    max_pixels: int = MAX_PIXELS
    hint: str = ""
    row_bytes: ClassVar[int] = 1 << 18

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _ImageReader(self, role, names)

    def arrays(self, values: Sequence[bytes | np.ndarray] | np.ndarray) -> dict[str, pa.Array]:
        """Of files, or of arrays of uint8, (height, width, channels)."""
        return {"": pa.array([_packed(value) for value in values], pa.binary())}

    def from_json(self, values: Sequence[str]) -> list[bytes]:
        """JSON has bytes as base64."""
        return [base64.b64decode(value, validate=True) for value in values]

    def problem(self, data: memoryview) -> str | None:
        """What is wrong with an image; None if nothing."""
        try:
            height, width = decoding.check(data, self.channels, max_pixels=self.max_pixels)
        except UnreadableImage as error:
            return f"is no image that can be used: {error},"
        if self.least is None:
            return None
        resized = (height, width) if self.resize is None else size_with_shorter(height, width, self.resize)
        if resized[0] >= self.least[0] and resized[1] >= self.least[1]:
            return None
        brought = "" if self.resize is None else f" ({resized[0]} x {resized[1]} with resize={self.resize})"
        hint = f" ({self.hint})" if self.hint else ""
        return f"has {height} x {width} pixels{brought}, expected at least {self.least[0]} x {self.least[1]}{hint},"


@dataclass(frozen=True)
class Mask(Image):
    """A label for each pixel, as an Arrow array of binaries: files of PNG with a palette or of grey, or ``image`` structs of a channel."""

    def problem(self, data: memoryview) -> str | None:
        try:
            decoding.decode_mask(data, max_pixels=self.max_pixels)
        except UnreadableImage as error:
            return f"is no mask that can be used: {error},"
        return None


class _ImageReader(Reader):
    def __init__(self, kind: Image, role: str, names: Sequence[str]) -> None:
        super().__init__(role, names)
        self._kind = kind

    def read(self, parts: Mapping[str, pa.Array]) -> pa.Array:
        self.refuse_nulls(parts[""])
        found = parts[""].cast(pa.binary())
        empty = np.flatnonzero(pc.equal(pc.binary_length(found), 0).to_numpy(zero_copy_only=False))
        if len(empty):
            raise InvalidValue(f"{self.column} is empty (0 bytes)", int(empty[0]))
        return found

    def empty(self) -> pa.Array:
        return pa.array([], pa.binary())

    def check(self, column: pa.Array) -> None:
        """Decode each image. That finds one that is cut off, which nothing else does."""
        images = list(views(column))
        starts = range(0, len(images), _CHECKED_TOGETHER)
        with ThreadPoolExecutor(threads_of_task()) as pool:
            for start, problems in zip(starts, pool.map(lambda first: self._problems(images, first), starts), strict=True):
                for place, problem in enumerate(problems):
                    if problem is not None:
                        raise InvalidValue(f"{self.column} {problem}", start + place)

    def _problems(self, images: Sequence[memoryview], first: int) -> list[str | None]:
        return [self._kind.problem(data) for data in images[first : first + _CHECKED_TOGETHER]]


def views(column: pa.Array) -> list[memoryview]:
    """The bytes of each row, not copied."""
    return [memoryview(value.as_buffer()) for value in column]


def decoded(column: pa.Array, channels: int = 3, *, of: str = "image", **options: Any) -> list[np.ndarray]:
    """The pixels of each row of a column, for what scores rows.

    Parameters
    ----------
    column : pyarrow.Array of binary
    channels : {1, 3}
    of : str
        What messages call the column.
    **options
        Of `images.decoding.decode`.

    Returns
    -------
    list of ndarray of uint8, shape (height, width, channels)

    Raises
    ------
    InvalidValue
        With the row of an image that cannot be decoded.
    """
    found = []
    for row, data in enumerate(views(column)):
        try:
            found.append(decoding.decode(data, channels, **options))
        except UnreadableImage as error:
            raise InvalidValue(f"{of} is no image that can be used: {error},", row) from None
    return found


def _packed(value: bytes | np.ndarray) -> bytes:
    return decoding.pack_pixels(value) if isinstance(value, np.ndarray) else value

"""Images as the bytes of files, or of Spark's ``image`` struct, and as arrays of their pixels."""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

#: Pixels of an image at most, which is Pillow's own limit: a quarter of a gibibyte at three bytes each.
MAX_PIXELS = (1 << 28) // 3
#: What Spark's ``image`` struct begins with once it is packed into bytes; no file of an image does. Height, width, channels and OpenCV's
#: number of the type follow, 32 bits each with the highest first, and the pixels, blue first.
STRUCT_MAGIC = b"\x00spark\x00i"

# What is opened. Pillow knows more formats, of which some start other programs.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
_STRUCT = struct.Struct(f">{len(STRUCT_MAGIC)}s4I")
# OpenCV's numbers of types with 8 bits a channel, and their channels.
_OPENCV_CHANNELS = {0: 1, 16: 3, 24: 4}
_ORIENTATION = 0x0112  # the tag of EXIF
_SIDEWAYS = (5, 6, 7, 8)  # orientations that swap height and width
# What Pillow multiplies grey of fewer bits than 8 with, by its name of how they lie in a file, so that white is 255.
_SPREAD = {"L;2": 85, "L;4": 17}


class UnreadableImage(ValueError):
    """Bytes that are no image, or not one that may be decoded; the message says why."""


def decode(
    data: bytes | memoryview, channels: int = 3, *, max_pixels: int = MAX_PIXELS, at_least: tuple[int, int] | None = None
) -> np.ndarray:
    """The pixels of an image.

    Images are turned as EXIF says. Palettes, CMYK and 16 bits a channel become 8 bits of red, green and blue, or of grey by the luma of
    ITU-R 601; alpha is left out. Of several frames the first counts.

    Parameters
    ----------
    data : bytes or memoryview
        A file of JPEG, PNG, BMP, GIF, TIFF, WebP or PPM, or what `pack_struct` gives.
    channels : {1, 3}
        Grey, or red, green and blue.
    max_pixels : int
        An image of more is refused by its header, before anything is decoded.
    at_least : (int, int), optional
        Height and width down to which a JPEG may be shrunk as it is decoded: by 2, 4 or 8, which saves most of the time.

    Returns
    -------
    ndarray of uint8, shape (height, width, channels)

    Raises
    ------
    UnreadableImage
        If the bytes are cut off, no image, too large an image, or have more than 16 bits a channel.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, got {channels!r}")
    if _is_struct(data):
        return _with_channels(_of_struct(data, max_pixels), channels)
    with _opened(data, max_pixels) as image:
        if at_least is not None:
            sideways = _orientation(image) in _SIDEWAYS
            image.draft(None, (at_least[0], at_least[1]) if sideways else (at_least[1], at_least[0]))
        image.load()
        orientation = _orientation(image)
        image.info.pop("transparency", None)  # which is left out like alpha, and warned of otherwise
        image, mode = _of_8_bits(image), "L" if channels == 1 else "RGB"
        pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    pixels = pixels[:, :, None] if channels == 1 else pixels
    return np.ascontiguousarray(_turned(pixels, orientation))


def size_of(data: bytes | memoryview, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width that `decode` would give, from the header alone.

    Raises
    ------
    UnreadableImage
        If there is no header of an image, or it is one of too large an image.
    """
    if _is_struct(data):
        height, width, *_ = _struct_header(data, max_pixels)
        return height, width
    with _opened(data, max_pixels) as image:
        sideways = _orientation(image) in _SIDEWAYS
        return image.size if sideways else (image.height, image.width)


def check(data: bytes | memoryview, channels: int = 3, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width of an image that `decode` can read to its end; a JPEG is read to its end, but not all of it computed.

    Raises
    ------
    UnreadableImage
        As `decode` does.
    """
    if _is_struct(data):
        return size_of(data, max_pixels=max_pixels)
    with _opened(data, max_pixels) as image:
        height, width = image.height, image.width
        image.draft(None, (1, 1))
        image.load()
        sideways = _orientation(image) in _SIDEWAYS
        _of_8_bits(image).convert("L" if channels == 1 else "RGB")
    return (width, height) if sideways else (height, width)


def decode_mask(data: bytes | memoryview, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The labels that an image has in place of pixels: of a palette its indices, else the values of grey, of as many bits as it has.

    Returns
    -------
    ndarray of uint8, shape (height, width)

    Raises
    ------
    UnreadableImage
        As `decode` does; if it has several channels, or a value above 255.
    """
    if _is_struct(data):
        pixels = _of_struct(data, max_pixels)
        if pixels.shape[2] != 1:
            raise UnreadableImage(f"it has {pixels.shape[2]} channels, a mask has one")
        return np.ascontiguousarray(pixels[:, :, 0])
    with _opened(data, max_pixels) as image:
        # Which bits there are is known until they are read.
        spread = next((_SPREAD.get(part[3], 1) for part in getattr(image, "tile", ()) if isinstance(part[3], str)), 1)
        image.load()
        if image.mode not in ("P", "L", "1") and not _is_16_bit(image):
            raise UnreadableImage(f"it is of Pillow's mode {image.mode}, a mask has one channel of labels")
        labels = np.asarray(image) // spread if spread > 1 else np.asarray(image)
    if labels.max(initial=0) > 255:
        raise UnreadableImage(f"it has the label {labels.max()}, labels of a mask are from 0 to 255")
    return labels.astype(np.uint8)


def pack_struct(height: int, width: int, channels: int, mode: int, data: bytes) -> bytes:
    """Spark's ``image`` struct as bytes, which `decode` reads.

    Parameters
    ----------
    height, width, channels : int
    mode : int
        OpenCV's number of the type.
    data : bytes
        Row after row, blue first.
    """
    return _STRUCT.pack(STRUCT_MAGIC, *(number & 0xFFFFFFFF for number in (height, width, channels, mode))) + data


def pack_pixels(image: np.ndarray) -> bytes:
    """Pixels as `decode` gives them as bytes that it reads, neither compressed nor changed.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width), (height, width, 1) or (height, width, 3)
    """
    image = _checked(image)
    height, width, channels = image.shape
    mode = {count: mode for mode, count in _OPENCV_CHANNELS.items()}[channels]
    return pack_struct(height, width, channels, mode, np.ascontiguousarray(image[:, :, ::-1]).tobytes())


def encode_png(image: np.ndarray) -> bytes:
    """Pixels, or the labels of a mask, as a file of PNG, which keeps them as they are.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width), (height, width, 1) or (height, width, 3)
    """
    return _saved(image, format="PNG")


def encode_jpeg(image: np.ndarray, quality: int = 90) -> bytes:
    """Pixels as a file of JPEG.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width), (height, width, 1) or (height, width, 3)
    quality : int
        From 1 to 95.
    """
    return _saved(image, format="JPEG", quality=quality)


def from_pixels(image: np.ndarray) -> Image:
    """Pillow's image of pixels; it may share their memory."""
    from PIL import Image as pillow

    return pillow.fromarray(image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image)


def _saved(image: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    from_pixels(_checked(image)).save(stream, **options)
    return stream.getvalue()


def _checked(image: np.ndarray) -> np.ndarray:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.ndim == 3 and image.shape[2] not in (1, 3):
        raise ValueError(f"an image is an array of uint8, (height, width) with 1 or 3 channels, got {image.dtype} of shape {image.shape}")
    return image[:, :, None] if image.ndim == 2 else image


@contextmanager
def _opened(data: bytes | memoryview, max_pixels: int) -> Iterator[Image]:
    """An image of which the header has been read."""
    from PIL import Image as pillow

    try:
        with pillow.open(io.BytesIO(data), formats=_formats()) as image:
            _check_size(image.height, image.width, max_pixels)
            yield image
    except UnreadableImage:
        raise
    except pillow.UnidentifiedImageError as error:
        raise UnreadableImage(f"its {len(data)} bytes are no image that is known: {', '.join(_FORMATS)}") from error
    except Exception as error:  # Pillow raises whatever its readers stumble over in bytes that are not what they should be
        raise UnreadableImage(f"it cannot be decoded: {error or type(error).__name__}") from error


@functools.cache
def _formats() -> list[str]:
    """Those that this Pillow was built with."""
    from PIL import Image as pillow

    pillow.init()
    return [name for name in _FORMATS if name in pillow.OPEN]


def _check_size(height: int, width: int, max_pixels: int) -> None:
    if not 0 < height * width <= max_pixels:
        raise UnreadableImage(f"it has {height} x {width} pixels, and may have from 1 to {max_pixels}")


def _orientation(image: Image) -> int:
    """How EXIF says an image is turned; 1 of one that is not. Pillow turns TIFF itself, whose size is told as if that were done."""
    if image.format == "TIFF" or not any(name in image.info for name in ("exif", "Raw profile type exif")):
        return 1
    return image.getexif().get(_ORIENTATION, 1)


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels turned upright, by what EXIF calls where their first row and column are."""
    if orientation in _SIDEWAYS:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def _is_16_bit(image: Image) -> bool:
    """Whether it has 16 bits of grey; some versions of Pillow have those of PNG in 32."""
    return image.mode.startswith("I;16") or image.mode == "I" and image.format in ("PNG", "PPM")


def _of_8_bits(image: Image) -> Image:
    if _is_16_bit(image):
        from PIL import Image as pillow

        return pillow.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UnreadableImage(f"it has 32 bits a channel (Pillow's mode {image.mode}), at most 16 can be read")
    return image


def _is_struct(data: bytes | memoryview) -> bool:
    return bytes(data[: len(STRUCT_MAGIC)]) == STRUCT_MAGIC


def _struct_header(data: bytes | memoryview, max_pixels: int) -> tuple[int, int, int]:
    """Height, width and channels of a packed struct, checked against its length."""
    if len(data) < _STRUCT.size:
        raise UnreadableImage(f"its {len(data)} bytes are a struct that is cut off")
    _, height, width, channels, mode = _STRUCT.unpack_from(data)
    if _OPENCV_CHANNELS.get(mode) != channels:
        known = ", ".join(f"{number} of {count} channels" for number, count in _OPENCV_CHANNELS.items())
        mode = mode - (1 << 32) if mode >= 1 << 31 else mode
        raise UnreadableImage(f"its struct has mode {mode} (OpenCV's) and {channels} channels, and may have {known}")
    _check_size(height, width, max_pixels)
    if height * width * channels != len(data) - _STRUCT.size:
        raise UnreadableImage(f"its struct has {len(data) - _STRUCT.size} bytes for {height} x {width} x {channels}")
    return height, width, channels


def _of_struct(data: bytes | memoryview, max_pixels: int) -> np.ndarray:
    """Pixels of a packed struct, red first, without alpha, (height, width, 1 or 3)."""
    shape = _struct_header(data, max_pixels)
    pixels = np.frombuffer(data, np.uint8, offset=_STRUCT.size).reshape(shape)
    return pixels if shape[2] == 1 else pixels[:, :, 2::-1]


def _with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    if channels == pixels.shape[2]:
        return np.ascontiguousarray(pixels)
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    return np.asarray(from_pixels(np.ascontiguousarray(pixels)).convert("L"))[:, :, None]

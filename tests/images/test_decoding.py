"""Bytes of images become their pixels, whatever form they come in; what is no image is told, and what is too large is not decoded."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest

from sparkml_algos.images import decoding
from sparkml_algos.images.decoding import UnreadableImage, check, decode, decode_mask, encode_jpeg, encode_png, pack_struct, size_of

pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (13, 17, 3), np.uint8)
# What JPEG keeps: colours that change slowly.
SMOOTH = (np.add.outer(np.arange(48), np.arange(64))[:, :, None] * [1, 1.5, 0.5] + [20, 30, 90]).astype(np.uint8)


def saved(image: object, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, **options)
    return stream.getvalue()


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A file of PNG by hand."""
    parts = [struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def of(pixels: np.ndarray, **options: object) -> bytes:
    return saved(pillow.fromarray(pixels), **options)


@pytest.mark.parametrize("format_", ["PNG", "BMP", "TIFF", "PPM"])
def test_formats_without_loss_give_the_pixels_they_were_made_of(format_: str) -> None:
    np.testing.assert_array_equal(decode(of(PIXELS, format=format_)), PIXELS)


@pytest.mark.parametrize("format_", ["JPEG", "WEBP"])
def test_formats_with_loss_give_about_these(format_: str) -> None:
    found = decode(of(SMOOTH, format=format_, quality=95)).astype(int)
    assert found.shape == SMOOTH.shape and np.abs(found - SMOOTH).mean() < 4


def test_grey_is_repeated_and_colours_become_luma() -> None:
    grey = PIXELS[:, :, 0]
    np.testing.assert_array_equal(decode(of(grey, format="PNG")), np.repeat(grey[:, :, None], 3, 2))
    np.testing.assert_array_equal(decode(of(grey, format="PNG"), 1), grey[:, :, None])
    luma = PIXELS.astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(decode(of(PIXELS, format="PNG"), 1)[:, :, 0] - luma).max() <= 1


def test_a_palette_gives_its_colours_and_transparency_is_left_out() -> None:
    few = PIXELS // 128 * 255
    palette = pillow.fromarray(few).quantize(8)
    np.testing.assert_array_equal(decode(saved(palette, format="PNG")), np.asarray(palette.convert("RGB")))
    transparent = saved(palette, format="PNG", transparency=bytes([0, 128, 255]))
    np.testing.assert_array_equal(decode(transparent), np.asarray(palette.convert("RGB")))
    alpha = np.concatenate([PIXELS, RANDOM.integers(0, 256, (13, 17, 1), np.uint8)], 2)
    np.testing.assert_array_equal(decode(of(alpha, format="PNG")), PIXELS)


def test_sixteen_bits_become_their_upper_eight() -> None:
    deep = RANDOM.integers(0, 1 << 16, (13, 17), np.uint16)
    for format_ in ("PNG", "TIFF"):
        np.testing.assert_array_equal(decode(of(deep, format=format_), 1)[:, :, 0], deep >> 8)


def test_sixteen_bits_of_three_colours_become_their_upper_eight() -> None:
    deep = RANDOM.integers(0, 1 << 16, (5, 7, 3), np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 7, 5, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    np.testing.assert_array_equal(decode(png_of(chunks)), deep >> 8)


def test_more_than_sixteen_bits_are_refused() -> None:
    with pytest.raises(UnreadableImage, match="32 bits a channel"):
        decode(of(np.ones((4, 4), np.float32), format="TIFF"))


def test_cmyk_of_printers_is_not_inverted() -> None:
    data = saved(pillow.fromarray(SMOOTH).convert("CMYK"), format="JPEG", quality=95)
    assert np.abs(decode(data).astype(int) - SMOOTH).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["PNG", "TIFF", "JPEG"])
def test_images_are_turned_as_exif_says(orientation: int, format_: str) -> None:
    from PIL import ImageOps

    image, exif = pillow.fromarray(SMOOTH), pillow.Exif()
    exif[0x0112] = orientation
    data = saved(image, format=format_, exif=exif, **({"quality": 95} if format_ == "JPEG" else {}))
    with pillow.open(io.BytesIO(data)) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    np.testing.assert_array_equal(decode(data), expected)
    assert size_of(data) == check(data) == expected.shape[:2]


def test_a_jpeg_may_be_decoded_smaller_but_not_too_small() -> None:
    data = encode_jpeg(np.repeat(np.repeat(SMOOTH, 8, 0), 8, 1))
    assert decode(data, at_least=(90, 90)).shape == (96, 128, 3)
    assert decode(data, at_least=(97, 10)).shape == (192, 256, 3)
    assert decode(data, at_least=(1000, 1000)).shape == (384, 512, 3)
    assert decode(encode_png(PIXELS), at_least=(1, 1)).shape == PIXELS.shape


@pytest.mark.parametrize("kept", [0.3, 0.9])
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "BMP", "TIFF"])
def test_an_image_that_is_cut_off_is_refused(format_: str, kept: float) -> None:
    data = of(RANDOM.integers(0, 256, (64, 64, 3), np.uint8), format=format_)
    cut = data[: int(kept * len(data))]
    for read in (decode, check):
        with pytest.raises(UnreadableImage):
            read(cut)


@pytest.mark.parametrize("data", [b"", b"no image", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\0" * 1000])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    for read in (decode, check, size_of, decode_mask):
        with pytest.raises(UnreadableImage):
            read(data)


def test_damaged_bytes_are_refused_or_decoded_but_nothing_else_happens() -> None:
    data = bytearray(encode_png(PIXELS))
    for _ in range(300):
        damaged = bytearray(data)
        for place in RANDOM.integers(0, len(data), 3):
            damaged[place] = RANDOM.integers(256)
        try:
            assert decode(bytes(damaged)).dtype == np.uint8
        except UnreadableImage:
            continue


def test_a_bomb_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = png_of([(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")])
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: pytest.fail("it was decoded"))
    for read in (decode, check, size_of, decode_mask):
        with pytest.raises(UnreadableImage, match=r"pixels|bomb"):
            read(data)
    with pytest.raises(UnreadableImage, match="13 x 17 pixels, and may have from 1 to 100"):
        decode(encode_png(PIXELS), max_pixels=100)


@pytest.mark.parametrize(("channels", "mode"), [(1, 0), (3, 16), (4, 24)])
def test_the_struct_of_sparks_source_has_blue_first(channels: int, mode: int) -> None:
    pixels = RANDOM.integers(0, 256, (13, 17, channels), np.uint8)
    data = pack_struct(13, 17, channels, mode, pixels.tobytes())
    expected = np.repeat(pixels, 3, 2) if channels == 1 else pixels[:, :, 2::-1]
    np.testing.assert_array_equal(decode(data), expected)
    assert size_of(data) == check(data) == (13, 17)
    np.testing.assert_array_equal(decode(data, 1), decode(encode_png(np.ascontiguousarray(expected)), 1))


def test_a_struct_of_what_could_not_be_read_or_of_other_bytes_is_refused() -> None:
    with pytest.raises(UnreadableImage, match="mode -1"):
        decode(pack_struct(-1, -1, -1, -1, b""))
    with pytest.raises(UnreadableImage, match="5 bytes for 2 x 2 x 3"):
        decode(pack_struct(2, 2, 3, 16, b"12345"))
    with pytest.raises(UnreadableImage, match="pixels"):
        decode(pack_struct(1 << 20, 1 << 20, 3, 16, b""))


def test_pixels_come_back_from_how_they_are_packed() -> None:
    for pixels in (PIXELS, PIXELS[:, :, :1]):
        np.testing.assert_array_equal(decode(decoding.pack_pixels(pixels), pixels.shape[2]), pixels)


def test_a_mask_keeps_its_labels() -> None:
    labels = RANDOM.integers(0, 12, (13, 17), np.uint8)
    np.testing.assert_array_equal(decode_mask(encode_png(labels)), labels)
    palette = pillow.fromarray(labels)
    palette = palette.convert("P")
    palette.putpalette(RANDOM.integers(0, 256, 768, np.uint8).tolist())
    np.testing.assert_array_equal(decode_mask(saved(palette, format="PNG")), np.asarray(palette))
    np.testing.assert_array_equal(decode_mask(of(labels.astype(np.uint16), format="PNG")), labels)
    np.testing.assert_array_equal(decode_mask(pack_struct(13, 17, 1, 0, labels.tobytes())), labels)
    np.testing.assert_array_equal(decode_mask(saved(pillow.fromarray(labels > 5), format="PNG")), labels > 5)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", [0, 3], ids=["grey", "palette"])
def test_labels_of_few_bits_are_what_these_say(depth: int, kind: int) -> None:
    """As programs that make files of PNG smaller leave them."""
    labels = (np.arange(32).reshape(4, 8) % (1 << depth)).astype(np.uint8)
    bits = np.unpackbits(labels[:, :, None], axis=2)[:, :, 8 - depth :].reshape(4, -1)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    palette = [(b"PLTE", bytes(3 << depth))] if kind == 3 else []
    header = struct.pack(">IIBBBBB", 8, 4, depth, kind, 0, 0, 0)
    data = png_of([(b"IHDR", header), *palette, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])
    np.testing.assert_array_equal(decode_mask(data), labels)


def test_a_mask_of_colours_or_large_labels_is_refused() -> None:
    with pytest.raises(UnreadableImage, match="a mask has one channel"):
        decode_mask(encode_png(PIXELS))
    with pytest.raises(UnreadableImage, match="a mask has one"):
        decode_mask(pack_struct(1, 1, 3, 16, b"123"))
    with pytest.raises(UnreadableImage, match="has the label 300"):
        decode_mask(of(np.full((4, 4), 300, np.uint16), format="PNG"))

"""RecordIO framing, images with their lists, and augmented manifests."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest

from sparkml_algos.formats import FormatError, images, manifest, recordio
from sparkml_algos.formats.images import ImageRecord, ListEntry

MAGIC = recordio.MAGIC_BYTES


def test_a_payload_with_the_magic_word_is_split_as_the_specification_says():
    payload = b"AAAA" + MAGIC + b"BBBB"
    stored = bytes.fromhex("0a23d7ce 04000020 41414141 0a23d7ce 04000060 42424242")
    assert recordio.split_frames(payload) == stored
    assert list(recordio.read_payloads(stored)) == [payload]


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 1 << 20])
def test_frames_read_back_whatever_the_block(block_bytes):
    random = np.random.default_rng(2)
    choices = [MAGIC, b"x", b"abcd", b"\0\0"]
    payloads = [b"".join(choices[i] for i in random.integers(0, 4, random.integers(0, 12))) for _ in range(200)]
    for split in (True, False):
        file = io.BytesIO()
        recordio.write_payloads(file, payloads, split=split)
        assert list(recordio.read_payloads(file.getvalue(), block_bytes=block_bytes)) == payloads


@pytest.mark.parametrize("damage, offset", [(lambda d: d[:-1], 12), (lambda d: d[:17], 12), (lambda d: d[:12] + b"x" + d[13:], 12)])
def test_damaged_frames_are_named_by_file_and_offset(damage, offset):
    data = recordio.frame(b"abc") + recordio.frame(b"defg")
    with pytest.raises(FormatError, match="part-1") as caught:
        list(recordio.read_payloads(damage(data), file="part-1"))
    assert caught.value.offset == offset


@pytest.mark.parametrize("nothing", [b"", gzip.compress(b"", mtime=0)])
def test_no_bytes_are_no_records_images_entries_or_samples(nothing):
    assert list(recordio.read_payloads(nothing)) == list(images.read(nothing)) == list(images.read_list(nothing)) == []
    assert images.read_index(nothing) == {} and list(manifest.read(nothing, ["source-ref"], str.encode)) == []
    written, index = io.BytesIO(), io.BytesIO()
    images.write(written, [], index)
    assert written.getvalue() == index.getvalue() == images.write_list([]) == b""
    assert images.objects(images.detection_label(np.empty((0, 5)))).shape == (0, 5)


def test_image_header_of_the_specification():
    payload = images.pack(ImageRecord(7, np.array([3]), b"jpeg"))
    assert payload == bytes.fromhex("00000000 00004040 0700000000000000 0000000000000000") + b"jpeg"


def test_images_labels_and_index_round_trip(tmp_path):
    boxes = np.array([[0, 0.1, 0.2, 0.5, 0.9], [1, 0, 0, 1, 1]], np.float32)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(MAGIC + name.encode() + MAGIC * 3)
    entries = [ListEntry(0, np.array([3], np.float32), "a.jpg"), ListEntry(2, images.detection_label(boxes), "b.jpg")]
    listed = list(images.read_list(images.write_list(entries)))
    file, index = io.BytesIO(), io.BytesIO()
    images.write(file, images.pack_list(listed, tmp_path), index)
    first, second = images.read(file.getvalue())
    assert first.labels.tolist() == [3] and first.scalar and first.image == (tmp_path / "a.jpg").read_bytes()
    np.testing.assert_array_equal(images.objects(second.labels), boxes)
    offsets = images.read_index(index.getvalue())
    assert next(images.read(file.getvalue()[offsets[2] :])).image == second.image


def test_manifest_sends_named_attributes_in_order():
    line = b'{"class":"1","source-ref":"u","boxes":{"n":[1, 2]},"class-metadata":{}}\n'
    (sample,) = manifest.read(line, ["source-ref", "class", "boxes"], lambda uri: uri.encode() * 2)
    assert sample == [b"uu", b"1", b'{"n": [1, 2]}']
    assert b"".join(manifest.stream(iter([sample[:2]]))) == recordio.frame(b"uu") + recordio.frame(b"1")
    assert b"".join(manifest.stream(iter([sample[:2]]), wrapper="None")) == b"uu1"
    with pytest.raises(FormatError, match="no attribute 'Class'"):
        list(manifest.read(line, ["Class"], bytes))

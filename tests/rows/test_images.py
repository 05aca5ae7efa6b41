"""Images and masks as columns: read as they are, looked at once as they arrive, told by row; sets of classes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("PIL", reason="Pillow is not installed")

from sparkml_algos.images.decoding import encode_jpeg, encode_png, pack_struct
from sparkml_algos.rows.classes import ClassSet
from sparkml_algos.rows.decoder import Decoder, record_batches
from sparkml_algos.rows.fields import Field, Source
from sparkml_algos.rows.images import Image, Mask, decoded
from sparkml_algos.rows.kinds import InvalidRows, InvalidValue, Kind
from sparkml_algos.rows.shard import Shard

RANDOM = np.random.default_rng(0)
PIXELS = [RANDOM.integers(0, 256, (8, 10, 3), np.uint8) for _ in range(50)]
FILES = [encode_png(image) for image in PIXELS]


def decoder_of(kind: Kind, role: str = "image") -> Decoder:
    return Decoder([Source(Field(role, kind, "Image."), ["picture"])])


def shard_of(kind: Kind, values: list, rows: int = 20, role: str = "image", **options: object) -> Shard:
    return Shard(record_batches([Field(role, kind, "Image.")], {role: values}, rows), decoder_of(kind, role), **options)


@pytest.mark.parametrize("form", ["files", "arrays", "structs"])
def test_a_shard_holds_the_bytes_and_gives_back_what_was_put_in(form: str) -> None:
    structs = [pack_struct(8, 10, 3, 16, np.ascontiguousarray(image[:, :, ::-1]).tobytes()) for image in PIXELS]
    shard = shard_of(Image(), {"files": FILES, "arrays": PIXELS, "structs": structs}[form])
    found = [image for batch in shard.batches() for image in decoded(batch.image)]
    np.testing.assert_array_equal(found, PIXELS)
    assert shard.batches().__next__().nbytes < 2 * sum(map(len, FILES if form == "files" else structs))


@pytest.mark.parametrize("mode", ["File", "Pipe"])
def test_images_are_spilled_and_piped(mode: str) -> None:
    shard = shard_of(Image(), FILES, input_mode=mode, passes=2, max_bytes=3000)
    for epoch in range(2):
        seen = [bytes(image.as_buffer()) for batch in shard.minibatches(epoch, iter([7] * 8)) for image in batch.image]
        assert sorted(seen) == sorted(FILES)
    assert shard.is_spilled


BAD = {
    "null": (None, "image column 'picture' is null in row 33"),
    "empty": (b"", r"image column 'picture' is empty \(0 bytes\) in row 33"),
    "no image": (b"hello", "image column 'picture' is no image that can be used: its 5 bytes are no image that is known.* in row 33"),
    "cut off": (
        encode_jpeg(np.zeros((99, 99, 3), np.uint8))[:-30],
        "image column 'picture' is no image that can be used: it cannot be decoded",
    ),
    "too small": (encode_png(PIXELS[0][:7]), r"image column 'picture' has 7 x 10 pixels, expected at least 8 x 10 \(a hint\), in row 33"),
    "not read": (pack_struct(-1, -1, -1, -1, b""), "its struct has mode -1"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("mode", ["File", "Pipe"])
def test_what_cannot_be_used_is_told_by_row_as_it_arrives(what: str, mode: str) -> None:
    bad, message = BAD[what]
    values = [*FILES[:33], bad, *FILES[34:]]
    with pytest.raises(InvalidRows, match=message):
        shard_of(Image(least=(8, 10), hint="a hint"), values, input_mode=mode).drain()


def test_what_is_resized_is_measured_afterwards() -> None:
    shard_of(Image(resize=16, least=(16, 16)), FILES)
    with pytest.raises(InvalidRows, match=r"has 8 x 10 pixels \(4 x 5 with resize=4\), expected at least 8 x 8, in row 0"):
        shard_of(Image(resize=4, least=(8, 8)), FILES)


def test_rows_that_are_scored_are_not_looked_at_and_told_where_they_are_decoded() -> None:
    decoder = decoder_of(Image())
    first, second = record_batches([Field("image", Image(), "Image.")], {"image": [*FILES[:30], b"hello"]}, 16)
    assert len(decoder(first)) == 16
    batch = decoder(second)
    with pytest.raises(InvalidRows, match="in row 30"), decoder.naming_rows():
        decoded(batch.image, of="image column 'picture'")
    with pytest.raises(InvalidValue) as caught:
        decoded(batch.image)
    assert caught.value.row == 14


def test_rows_that_are_read_again_are_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    shard = shard_of(Image(), FILES, max_bytes=3000)
    monkeypatch.setattr("sparkml_algos.images.decoding.check", lambda *a, **b: pytest.fail("it was looked at"))
    assert sum(map(len, shard.batches())) == 50


def test_masks_are_labels() -> None:
    labels = [image[:, :, 0] for image in PIXELS]
    shard = shard_of(Mask(), [encode_png(label) for label in labels])
    assert sum(map(len, shard.batches())) == 50
    with pytest.raises(InvalidRows, match=r"is no mask that can be used: .* in row 0"):
        shard_of(Mask(), FILES)


class TestClassSets:
    def read(self, values: list, **options: object) -> np.ndarray:
        shard = shard_of(ClassSet(**options), values, 2, role="label")
        shard.learn([shard.facts])
        return np.concatenate([batch.label for batch in shard.batches()])

    def test_of_flags_and_of_ids(self) -> None:
        flags = [[0, 1, 1], [1, 0, 0], [0, 0, 0]]
        np.testing.assert_array_equal(self.read(flags), flags)
        np.testing.assert_array_equal(self.read([[1, 2], [0], []], classes=3, of_ids=True), flags)

    @pytest.mark.parametrize(
        ("values", "options", "message"),
        [
            ([[0, 1], [1]], {}, "has 1 numbers, expected 2, in row 1"),
            ([[0, 1], [1, 0, 1]], {"classes": 2, "hint": "num_classes=2"}, r"has 3 numbers, expected 2 \(num_classes=2\), in row 1"),
            ([[0, 1], [1, 0.5]], {}, "has 0.5, expected 0 or 1 for each class, in row 1"),
            ([[0], [], [2, 3]], {"classes": 3, "of_ids": True}, "has the class 3, expected integers from 0 to 2, in row 2"),
        ],
    )
    def test_others_are_refused(self, values: list, options: dict, message: str) -> None:
        with pytest.raises(InvalidRows, match=f"label column 'picture' {message}"):
            self.read(values, **options)

    def test_workers_agree_on_the_classes(self) -> None:
        assert ClassSet().merge([{"classes": 3}, {}]) == {"classes": 3}
        with pytest.raises(InvalidRows, match="different numbers of classes: 2, 3"):
            ClassSet().merge([{"classes": 3}, {"classes": 2}])

    def test_rows_without_any_class_that_could_be_are_refused(self) -> None:
        with pytest.raises(InvalidRows, match=r"label column 'picture' is empty, expected 0 or 1 for each class, in row 0"):
            self.read([[], []])

    def test_nulls_are_refused(self) -> None:
        batch = pa.RecordBatch.from_pydict({"label": pa.array([[1.0], None], pa.list_(pa.float32()))})
        with pytest.raises(InvalidRows, match="label column 'picture' is null in row 1"):
            decoder_of(ClassSet(), "label")(batch)

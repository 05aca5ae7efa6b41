"""Parts of images follow what is to be seen, and their attributions add up."""

from __future__ import annotations

import io

import numpy as np
import pytest
from pyspark.sql import functions as F

from sparkml_algos.explain import explain_image, explain_images, superpixels
from sparkml_algos.explain.images import decoded, encoded_png
from sparkml_algos.images.decoding import decode


@pytest.fixture
def square() -> np.ndarray:
    """A red square on green."""
    image = np.zeros((48, 60, 3), np.uint8)
    image[:, :, 1] = 180
    image[12:36, 20:44] = (200, 20, 20)
    return image


def red(images: np.ndarray) -> np.ndarray:
    """How much red there is, and how much green."""
    return images[..., :2].astype(float).mean(axis=(1, 2)) / 255


def test_parts_do_not_cross_edges_and_are_in_one_piece(square):
    from scipy import ndimage

    segments = superpixels(square, 20)
    inside = np.zeros(segments.shape, bool)
    inside[12:36, 20:44] = True
    assert not set(segments[inside]) & set(segments[~inside])
    labels = np.unique(segments)
    assert labels.tolist() == list(range(len(labels))) and 10 <= len(labels) <= 30
    assert all(ndimage.label(segments == label)[1] == 1 for label in labels)


def test_one_colour_is_cut_into_tiles_and_one_part_is_the_whole():
    plain = np.full((40, 40, 3), 9, np.uint8)
    assert np.bincount(superpixels(plain, 16).ravel()).tolist() == [100] * 16
    assert superpixels(plain, 1).max() == 0


def test_attributions_are_those_of_the_parts(square):
    found = explain_image(red, square, num_segments=8, baseline=(0, 0, 0))
    assert found.expected == pytest.approx([0, 0])
    assert found.attributions.sum(axis=0) == pytest.approx(red(square[None])[0])
    for part in range(len(found.attributions)):
        own = square * (found.segments == part)[:, :, None]
        assert found.attributions[part] == pytest.approx(red(own[None])[0], abs=1e-9)
    assert found.heat_map(0)[20, 30] > 0 and found.heat_map(0)[0, 0] == pytest.approx(0, abs=1e-9)


def test_noise_is_the_same_for_the_same_seed(square):
    one, other = (explain_image(red, square, num_samples=100, seed=3).attributions for _ in range(2))
    assert (one == other).all() and (one != explain_image(red, square, num_samples=100, seed=4).attributions).any()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"baseline": "black"}, "baseline is a colour, an image or 'noise'"),
        ({"baseline": (0, 0, 300)}, "three whole numbers from 0 to 255"),
        ({"num_segments": 0}, "num_segments is 1 or more"),
    ],
)
def test_settings_are_checked(square, given, said):
    with pytest.raises(ValueError, match=said):
        explain_image(red, square, **given)


def test_an_image_is_seen_as_a_model_sees_it(square):
    from PIL import Image

    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(square).save(stream, "PNG", exif=exif)
    assert decoded(stream.getvalue()).shape == (60, 48, 3)
    np.testing.assert_array_equal(decoded(stream.getvalue()), decode(stream.getvalue()))


def test_what_is_no_image_is_refused(square):
    with pytest.raises(ValueError, match="uint8 of shape"):
        superpixels(square.astype(float))


class Redness:
    """A model that reads a column of images."""

    def transform(self, dataset):
        score = F.udf(lambda encoded: float(red(decoded(bytes(encoded))[None])[0, 0]), "double")
        return dataset.withColumn("prediction", score("image"))


def test_a_column_of_images_is_explained(spark, square):
    rows = [(1, bytearray(encoded_png(square))), (2, bytearray(encoded_png(square[::-1, :40].copy()))), (3, None)]
    images = spark.createDataFrame(rows, "id int, image binary")
    found = explain_images(Redness(), images, image="image", num_segments=4, baseline=(0, 0, 0)).orderBy("id").collect()
    assert [row["id"] for row in found] == [1, 2]
    wanted = explain_image(lambda batch: red(batch)[:, 0], square, num_segments=4, baseline=(0, 0, 0))
    assert np.array(found[0]["segments"]).tolist() == wanted.segments.tolist()
    assert np.array(found[0]["attributions"]) == pytest.approx(wanted.attributions) and found[0]["expected"] == pytest.approx([0.0])
    with pytest.raises(ValueError, match="'id' is int; images are binary"):
        explain_images(Redness(), images, image="id")
    with pytest.raises(ValueError, match="Redness has no imageCol"):
        explain_images(Redness(), images)


@pytest.mark.parametrize("broken", [b"no image at all", b"", "cut off"])
def test_what_is_no_image_is_named_by_its_row(broken, spark, square):
    whole = encoded_png(square)
    broken = whole[: len(whole) // 2] if broken == "cut off" else broken
    rows = [(0, bytearray(whole)), (1, None), (2, bytearray(broken)), (3, bytearray(whole))]
    images = spark.createDataFrame(rows, "id int, image binary").coalesce(1)
    explained = explain_images(Redness(), images, image="image", num_segments=2, baseline=(0, 0, 0))
    with pytest.raises(Exception, match=r"column 'image' is no image that can be used: .*, in row 2 of partition 0"):
        explained.collect()

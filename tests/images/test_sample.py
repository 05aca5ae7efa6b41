"""Boxes and masks follow an image wherever geometry moves it: a coloured square is where its box and its label say."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("PIL", reason="Pillow is not installed")

from sparkml_algos.images.sample import IGNORED, Sample, affine, crop, flip, pad, resize, resize_shorter, warp

HEIGHT, WIDTH = 60, 80
BOX = (20, 10, 50, 30)  # left, top, right, bottom


def sample() -> Sample:
    image, mask = np.full((HEIGHT, WIDTH, 3), 50, np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
    left, top, right, bottom = BOX
    image[top:bottom, left:right], mask[top:bottom, left:right] = (250, 0, 0), 1
    return Sample(image, np.array([[*BOX, 7, 1]], np.float32), mask)


def edges(where: np.ndarray) -> np.ndarray:
    """The box around what is true."""
    rows, columns = np.nonzero(where)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def assert_together(found: Sample, tolerance: float = 0.0) -> None:
    """The square, its label and its box are at one place."""
    red = (found.image[:, :, 0] > 150) & (found.image[:, :, 1] < 100)
    assert len(found.boxes) == 1 and found.boxes[0, 4:].tolist() == [7, 1]
    np.testing.assert_allclose(edges(red), found.boxes[0, :4], atol=tolerance)
    np.testing.assert_allclose(edges(found.mask == 1), found.boxes[0, :4], atol=tolerance)
    assert found.image.dtype == found.mask.dtype == np.uint8 and found.boxes.dtype == np.float32


@pytest.mark.parametrize(("height", "width"), [(120, 160), (30, 40), (90, 60)])
def test_resized(height: int, width: int) -> None:
    found = resize(sample(), height, width)
    assert (found.height, found.width) == (height, width)
    assert_together(found, 1.0)


def test_resized_to_the_size_that_it_has_it_stays_as_it_is() -> None:
    given = sample()
    assert resize(given, HEIGHT, WIDTH) is given


def test_the_shorter_side_is_resized_and_the_aspect_kept() -> None:
    assert resize_shorter(sample(), 30).image.shape == (30, 40, 3)
    tall = Sample(np.zeros((90, 60, 1), np.uint8))
    assert resize_shorter(tall, 20).image.shape == (30, 20, 1)


def test_cropped() -> None:
    found = crop(sample(), 5, 10, 40, 60)
    assert found.image.shape == (40, 60, 3)
    assert_together(found)


def test_boxes_are_cut_off_and_dropped_by_their_centre() -> None:
    half = crop(sample(), 0, 30, 60, 50)
    assert half.boxes[0, :4].tolist() == [0, 10, 20, 30]
    assert len(crop(sample(), 0, 40, 60, 40).boxes) == 0
    assert crop(sample(), 0, 40, 60, 40, by_centre=False).boxes[0, :4].tolist() == [0, 10, 10, 30]
    assert len(crop(sample(), 0, 55, 60, 25, by_centre=False).boxes) == 0


def test_what_reaches_beyond_is_refused() -> None:
    with pytest.raises(ValueError, match="reach beyond an image of 60 x 80"):
        crop(sample(), 30, 0, 31, 80)
    with pytest.raises(ValueError, match="reach beyond a canvas of 60 x 90"):
        pad(sample(), 0, 11, 60, 90)


def test_padded() -> None:
    found = pad(sample(), 7, 3, 100, 90, fill=(1, 2, 3))
    assert_together(found)
    assert found.image[0, 0].tolist() == [1, 2, 3] and found.mask[0, 0] == IGNORED


def test_flipped_and_back() -> None:
    found = flip(sample())
    assert_together(found)
    again = flip(found)
    np.testing.assert_array_equal(again.image, sample().image)
    np.testing.assert_array_equal(again.boxes, sample().boxes)


@pytest.mark.parametrize("change", [{"aspect": 1.25}, {"scale": 0.5}, {"scale": 1.2}, {"rotation": 90.0}, {"rotation": 180.0}])
def test_warped(change: dict[str, float]) -> None:
    found = warp(sample(), affine(HEIGHT, WIDTH, **change), HEIGHT, WIDTH)
    assert_together(found, 1.0)


def test_a_turned_square_is_within_its_box_and_touches_it() -> None:
    found = warp(sample(), affine(HEIGHT, WIDTH, rotation=10, shear=0.1), HEIGHT, WIDTH, fill=127)
    assert_together(found, 1.5)
    assert found.image[0, 0].tolist() == [127] * 3 and found.mask[0, 0] == IGNORED


def test_rotation_is_to_the_left_and_shear_to_the_right_below() -> None:
    right_of_centre, below_centre = np.array([50, 30, 1]), np.array([40, 40, 1])
    turned = affine(HEIGHT, WIDTH, rotation=90) @ right_of_centre
    np.testing.assert_allclose(turned, [40, 20], atol=1e-9)
    np.testing.assert_allclose(affine(HEIGHT, WIDTH, shear=0.5) @ below_centre, [45, 40])
    np.testing.assert_allclose(affine(HEIGHT, WIDTH) @ below_centre, [40, 40])


def test_without_boxes_and_mask_there_are_none_afterwards() -> None:
    plain = Sample(sample().image)
    for found in (resize(plain, 30, 40), crop(plain, 0, 0, 9, 9), pad(plain, 0, 0, 99, 99), flip(plain), warp(plain, affine(60, 80), 9, 9)):
        assert found.boxes is None and found.mask is None


def test_no_boxes_stay_no_boxes() -> None:
    empty = Sample(sample().image, np.empty((0, 5), np.float32))
    for found in (resize(empty, 30, 40), crop(empty, 0, 0, 9, 9), pad(empty, 0, 0, 99, 99), flip(empty), warp(empty, affine(60, 80), 9, 9)):
        assert found.boxes.shape == (0, 5)

"""Colours move by what is asked, random parts lie within the image, and what is random depends on the generator alone."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

pytest.importorskip("PIL", reason="Pillow is not installed")

from sparkml_algos.images.augmentation import ClassifierAugmentation, TooSmall, random_window
from sparkml_algos.images.colours import jitter, shift_hls
from sparkml_algos.images.decoding import decode, encode_png
from sparkml_algos.images.sample import Sample

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (24, 30, 3), np.uint8)


def by_hand(pixel: np.ndarray, hue: float, saturation: float, lightness: float) -> np.ndarray:
    of_pixel = colorsys.rgb_to_hls(*(pixel / 255))
    if of_pixel[2] == 0:
        saturation = 0
    moved = (of_pixel[0] + hue / 180) % 1, *np.clip([of_pixel[1] + lightness / 255, of_pixel[2] + saturation / 255], 0, 1)
    return np.array(colorsys.hls_to_rgb(*moved)) * 255


@pytest.mark.parametrize("shift", [(0, 0, 0), (36, 0, 0), (-20, 0, 0), (0, 50, 0), (0, -50, 0), (0, 0, 50), (10, -30, 20)])
def test_hue_saturation_and_lightness_move_as_the_standard_library_has_them(shift: tuple[float, float, float]) -> None:
    found = shift_hls(PIXELS, *shift).astype(float)
    expected = np.array([[by_hand(pixel, *shift) for pixel in row] for row in PIXELS])
    assert np.abs(found - expected).max() <= 1


def test_grey_stays_grey_and_moves_in_lightness_alone() -> None:
    grey = PIXELS[:, :, :1]
    np.testing.assert_array_equal(shift_hls(grey, 30, 40, 10), np.minimum(grey.astype(int) + 10, 255))
    repeated = np.repeat(grey, 3, 2)
    np.testing.assert_array_equal(shift_hls(repeated, 30, 40, 0), repeated)


def test_jitter_of_nothing_changes_nothing() -> None:
    np.testing.assert_array_equal(jitter(PIXELS), PIXELS)


def test_brightness_is_added_and_contrast_multiplied() -> None:
    expected = np.clip(np.round(PIXELS * 0.5 + 20), 0, 255)
    assert np.abs(jitter(PIXELS, brightness=20, contrast=0.5) - expected).max() <= 1


def test_no_saturation_is_grey_and_a_turn_of_hue_keeps_the_luma() -> None:
    assert np.abs(jitter(PIXELS, saturation=0).astype(int) - decode(encode_png(PIXELS), 1)).max() <= 1
    muted = (PIXELS // 4 + 96).astype(np.uint8)  # so that nothing is cut off
    turned = jitter(muted, hue=120)
    assert np.abs(turned.astype(float) @ [0.299, 0.587, 0.114] - muted @ [0.299, 0.587, 0.114]).max() <= 1.5
    assert np.abs(jitter(muted, hue=360).astype(int) - muted).max() <= 1


def test_random_windows_lie_within_the_image_and_reach_its_corners() -> None:
    found = np.array([random_window(RANDOM, 12, 20, 9, 16) for _ in range(500)])
    assert found.min(0).tolist() == [0, 0] and found.max(0).tolist() == [3, 4]


@pytest.mark.parametrize("kind", ["crop", "crop_color", "crop_color_transform"])
def test_what_is_random_depends_on_the_generator_alone(kind: str) -> None:
    augment = ClassifierAugmentation(kind, 16, 20, padding=2)
    first, again, other = (augment(Sample(PIXELS), np.random.default_rng(seed)).image for seed in (3, 3, 4))
    assert first.shape == (16, 20, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_half_of_the_images_are_mirrored_and_crops_are_parts() -> None:
    ramp = np.broadcast_to(np.arange(30, dtype=np.uint8)[None, :, None], (24, 30, 1))
    augment = ClassifierAugmentation("crop", 16, 20)
    found = [augment(Sample(ramp), np.random.default_rng(seed)).image for seed in range(400)]
    mirrored = sum(image[0, 0, 0] > image[0, -1, 0] for image in found)
    assert 150 < mirrored < 250
    assert {int(abs(int(image[0, -1, 0]) - int(image[0, 0, 0]))) for image in found} == {19}


def test_without_a_kind_or_a_generator_the_middle_is_taken() -> None:
    for augment in (ClassifierAugmentation(None, 16, 20), ClassifierAugmentation("crop_color_transform", 16, 20, padding=4)):
        np.testing.assert_array_equal(augment(Sample(PIXELS)).image, PIXELS[4:20, 5:25])
    resized = ClassifierAugmentation("crop", 16, 16, resize=16)(Sample(PIXELS))
    assert resized.image.shape == (16, 16, 3)


def test_an_image_that_is_too_small_is_refused_padding_or_not() -> None:
    for augment in (ClassifierAugmentation(None, 25, 20), ClassifierAugmentation("crop", 25, 20, padding=8)):
        with pytest.raises(TooSmall, match="24 x 30 pixels, smaller than the 25 x 20"):
            augment(Sample(PIXELS), RANDOM)

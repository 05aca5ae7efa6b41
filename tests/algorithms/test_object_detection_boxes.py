"""Default boxes, what they are matched with, and random views of images: arrays alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sparkml_algos.algorithms.object_detection import augmentation
from sparkml_algos.algorithms.object_detection.augmentation import augmented, in_window, random_window, seen
from sparkml_algos.algorithms.object_detection.default_boxes import (
    Matcher,
    decoded,
    default_boxes,
    encoded,
    maps_of_boxes,
    to_centres,
    to_corners,
)
from sparkml_algos.algorithms.object_detection.detecting import Candidates, Suppression, found_boxes
from sparkml_algos.algorithms.object_detection.settings import RESNET50, VGG16, map_sides
from sparkml_algos.arrays.boxes import intersection_over_union
from sparkml_algos.images.decoding import decode, encode_jpeg, encode_png
from tests.toys.scenes import scenes

RANDOM = np.random.default_rng(0)


def corners(count, random=RANDOM):
    start = random.uniform(0, 0.7, (count, 2))
    return np.concatenate([start, start + random.uniform(0.05, 0.3, (count, 2))], axis=1)


class TestDefaultBoxes:
    @pytest.mark.parametrize(
        ("side", "base", "sides", "boxes"),
        [
            (300, VGG16, [38, 19, 10, 5, 3, 1], 8732),  # SSD300
            (300, RESNET50, [38, 19, 10, 5, 3, 1], 8732),
            (512, VGG16, [64, 32, 16, 8, 4, 2, 1], 24564),  # SSD512
            (512, RESNET50, [64, 32, 16, 8, 4, 2, 1], 24564),
        ],
    )
    def test_there_are_as_many_as_in_the_paper(self, side, base, sides, boxes):
        assert map_sides(base, side) == sides
        assert len(default_boxes(maps_of_boxes(sides, side))) == boxes

    def test_scales_are_those_of_the_paper(self):
        maps = maps_of_boxes(map_sides(VGG16, 300), 300)
        np.testing.assert_allclose([one.scale for one in maps], [0.1, 0.2, 0.375, 0.55, 0.725, 0.9])
        assert [one.per_cell for one in maps] == [4, 6, 6, 6, 4, 4]

    def test_boxes_lie_around_the_centres_of_their_cells_row_by_row(self):
        (one,) = maps_of_boxes([2], 64)
        boxes = one.boxes().reshape(2, 2, one.per_cell, 4)
        np.testing.assert_allclose(boxes[0, 1, :, :2], [[0.75, 0.25]] * one.per_cell)
        np.testing.assert_allclose(boxes[1, 0, :, :2], [[0.25, 0.75]] * one.per_cell)
        areas = boxes[..., 2] * boxes[..., 3]
        np.testing.assert_allclose(areas[0, 0, [0, 2, 3]], one.scale**2, rtol=1e-5)
        assert areas[0, 0, 1] > one.scale**2

    @pytest.mark.parametrize("side", range(32, 200, 7))
    @pytest.mark.parametrize("base", [VGG16, RESNET50])
    def test_images_of_any_side_have_maps_down_to_one_cell(self, side, base):
        sides = map_sides(base, side)
        assert sides[-1] == 1 and all(after < before for before, after in itertools.pairwise(sides[1:]))


class TestMatching:
    def boxes(self, side=64):
        return default_boxes(maps_of_boxes(map_sides(VGG16, side), side))

    def test_every_object_has_a_box_and_others_overlap_theirs_enough(self):
        boxes, objects = self.boxes(), corners(7)
        matches = Matcher(boxes).matches(objects)
        assert set(range(7)) <= set(matches.tolist())
        shares = intersection_over_union(objects, to_corners(boxes))
        best = np.flatnonzero(matches >= 0)
        enough = shares[matches[best], best] > 0.5
        assert (~enough).sum() <= 7 and enough.sum() > 0
        assert not (shares[:, matches < 0] > 0.5).any()

    def test_objects_take_boxes_that_no_other_has_taken(self):
        boxes = self.boxes()
        same = np.repeat(corners(1), 3, axis=0)
        matches = Matcher(boxes).matches(same)
        assert {0, 1, 2} <= set(matches.tolist())

    def test_the_largest_overlap_chooses_first(self):
        default = to_centres(np.array([[0, 0, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9]]))
        objects = np.array([[0.0, 0.0, 0.3, 0.4], [0.0, 0.0, 0.39, 0.4]])
        assert Matcher(default).matches(objects).tolist() == [1, 0]

    def test_targets_tell_objects_from_their_boxes_and_back(self):
        boxes, objects = self.boxes(), corners(5)
        labels, offsets = Matcher(boxes).targets(objects, np.array([4, 0, 2, 2, 1]))
        matches = Matcher(boxes).matches(objects)
        kept = matches >= 0
        assert (labels[~kept] == 0).all() and (offsets[~kept] == 0).all()
        assert (labels[kept] == np.array([5, 1, 3, 3, 2])[matches[kept]]).all()
        np.testing.assert_allclose(decoded(offsets, boxes)[kept], objects[matches[kept]], atol=1e-5)

    def test_an_image_without_objects_has_targets_of_nothing(self):
        labels, offsets = Matcher(self.boxes()).targets(np.empty((0, 4)), np.empty(0, int))
        assert not labels.any() and not offsets.any()

    def test_offsets_are_in_their_variances(self):
        box = np.array([[0.5, 0.5, 0.2, 0.1]])
        found = encoded(np.array([[0.42, 0.46, 0.62, 0.56]]), box)
        np.testing.assert_allclose(found, [[0.02 / 0.2 / 0.1, 0.01 / 0.1 / 0.1, 0, 0]], atol=1e-5)
        np.testing.assert_allclose(encoded(np.array([[0.4, 0.45, 0.6, 0.55]]) * [[1, 1, 1, 1]], box), 0, atol=1e-5)


class TestViews:
    def test_the_whole_of_an_image_is_a_square(self):
        image = RANDOM.integers(0, 256, (40, 60, 3), np.uint8)
        assert seen(encode_png(image), 32).shape == (32, 32, 3)

    def test_boxes_follow_what_is_seen(self):
        image = np.zeros((80, 120, 3), np.uint8)
        box = np.array([30, 20, 66, 50])  # left, top, right, bottom
        image[box[1] : box[3], box[0] : box[2]] = 255
        data, fractions = encode_png(image), box[None] / [120, 80, 120, 80]
        random, shown = np.random.default_rng(5), 0
        for _ in range(60):
            pixels, found, kept = augmented(data, fractions, 96, random, 2.0)
            assert pixels.shape == (96, 96, 3) and pixels.dtype == np.uint8
            if not len(kept):
                continue
            left, top, right, bottom = np.rint(found[0] * 96).astype(int)
            bright = pixels.mean(2) > (pixels.mean(2)[top + 2 : bottom - 2, left + 2 : right - 2].mean() + 124) / 2
            inner = pixels[top + 2 : bottom - 2, left + 2 : right - 2].mean()
            if inner < 160 or right - left < 8 or bottom - top < 8:
                continue
            shown += 1
            rows, columns = np.flatnonzero(bright.mean(1) > 0.02), np.flatnonzero(bright.mean(0) > 0.02)
            assert abs(rows[0] - top) <= 2 and abs(rows[-1] + 1 - bottom) <= 2
            assert abs(columns[0] - left) <= 2 and abs(columns[-1] + 1 - right) <= 2
        assert shown > 20

    def test_windows_are_all_parts_or_more(self):
        random, boxes = np.random.default_rng(1), corners(3)
        windows = np.array([random_window(boxes, random, 4.0) for _ in range(400)])
        sizes = windows[:, 2:] - windows[:, :2]
        assert (windows == [0, 0, 1, 1]).all(1).any() and sizes.max() > 2.5 and sizes.min() < 0.5
        assert (sizes <= 4.0 + 1e-9).all() and (sizes > 0.29).all()
        still = np.array([random_window(boxes, random, 1.0) for _ in range(200)])
        assert (still >= 0).all() and (still <= 1).all()

    def test_parts_hold_an_object_whose_centre_is_seen(self):
        random, boxes = np.random.default_rng(2), corners(2)
        for _ in range(200):
            assert len(in_window(boxes, random_window(boxes, random, 1.0))[1])

    def test_a_box_is_cut_off_at_the_window_and_dropped_with_its_centre(self):
        boxes = np.array([[0.4, 0.4, 0.8, 0.6], [0.0, 0.0, 0.3, 0.3]])
        found, kept = in_window(boxes, np.array([0.5, 0.0, 1.0, 1.0]))
        np.testing.assert_allclose(found, [[0.0, 0.4, 0.6, 0.6]])
        assert kept.tolist() == [0]

    def test_an_image_without_objects_is_seen_too(self):
        data = encode_jpeg(RANDOM.integers(0, 256, (50, 70, 3), np.uint8))
        random = np.random.default_rng(3)
        for _ in range(20):
            pixels, found, kept = augmented(data, np.empty((0, 4)), 40, random, 3.0)
            assert pixels.shape == (40, 40, 3) and found.shape == (0, 4) and not len(kept)

    def test_of_an_image_without_objects_no_window_lies_beside_it(self):
        random = np.random.default_rng(4)
        windows = np.array([random_window(np.empty((0, 4)), random, 4.0) for _ in range(2000)])
        assert (windows[:, :2] < 1).all() and (windows[:, 2:] > 0).all() and windows.min() < -1

    @pytest.mark.parametrize("start", [0.9999, 0.99, -0.9999, -0.99])
    @pytest.mark.parametrize("side", [16, 200])
    def test_of_a_window_that_an_image_hardly_reaches_into_a_little_is_seen(self, monkeypatch, start, side):
        window, data = np.array([start, start, start + 1, start + 1]), encode_png(np.full((50, 70, 3), 255, np.uint8))
        monkeypatch.setattr(augmentation, "random_window", lambda *arguments: window)
        monkeypatch.setattr(augmentation, "in_other_colours", lambda image, random: image)
        pixels, _, _ = augmented(data, np.empty((0, 4)), side, np.random.default_rng(0), 4.0)
        assert pixels.shape == (side, side, 3) and 1 <= (pixels == 255).all(2).sum() <= 25

    def test_the_same_numbers_give_the_same_view(self):
        (image,), (boxes,) = scenes(1, 7)
        fractions = np.concatenate([boxes[:, 1:3], boxes[:, 1:3] + boxes[:, 3:5]], axis=1) / 64
        one, other = (augmented(image, fractions, 48, np.random.default_rng([1, 2]), 2.0) for _ in range(2))
        assert all(np.array_equal(first, second) for first, second in zip(one, other, strict=True))
        assert decode(image).shape == (64, 64, 3)


class TestDetecting:
    def test_what_is_said_of_default_boxes_becomes_detections(self):
        default = np.array([[0.5, 0.5, 0.4, 0.2], [0.5, 0.5, 0.4, 0.22], [0.1, 0.1, 0.4, 0.4]])
        found = Candidates(
            np.array([[0.9, 0.8, 0.7, 0.4, 0.001]]),
            np.array([[1, 1, 0, 0, 2]]),
            np.array([[0, 1, 0, 2, 2]]),
            np.zeros((1, 5, 4), np.float32),
        )
        (rows,) = found_boxes(found, default, Suppression(0.45, False, 400, 0.01))
        np.testing.assert_allclose(rows, [[1, 0.9, 0.3, 0.4, 0.4, 0.2], [0, 0.7, 0.3, 0.4, 0.4, 0.2], [0, 0.4, 0, 0, 0.3, 0.3]], atol=1e-6)
        (rows,) = found_boxes(found, default, Suppression(0.45, True, 400, 0.01))
        assert rows[:, 1].tolist() == [0.9, 0.4]
        (rows,) = found_boxes(found, default, Suppression(1.0, False, 400, 0.5))
        assert rows[:, 1].tolist() == [0.9, 0.8, 0.7]

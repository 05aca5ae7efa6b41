"""Overlaps of boxes, and suppression, against loops over single pairs."""

from __future__ import annotations

import numpy as np
import pytest

from sparkml_algos.arrays.boxes import intersection_over_union, not_suppressed


def random_boxes(random, *shape):
    corners = random.uniform(0, 10, (*shape, 2))
    return np.concatenate([corners, corners + random.uniform(0.5, 6, (*shape, 2))], axis=-1)


def overlap(one, other):
    """Of two boxes, by the definition."""
    wide = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    high = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    both = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - wide * high
    return wide * high / both if both else 0.0


def left(boxes, classes, threshold, across):
    """What non-maximum suppression leaves of the boxes of one image, one after the other."""
    stay = []
    for place, box in enumerate(boxes):
        rivals = [other for other in stay if across or classes[other] == classes[place]]
        if classes[place] >= 0 and all(overlap(boxes[other], box) <= threshold for other in rivals):
            stay.append(place)
    return stay


def test_overlaps_are_those_of_single_pairs():
    random = np.random.default_rng(0)
    boxes, others = random_boxes(random, 3, 20), random_boxes(random, 3, 7)
    found = intersection_over_union(boxes, others)
    wanted = [[[overlap(one, other) for other in there] for one in here] for here, there in zip(boxes, others, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert found.max() > 0.3 and (found == 0).any()


def test_boxes_without_area_overlap_nothing():
    point = np.array([[1.0, 1.0, 1.0, 1.0]])
    assert intersection_over_union(point, point).tolist() == [[0.0]]
    assert intersection_over_union(np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[2.0, 0.0, 4.0, 2.0]])).tolist() == [[0.0]]


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("threshold", [0.1, 0.45, 0.9, 1.0])
def test_suppression_is_that_of_a_loop_over_boxes(threshold, across):
    random = np.random.default_rng(1)
    boxes, classes = random_boxes(random, 5, 60), random.integers(-1, 3, (5, 60))
    boxes[:, 30:35] = boxes[:, :5]  # some are there twice
    found = not_suppressed(boxes, classes, threshold, across)
    for image in range(5):
        assert np.flatnonzero(found[image]).tolist() == left(boxes[image], classes[image], threshold, across)


def test_nothing_is_suppressed_where_there_is_nothing():
    assert not_suppressed(np.empty((2, 0, 4)), np.empty((2, 0), int), 0.5).shape == (2, 0)
    assert not_suppressed(np.empty((0, 3, 4)), np.empty((0, 3), int), 0.5).shape == (0, 3)

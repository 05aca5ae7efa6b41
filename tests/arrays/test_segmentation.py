"""Metrics of masks, against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score

from sparkml_algos.arrays.segmentation import IGNORED, confusion, intersection_over_union, mean_iou, pixel_accuracy

RANDOM = np.random.default_rng(3)
TRUTH = RANDOM.integers(0, 5, (4, 30, 20)).astype(np.uint8)
FOUND = np.where(RANDOM.random(TRUTH.shape) < 0.6, TRUTH, RANDOM.integers(0, 5, TRUTH.shape)).astype(np.uint8)


def test_counts_and_metrics_are_those_of_scikit_learn() -> None:
    counts = confusion(TRUTH, FOUND, 5)
    np.testing.assert_array_equal(counts, confusion_matrix(TRUTH.ravel(), FOUND.ravel(), labels=range(5)))
    single = jaccard_score(TRUTH.ravel(), FOUND.ravel(), average=None)
    np.testing.assert_allclose(intersection_over_union(counts), single)
    assert mean_iou(counts) == pytest.approx(single.mean())
    assert pixel_accuracy(counts) == pytest.approx(accuracy_score(TRUTH.ravel(), FOUND.ravel()))


def test_counts_of_images_add_up() -> None:
    parts = [confusion(truth, found, 5) for truth, found in zip(TRUTH, FOUND, strict=True)]
    np.testing.assert_array_equal(sum(parts), confusion(TRUTH, FOUND, 5))


def test_what_is_left_out_counts_nowhere() -> None:
    truth, left_out = TRUTH.copy(), RANDOM.random(TRUTH.shape) < 0.3
    truth[left_out] = IGNORED
    np.testing.assert_array_equal(confusion(truth, FOUND, 5), confusion(TRUTH[~left_out], FOUND[~left_out], 5))
    nothing = confusion(np.full((2, 2), IGNORED), np.zeros((2, 2), int), 5)
    assert nothing.sum() == 0 and np.isnan(mean_iou(nothing)) and np.isnan(pixel_accuracy(nothing))


def test_classes_that_do_not_occur_are_not_in_the_mean() -> None:
    counts = confusion(np.array([0, 0, 2, 2]), np.array([0, 2, 2, 2]), 4)
    np.testing.assert_allclose(intersection_over_union(counts), [1 / 2, np.nan, 2 / 3, np.nan])
    assert mean_iou(counts) == pytest.approx((1 / 2 + 2 / 3) / 2)


@pytest.mark.parametrize(
    ("truth", "found", "what"),
    [
        ([0, 1], [0], r"differ in their shape: \(2,\) and \(1,\)"),
        ([0, 7], [0, 0], "truth has the class 7; classes are 0 to 2"),
        ([0, 0], [0, -1], "predicted has the class -1; classes are 0 to 2"),
    ],
)
def test_what_are_no_masks_of_these_classes_is_refused(truth: list[int], found: list[int], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        confusion(np.array(truth), np.array(found), 3)

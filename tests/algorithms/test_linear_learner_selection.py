"""Thresholds against a search through all of them, and what they promise of rows not seen."""

from __future__ import annotations

import numpy as np
import pytest

from sparkml_algos import LinearLearnerBinaryClassifier
from sparkml_algos.algorithms.linear_learner.metrics import area_under_roc
from sparkml_algos.algorithms.linear_learner.selection import calibrate, default_threshold
from sparkml_algos.arrays.hyperparameters import Hyperparameters

CRITERIA = ["accuracy", "f_beta", "precision_at_target_recall", "recall_at_target_precision"]


def settings(criterion="accuracy", **own):
    return Hyperparameters(**LinearLearnerBinaryClassifier(binary_classifier_model_selection_criteria=criterion, **own).hyperparameters())


def rows(count, seed=0):
    """Scores, labels that follow them, and weights; scores to a tenth, so that many are tied."""
    random = np.random.default_rng(seed)
    scores = random.normal(-0.5, 2, count)
    label = (random.random(count) < 1 / (1 + np.exp(-scores))).astype(np.float32)
    return np.round(scores, 1).astype(np.float32), label, random.integers(1, 4, count).astype(float)


def measured(threshold, scores, label, weight):
    """Accuracy, precision, recall, from the definition."""
    predicted, positive = scores >= threshold, label > 0
    hits = weight[predicted & positive].sum()
    share = weight[predicted == positive].sum() / weight.sum()
    return share, hits / max(weight[predicted].sum(), 1e-9), hits / max(weight[positive].sum(), 1e-9)


def value(criterion, accuracy, precision, recall):
    if criterion == "accuracy":
        return accuracy
    if criterion == "f_beta":
        return 5 * precision * recall / max(4 * precision + recall, 1e-9)
    held, sought = (recall, precision) if criterion == "precision_at_target_recall" else (precision, recall)
    return sought if held >= 0.8 else held - 0.8


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("seed", range(4))
def test_a_threshold_is_the_best_of_all(criterion, seed):
    scores, label, weight = rows(60, seed)
    threshold, found = calibrate(scores, label, weight, settings(criterion, f_beta=2.0))
    every = [-9.05, *(np.unique(scores) + 0.05)]
    best = max(value(criterion, *measured(one, scores, label, weight)) for one in every)
    assert found == pytest.approx(best)
    assert value(criterion, *measured(threshold, scores, label, weight)) == pytest.approx(best)


@pytest.mark.parametrize(
    ("criterion", "target", "position"),
    [
        ("precision_at_target_recall", "target_recall", 2),
        ("recall_at_target_precision", "target_precision", 1),
    ],
)
@pytest.mark.parametrize("level", [0.6, 0.8, 0.95])
def test_a_target_is_held_on_rows_not_seen(criterion, target, position, level):
    threshold, _ = calibrate(*rows(20_000), settings(criterion, **{target: level}))
    # Four standard errors of a share of some thousand rows, on both samples.
    assert measured(threshold, *rows(20_000, seed=1))[position] == pytest.approx(level, abs=0.03)


def test_of_equally_good_thresholds_the_nearest_to_the_default_is_taken():
    scores, label = np.array([-5.0, -4.0, 4.0, 5.0]), np.array([0, 0, 1, 1])
    assert calibrate(scores, label, np.ones(4), settings())[0] == 0


def test_a_target_out_of_reach_is_missed_by_as_little_as_possible():
    scores, label = np.array([2.0, 1.0, 0.0]), np.array([0, 1, 0])
    threshold, found = calibrate(scores, label, np.ones(3), settings("recall_at_target_precision", target_precision=0.9))
    assert 0 < threshold < 1 and found == pytest.approx(0.5 - 0.9)


def test_scores_that_are_no_numbers_lose():
    assert calibrate(np.array([np.nan, 1.0]), np.array([0, 1]), np.ones(2), settings())[1] == -np.inf


def test_the_default_is_half_way_between_what_a_loss_asks_of_the_classes():
    assert default_threshold(settings()) == 0
    assert default_threshold(settings(loss="hinge_loss")) == 0.5


def test_area_under_the_curve_is_the_share_of_pairs_in_order():
    scores, label, weight = rows(80)
    pairs = [
        (weight[i] * weight[j], (scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]))
        for i in np.flatnonzero(label)
        for j in np.flatnonzero(label == 0)
    ]
    weights, order = map(np.array, zip(*pairs, strict=True))
    assert area_under_roc(scores, label, weight) == pytest.approx(weights @ order / weights.sum())
    assert np.isnan(area_under_roc(scores, np.ones(80), weight))

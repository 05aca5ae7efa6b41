"""What a training of boosted trees tells its user, and that what it says helps."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest

from sparkml_algos.algorithms.xgboost.prediction import loaded
from tests.boosting import HALF, HELD, RANDOM, ROWS, SCORE, TARGET, fit, outputs
from tests.gang import process_gang

HUBER = {"objective": "reg:pseudohubererror", "num_round": 60}


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.WARNING)

    def messages() -> list[str]:
        found = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return found

    return messages


def left(artifact, label, rows=ROWS) -> float:
    """The deviation of the errors, in deviations of the label."""
    return float(np.std(outputs(artifact, rows)["prediction"] - label) / np.std(label))


def has_splits(artifact) -> bool:
    return bool(loaded(artifact).get_score(importance_type="weight"))


def test_a_usual_training_says_nothing(told):
    fit("regressor", TARGET)
    fit("classifier", HALF, num_round=1)
    assert told() == []


def test_labels_far_from_the_base_score_leave_pseudo_huber_loss_without_a_split_and_the_median_mends_it(told):
    label = TARGET + 40
    stuck = fit("regressor", label, **HUBER)
    (message,) = told()
    assert not has_splits(stuck) and left(stuck, label) == pytest.approx(1)
    assert "no tree of the model has a split, so it predicts the same for every row: the loss is straight beyond 1" in message
    base_score = float(re.search(r"set base_score=([\d.]+), the median of the labels", message)[1])
    assert base_score == pytest.approx(np.median(label), rel=1e-5)
    mended = fit("regressor", label, base_score=base_score, **HUBER)
    assert told() == [] and left(mended, label) < 0.4


def test_labels_too_far_apart_for_pseudo_huber_loss_are_to_be_scaled(told):
    label = 5000 * SCORE + 7e5
    fit("regressor", label, **HUBER)
    (message,) = told()
    shift = float(re.search(r"subtract ([\d.e+-]+) from the label", message)[1])
    scale = float(re.search(r"divide it by ([\d.e+-]+)", message)[1])
    scaled = (label - shift) / scale
    assert left(fit("regressor", scaled, **HUBER), scaled) < 0.4
    assert told() == []
    fit("regressor", label, min_child_weight=0, **HUBER)
    (message,) = told()
    base_score = float(re.search(r"set base_score=([\d.]+), the median", message)[1])
    assert left(fit("regressor", label, min_child_weight=0, base_score=base_score, **HUBER), label) < 0.7


def test_all_workers_find_the_same_and_one_says_it(told):
    """The workers are processes of their own; what they say goes to their logs."""
    found = process_gang(2)(stuck_on_a_worker, TARGET + 40)
    assert [len(messages) for messages in found] == [1, 0]
    assert f"base_score={np.median(TARGET + 40):.6g}" in found[0][0]


def stuck_on_a_worker(communicator, label):
    records = []

    class Kept(logging.Handler):
        def emit(self, record):
            records.append(record.getMessage())

    logging.getLogger("sparkml_algos").addHandler(Kept(logging.WARNING))
    mine = np.arange(len(ROWS)) % communicator.size == communicator.rank
    fit("regressor", label[mine], ROWS[mine], communicator, **{**HUBER, "num_round": 3})
    return records


@pytest.mark.parametrize(
    ("label", "own", "message"),
    [
        (
            TARGET,
            {"min_child_weight": 3000},
            r"add up to 2e\+03, and each side of a split needs min_child_weight=3000; set that below 1e\+03",
        ),
        (TARGET, {"gamma": 1e9}, r"none gains gamma=1e\+09; set that lower"),
        (np.full(2000, 7.0), {}, "all labels are 7"),
        (1e-7 * SCORE, {"base_score": 0}, r"labels differ by 2.\d+e-07 only, and no split is made that gains less than 1e-06; multiply"),
    ],
)
def test_what_keeps_trees_from_splitting_is_named(told, label, own, message):
    artifact = fit("regressor", label, **own)
    (found,) = told()
    assert not has_splits(artifact) and re.search(f"predicts the same for every row: .*{message}", found), found


def test_features_that_tell_nothing_apart_are_named(told):
    fit("regressor", TARGET, np.ones((2000, 3), np.float32))
    (message,) = told()
    assert message.endswith("predicts the same for every row: no value of a feature tells rows of different labels apart")


def test_a_linear_booster_has_no_splits_to_miss(told):
    fit("regressor", TARGET, booster="gblinear")
    assert told() == []


def test_labels_far_from_zero_lose_their_differences_and_subtracting_the_mean_brings_them_back(told):
    far = (1.2e7 + np.round(SCORE * 4)).astype(np.float32)  # exact with 32 bits
    own = {"num_round": 60, "max_depth": 6}
    lost = left(fit("regressor", far, **own), far)
    (message,) = told()
    mean = float(re.search(r"labels stand [\d,]+ deviations from 0, .* subtract ([\d.e+]+) from the label", message)[1])
    near = far.astype(np.float64) - mean
    assert left(fit("regressor", near, **own), near) < lost / 2
    assert told() == []


def test_without_early_stopping_the_last_round_serves_and_a_better_one_is_named(told):
    noise = RANDOM.normal(0, 3, 2000).astype(np.float32)
    artifact = fit("regressor", TARGET + noise, validation=HELD, num_round=60, max_depth=6)
    history = [epoch["validation:rmse"] for epoch in artifact.values["history"]]
    best = int(np.argmin(history))
    assert history[-1] > 1.05 * history[best]
    assert loaded(artifact).num_boosted_rounds() == 60 and artifact.values["best_iteration"] == 59
    assert artifact.values["validation:rmse"] == history[-1]
    error = (outputs(artifact)["prediction"] - TARGET - noise)[HELD]
    assert np.sqrt((error**2).mean()) == pytest.approx(history[-1], rel=1e-5)
    (message,) = told()
    assert message.startswith(f"round {best + 1} of 60 had the best validation:rmse, {history[best]:.6g}, and the last one, which serves")
    stopped = fit("regressor", TARGET + noise, validation=HELD, num_round=60, max_depth=6, early_stopping_rounds=60)
    assert told() == [] and stopped.values["validation:rmse"] == history[best] and stopped.values["best_iteration"] == best

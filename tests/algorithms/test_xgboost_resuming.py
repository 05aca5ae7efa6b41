"""Boosting that was cut off goes on where it was, also when the rows come back in another order."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost as xgb

from sparkml_algos.algorithms.xgboost import training
from sparkml_algos.algorithms.xgboost.prediction import loaded
from tests.boosting import HALF, HELD, ROWS, TARGET, THIRD, WEIGHT, fit, outputs

ORDER = np.random.default_rng(5).permutation(len(ROWS))
ROUNDS, CUT = 30, 20


class CutOff(Exception):
    pass


def cut_off_and_resumed(monkeypatch, tmp_path, task, label, **own):
    """A training that is cut off before round `CUT` and resumed with the rows in another order."""
    monkeypatch.setattr(training, "CHECKPOINT_SHARE", 1.0)  # after each round
    update, started = xgb.Booster.update, []

    def cut(self, matrix, number):
        started.append(number)
        if number == CUT and len(started) == CUT + 1:
            raise CutOff
        update(self, matrix, number)

    monkeypatch.setattr(xgb.Booster, "update", cut)
    arrays = {name: own.pop(name) for name in ("weight", "validation") if name in own}
    with pytest.raises(CutOff):
        fit(task, label, num_round=ROUNDS, checkpoint_dir=str(tmp_path), **arrays, **own)
    other = {name: array[ORDER] for name, array in arrays.items()}
    resumed = fit(task, label[ORDER], ROWS[ORDER], num_round=ROUNDS, checkpoint_dir=str(tmp_path), **other, **own)
    assert started[CUT + 1 :] == list(range(CUT, len(resumed.values["history"])))
    return resumed, fit(task, label, num_round=ROUNDS, **arrays, **own)


def error(artifact, label) -> float:
    return float(np.sqrt(np.mean((outputs(artifact)["prediction"] - label) ** 2)))


@pytest.mark.parametrize("own", [
    {},
    {"subsample": 0.5, "colsample_bytree": 0.6},
    {"booster": "dart", "rate_drop": 0.2},
    {"tree_method": "approx", "sketch_eps": 0.1},
    {"objective": "reg:absoluteerror"},
    {"weight": WEIGHT},
], ids=lambda own: "-".join(own) or "plain")  # fmt: skip
def test_it_ends_as_well_as_undisturbed(monkeypatch, tmp_path, own):
    resumed, undisturbed = cut_off_and_resumed(monkeypatch, tmp_path, "regressor", TARGET, **own)
    assert loaded(resumed).num_boosted_rounds() == ROUNDS
    assert error(resumed, TARGET) == pytest.approx(error(undisturbed, TARGET), rel=0.05)


def test_classes_that_labels_have_said_are_the_same_again(monkeypatch, tmp_path):
    resumed, undisturbed = cut_off_and_resumed(monkeypatch, tmp_path, "classifier", THIRD)
    assert resumed.values["num_class"] == 3 and loaded(resumed).num_boosted_rounds() == ROUNDS
    assert resumed.values["train:mlogloss"] == pytest.approx(undisturbed.values["train:mlogloss"], rel=0.02)


def test_the_best_round_so_far_is_remembered(monkeypatch, tmp_path):
    """Patience runs out after the cut, over a best round that was before it."""
    noisy = np.where(np.random.default_rng(1).random(2000) < 0.4, 1 - HALF, HALF)
    own = {"early_stopping_rounds": 25, "eta": 0.9, "max_depth": 5, "validation": HELD, "objective": "binary:logistic"}
    resumed, undisturbed = cut_off_and_resumed(monkeypatch, tmp_path, "classifier", noisy, **own)
    assert undisturbed.values["best_iteration"] < CUT < len(undisturbed.values["history"]) < ROUNDS
    for name in ("best_iteration", "validation:logloss"):
        assert resumed.values[name] == undisturbed.values[name]


def test_it_goes_on_from_an_initial_model(monkeypatch, tmp_path):
    initial = loaded(fit("regressor", TARGET, num_round=3))
    resumed, undisturbed = cut_off_and_resumed(monkeypatch, tmp_path, "regressor", TARGET, initial_model=initial)
    assert loaded(resumed).num_boosted_rounds() == 3 + ROUNDS
    assert error(resumed, TARGET) == pytest.approx(error(undisturbed, TARGET), rel=0.05)


def test_rows_sampled_after_the_cut_are_not_those_sampled_before_it(monkeypatch, tmp_path):
    """Where rounds repeated the draws of the first ones, the features that those may not use would stay unused."""
    own = {"colsample_bytree": 0.2, "max_depth": 1}
    resumed, _ = cut_off_and_resumed(monkeypatch, tmp_path, "regressor", TARGET, **own)
    drawn = [tree.split("[f")[1].split("<")[0] for tree in loaded(resumed).get_dump()]
    assert drawn[CUT:] != drawn[: ROUNDS - CUT]

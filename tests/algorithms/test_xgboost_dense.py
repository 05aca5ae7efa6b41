"""Predictions for dense rows are those of the library's own wrapper, to the bit."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import xgboost as xgb
from xgboost.core import XGBoostError

from sparkml_algos.algorithms.xgboost.dense import DensePredictor, reads

RANDOM = np.random.default_rng(5)
ROWS = RANDOM.normal(size=(300, 6)).astype(np.float32)
ROWS[::7, 2], ROWS[::5, 4] = np.nan, -999
LABELS = (np.nan_to_num(ROWS[:, 0]) + RANDOM.normal(size=300) > 0) + (ROWS[:, 1] > 0).astype(int)


def trained(**settings) -> xgb.Booster:
    label = LABELS if "num_class" in settings else LABELS > 0
    return xgb.train({"max_depth": 4, "nthread": 1, "seed": 1, **settings}, xgb.DMatrix(ROWS, label, missing=-999), 12)


@pytest.mark.parametrize("missing", [np.nan, -999.0])
@pytest.mark.parametrize(
    "settings",
    [
        {"objective": "binary:logistic"},
        {"objective": "reg:squarederror"},
        {"objective": "multi:softprob", "num_class": 3},
        {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.3},
    ],
    ids=lambda settings: settings.get("booster", settings["objective"]),
)
def test_numbers_are_those_of_the_wrapper(settings: dict, missing: float) -> None:
    booster = trained(**settings)
    predictor = DensePredictor(booster, missing)
    for rows in (ROWS, ROWS[:1], ROWS[10:13]):
        for kind in ("value", "margin"):
            wanted = booster.inplace_predict(rows, predict_type=kind, missing=missing)
            found = predictor(rows, kind)
            assert found.dtype == np.float32 and found.shape == wanted.shape and found.flags.writeable
            np.testing.assert_array_equal(found, wanted)


def test_what_was_found_stays_when_more_is_asked() -> None:
    predictor = DensePredictor(trained(objective="binary:logistic"), np.nan)
    first = predictor(ROWS, "margin")
    kept = first.copy()
    predictor(ROWS[::-1].copy(), "margin")
    np.testing.assert_array_equal(first, kept)


def test_threads_have_their_own_answers() -> None:
    predictor = DensePredictor(trained(objective="binary:logistic"), np.nan)
    parts = [ROWS[i : i + 100].copy() for i in (0, 100, 200)]
    wanted = [predictor(part, "value") for part in parts]
    wrong: list[int] = []

    def ask(place: int) -> None:
        for _ in range(200):
            if not np.array_equal(predictor(parts[place], "value"), wanted[place]):
                wrong.append(place)

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_rows_of_another_width_are_refused_by_the_library() -> None:
    with pytest.raises(XGBoostError, match="columns"):
        DensePredictor(trained(objective="binary:logistic"), np.nan)(ROWS[:, :5].copy(), "value")


def test_only_rows_one_after_the_other_are_read() -> None:
    assert reads(ROWS) and reads(ROWS[3:4])
    assert not any(reads(rows) for rows in (ROWS.astype(np.float64), ROWS.T, ROWS[:, :3], ROWS[:0], ROWS[0], ROWS.tolist()))

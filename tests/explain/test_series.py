"""Attributions of steps: exact where the forecast is a sum, and adding up for DeepAR."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from sparkml_algos import DeepARModel
from sparkml_algos.explain import explain_series
from sparkml_algos.explain.series import _FOUND, _MEMBERS, _SIDE, _STEP, _orders, _subsets, explained

SAVED = Path(__file__).parents[1] / "saved" / "DeepARModel"


def rows_of(forecast, steps, sides=(0,), subsets=((),)):
    """What Spark would collect of a forecast, a function of which (step, series) are there."""
    found = []
    for side in sides:
        for step in range(steps + 1):
            for members in subsets if step < steps else ((),):
                there = {(i, r) for i in range(steps) for r in range(2) if (i < step if side == 0 else i >= step)}
                there |= {(step, r) for r in members}
                found.append({_SIDE: side, _STEP: step, _MEMBERS: list(members), _FOUND: forecast(there)})
    return found


WORTH = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])


def total(there):
    return [sum(WORTH[i, r] for i, r in there), 0.0]


def product(there):
    """All steps of the target together, which the last one that is added completes."""
    return [float(all((i, 0) in there for i in range(3)))]


def test_of_a_sum_each_step_has_its_share_in_every_direction():
    for sides in ((0,), (1,), (0, 1)):
        values, expected = explained(rows_of(total, 3, sides), None)
        assert np.array(values)[:, 0].tolist() == WORTH.sum(axis=1).tolist() and expected == [0.0, 0.0]


def test_what_takes_all_steps_goes_to_the_one_that_comes_last():
    assert explained(rows_of(product, 3, (0,)), None)[0] == [[0.0], [0.0], [1.0]]
    assert explained(rows_of(product, 3, (1,)), None)[0] == [[1.0], [0.0], [0.0]]
    assert explained(rows_of(product, 3, (0, 1)), None)[0] == [[0.5], [0.0], [0.5]]


def test_series_of_a_step_are_told_apart():
    orders = [(0, 1), (1, 0)]
    assert _subsets(orders) == [(), (0,), (1,)]
    values, _ = explained(rows_of(total, 3, subsets=_subsets(orders)), orders)
    assert np.array(values)[:, :, 0].tolist() == WORTH.tolist()
    both = lambda there: [float({(1, 0), (1, 1)} <= there)]  # noqa: E731
    values, _ = explained(rows_of(both, 3, subsets=_subsets(orders)), orders)
    assert np.array(values)[:, :, 0].tolist() == [[0, 0], [0.5, 0.5], [0, 0]]


def test_a_row_without_series_beside_its_own_says_nothing_of_the_others(spark):
    frame = spark.createDataFrame([(None,), ([[1.0], [2.0]],)], "more array<array<double>>").coalesce(1)
    assert sorted(_orders(frame, "more", 6, 0)) == sorted(itertools.permutations(range(3)))
    with pytest.raises(ValueError, match="none has dynamic features in column 'more'"):
        _orders(frame.where("more is null"), "more", 6, 0)


@pytest.fixture(scope="module")
def forecaster(spark):
    saved = json.loads(SAVED.with_suffix(".json").read_text())
    rows = [("2024-01-01", row["features"]) for row in saved["rows"][:3]]
    return DeepARModel.load(str(SAVED)), spark.createDataFrame(rows, "day string, features array<double>").cache()


@pytest.mark.parametrize(
    "settings", [{}, {"direction": "bidirectional", "baseline": "mean"}, {"granularity": "fine_grained", "num_samples": 2}]
)
def test_attributions_of_a_forecast_add_up(forecaster, settings):
    model, series = forecaster
    rows = model.explain(series, **settings).collect()
    wanted = {tuple(row["features"]): row["mean"] for row in model.transform(series).collect()}
    assert len(rows) == 3
    for row in rows:
        values = np.array(row["attributions"])
        assert len(values) == len(row["features"])
        found = values.reshape(-1, values.shape[-1]).sum(axis=0) + row["expected"]
        assert found == pytest.approx(wanted[tuple(row["features"])], abs=1e-6)
        assert np.abs(values).max() > 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"direction": "backwards"}, "direction is one of chronological"),
        ({"baseline": "median"}, "baseline is one of zero, mean"),
        ({"num_samples": 3}, "num_samples is for granularity 'fine_grained'"),
        ({"granularity": "fine_grained"}, "which needs it"),
        ({"granularity": "fine_grained", "num_samples": 2, "direction": "bidirectional"}, "is for direction 'chronological'"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        explain_series(object(), None, **settings)

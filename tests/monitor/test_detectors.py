"""A detector of a stream sees changes of the mean soon, and hardly ever what is none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sparkml_algos.monitor import Adwin
from tests.datasets import DATA


def test_the_window_has_the_moments_of_its_values():
    random = np.random.default_rng(0)
    values = random.random(3000)
    detector = Adwin(delta=1e-12)
    assert detector.update(values) == [] and (detector.seen, detector.width) == (3000, 3000)
    assert detector.mean == pytest.approx(values.mean()) and detector.deviation == pytest.approx(values.std())
    assert sum(len(row) << height for height, row in enumerate(detector._rows)) == 3000
    assert len(detector._rows) <= math.log2(3000)


def test_after_a_change_the_window_is_what_came_after_it():
    random = np.random.default_rng(1)
    values = np.concatenate([random.random(2000) < 0.2, random.random(2000) < 0.5]).astype(float)
    detector = Adwin()
    found = detector.update(values)
    assert 2000 <= found[0] < 2200, found
    assert detector.mean == pytest.approx(0.5, abs=0.05) and 1500 < detector.width <= 2100
    kept = values[-detector.width :]
    assert detector.mean == pytest.approx(kept.mean()) and detector.deviation == pytest.approx(kept.std())


def test_batches_are_as_one_stream():
    values = np.concatenate([np.zeros(500), np.ones(300)])
    whole, parts = Adwin(), Adwin()
    found = whole.update(values)
    assert [place for start in range(0, 800, 37) for place in parts.update(values[start : start + 37])] == found and found
    assert (whole.mean, whole.width) == (parts.mean, parts.width)


def test_of_a_hundred_quiet_streams_hardly_one_is_cut():
    random = np.random.default_rng(2)
    assert sum(bool(Adwin().update(random.random(2000) < 0.3)) for _ in range(100)) <= 2


def test_values_have_bounds_and_gaps_are_left_out():
    random = np.random.default_rng(3)
    degrees = random.normal(20, 3, 1000)
    detector = Adwin(low=0, high=40)
    detector.update([*degrees, math.nan])
    assert detector.mean == pytest.approx(degrees.mean()) and detector.width == 1000
    assert detector.update(random.normal(26, 3, 200))
    assert Adwin().update([]) == [] and math.isnan(Adwin().mean)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"delta": 0}, "delta is between"), ({"low": 1}, "high must be above low"), ({"clock": 0}, "clock is a whole number")],
)
def test_settings_are_checked(settings, said):
    with pytest.raises(ValueError, match=said):
        Adwin(**settings)


@pytest.mark.skipif(not (DATA / "elec2_drift").exists(), reason="needs the shared data")
def test_prices_of_electricity_drift():
    import pandas as pd

    prices = pd.read_csv(DATA / "elec2_drift" / "elec2.csv.gz")["nswprice"].to_numpy()
    shuffled = np.random.default_rng(4).permutation(prices)
    assert len(Adwin().update(prices)) > 20 and len(Adwin().update(shuffled)) <= 2

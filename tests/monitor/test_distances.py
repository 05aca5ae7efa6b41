"""Distances are those of SciPy and of the formulas, on sketches as on counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sparkml_algos.monitor import Kll, categorical_distance, numeric_distance
from sparkml_algos.monitor.distances import robust


def sketch(values) -> Kll:
    found = Kll()
    found.update(np.asarray(values, float))
    return found


@pytest.fixture(scope="module")
def samples():
    random = np.random.default_rng(5)
    return random.normal(size=1500), random.normal(0.4, 1.3, size=1800)


def test_distances_of_numbers(samples):
    a, b = samples
    one, other = sketch(a), sketch(b)
    exact = stats.ks_2samp(a, b).statistic
    assert numeric_distance(one, other, "linf_simple") == numeric_distance(one, other, "ks") == pytest.approx(exact, abs=1e-12)
    assert numeric_distance(one, other, "wasserstein") == pytest.approx(stats.wasserstein_distance(a, b), abs=1e-9)
    edges = np.sort(a)[[149, 299, 449, 599, 749, 899, 1049, 1199, 1349]]
    p, q = (np.histogram(-x, -np.concatenate([[-np.inf], edges, [np.inf]])[::-1])[0][::-1] / len(x) for x in (a, b))
    assert numeric_distance(one, other, "psi") == pytest.approx(float((p - q) @ np.log(p / q)), abs=1e-9)
    assert numeric_distance(one, other, "js") == pytest.approx((stats.entropy(p, (p + q) / 2) + stats.entropy(q, (p + q) / 2)) / 2)
    wanted = stats.chisquare(q * len(b), p * len(b)).pvalue
    assert numeric_distance(one, other, "chi_square") == pytest.approx(wanted, rel=1e-6)
    assert math.isnan(numeric_distance(one, Kll(), "ks"))


def test_distances_of_categories():
    a, b = {"x": 50, "y": 30, "z": 20}, {"x": 30, "y": 30, "w": 40}
    assert categorical_distance(a, b, "linf_simple") == pytest.approx(0.4)
    assert categorical_distance(a, b, "wasserstein") == pytest.approx(0.4)
    assert categorical_distance(a, b, "chi_square") == pytest.approx(stats.chisquare([30, 30, 40], [50, 30, 20]).pvalue)
    assert categorical_distance(a, a, "psi") == categorical_distance(a, a, "js") == 0
    assert math.isnan(categorical_distance({"x": 3}, {"x": 3}, "chi_square"))
    with pytest.raises(ValueError, match="one of linf_simple"):
        categorical_distance(a, b, "mean")  # type: ignore[arg-type]


def test_small_categories_are_put_together_for_the_test():
    a, b = {"x": 500, "y": 490, "t": 5, "u": 5}, {"x": 40, "y": 58, "t": 1, "u": 1}
    assert categorical_distance(a, b, "chi_square") == pytest.approx(stats.chisquare([60, 40], [50, 50]).pvalue)


def test_chance_is_taken_off_small_samples():
    assert robust(0.12, 500, 500) == pytest.approx(0.12 - 1.8 * math.sqrt(0.004))
    assert robust(0.12, 500, 500) < 0.1 < robust(0.12, 50_000, 50_000)


@pytest.mark.parametrize("rows", [1000, 20_000])
def test_quiet_windows_raise_few_false_alarms(rows):
    random = np.random.default_rng(0)
    base = sketch(random.normal(size=rows))
    alarms = sum(numeric_distance(base, sketch(random.normal(size=rows)), "linf_robust") > 0.1 for _ in range(100))
    assert alarms == 0


def test_a_constant_column_that_falls_has_drifted():
    for method in ("psi", "js"):
        assert numeric_distance(sketch([5.0] * 500), sketch([3.0] * 500), method) > 0.5
        assert numeric_distance(sketch([5.0] * 500), sketch([5.0] * 400), method) == 0

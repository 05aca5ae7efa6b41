"""How far two distributions of a column are apart: of numbers by their sketches, of categories by their counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
from scipy.stats import chi2

from sparkml_algos.monitor.sketch import Kll

Method = Literal["linf_simple", "linf_robust", "ks", "psi", "js", "wasserstein", "chi_square"]
METHODS: tuple[Method, ...] = ("linf_simple", "linf_robust", "ks", "psi", "js", "wasserstein", "chi_square")
# Of the service: what is taken off a distance for the sizes of the samples.
ROBUST_FACTOR = 1.8
# Shares that are less count as this much, so that logarithms are finite.
_LEAST_SHARE = 1e-4
_QUANTILES = 10
# Expected counts that a chi-square test needs (W. Cochran, "Some methods for strengthening the common χ² tests", 1954).
_LEAST_OF_TWO, _LEAST, _SHARE_BELOW = 10, 5, 0.2


def robust(distance: float, n: float, m: float, factor: float = ROBUST_FACTOR) -> float:
    """A distance less what chance makes of samples of these sizes.

    Parameters
    ----------
    distance : float
    n, m : float
        Rows.
    factor : float
        1.8 is about what a chance of 0.003 has; √(−½ ln(α/2)) for a chance of α.

    Returns
    -------
    float
        ``max(0, distance − factor · √((n + m) / (n · m)))``; 0 where one has no rows.
    """
    return max(0.0, distance - factor * math.sqrt((n + m) / (n * m))) if n and m else 0.0


def numeric_distance(baseline: Kll, current: Kll, method: Method) -> float:
    """Distance of two sketched columns of numbers.

    Parameters
    ----------
    baseline, current : Kll
    method : str
        ``linf_simple`` and ``ks``: the largest difference of the cumulative distributions, at all values of both sketches; ``linf_robust``:
        that less what chance makes; ``psi`` and ``js`` (in nats): over the tenths of the baseline; ``wasserstein``: the area between the
        cumulative distributions, in units of the column; ``chi_square``: the p-value of the counts in the tenths of the baseline.

    Returns
    -------
    float
        NaN if one has no values, or a test cannot be made.

    Raises
    ------
    ValueError
        If the method is none of these.
    """
    _check(method)
    if not baseline.count or not current.count:
        return math.nan
    if method in ("linf_simple", "linf_robust", "ks", "wasserstein"):
        at = np.union1d(baseline.points()[0], current.points()[0])
        apart = np.abs(baseline.cdf(at) - current.cdf(at))
        if method == "wasserstein":
            return float(apart[:-1] @ np.diff(at))
        distance = float(apart.max())
        return robust(distance, baseline.count, current.count) if method == "linf_robust" else distance
    edges = np.unique(baseline.quantile(np.arange(1, _QUANTILES) / _QUANTILES))
    if len(edges) == 1:  # of a column that is nearly constant, what is below is apart, too
        edges = np.array([np.nextafter(edges[0], -np.inf), edges[0]])
    p, q = (np.diff(np.concatenate([[0.0], sketch.cdf(edges), [1.0]])) for sketch in (baseline, current))
    if method == "chi_square":
        return _p_value(p * baseline.count, q * current.count)
    return _of_shares(p, q, method)


def categorical_distance(baseline: Mapping[str, float], current: Mapping[str, float], method: Method) -> float:
    """Distance of two columns of categories.

    Parameters
    ----------
    baseline, current : mapping of str to float
        Rows by category.
    method : str
        ``linf_simple`` and ``ks``: the largest difference of the shares of a category; ``linf_robust``: that less what chance makes;
        ``psi``, ``js`` (in nats): of the shares; ``wasserstein``: half the sum of the differences of shares, for categories are all 1
        apart; ``chi_square``: the p-value of the counts in the categories of the baseline.

    Returns
    -------
    float
        NaN if one has no rows, or a test cannot be made.

    Raises
    ------
    ValueError
        If the method is none of these.
    """
    _check(method)
    names = sorted({*baseline, *current})
    a, b = (np.array([counts.get(name, 0) for name in names], float) for counts in (baseline, current))
    if not a.sum() or not b.sum():
        return math.nan
    if method == "chi_square":
        return _p_value(a, b)
    p, q = a / a.sum(), b / b.sum()
    if method in ("linf_simple", "linf_robust", "ks"):
        distance = float(np.abs(p - q).max())
        return robust(distance, a.sum(), b.sum()) if method == "linf_robust" else distance
    return float(np.abs(p - q).sum() / 2) if method == "wasserstein" else _of_shares(p, q, method)


def _check(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"the method of comparison is one of {', '.join(METHODS)}, not {method!r}")


def _of_shares(p: np.ndarray, q: np.ndarray, method: Method) -> float:
    if method == "psi":
        p, q = np.maximum(p, _LEAST_SHARE), np.maximum(q, _LEAST_SHARE)
        return float((p - q) @ np.log(p / q))
    mean = (p + q) / 2
    return float(sum(one[one > 0] @ np.log(one[one > 0] / mean[one > 0]) for one in (p, q)) / 2)


def _p_value(baseline: np.ndarray, current: np.ndarray) -> float:
    """Pearson's test that the rows of `current` are of the distribution of `baseline`.

    Categories that the baseline lacks count to its rarest one; the smallest are put together until Cochran's rule holds. The p-value is
    that of χ² with as many degrees of freedom as there are categories but one, where the open engine has exp(−χ²/2), right for two only.
    """
    there = baseline > 0
    order = np.argsort(baseline[there], kind="stable")
    expected, observed = baseline[there][order], current[there][order].copy()
    observed[0] += current[~there].sum()
    expected = expected / expected.sum() * observed.sum()
    while len(expected) >= 2:
        if (expected >= _LEAST_OF_TWO).all() if len(expected) == 2 else (expected < _LEAST).mean() <= _SHARE_BELOW:
            statistic = float(((observed - expected) ** 2 / expected).sum())
            return float(chi2.sf(statistic, len(expected) - 1))
        expected = np.concatenate([[expected[0] + expected[1]], expected[2:]])
        observed = np.concatenate([[observed[0] + observed[1]], observed[2:]])
        order = np.argsort(expected, kind="stable")
        expected, observed = expected[order], observed[order]
    return math.nan

"""How good forecasts are.

With y the values withheld, ŷ the mean of the paths, m their median and q_τ their quantile, sums over all series and steps that are not
missing, and n the number of these:

    RMSE                 √(Σ (ŷ − y)² / n)
    wQL[τ]               2 Σ ρ_τ(y − q_τ) / Σ |y|,  ρ_τ(d) = τ·d where d > 0, else (τ − 1)·d
    mean_wQuantileLoss   the mean of wQL[τ] over the quantiles
    ND                   Σ |m − y| / Σ |y|
    sMAPE                200 · mean of |m − y| / (|m| + |y|), 0 where both are 0, in per cent: over the steps of a series, then over series
    MASE                 mean of |m − y| over the steps of a series, divided by the mean absolute difference of values a season apart in the
                         series before, then the mean over series of which that is not 0

Libraries differ in the last two: the M4 competition has them so; others have sMAPE from 0 to 2, or pool steps of all series.

References
----------
S. Makridakis, E. Spiliotis, V. Assimakopoulos, "The M4 Competition", International Journal of Forecasting 36(1), 2020.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sparkml_algos.arrays.ragged import Ragged


def sums(paths: np.ndarray, actual: np.ndarray, history: Ragged, season: int, levels: Sequence[float]) -> dict[str, np.ndarray]:
    """What series add to the metrics.

    Parameters
    ----------
    paths : ndarray, shape (series, samples, horizon)
    actual : ndarray, shape (series, horizon)
        NaN where missing.
    history : Ragged
        Each series without its horizon.
    season : int
        Steps of a season.
    levels : sequence of float
        Quantiles; none of point forecasts.

    Returns
    -------
    dict of str to ndarray
    """
    there = ~np.isnan(actual)
    known = np.where(there, actual, 0.0).astype(np.float64)
    median = np.median(paths, axis=1)
    errors = np.where(there, np.abs(median - known), 0)
    both = np.abs(median) + np.abs(known)
    counts = there.sum(1)
    relative = np.divide(2 * errors, both, out=np.zeros_like(errors), where=both > 0).sum(1)
    apart = np.array([_season_apart(values, season) for values in history])
    judged, scaled = counts > 0, (counts > 0) & (apart > 0)
    found = {
        "squares": (np.where(there, paths.mean(1) - known, 0) ** 2).sum(),
        "steps": counts.sum(),
        "absolute": np.abs(known).sum(),
        "errors": errors.sum(),
        "smape": (relative[judged] / counts[judged]).sum(),
        "series": judged.sum(),
        "mase": (errors.sum(1)[scaled] / counts[scaled] / apart[scaled]).sum(),
        "scaled": scaled.sum(),
    }
    if len(levels):
        off = np.where(there[:, None], known[:, None] - quantiles(paths, levels), 0)
        share = np.asarray(levels)[:, None]
        found["quantiles"] = np.maximum(share * off, (share - 1) * off).sum((0, 2))
    return {name: np.asarray(value, np.float64) for name, value in found.items()}


def nothing(levels: Sequence[float]) -> dict[str, np.ndarray]:
    """What no series adds."""
    return sums(np.empty((0, 1, 1)), np.empty((0, 1)), Ragged(np.empty(0, np.float32), np.zeros(1, np.int64)), 1, levels)


def quantiles(paths: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Quantiles of paths, shape (series, levels, horizon).

    Of n paths the quantile τ is that of rank τ·(n + 1), between two where that is not whole: another path is then below it with the very
    probability τ. NumPy's default ranks from 1 to n, and a band from 0.1 to 0.9 of 100 paths would hold 78 per cent.
    """
    return np.quantile(paths, levels, axis=1, method="weibull").transpose(1, 0, 2)


def metrics(totals: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The metrics, from sums over all series."""
    absolute = float(totals["absolute"])
    found = {"RMSE": float(np.sqrt(totals["squares"] / totals["steps"]))}
    if "quantiles" in totals:
        found["mean_wQuantileLoss"] = _ratio(2 * float(np.mean(totals["quantiles"])), absolute)
    found["ND"] = _ratio(float(totals["errors"]), absolute)
    found["sMAPE"] = 100 * _ratio(float(totals["smape"]), float(totals["series"]))
    found["MASE"] = _ratio(float(totals["mase"]), float(totals["scaled"]))
    return found


def _ratio(above: float, below: float) -> float:
    return above / below if below else float("nan")


def _season_apart(values: np.ndarray, season: int) -> float:
    """Mean absolute difference of values a season apart; 0 where there are none."""
    differences = np.abs(values[season:].astype(np.float64) - values[:-season]) if len(values) > season else np.empty(0)
    there = differences[~np.isnan(differences)]
    return float(there.mean()) if len(there) else 0.0

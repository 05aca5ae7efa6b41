"""A series, and what is forecast of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkml_algos.plotting._axes import BLUE, GREY, ORANGE, axes_for, over_time
from sparkml_algos.plotting._tables import columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sparkml_algos.plotting._tables import Table

# How much of the colour the widest band has, and the narrowest.
_PALE, _DEEP = 0.15, 0.4


def plot_forecast(
    forecast: Table,
    history: Table | None = None,
    time: str = "time",
    value: str = "value",
    mean: str | None = "mean",
    quantiles: str | None = "quantiles",
    bands: Sequence[tuple[float, float]] | None = None,
    actual: Table | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a series, the band between quantiles of its forecast, their middle and the mean.

    Parameters
    ----------
    forecast : DataFrame of Spark or pandas, or mapping of str to array
        The steps that are forecast of one series, in any order, as `DeepARModel.transform` gives them with ``forecast_form="steps"``.
    history : DataFrame of Spark or pandas, or mapping of str to array, optional
        What was before, with the columns of time and value.
    time, value : str
        Columns: when a step was or will be, and the series.
    mean : str, optional
        Column of the mean; None draws none.
    quantiles : str, optional
        Column of maps from the quantile, as text, to a number; None draws none.
    bands : sequence of (float, float), optional
        Between which quantiles bands are drawn; by default between each and the one as far from the other end, such as 0.1 and 0.9.
    actual : DataFrame of Spark or pandas, or mapping of str to array, optional
        What came true, like `history`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If a column is missing, there is no row, or no such quantile.

    Examples
    --------
    >>> one = model.transform(loads).where("meter = 7")  # doctest: +SKIP
    >>> plot_forecast(one, loads.where("meter = 7 AND time > '2024-05-01'"), value="load")  # doctest: +SKIP
    """
    if mean is None and quantiles is None:
        raise ValueError("nothing to draw of the forecast: give mean or quantiles, a column")
    names = list(filter(None, [time, mean, quantiles]))
    found = dict(zip(names, columns(forecast, names, "plot_forecast"), strict=True))
    order = np.argsort(found[time], kind="stable")
    times = found[time][order]
    levels = _by_level(list(found[quantiles][order])) if quantiles else {}
    pairs = _pairs(levels) if bands is None else [_asked(levels, band) for band in bands]
    ax = axes_for(ax, "plot_forecast", (10, 4))
    if history is not None:
        ax.plot(*_in_order(history, time, value), color=BLUE, linewidth=1, label=value)
    shades = np.linspace(_PALE, _DEEP, len(pairs)) if len(pairs) > 1 else [(_PALE + _DEEP) / 2]
    for (low, high), shade in zip(pairs, shades, strict=False):
        ax.fill_between(times, levels[low], levels[high], color=ORANGE, alpha=shade, linewidth=0, label=f"{low:g} to {high:g}")
    if 0.5 in levels:
        ax.plot(times, levels[0.5], color=ORANGE, linewidth=1.5, label="median")
    if mean:
        ax.plot(times, np.asarray(found[mean], np.float64)[order], color=ORANGE, linewidth=1, linestyle="--", label="mean")
    if actual is not None:
        ax.plot(*_in_order(actual, time, value), color=GREY, linewidth=1, label="came true")
    return over_time(ax, time, value, 4)


def _in_order(table: Table, time: str, value: str) -> tuple[np.ndarray, np.ndarray]:
    times, values = columns(table, [time, value], "plot_forecast")
    order = np.argsort(times, kind="stable")
    return times[order], np.asarray(values, np.float64)[order]


def _by_level(maps: Sequence[Mapping[str, Any]]) -> dict[float, np.ndarray]:
    """The numbers of each quantile, ascending."""
    known = [dict(one) for one in maps]
    return {float(text): np.array([one[text] for one in known], np.float64) for text in sorted(known[0], key=float)}


def _pairs(levels: Mapping[float, np.ndarray]) -> list[tuple[float, float]]:
    """Quantiles as far from either end, the widest band first."""
    below = [level for level in levels if level < 0.5]
    pairs = [(low, next((high for high in levels if abs(low + high - 1) < 1e-9), None)) for low in below]
    return [(low, high) for low, high in pairs if high is not None]


def _asked(levels: Mapping[float, np.ndarray], band: tuple[float, float]) -> tuple[float, float]:
    missing = [level for level in band if level not in levels]
    if missing:
        raise ValueError(f"the forecast has no quantile {missing[0]:g}; it has {', '.join(f'{level:g}' for level in levels)}")
    return band

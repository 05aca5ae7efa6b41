"""Where a series is odd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sparkml_algos.plotting._axes import BLUE, GREY, ORANGE, axes_for, over_time
from sparkml_algos.plotting._tables import columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sparkml_algos.plotting._tables import Table


# Of the height of the picture.
_SCORES_SHARE = 0.3


def plot_anomalies(
    scored: Table,
    time: str = "time",
    value: str = "value",
    score: str | None = "score",
    prediction: str | None = None,
    threshold: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a series, the steps that are called anomalous as dots on it, and the scores behind that.

    Parameters
    ----------
    scored : DataFrame of Spark or pandas, or mapping of str to array
        The steps of one series, in any order, as `RandomCutForestModel.transform` leaves them.
    time, value : str
        Columns: when a step was, and the series.
    score : str, optional
        Column of scores, drawn below the series on an axis at the right; None draws none.
    prediction : str, optional
        Column that is 1 (or true) where a step is called anomalous.
    threshold : float or RandomCutForestModel, optional
        Without `prediction`, steps are called anomalous that score more than this, or than the threshold of the model.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Of the series; that of the scores is the last of its figure.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If a column is missing, there is no row, or nothing says which steps are anomalous.

    Examples
    --------
    >>> plot_anomalies(model.transform(series), time="timestamp", value="load", threshold=model)  # doctest: +SKIP
    """
    limit = getattr(threshold, "threshold", threshold)
    if prediction is None and (limit is None or score is None):
        raise ValueError("nothing says which steps are anomalous: give prediction, a column, or threshold and the column of the scores")
    names = list(filter(None, [time, value, score, prediction]))
    found = dict(zip(names, columns(scored, names, "plot_anomalies"), strict=True))
    order = np.argsort(found[time], kind="stable")
    times, values = found[time][order], np.asarray(found[value], np.float64)[order]
    scores = np.asarray(found[score], np.float64)[order] if score else None
    odd = found[prediction][order].astype(bool) if prediction else scores > limit
    ax = axes_for(ax, "plot_anomalies", (10, 4))
    ax.plot(times, values, color=BLUE, linewidth=1, label=value)
    ax.plot(times[odd], values[odd], "o", color=ORANGE, markersize=5, label=f"anomalous: {odd.sum():,} of {len(odd):,}")
    if score and scores is not None:
        _draw_scores(ax, times, scores, limit, score)
    return over_time(ax, time, value, 2)


def _draw_scores(ax: Axes, times: np.ndarray, scores: np.ndarray, limit: float | None, name: str) -> None:
    """Below the series, in the lowest part of the picture, on an axis of their own."""
    from matplotlib.ticker import MaxNLocator

    bottom, top = ax.get_ylim()
    ticks = [tick for tick in ax.get_yticks() if bottom <= tick <= top]
    ax.set_ylim(top - (top - bottom) / (1 - _SCORES_SHARE), top)
    ax.set_yticks(ticks)
    below = ax.twinx()
    below.plot(times, scores, color=GREY, linewidth=0.8)
    if limit is not None:
        below.axhline(limit, color=GREY, linewidth=1, linestyle="--")
    highest = max(scores.max(), limit or 0) * 1.05
    below.set_ylim(0, highest / _SCORES_SHARE)
    below.set_yticks(MaxNLocator(3).tick_values(0, highest)[:-1])
    below.set_ylabel(name, color=GREY)
    below.spines["top"].set_visible(False)

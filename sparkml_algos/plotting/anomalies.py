"""Where a series is odd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sparkml_algos.plotting._axes import BLUE, GREY, ORANGE, axes_for, plain
from sparkml_algos.plotting._tables import columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sparkml_algos.plotting._tables import Table


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
        Column of scores, drawn on an axis of their own at the right; None draws none.
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
    ax.set_xlabel(time)
    ax.set_ylabel(value)
    if score:
        _draw_scores(ax, times, scores, limit, score)
    ax.legend(frameon=False, loc="upper left")
    ax.tick_params(axis="x", rotation=30)
    return plain(ax)


def _draw_scores(ax: Axes, times: np.ndarray, scores: np.ndarray, limit: float | None, name: str) -> None:
    """Behind the series, in the lower half of the picture."""
    behind = ax.twinx()
    behind.plot(times, scores, color=GREY, linewidth=0.8)
    if limit is not None:
        behind.axhline(limit, color=GREY, linewidth=1, linestyle="--")
    behind.set_ylim(0, 2 * max(scores.max(), limit or 0))
    behind.set_ylabel(name, color=GREY)
    behind.spines[["top"]].set_visible(False)
    ax.set_zorder(behind.get_zorder() + 1)
    ax.patch.set_visible(False)

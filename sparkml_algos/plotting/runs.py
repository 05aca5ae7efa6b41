"""Runs of experiments side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sparkml_algos.plotting._axes import BLUE, axes_for, plain, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_KINDS = ("line", "bar", "scatter", "histogram", "parallel")


def plot_runs(
    comparison: Any,
    kind: Literal["line", "bar", "scatter", "histogram", "parallel"],
    y: str,
    x: str | Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw what runs have in common and what not.

    Parameters
    ----------
    comparison : Comparison
        Of `tracking.compare`.
    kind : {"line", "bar", "scatter", "histogram", "parallel"}
        ``line``: a metric by step, a line for each run. ``bar``: its last value, a bar for each run. ``scatter``: it over a parameter or
        another metric. ``histogram``: how often which value. ``parallel``: a line for each run through several columns and the metric.
    y : str
        The metric, or another column of ``comparison.frame()``.
    x : str or sequence of str, optional
        Of a scatter, the column; of parallel coordinates, the columns: by default the parameters that are not the same in all runs.
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
        If there is no such kind or column, or nothing to draw.

    Examples
    --------
    >>> plot_runs(tracking.compare(runs), "scatter", "validation:auc", "max_depth")  # doctest: +SKIP
    """
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, _KINDS))}, got {kind!r}")
    frame = comparison.frame()
    if y not in frame.columns:
        raise ValueError(f"no run has {y!r}; there are {', '.join(frame.columns)}")
    frame = frame[frame[y].notna()]
    ax = axes_for(ax, "plot_runs", (8.0, 4.0) if kind == "parallel" else (6.0, 4.0))
    if kind == "line":
        history = comparison.history(y)
        for name in history.columns:
            known = history[name].dropna()
            ax.plot(known.index, known, marker="o" if len(known) == 1 else None, label=name)
        whole_numbers(ax)
        return plain(ax, x="step", y=y, legend=True)
    if kind == "bar":
        ax.bar(range(len(frame)), frame[y], color=BLUE)
        ax.set_xticks(range(len(frame)), frame["run"], rotation=45, ha="right")
        return plain(ax, y=y)
    if kind == "histogram":
        ax.hist(frame[y], color=BLUE)
        return plain(ax, x=y, y="runs")
    if kind == "scatter":
        if not isinstance(x, str) or x not in frame.columns:
            raise ValueError(f"x must be one of {', '.join(frame.columns)}, got {x!r}")
        numbers = all(isinstance(value, (int, float)) for value in frame[x])
        ax.scatter(frame[x] if numbers else frame[x].astype(str), frame[y], color=BLUE)
        return plain(ax, x=x, y=y)
    _parallel(frame, list(comparison.differences().index) if x is None else [x] if isinstance(x, str) else list(x), y, ax)
    return plain(ax, "x", y="place among its values")


def _parallel(frame: Any, columns: list[str], y: str, ax: Axes) -> None:
    if missing := [name for name in columns if name not in frame.columns]:
        raise ValueError(f"no run has {', '.join(map(repr, missing))}")
    if not columns:
        raise ValueError("the runs do not differ in any parameter: name columns in x")
    places = np.column_stack([_places(list(frame[name])) for name in [*columns, y]])
    order = np.argsort(places[:, -1])
    for row in order:
        ax.plot(range(len(columns) + 1), places[row], color=BLUE, alpha=0.25 + 0.75 * float(places[row, -1]))
    ax.set_xticks(range(len(columns) + 1), [*columns, y])


def _places(values: list[Any]) -> np.ndarray:
    """Values from 0, the least, to 1; texts in their order; NaN where there is none."""
    known = [value for value in values if value is not None and value == value]
    if not all(isinstance(value, (int, float)) for value in known):
        texts = sorted({str(value) for value in known})
        values = [texts.index(str(value)) if value is not None and value == value else np.nan for value in values]
    found = np.array([np.nan if value is None else value for value in values], np.float64)
    low, high = np.nanmin(found), np.nanmax(found)
    return (found - low) / (high - low) if high > low else np.where(np.isnan(found), np.nan, 0.5)

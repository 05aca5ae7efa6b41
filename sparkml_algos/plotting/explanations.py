"""Why a model answers as it does: attributions of many rows, of one, and partial dependence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sparkml_algos.plotting._axes import BLUE, GREY, ORANGE, axes_for, named_bars, plain
from sparkml_algos.plotting._tables import columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Kind = Literal["bar", "beeswarm", "waterfall"]
_KINDS = ("bar", "beeswarm", "waterfall")
_INCHES_PER_BAR, _INCHES_AROUND = 0.3, 1.2
# Points of a beeswarm for each feature, and how they are laid out: so many places side by side over the range, rows of a place above each
# other.
_MOST_POINTS, _PLACES, _HALF = 1000, 100, 0.4


def plot_explanations(
    explanation: Any,
    kind: Kind = "bar",
    label: str | None = None,
    row: int = 0,
    top: int = 12,
    agg_method: str = "mean_abs",
    ax: Axes | None = None,
) -> Axes:
    """Draw attributions: of all rows as bars, of each row as a point, or of one row as steps from the expected output to its own.

    Parameters
    ----------
    explanation : Explanation
        As `sparkml_algos.explain.explain` gives it.
    kind : {"bar", "beeswarm", "waterfall"}
        ``bar``: how much each feature counts over all rows. ``beeswarm``: a point for each row and feature, as far right as its attribution
        is large, from blue for small values of the feature to orange for large ones, grey where they are no numbers; of up to 1,000 rows.
        ``waterfall``: how the attributions of one row add up.
    label : str, optional
        Which output, such as ``label1``; by default the last, of two classes the positive one.
    row : int
        Which row, from 0, of ``waterfall``.
    top : int
        Features to draw at most; those that count least are drawn together in a ``waterfall``.
    agg_method : {"mean_abs", "mean_sq", "median"}
        Of ``bar``.
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
        If the kind or the label is unknown, or there is no such row.

    Examples
    --------
    >>> plot_explanations(explain(model, rows), "beeswarm")  # doctest: +SKIP
    """
    if kind not in _KINDS:
        raise ValueError(f"kind is one of {', '.join(_KINDS)}, not {kind!r}")
    label = explanation.labels[-1] if label is None else label
    if label not in explanation.labels:
        raise ValueError(f"label {label!r} is not explained; there are {', '.join(explanation.labels)}")
    if top < 1:
        raise ValueError(f"top is 1 or more, not {top!r}")
    if kind == "bar":
        return _bars(explanation, label, top, agg_method, ax)
    if kind == "beeswarm":
        return _beeswarm(explanation, label, top, ax)
    return _waterfall(explanation, label, row, top, ax)


def plot_partial_dependence(dependence: Any, output: int = -1, ax: Axes | None = None) -> Axes:
    """Draw what a model answers on average by the value of a feature, and below how many rows have it.

    Parameters
    ----------
    dependence : PartialDependence
        As `sparkml_algos.explain.partial_dependence` lists them.
    output : int
        Which output; by default the last.
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
        If there is none, of a text.

    Examples
    --------
    >>> plot_partial_dependence(partial_dependence(model, rows, ["age"])[0])  # doctest: +SKIP
    """
    if dependence.error is not None:
        raise ValueError(f"{dependence.feature_name}: {dependence.error}")
    ax = axes_for(ax, "plot_partial_dependence", (6, 4))
    values, means = dependence.feature_values, np.asarray(dependence.model_predictions[output], np.float64)
    shares = np.asarray(dependence.data_distribution, np.float64)
    low, high = float(means.min()), float(means.max())
    tall = (high - low) or abs(high) or 1.0
    numeric = dependence.data_type == "numerical"
    at = np.asarray(values, np.float64) if numeric else np.arange(len(values))
    width = (at[1] - at[0]) * 0.95 if len(at) > 1 else 0.8
    ax.bar(
        at,
        shares / (shares.max() or 1.0) * tall * 0.3,
        bottom=low - tall * 0.35,
        width=width,
        color=GREY,
        alpha=0.35,
        label="share of rows",
    )
    if numeric:
        ax.plot(at, means, color=BLUE, marker="o", markersize=3)
    else:
        ax.plot(at, means, color=BLUE, marker="o", linestyle="")
        ax.set_xticks(at, [str(value) for value in values], rotation=30)
    ax.set_ylim(low - tall * 0.35, high + tall * 0.1)
    return plain(ax, x=dependence.feature_name, y="mean output")


def _bars(explanation: Any, label: str, top: int, agg_method: str, ax: Axes | None) -> Axes:
    found = explanation.global_values(agg_method)[label]
    names = sorted(found, key=lambda name: (-abs(found[name]), name))[:top]
    ax = _axes(ax, len(names))
    values = [found[name] for name in names]
    ax.barh(range(len(names)), values, color=[BLUE if value >= 0 else ORANGE for value in values], height=0.7)
    ax.set_xlabel(f"attribution ({agg_method})")
    return _named(ax, names)


def _beeswarm(explanation: Any, label: str, top: int, ax: Axes | None) -> Axes:
    attributions, values, _ = _rows(explanation, label, _MOST_POINTS, with_values=True)
    order = np.argsort(-np.abs(attributions).mean(axis=0), kind="stable")[:top]
    ax = _axes(ax, len(order))
    span = float(np.ptp(attributions)) or 1.0
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("values", [BLUE, ORANGE])
    for place, feature in enumerate(order):
        x = attributions[:, feature]
        of_points = _shades(values[feature])
        colour = [GREY] * len(x) if of_points is None else colours(of_points)
        ax.scatter(x, place + _spread(x, span), c=colour, s=8, linewidths=0)
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.set_xlabel("attribution")
    return _named(ax, [explanation.features[feature] for feature in order])


def _waterfall(explanation: Any, label: str, row: int, top: int, ax: Axes | None) -> Axes:
    attributions, _, expected = _rows(explanation, label, row + 1, with_values=False)
    if not 0 <= row < len(attributions):
        raise ValueError(f"row is from 0 to {len(attributions) - 1}, not {row!r}")
    of_row, start = attributions[row], float(expected[row])
    order = np.argsort(-np.abs(of_row), kind="stable")
    shown, rest = (order, order[:0]) if len(order) <= top else (order[: top - 1], order[top - 1 :])
    names = [explanation.features[feature] for feature in shown] + ([f"{len(rest)} others"] if len(rest) else [])
    steps = [*of_row[shown].tolist(), *([float(of_row[rest].sum())] if len(rest) else [])]
    ax = _axes(ax, len(names))
    for place, step in enumerate(steps):
        ax.barh(place, step, left=start, color=BLUE if step >= 0 else ORANGE, height=0.7)
        ax.text(start + max(step, 0), place, f" {step:+.3g}", va="center", fontsize="small")
        start += step
    ax.axvline(float(expected[row]), color=GREY, linewidth=0.8, linestyle="--")
    ax.axvline(start, color=GREY, linewidth=0.8)
    ax.set_xlabel(f"from {float(expected[row]):.4g}, expected, to {start:.4g}")
    return _named(ax, names)


def _rows(explanation: Any, label: str, most: int, with_values: bool) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Attributions, shape (rows, features), values of each feature, and expected outputs, of the first rows."""
    table = explanation.feature_values() if with_values else explanation.dataframe
    if hasattr(table, "limit"):
        table = table.limit(most)
    count = len(explanation.features)
    values = [f"value_{i}" for i in range(count)] if with_values else []
    names = [*(f"{name}_{label}" for name in explanation.features), f"expected_{label}", *values]
    found = columns(table, names, "plot_explanations")
    return np.stack(found[:count], axis=1).astype(np.float64)[:most], [one[:most] for one in found[count + 1 :]], found[count]


def _shades(values: np.ndarray) -> np.ndarray | None:
    """From 0 to 1 by rank; None of what are no numbers, or all the same."""
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        return None
    if np.isnan(numbers).any() or np.ptp(numbers) == 0:
        return None
    ranks = np.unique(numbers, return_inverse=True)[1].astype(np.float64)
    return ranks / ranks.max()


def _spread(x: np.ndarray, span: float) -> np.ndarray:
    """How far above or below its line each point is, so that those of a place lie beside each other."""
    places = np.floor((x - x.min()) / span * _PLACES).astype(np.int64)
    offsets = np.zeros(len(x))
    most = max(1, int(np.bincount(places).max()))
    for place in np.unique(places):
        here = np.flatnonzero(places == place)
        offsets[here] = (np.arange(len(here)) - (len(here) - 1) / 2) / most * 2 * _HALF
    return offsets


def _axes(ax: Axes | None, bars: int) -> Axes:
    return axes_for(ax, "plot_explanations", (6, _INCHES_AROUND + _INCHES_PER_BAR * bars))


def _named(ax: Axes, names: Sequence[str]) -> Axes:
    ax.set_ylim(-0.6, len(names) - 0.4)
    return named_bars(ax, names)

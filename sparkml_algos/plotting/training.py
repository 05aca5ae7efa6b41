"""How a training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkml_algos.plotting._axes import BLUE, ORANGE, axes_for, plain, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Metrics of which more is better have one of these in their name.
_MAXIMISED = ("accuracy", "auc", "dcg", "f1", "f_beta", "map", "pre", "pwll", "recall", "likelihood", "reward")
_LINES = {"train": ("training rows", BLUE), "validation": ("validation rows", ORANGE)}


def plot_training_history(model: Any, metric: str | None = None, larger_is_better: bool | None = None, ax: Axes | None = None) -> Axes:
    """Draw a metric by epoch, on the training and on the validation rows where both are known, and mark the epoch in which it was best.

    The best epoch is that of the validation rows, or of the training rows without such. Whether it is the one that serves is the
    algorithm's affair: its metrics are ``model.training_summary.metrics``.

    Parameters
    ----------
    model : AlgorithmModel, TrainingSummary, or sequence of mapping
        With a history: metrics by epoch, such as ``{"epoch": 1, "train:rmse": 0.5, "validation:rmse": 0.6}``.
    metric : str, optional
        Such as ``rmse``; by default the last one of the history, which is what early stopping watches.
    larger_is_better : bool, optional
        By default told from the metric's name.
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
        If there is no history, or no such metric in it.

    Examples
    --------
    >>> plot_training_history(model, "rmse")  # doctest: +SKIP
    """
    history = _history(model)
    known = list(dict.fromkeys(name for epoch in history for name in epoch if ":" in name))
    if not known:
        raise ValueError("the history has no metrics to draw")
    metric = known[-1].split(":", 1)[1] if metric is None else metric
    names = [name for name in known if name.split(":", 1)[1] == metric]
    if not names:
        metrics = list(dict.fromkeys(name.split(":", 1)[1] for name in known))
        raise ValueError(f"the history has no metric {metric!r}; it has {', '.join(map(repr, metrics))}")
    ax = axes_for(ax, "plot_training_history")
    for name in names:
        label, color = _LINES.get(name.split(":", 1)[0], (name, None))
        drawn = [(epoch["epoch"], epoch[name]) for epoch in history if name in epoch]
        (line,) = ax.plot(*zip(*drawn, strict=True), color=color, linewidth=2, label=label)
    epochs, values = (np.asarray(part, np.float64) for part in zip(*drawn, strict=True))
    best = _best(values, _is_maximised(metric) if larger_is_better is None else larger_is_better)
    if best is not None:
        label = f"best: {values[best]:.4g} in {_unit(model)} {epochs[best]:.0f}"
        ax.axvline(epochs[best], color=line.get_color(), linewidth=1, linestyle="--", alpha=0.6)
        ax.plot(epochs[best], values[best], "o", color=line.get_color(), markersize=8, markeredgecolor="white", label=label)
    whole_numbers(ax)
    return plain(ax, x=_unit(model), y=metric, legend=True)


def _best(values: np.ndarray, larger_is_better: bool) -> int | None:
    if np.isnan(values).all():
        return None
    return int(np.nanargmax(values) if larger_is_better else np.nanargmin(values))


def _history(model: Any) -> Sequence[Mapping[str, float]]:
    summary = getattr(model, "training_summary", model)
    history = getattr(summary, "history", summary)
    if not history:
        raise ValueError("there is no history of a training to draw")
    return history


def _unit(model: Any) -> str:
    """What progress of the algorithm is counted in, in the singular."""
    algorithm = getattr(model, "algorithm", None)
    return algorithm().unit.removesuffix("s") if callable(algorithm) else "epoch"


def _is_maximised(metric: str) -> bool:
    return any(part in metric for part in _MAXIMISED)

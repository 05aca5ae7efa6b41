"""How a search went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sparkml_algos.plotting._axes import BLUE, GREY, ORANGE, axes_for, plain, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZES = {"history": (6.0, 4.0), "parallel": (8.0, 4.0), "slice": (5.0, 4.0), "pareto": (5.0, 4.0)}


def plot_tuning(
    job: Any,
    kind: Literal["history", "parallel", "slice", "pareto"] = "history",
    parameter: str | None = None,
    ax: Axes | None = None,
    *,
    definition: str | None = None,
) -> Axes:
    """Draw the trials of a tuning job, while it runs or afterwards.

    Parameters
    ----------
    job : TuningJob
    kind : {"history", "parallel", "slice", "pareto"}
        ``history``: the objective of each trial, and the best so far. ``parallel``: a line for each trial through its places in the ranges
        of all hyperparameters, the better the darker. ``slice``: the objective over the values of one hyperparameter. ``pareto``: the first
        two of several objectives, and the trials that none is better than.
    parameter : str, optional
        Of a slice; by default the first one that is tuned.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    definition : str, optional
        Of a search over several Estimators, whose trials ``parallel`` and ``slice`` draw; by default those of the best one's.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If no trial has an objective, or there is no such kind, hyperparameter or definition, or no second objective for ``pareto``.

    Examples
    --------
    >>> plot_tuning(tuner.latest_tuning_job, "slice", "eta")  # doctest: +SKIP
    """
    if kind not in _SIZES:
        raise ValueError(f"kind must be one of {', '.join(map(repr, _SIZES))}, got {kind!r}")
    if kind == "pareto" and len(job.objectives()) < 2:
        raise ValueError(f"{job.name} has the single objective {job.objective_metric}; kind 'pareto' draws two")
    succeeded = [trial for trial in job.trials if trial.succeeded]
    if not succeeded:
        raise ValueError(f"no trial of {job.name} has an objective to draw")
    ax = axes_for(ax, "plot_tuning", _SIZES[kind])
    if kind == "history":
        _history(job, succeeded, ax)
    elif kind == "parallel":
        _parallel(job, job.trials_of(definition), ax)
    elif kind == "slice":
        _slice(job, job.trials_of(definition), parameter, ax)
    else:
        _pareto(job, succeeded, ax)
    return ax


def _history(job: Any, succeeded: list[Any], ax: Axes) -> None:
    numbers, values = np.array([[trial.number + 1, trial.objective] for trial in succeeded]).T
    stopped = np.array([trial.status == "Stopped" for trial in succeeded])
    ax.plot(numbers[~stopped], values[~stopped], "o", color=BLUE, alpha=0.6, label="completed")
    if stopped.any():
        ax.plot(numbers[stopped], values[stopped], "o", color=GREY, alpha=0.6, label="stopped early")
    best = (np.maximum if job.larger_is_better else np.minimum).accumulate(values)
    ax.plot(numbers, best, drawstyle="steps-post", color=ORANGE, label="best so far")
    if failed := [trial.number + 1 for trial in job.trials if trial.status == "Failed"]:
        ax.plot(failed, [0.02] * len(failed), "x", color=GREY, transform=ax.get_xaxis_transform(), label="failed")
    whole_numbers(ax)
    plain(ax, x="trial", y=job.objective_metric, legend=True)


def _parallel(job: Any, succeeded: list[Any], ax: Axes) -> None:
    from matplotlib import colormaps

    names = list(succeeded[0].units)
    values = np.array([trial.objective for trial in succeeded])
    spread = float(np.ptp(values)) or 1.0
    goodness = (values - values.min()) / spread if job.larger_is_better else (values.max() - values) / spread
    colours = colormaps["Blues"](0.15 + 0.85 * goodness)
    for place in np.argsort(goodness):
        heights = [*(succeeded[place].units[name] for name in names), (values[place] - values.min()) / spread]
        ax.plot(range(len(heights)), heights, color=colours[place], linewidth=1 + goodness[place])
    ax.set_xticks(range(len(names) + 1), [*names, job.objective_metric])
    plain(ax, "x", y="place in its range")


def _slice(job: Any, succeeded: list[Any], parameter: str | None, ax: Axes) -> None:
    names = list(succeeded[0].units)
    parameter = names[0] if parameter is None else parameter
    if parameter not in names:
        raise ValueError(f"{parameter!r} is not tuned; {', '.join(map(repr, names))} are")
    having = [trial for trial in succeeded if parameter in trial.setting]
    values = [trial.setting[parameter] for trial in having]
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        scaling = {one["Name"]: one["ScalingType"] for one in _numeric_ranges(job, succeeded[0].definition)}.get(parameter)
        low, high = (min(values), max(values)) if values else (1, 1)
        if scaling == "Logarithmic" or scaling == "Auto" and low > 0 and high / low >= 30:
            ax.set_xscale("log")
    else:
        values = [str(value) for value in values]
    order = ax.scatter(
        values, [trial.objective for trial in having], c=[trial.number + 1 for trial in having], cmap="Blues", edgecolor=BLUE
    )
    ax.figure.colorbar(order, ax=ax, label="trial")
    plain(ax, x=parameter, y=job.objective_metric)


def _pareto(job: Any, succeeded: list[Any], ax: Axes) -> None:
    names = [objective.metric for objective in job.objectives()[:2]]
    front = {trial.number for trial in job.pareto_front}
    points = np.array([[trial.objectives[name] for name in names] for trial in succeeded])
    on_front = np.array([trial.number in front for trial in succeeded])
    ax.plot(*points[~on_front].T, "o", color=GREY, alpha=0.6, label="another is better")
    edge = points[on_front][np.argsort(points[on_front][:, 0], kind="stable")]
    ax.plot(*edge.T, "o-", color=ORANGE, label="none is better")
    plain(ax, x=names[0], y=names[1], legend=True)


def _numeric_ranges(job: Any, definition: str) -> list[dict[str, Any]]:
    ranges = job.ranges(definition)
    return [*ranges["ContinuousParameterRanges"], *ranges["IntegerParameterRanges"]]

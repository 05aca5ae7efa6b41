"""How well classes are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from sparkml_algos.plotting._axes import GREY, axes_for, check_names, plain, slanted_names
from sparkml_algos.plotting._tables import totals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sparkml_algos.plotting._tables import Table

# Classes up to which each cell says its number.
_CELLS_WITH_NUMBERS = 20


def plot_roc_curve(
    scored: Table,
    label: str = "label",
    score: str = "probability",
    positive: int = 1,
    weight: str | None = None,
    name: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of positive rows that are found against the share of the others that are taken for them, at every threshold.

    Parameters
    ----------
    scored : DataFrame of Spark or pandas, or mapping of str to array
        Rows with label and score, as `transform` leaves them. A DataFrame of Spark is counted where its rows are; its distinct scores come
        to the driver.
    label, score : str
        Columns. A score is a number or a vector with an entry for each class, such as ``probability`` or ``rawPrediction``.
    positive : int
        The class that is to be found; all others count as one.
    weight : str, optional
        Column of weights; every row weighs 1 without it.
    name : str, optional
        What the curve is called in the legend, beside the area under it.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default. Several curves may share one.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If a column is missing, or one of the two classes has no row.

    Examples
    --------
    >>> plot_roc_curve(model.transform(held_out), label="churned")  # doctest: +SKIP
    >>> plot_roc_curve({"label": labels, "probability": scores})  # doctest: +SKIP
    """
    _, found, taken = _by_threshold(scored, label, score, positive, weight, "plot_roc_curve")
    x, y = np.append(0, taken / taken[-1]), np.append(0, found / found[-1])
    area = float(np.diff(x) @ (y[1:] + y[:-1])) / 2
    ax = axes_for(ax, "plot_roc_curve", (5, 5))
    _line_of_reference(ax, [0, 1], [0, 1])
    ax.plot(x, y, linewidth=2, label=_named(name, "area", area))
    return _square(ax, "share of other rows taken for positive", "share of positive rows found", "lower right")


def plot_precision_recall_curve(
    scored: Table,
    label: str = "label",
    score: str = "probability",
    positive: int = 1,
    weight: str | None = None,
    name: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of rows called positive that are, against the share of positive rows that are found, at every threshold.

    Parameters
    ----------
    scored : DataFrame of Spark or pandas, or mapping of str to array
        As `plot_roc_curve` takes it.
    label, score : str
        Columns. A score is a number or a vector with an entry for each class.
    positive : int
        The class that is to be found; all others count as one.
    weight : str, optional
        Column of weights; every row weighs 1 without it.
    name : str, optional
        What the curve is called in the legend, beside its average precision: the mean of the precision over the recall.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default. Several curves may share one.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If a column is missing, or one of the two classes has no row.

    Examples
    --------
    >>> plot_precision_recall_curve(model.transform(held_out), score="rawPrediction")  # doctest: +SKIP
    """
    _, found, taken = _by_threshold(scored, label, score, positive, weight, "plot_precision_recall_curve")
    recall, precision = found / found[-1], found / (found + taken)
    average = float(np.diff(recall, prepend=0) @ precision)
    ax = axes_for(ax, "plot_precision_recall_curve", (5, 5))
    _line_of_reference(ax, [0, 1], [precision[-1]] * 2)
    # The precision of a threshold holds for the positives that it finds beyond the threshold above, hence steps.
    ax.plot(
        np.append(0, recall), np.append(precision[0], precision), drawstyle="steps-pre", linewidth=2, label=_named(name, "mean", average)
    )
    return _square(ax, "recall: share of positive rows found", "precision: share of rows called positive that are", "lower left")


def plot_confusion_matrix(
    scored: Table,
    label: str = "label",
    prediction: str = "prediction",
    normalize: str | None = None,
    weight: str | None = None,
    class_names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many rows of each class are taken for which.

    Parameters
    ----------
    scored : DataFrame of Spark or pandas, or mapping of str to array
        Rows with label and prediction, as `transform` leaves them. A DataFrame of Spark is counted where its rows are.
    label, prediction : str
        Columns of classes.
    normalize : {"label", "prediction", "all"}, optional
        Draw shares of the rows of each label, of each prediction, or of all, in place of numbers.
    weight : str, optional
        Column of weights; every row weighs 1 without it.
    class_names : sequence of str, optional
        Names of the classes 0, 1, …; by default the classes that occur, as they are.
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
        If a column is missing, there is no row, a class has no name, or `normalize` is something else.

    Examples
    --------
    >>> plot_confusion_matrix(model.transform(held_out), normalize="label")  # doctest: +SKIP
    """
    sums = {None: None, "label": 1, "prediction": 0, "all": (0, 1)}
    if normalize not in sums:
        raise ValueError(f"normalize must be 'label', 'prediction' or 'all', got {normalize!r}")
    actual, predicted, weights = totals(scored, [label, prediction], weight, "plot_confusion_matrix")
    classes, place = np.unique(np.concatenate([actual, predicted]).astype(np.float64), return_inverse=True)
    names = [f"{one:g}" for one in classes]
    if class_names is not None:
        check_names(class_names, classes[-1], "there are classes up to")
        places = np.append(np.asarray(actual, np.int64), np.asarray(predicted, np.int64))
        place, names = places, [str(one) for one in class_names]
    matrix = np.zeros((len(names), len(names)))
    np.add.at(matrix, (place[: len(actual)], place[len(actual) :]), weights)
    if normalize:
        whole = matrix.sum(axis=sums[normalize], keepdims=True)
        matrix = np.divide(matrix, whole, out=np.zeros_like(matrix), where=whole > 0)
    side = 2.5 + 0.45 * min(len(names), _CELLS_WITH_NUMBERS)
    ax = axes_for(ax, "plot_confusion_matrix", (side, side))
    ax.imshow(matrix, cmap="Blues", vmin=0, interpolation="nearest")
    if len(names) <= _CELLS_WITH_NUMBERS:
        _write_cells(ax, matrix, ".2f" if normalize else "g")
        if class_names:
            slanted_names(ax, names)
        else:
            ax.set_xticks(range(len(names)), names)
        ax.set_yticks(range(len(names)), names)
    ax.set_xlabel(prediction)
    ax.set_ylabel(label)
    return ax


def _by_threshold(
    scored: Table, label: str, score: str, positive: int, weight: str | None, function: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct scores, highest first, and the weight of positive and of other rows that score at least so much."""
    values, labels, weights = totals(scored, [score, label], weight, function, (score, positive))
    distinct, place = np.unique(-np.asarray(values, np.float64), return_inverse=True)
    is_positive = np.asarray(labels, np.float64) == positive
    found = np.cumsum(np.bincount(place, weights * is_positive))
    taken = np.cumsum(np.bincount(place, weights * ~is_positive))
    for total, which in ((found[-1], "is"), (taken[-1], "is other than")):
        if not total:
            raise ValueError(f"{function} needs rows of both kinds: there is none whose {label!r} {which} {positive}")
    return -distinct, found, taken


def _line_of_reference(ax: Axes, x: Sequence[float], y: Sequence[float]) -> None:
    """What a score that knows nothing reaches."""
    ax.plot(x, y, color=GREY, linewidth=1, linestyle="--")


def _named(name: str | None, figure: str, value: float) -> str:
    return f"{name}: {figure} {value:.3f}" if name else f"{figure} {value:.3f}"


def _square(ax: Axes, x: str, y: str, legend: Literal["lower left", "lower right"]) -> Axes:
    ax.set_xlim(-0.01, 1.01)
    ax.set_ylim(-0.01, 1.01)
    ax.set_aspect("equal")
    ax.legend(frameon=False, loc=legend)
    return plain(ax, "both", x=x, y=y)


def _write_cells(ax: Axes, matrix: np.ndarray, form: str) -> None:
    middle = matrix.max() / 2
    for row, column in np.ndindex(matrix.shape):
        value = matrix[row, column]
        ax.text(column, row, f"{value:{form}}", ha="center", va="center", color="white" if value > middle else "black", fontsize="small")

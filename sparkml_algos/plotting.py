"""Pictures of results, with matplotlib, which the extra ``plot`` installs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

LINE_COLOR = "#2f6db3"


def plot_elbow(dataframe: DataFrame | pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the mean squared distance to the centres against k: a good k is where the curve stops falling steeply.

    Parameters
    ----------
    dataframe : DataFrame or pandas.DataFrame
        What `KMeans.elbow` returns: columns ``k`` and ``msd``, rows in any order.
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
        If a column is missing, or there is no row.

    Examples
    --------
    >>> plot_elbow(KMeans(k=10).elbow(dataframe, range(2, 21)))  # doctest: +SKIP
    """
    try:
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise ImportError("plot_elbow needs matplotlib; install it with: pip install 'sparkml-algos[plot]'") from error

    points = sorted(_points(dataframe))
    if not points:
        raise ValueError("the elbow has no row to draw")
    ks, msds = zip(*points, strict=True)
    if ax is None:
        _, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.plot(ks, msds, color=LINE_COLOR, linewidth=2, marker="o", markersize=6, markeredgecolor="white")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("clusters k")
    ax.set_ylabel("mean squared distance to the centre")
    ax.set_ylim(bottom=0)
    ax.grid(axis="y", alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _points(dataframe: DataFrame | pd.DataFrame) -> Iterable[tuple[int, float]]:
    missing = [name for name in ("k", "msd") if name not in dataframe.columns]
    if missing:
        raise ValueError(f"columns {missing} are missing; plot_elbow takes what KMeans.elbow returns, this has {list(dataframe.columns)}")
    if hasattr(dataframe, "collect"):
        return [(row["k"], row["msd"]) for row in dataframe.select("k", "msd").collect()]
    return list(zip(dataframe["k"], dataframe["msd"], strict=True))

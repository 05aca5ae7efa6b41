"""How many clusters there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sparkml_algos.plotting._axes import BLUE, axes_for, plain, whole_numbers
from sparkml_algos.plotting._tables import columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sparkml_algos.plotting._tables import Table


def plot_elbow(elbow: Table, ax: Axes | None = None) -> Axes:
    """Draw the mean squared distance to the centres against k: a good k is where the curve stops falling steeply.

    Parameters
    ----------
    elbow : DataFrame of Spark or pandas, or mapping of str to array
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
    >>> plot_elbow(KMeans(k=20).elbow(dataframe, range(2, 21)))  # doctest: +SKIP
    """
    ks, msds = columns(elbow, ["k", "msd"], "plot_elbow")
    order = np.argsort(ks)
    ax = axes_for(ax, "plot_elbow")
    ax.plot(ks[order], msds[order], color=BLUE, linewidth=2, marker="o", markersize=6, markeredgecolor="white")
    whole_numbers(ax)
    ax.set_ylim(bottom=0)
    return plain(ax, x="clusters k", y="mean squared distance to the centre")

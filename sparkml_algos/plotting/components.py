"""What principal components explain, and what they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkml_algos.plotting._axes import BLUE, ORANGE, axes_for, plain, slanted_names, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Features up to which each has its name under it.
_NAMED_FEATURES = 40


def plot_explained_variance(model: Any, ax: Axes | None = None) -> Axes:
    """Draw the share of the variance along each principal component, and of the first so many together.

    Parameters
    ----------
    model : PCAModel or array of shape (components,)
        Or the shares, leading component first.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> plot_explained_variance(model)  # doctest: +SKIP
    """
    shares = np.asarray(getattr(model, "explained_variance_ratio", model), np.float64)
    number = np.arange(1, len(shares) + 1)
    ax = axes_for(ax, "plot_explained_variance")
    ax.bar(number, shares, color=BLUE, label="each")
    ax.plot(number, np.cumsum(shares), color=ORANGE, linewidth=2, marker="o", markersize=4, label="together with those before")
    whole_numbers(ax)
    ax.set_ylim(0, 1.02)
    return plain(ax, x="component", y="share of the variance", legend=True)


def plot_components(
    model: Any, components: Sequence[int] | None = None, feature_names: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the weights of the features in principal components as colours, a row for each component.

    Parameters
    ----------
    model : PCAModel or array of shape (components, features)
    components : sequence of int, optional
        Which ones, counted from 0; all by default.
    feature_names : sequence of str, optional
        By default those of the model, where it knows them.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default. The scale of the colours takes a part of it.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If there is no such component, or names are not as many as features.

    Examples
    --------
    >>> plot_components(model, components=[0, 1])  # doctest: +SKIP
    """
    weights = np.asarray(getattr(model, "components", model), np.float64)
    chosen = list(range(len(weights))) if components is None else list(components)
    if beyond := [one for one in chosen if not 0 <= one < len(weights)]:
        raise ValueError(f"there is no component {beyond[0]}; there are {len(weights)}, counted from 0")
    names = getattr(model, "feature_names", None) if feature_names is None else feature_names
    if names is not None and len(names) != weights.shape[1]:
        raise ValueError(f"{len(names)} names are given for {weights.shape[1]} features")
    shown = names if names is not None and len(names) <= _NAMED_FEATURES else None
    ax = axes_for(ax, "plot_components", (8, (1.5 if shown is None else 2.5) + 0.3 * len(chosen)))
    largest = np.abs(weights[chosen]).max() or 1.0
    image = ax.imshow(weights[chosen], cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto", interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label="weight")
    ax.set_yticks(range(len(chosen)), [str(place) for place in chosen])
    ax.set_ylabel("component")
    ax.set_xlabel("feature")
    if shown is not None:
        slanted_names(ax, shown)
    return ax

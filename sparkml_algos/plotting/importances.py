"""Which features count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkml_algos.plotting._axes import BLUE, axes_for, named_bars

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES_PER_BAR, _INCHES_AROUND = 0.25, 1.2


def plot_feature_importances(
    importances: Any, top: int = 20, importance_type: str = "gain", feature_names: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the most important features as bars, the first on top.

    Parameters
    ----------
    importances : model, mapping of str to float, vector or array of shape (features,)
        A Model of XGBoost, or of MLlib's trees; or the numbers themselves.
    top : int
        Features to draw at most.
    importance_type : str
        Of a Model of XGBoost; see its `get_feature_importances`.
    feature_names : sequence of str, optional
        Names for the features that have none, which are called ``f0``, ``f1``, ….
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
        If no feature is used, or names are not as many as features.

    Examples
    --------
    >>> plot_feature_importances(model, importance_type="total_gain")  # doctest: +SKIP
    """
    has_types = hasattr(importances, "get_feature_importances")
    found = {name: value for name, value in _by_name(importances, importance_type, feature_names).items() if value}
    if not found:
        raise ValueError("no feature has an importance: the model uses none")
    first = sorted(found, key=lambda name: (-abs(found[name]), name))[:top]
    ax = axes_for(ax, "plot_feature_importances", (6, _INCHES_AROUND + _INCHES_PER_BAR * len(first)))
    ax.barh(range(len(first)), [found[name] for name in first], color=BLUE, height=0.7)
    ax.set_xlabel(f"importance ({importance_type})" if has_types else "importance")
    return named_bars(ax, first)


def _by_name(importances: Any, importance_type: str, names: Sequence[str] | None) -> dict[str, float]:
    if hasattr(importances, "get_feature_importances"):
        importances = importances.get_feature_importances(importance_type)
    if isinstance(importances, Mapping):
        renamed = {f"f{i}": str(name) for i, name in enumerate(names or [])}
        return {renamed.get(str(name), str(name)): float(value) for name, value in importances.items()}
    names = getattr(importances, "feature_names", None) if names is None else names
    found = getattr(importances, "featureImportances", importances)
    values = np.asarray(found.toArray() if hasattr(found, "toArray") else found, np.float64)
    if names is not None and len(names) != len(values):
        raise ValueError(f"{len(names)} names are given for {len(values)} features")
    return {str(names[i]) if names is not None else f"f{i}": float(value) for i, value in enumerate(values)}

"""The flip test: would the rows of a facet be predicted otherwise, were they like their neighbours outside it?"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from sparkml_algos.bias.measures import Flips

# Of the reference: neighbours, and those where side a has hardly more rows than that.
NEIGHBOURS, NEIGHBOURS_OF_FEW, FEW = 5, 1, 9


def flips(features: np.ndarray, predicted: np.ndarray, in_facet: np.ndarray, weights: np.ndarray | None = None) -> Flips:
    """Predict each row of the facet by the majority of its nearest neighbours outside, and count where the model says otherwise.

    Distances are Euclidean and features are not scaled, as in the reference. Rows are put in the order of their values first, so that the
    result does not depend on the order they come in where distances are equal.

    Parameters
    ----------
    features : ndarray of float64, shape (rows, features)
        Finite.
    predicted, in_facet : ndarray of bool, shape (rows,)
        Whether the model predicts the positive label, and whether the row is of side *d*.
    weights : ndarray of float64, shape (rows,), optional
        Weights of the counted rows; neighbours have one vote each.

    Returns
    -------
    Flips
    """
    weights = np.ones(len(features)) if weights is None else weights
    order = np.lexsort((predicted, *features.T[::-1]))
    features, predicted, in_facet, weights = features[order], predicted[order], in_facet[order], weights[order]
    others = ~in_facet
    k = NEIGHBOURS if others.sum() > FEW else NEIGHBOURS_OF_FEW
    _, nearest = cKDTree(features[others]).query(features[in_facet], k=[*range(1, k + 1)])
    expected = predicted[others][nearest].mean(axis=1) > 0.5
    given, weights = predicted[in_facet], weights[in_facet]
    return Flips(float(weights[expected & ~given].sum()), float(weights[~expected & given].sum()), float(weights.sum()))

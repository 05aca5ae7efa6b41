"""What the centres say of rows."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sparkml_algos.algorithms.kmeans.distances import nearest_centers, squared_lengths
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Features


def predict(artifact: Artifact, features: Features, hyperparameters: Hyperparameters) -> dict[str, np.ndarray]:
    """Nearest centre and Euclidean distance to it.

    Returns
    -------
    dict
        ``closest_cluster`` (rows,) int64 and ``distance_to_cluster`` (rows,) float64.
    """
    centers = artifact.arrays["centers"]
    if sp.issparse(features):
        features = features.astype(np.float64)
        nearest = nearest_centers(features, centers)
        products = np.empty(len(nearest))
        for cluster in np.unique(nearest):
            members = np.flatnonzero(nearest == cluster)
            products[members] = features[members] @ centers[cluster]
        squares = squared_lengths(features) - 2 * products + np.einsum("ij,ij->i", centers, centers)[nearest]
        return {"closest_cluster": nearest, "distance_to_cluster": np.sqrt(np.maximum(squares, 0))}
    middle = centers.mean(axis=0).astype(np.float32)  # rounded distances from the origin would drown those between rows far off
    features, centers = features - middle, (centers - middle).astype(np.float32)
    nearest = nearest_centers(features, centers)
    difference = features - centers[nearest]
    return {"closest_cluster": nearest, "distance_to_cluster": np.sqrt(squared_lengths(difference).astype(np.float64))}

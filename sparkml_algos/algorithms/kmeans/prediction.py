"""What the centres say of rows."""

from __future__ import annotations

import numpy as np

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.nearest import Centers
from sparkml_algos.rows.batch import Batch


class KMeansPredictor:
    """Nearest centres, exact for rows in float32 whatever their scales.

    Parameters
    ----------
    artifact : Artifact
        With ``centers`` (k, features).
    hyperparameters : Hyperparameters
    device : str
    """

    def __init__(self, artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> None:
        self._centers = Centers(artifact.arrays["centers"])

    def __call__(self, batch: Batch) -> dict[str, np.ndarray]:
        """Nearest centre of each row and Euclidean distance to it.

        Returns
        -------
        dict
            ``closest_cluster`` (rows,) int64 and ``distance_to_cluster`` (rows,) float64.
        """
        found = self._centers.nearest(batch.features)
        return {"closest_cluster": found.index, "distance_to_cluster": np.sqrt(found.squares)}


load = KMeansPredictor

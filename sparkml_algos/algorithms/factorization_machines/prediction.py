"""What a factorization machine says of rows, computed with 64 bits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sparkml_algos.algorithms.factorization_machines.rows import Rows
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.decisions import sigmoid
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch, Features

# Up to so many bytes the table of a model is kept in the form that rows are multiplied with; of a larger one what rows touch is taken out
# batch by batch.
SMALL_TABLE_BYTES = 1 << 26


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> MachinePredictor:
    """The predictor of a model. It computes on the CPU whatever the device, for rows are sparse."""
    return (RegressionPredictor if hyperparameters.predictor_type == "regressor" else BinaryPredictor)(artifact)


class MachinePredictor:
    """Scores rows.

    Parameters
    ----------
    artifact : Artifact
    """

    def __init__(self, artifact: Artifact) -> None:
        self._bias = float(artifact.arrays["bias"][0])
        self._linear, self._factors = artifact.arrays["linear"], artifact.arrays["factors"]
        is_small = 8 * (self._linear.size + self._factors.size) <= SMALL_TABLE_BYTES
        self._table = np.column_stack([self._linear, self._factors]).astype(np.float64) if is_small else None

    def scores(self, features: Features) -> np.ndarray:
        """f of each row, shape (rows,), float64."""
        rows = Rows(features, np.float64)
        if self._table is not None:
            return rows.scores(self._bias, self._table.take(rows.columns, axis=0))
        touched = np.column_stack([self._linear.take(rows.columns), self._factors.take(rows.columns, axis=0)])
        return rows.scores(self._bias, touched.astype(np.float64))

    def __call__(self, batch: Batch) -> Mapping[str, np.ndarray]:
        """The outputs by name, each with an entry per row."""
        raise NotImplementedError


class RegressionPredictor(MachinePredictor):
    """``score``, shape (rows,)."""

    def __call__(self, batch: Batch) -> Mapping[str, np.ndarray]:
        return {"score": self.scores(batch.features)}


class BinaryPredictor(MachinePredictor):
    """``predicted_label`` (rows,), ``raw`` and ``probability`` (rows, 2)."""

    def __init__(self, artifact: Artifact) -> None:
        super().__init__(artifact)
        self._threshold = raw_threshold(artifact)

    def __call__(self, batch: Batch) -> Mapping[str, np.ndarray]:
        score = self.scores(batch.features)
        return {
            "predicted_label": (score >= self._threshold).astype(np.float64),
            "raw": np.stack([-score, score], axis=1),
            "probability": np.stack([sigmoid(-score), sigmoid(score)], axis=1),
        }


def raw_threshold(artifact: Artifact) -> float:
    """The raw score from which on a row is of class 1; a probability of one half unless it was set."""
    return artifact.values.get("raw_threshold", 0.0)

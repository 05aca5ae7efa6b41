"""What a booster says of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import xgboost as xgb

from sparkml_algos.algorithms.xgboost.data import missing_value
from sparkml_algos.algorithms.xgboost.objectives import BINARY, CLASSIFICATION
from sparkml_algos.algorithms.xgboost.settings import threads
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Features

# Boosters of so many models stay loaded in a Python process.
KEPT_BOOSTERS = 8
_BOOSTERS: dict[str, xgb.Booster] = {}


def predict(
    artifact: Artifact, features: Features, hyperparameters: Hyperparameters, base_margin: np.ndarray | None = None
) -> Predictions:
    """The outputs for rows, each computed when it is asked for.

    Parameters
    ----------
    artifact : Artifact
        From `training.train`.
    features : ndarray or csr_matrix of float32, shape (rows, features)
        NaN is missing, and so is what a CSR matrix does not store.
    hyperparameters : Hyperparameters
        With ``missing``.
    base_margin : ndarray of float32, shape (rows,), optional
        What the score of each row starts from instead of the base score.
    """
    return Predictions(artifact, features, missing_value(hyperparameters), base_margin)


class Predictions(Mapping[str, np.ndarray]):
    """Outputs by name: ``prediction`` (rows,); of a classifier ``raw`` and ``probability`` (rows, classes); ``contributions``
    (rows, (features + 1) · outputs), and ``leaf`` (rows, trees)."""

    def __init__(self, artifact: Artifact, features: Features, missing: float, base_margin: np.ndarray | None) -> None:
        self._objective, booster = artifact.values["objective"], artifact.values["booster"]
        # The library has no prediction in place of a linear booster, and of one with dropout a wrong one if there are base margins.
        self._in_place = booster == "gbtree" or booster == "dart" and base_margin is None
        self._booster = loaded(artifact)
        self._features, self._missing, self._base_margin = features, missing, base_margin
        self._found: np.ndarray | None = None
        self._outputs = {"prediction": self._prediction, "contributions": self._contributions, "leaf": self._leaf}
        if self._objective in CLASSIFICATION:
            self._outputs |= {"raw": self._raw, "probability": self._probability}

    def __getitem__(self, name: str) -> np.ndarray:
        return self._outputs[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)

    @property
    def margin(self) -> np.ndarray:
        """Raw scores, shape (rows,), of many classes (rows, classes); float32."""
        if self._found is None:
            self._found = self._inplace("margin")
        return self._found

    def _prediction(self) -> np.ndarray:
        if self._objective in BINARY:
            return (self.margin > 0).astype(np.float64)
        if self._objective in CLASSIFICATION:
            return self.margin.argmax(axis=1).astype(np.float64)
        return self._inplace("value").astype(np.float64)

    def _raw(self) -> np.ndarray:
        return np.stack([-self.margin, self.margin], axis=1) if self._objective in BINARY else self.margin

    def _probability(self) -> np.ndarray:
        if self._objective in BINARY:
            positive = 1 / (1 + np.exp(-self.margin.astype(np.float64)))
            return np.stack([1 - positive, positive], axis=1)
        shifted = np.exp(self.margin.astype(np.float64) - self.margin.max(axis=1, keepdims=True))
        return shifted / shifted.sum(axis=1, keepdims=True)

    def _contributions(self) -> np.ndarray:
        return self._explained(pred_contribs=True)

    def _leaf(self) -> np.ndarray:
        return self._explained(pred_leaf=True)

    def _inplace(self, kind: str) -> np.ndarray:
        if not self._in_place:
            return self._booster.predict(self._matrix(), output_margin=kind == "margin", validate_features=False)
        return self._booster.inplace_predict(
            self._features, predict_type=kind, missing=self._missing, base_margin=self._base_margin, validate_features=False
        )

    def _matrix(self) -> xgb.DMatrix:
        return xgb.DMatrix(self._features, missing=self._missing, base_margin=self._base_margin, nthread=threads(None))

    def _explained(self, **kind: bool) -> np.ndarray:
        found = self._booster.predict(self._matrix(), validate_features=False, strict_shape=True, **kind)
        return found.reshape(len(found), -1)


def loaded(artifact: Artifact) -> xgb.Booster:
    """The booster of an artifact, loaded once in a process: each task of a reused Python worker unpickles the same artifact anew."""
    digest = artifact.values["digest"]
    if digest not in _BOOSTERS:
        while len(_BOOSTERS) >= KEPT_BOOSTERS:
            _BOOSTERS.pop(next(iter(_BOOSTERS)), None)
        _BOOSTERS[digest] = xgb.Booster({"nthread": threads(None)}, model_file=bytearray(artifact.arrays["model"]))
    return _BOOSTERS[digest]

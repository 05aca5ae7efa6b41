"""What a booster says of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import xgboost as xgb
from scipy.special import expit

from sparkml_algos.algorithms.xgboost.dense import DensePredictor, Kind, reads
from sparkml_algos.algorithms.xgboost.objectives import BINARY, CLASSIFICATION
from sparkml_algos.algorithms.xgboost.params import FIELDS
from sparkml_algos.algorithms.xgboost.settings import missing_value, threads
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.decisions import classes_by_thresholds, softmax
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch

__all__ = ["FIELDS", "BoosterPredictor", "Predictions", "load", "loaded", "predicted_classes"]

# Boosters of so many models stay loaded in a Python process.
KEPT_BOOSTERS = 8
_BOOSTERS: dict[str, xgb.Booster] = {}


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> BoosterPredictor:
    """A predictor of a booster.

    Parameters
    ----------
    artifact : Artifact
        From `training.train`.
    hyperparameters : Hyperparameters
        With ``missing``.
    device : str
        Ignored: rows come one batch after the other, and moving each to a GPU takes longer than its walk through the trees.
    """
    return BoosterPredictor(artifact, hyperparameters)


class BoosterPredictor:
    """Gives the outputs for the rows of a batch, each computed when it is asked for.

    NaN is missing, and so is what sparse rows do not store. Base margins of a batch are what its scores start from.
    """

    def __init__(self, artifact: Artifact, hyperparameters: Hyperparameters) -> None:
        self._artifact, self._missing = artifact, missing_value(hyperparameters)
        self._booster = loaded(artifact)
        self._dense = DensePredictor(self._booster, self._missing)

    def __call__(self, batch: Batch) -> Predictions:
        return Predictions(self._artifact, self._booster, self._dense, batch, self._missing)


class Predictions(Mapping[str, np.ndarray]):
    """Outputs by name: ``prediction`` (rows,); of a classifier ``raw`` and, but with hinge loss, ``probability`` (rows, classes);
    ``contributions`` (rows, (features + 1) · outputs), and ``leaf`` (rows, trees)."""

    def __init__(self, artifact: Artifact, booster: xgb.Booster, dense: DensePredictor, batch: Batch, missing: float) -> None:
        self._artifact, self._booster, self._dense, self._batch, self._missing = artifact, booster, dense, batch, missing
        self._objective, kind = artifact.values["objective"], artifact.values["booster"]
        # The library has no prediction in place of a linear booster, and of one with dropout a wrong one if there are base margins.
        self._in_place = kind == "gbtree" or kind == "dart" and batch.base_margin is None
        self._found: np.ndarray | None = None
        self._outputs = {"prediction": self._prediction, "contributions": self._contributions, "leaf": self._leaf}
        if self._objective in CLASSIFICATION:
            self._outputs["raw"] = self._raw
        if self._objective in CLASSIFICATION and self._objective != "binary:hinge":
            self._outputs["probability"] = self._probability

    def __getitem__(self, name: str) -> np.ndarray:
        return self._outputs[name]()

    def __contains__(self, name: object) -> bool:
        return name in self._outputs

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
        if self._objective not in CLASSIFICATION:
            return self._inplace("value").astype(np.float64)
        return predicted_classes(self._artifact, self.margin).astype(np.float64)

    def _raw(self) -> np.ndarray:
        return np.stack([-self.margin, self.margin], axis=1) if self._objective in BINARY else self.margin

    def _probability(self) -> np.ndarray:
        scores = self.margin.astype(np.float64)
        if self._objective not in BINARY:
            return softmax(scores)
        # Each class by itself: 1 − p is 0 long before the other class is impossible.
        found = np.empty((len(scores), 2))
        expit(-scores, out=found[:, 0])
        expit(scores, out=found[:, 1])
        return found

    def _contributions(self) -> np.ndarray:
        return self._explained(pred_contribs=True)

    def _leaf(self) -> np.ndarray:
        return self._explained(pred_leaf=True)

    def _inplace(self, kind: Kind) -> np.ndarray:
        features, margin = self._batch.features, self._batch.base_margin
        if not self._in_place:
            return self._booster.predict(self._matrix(), output_margin=kind == "margin", validate_features=False)
        if margin is None and reads(features):
            return self._dense(features, kind)
        return self._booster.inplace_predict(
            features, predict_type=kind, missing=self._missing, base_margin=margin, validate_features=False
        )

    def _matrix(self) -> xgb.DMatrix:
        features, margin = self._batch.features, self._batch.base_margin
        return xgb.DMatrix(features, missing=self._missing, base_margin=margin, nthread=threads(None))

    def _explained(self, **kind: bool) -> np.ndarray:
        found = self._booster.predict(self._matrix(), validate_features=False, strict_shape=True, **kind)
        return found.reshape(len(found), -1)


def predicted_classes(artifact: Artifact, margin: np.ndarray) -> np.ndarray:
    """The class of each row by its raw scores, shape (rows,): of two classes the second above the threshold, of many the most probable
    one, or the most probable in relation to its threshold where thresholds were set.

    Parameters
    ----------
    artifact : Artifact
        With the value ``raw_threshold`` or the array ``thresholds``, where they were set.
    margin : ndarray of float32, shape (rows,), of many classes (rows, classes)
    """
    if artifact.values["objective"] in BINARY:
        return margin.astype(np.float64) > artifact.values.get("raw_threshold", 0.0)
    if "thresholds" not in artifact.arrays:
        return margin.argmax(axis=1)
    return classes_by_thresholds(softmax(margin.astype(np.float64)), artifact.arrays["thresholds"])


def loaded(artifact: Artifact) -> xgb.Booster:
    """The booster of an artifact, loaded once in a process: each task of a reused Python worker unpickles the same artifact anew."""
    digest = artifact.values["digest"]
    if digest not in _BOOSTERS:
        while len(_BOOSTERS) >= KEPT_BOOSTERS:
            _BOOSTERS.pop(next(iter(_BOOSTERS)), None)
        _BOOSTERS[digest] = xgb.Booster({"nthread": threads(None)}, model_file=bytearray(artifact.arrays["model"]))
    return _BOOSTERS[digest]

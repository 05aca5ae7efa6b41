"""Votes and means of the labels of the nearest rows."""

from __future__ import annotations

import functools

import numpy as np

from sparkml_algos.algorithms.knn.index import Lookup
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.decisions import classes_by_thresholds
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.predictor import Computed


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> NeighborPredictor:
    """A predictor from the k nearest rows.

    Its outputs are ``predicted_label`` (rows,); ``distances`` and ``labels`` (rows, k), nearest first; ``ids`` (rows, k), where the stored
    rows have names; of a classifier ``votes`` and ``probability`` (rows, classes). All float64, ids int64.

    Parameters
    ----------
    artifact : Artifact
        From `index.build`, perhaps with the array ``thresholds`` (classes,).
    hyperparameters : Hyperparameters
        With ``k``, ``index_type``, ``index_metric`` and ``predictor_type``.
    device : str
        Ignored: rows are searched on the CPU.

    Raises
    ------
    ValueError
        If k is more than the rows of the model.
    ImportError
        If the index needs a package that is missing.
    """
    if hyperparameters.k > len(artifact.arrays["labels"]):
        raise ValueError(f"k={hyperparameters.k} is more than the {len(artifact.arrays['labels'])} rows of the model")
    return NeighborPredictor(artifact, hyperparameters)


class NeighborPredictor:
    """Looks up the rows of a batch; each output is computed when it is asked for."""

    def __init__(self, artifact: Artifact, hyperparameters: Hyperparameters) -> None:
        self._lookup = Lookup(artifact, hyperparameters)
        self._labels, self._ids = artifact.arrays["labels"], artifact.arrays.get("ids")
        self._thresholds = artifact.arrays.get("thresholds")
        self._classes = artifact.values["classes"] if hyperparameters.predictor_type == "classifier" else None

    def __call__(self, batch: Batch) -> Computed:
        places, distances = self._lookup(batch.features)
        labels = functools.cache(lambda: self._labels[places].astype(np.float64))
        outputs = {"distances": lambda: distances, "labels": labels}
        if self._ids is not None:
            outputs["ids"] = lambda: self._ids[places]
        if self._classes is None:
            return Computed({**outputs, "predicted_label": lambda: labels().mean(axis=1)})
        votes = functools.cache(lambda: _votes(labels(), self._classes))
        return Computed(
            {
                **outputs,
                "predicted_label": lambda: self._winners(votes()).astype(np.float64),
                "votes": votes,
                "probability": lambda: votes() / places.shape[1],
            }
        )

    def _winners(self, votes: np.ndarray) -> np.ndarray:
        return votes.argmax(axis=1) if self._thresholds is None else classes_by_thresholds(votes, self._thresholds)


def _votes(labels: np.ndarray, classes: int) -> np.ndarray:
    """How many of the labels (rows, k) are of each class, shape (rows, classes), float64."""
    entries = labels.astype(np.int64) + classes * np.arange(len(labels))[:, None]
    return np.bincount(entries.ravel(), minlength=classes * len(labels)).reshape(len(labels), classes).astype(np.float64)

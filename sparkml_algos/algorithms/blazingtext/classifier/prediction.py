"""Labels of texts, and how probable they are; no Spark here."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from sparkml_algos.algorithms.blazingtext.classifier.counting import Counted
from sparkml_algos.algorithms.blazingtext.classifier.descent import sums_of
from sparkml_algos.algorithms.blazingtext.classifier.texts import LABEL_PREFIX
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.predictor import Computed


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> LabelPredictor:
    """The predictor of a model.

    Its outputs are ``prediction``, the id of the most probable label (rows,), ``predicted_label``, ``probability`` (rows, labels), all of
    the service's responses too: ``label``, the k most probable labels with their prefix, and ``prob``, how probable these are.
    """
    return LabelPredictor(artifact, hyperparameters)


class LabelPredictor:
    """Labels the texts of a batch."""

    def __init__(self, artifact: Artifact, hyperparameters: Hyperparameters) -> None:
        counted = Counted.of(artifact.arrays, artifact.values)
        self._encode = counted.encoder(hyperparameters.word_ngrams, hyperparameters.buckets)
        self._vectors, self._outputs = artifact.arrays["vectors"], artifact.arrays["outputs"]
        self._names = pa.array(counted.labels, pa.string())
        self._marked = pa.array([LABEL_PREFIX + label for label in counted.labels], pa.string())
        self._k = min(hyperparameters.k, len(self._names))

    def with_labels(self, k: int) -> LabelPredictor:
        """The same with another number of most probable labels; it shares all arrays."""
        other = copy.copy(self)
        other._k = min(k, len(self._names))
        return other

    def __call__(self, batch: Batch) -> Mapping[str, Any]:
        k, names, marked = self._k, self._names, self._marked
        probability = probabilities(self._encode(batch.text).features, self._vectors, self._outputs)
        # Labels that are equally probable in the order of their ids.
        best = np.argsort(-probability, axis=1, kind="stable")[:, :k] if k > 1 else probability.argmax(axis=1)[:, None]
        ends = np.arange(0, k * len(batch) + 1, k, dtype=np.int64)
        return Computed(
            {
                "prediction": lambda: best[:, 0].astype(np.float64),
                "predicted_label": lambda: names.take(pa.array(best[:, 0])),
                "probability": lambda: probability,
                "label": lambda: Ragged(marked.take(pa.array(best.ravel())), ends),
                "prob": lambda: np.take_along_axis(probability, best, axis=1),
            }
        )


def probabilities(features: Ragged, vectors: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """How probable each label is for each text, shape (texts, labels), float64; all labels alike for a text of which nothing is known.

    Computed with 64 bits and rounded to 32, so that they do not depend on the texts beside a text.
    """
    counts = np.maximum(features.lengths, 1)
    hidden = sums_of(features, vectors).astype(np.float64) / counts[:, None]
    scores = hidden @ outputs.T.astype(np.float64)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares.astype(np.float32).astype(np.float64)

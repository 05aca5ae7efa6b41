"""Labels of texts, and how probable they are; no Spark here."""

from __future__ import annotations

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
from sparkml_algos.rows.predictor import Computed, Predictor


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Predictor:
    """The predictor of a model.

    Its outputs are ``prediction``, the id of the most probable label (rows,), ``predicted_label``, ``probability`` (rows, labels), all of
    the service's responses too: ``label``, the k most probable labels with their prefix, and ``prob``, how probable these are.
    """
    counted = Counted.of(artifact.arrays, artifact.values)
    encode = counted.encoder(hyperparameters.word_ngrams, hyperparameters.buckets)
    vectors, outputs = artifact.arrays["vectors"], artifact.arrays["outputs"]
    names = pa.array(counted.labels, pa.string())
    marked = pa.array([LABEL_PREFIX + label for label in counted.labels], pa.string())
    k = min(hyperparameters.k, len(names))

    def predictor(batch: Batch) -> Mapping[str, Any]:
        probability = probabilities(encode(batch.text).features, vectors, outputs)
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

    return predictor


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

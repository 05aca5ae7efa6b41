"""What a model of image classification says of images; no Spark here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparkml_algos.algorithms.image_classification.preparation import Preparation
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.images.ahead import prepared_ahead
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.predictor import Predictor

# Images that the network sees at a time, while threads decode the next.
SCORED_TOGETHER = 32
# From which probability on an image has one of several classes.
THRESHOLD = 0.5


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Predictor:
    """The predictor of a model.

    It gives ``probability``, shape (rows, classes), and ``predicted_label``, shape (rows,), the most probable class; or, where an image may
    have several, ``predicted_labels``, of each the classes with a probability above a half.
    """
    from sparkml_algos.algorithms.image_classification.network import Scores, network_of
    from sparkml_algos.networks.state import loaded

    classes, several = artifact.values["classes"], bool(hyperparameters.multi_label)
    network = loaded(lambda: network_of(hyperparameters, classes), artifact, device)
    scores, preparation = Scores(network, device, several), Preparation(hyperparameters)

    def predictor(batch: Batch) -> Mapping[str, Any]:
        starts = range(0, len(batch), SCORED_TOGETHER)
        parts = prepared_ahead(
            starts,
            lambda start, threads: [start],
            lambda start: preparation.for_scoring(batch.take(slice(start, start + SCORED_TOGETHER)), start),
            lambda prepared: prepared[0],
        )
        found = np.concatenate([np.empty((0, classes)), *map(scores, parts)])
        if several:
            rows, ids = np.nonzero(found > THRESHOLD)
            offsets = np.searchsorted(rows, np.arange(len(found) + 1))
            return {"probability": found, "predicted_labels": Ragged(ids.astype(np.int64), offsets)}
        return {"probability": found, "predicted_label": found.argmax(1).astype(np.float64)}

    return predictor

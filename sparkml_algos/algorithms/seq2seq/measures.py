"""What a model's metrics on pairs are made of; no Spark here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from sparkml_algos.algorithms.seq2seq.prediction import network_of, ragged
from sparkml_algos.algorithms.seq2seq.words import Sides
from sparkml_algos.arrays import bleu
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch

Judge = Callable[[Batch], dict[str, np.ndarray]]


class _Held(Protocol):
    def get(self) -> Judge: ...


def load_judge(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Judge:
    """What gives, of pairs, sums that add up: ``bleu``, its counts; ``cross_entropy`` and ``accuracy``, over ``words``."""
    from sparkml_algos.algorithms.seq2seq.network import surprise, translations

    sides = Sides.of(artifact, hyperparameters)
    network = network_of(artifact, hyperparameters, sides, device)

    def judge(batch: Batch) -> dict[str, np.ndarray]:
        rows = sides.encoded(batch)
        found = translations(network, rows.source, sides, hyperparameters.beam_size, device)
        told = sides.target.decoded(ragged([one.tokens for one in found]))
        references = batch.target if not isinstance(batch.target.values, np.ndarray) else sides.target.decoded(batch.target)
        counted = bleu.counts((row.to_pylist() for row in told), (row.to_pylist() for row in references))
        return {"bleu": counted, **surprise(network, rows, sides, device)}

    return judge


def judged(held: _Held, batch: Batch) -> dict[str, Any]:
    """What a batch adds to the metrics."""
    return held.get()(batch)

"""How a model of sequence to sequence translates; no Spark here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sparkml_algos.algorithms.seq2seq.settings import settings_of
from sparkml_algos.algorithms.seq2seq.words import Sides
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.predictor import Computed, Predictor

if TYPE_CHECKING:
    from sparkml_algos.algorithms.seq2seq.network import Seq2SeqNetwork


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Predictor:
    """The predictor of a model.

    It gives ``target``, the translation of each row in the form of its source: strings of words with blanks between them, or lists of ids;
    ``words`` and ``ids``, lists of these; ``matrix``, of each word of a translation how much it looks at each word of the source.
    """
    from sparkml_algos.algorithms.seq2seq.network import translations

    sides = Sides.of(artifact, hyperparameters)
    network = network_of(artifact, hyperparameters, sides, device)
    beams = hyperparameters.beam_size

    def predictor(batch: Batch) -> Mapping[str, Any]:
        sources = sides.cut(sides.source.encoded(batch.source), 0)
        known: dict[bool, list[Any]] = {}

        def found(with_matrix: bool = False) -> list[Any]:
            if True in known:
                return known[True]
            if with_matrix not in known:
                known[with_matrix] = translations(network, sources, sides, beams, device, keeps_notes=with_matrix)
            return known[with_matrix]

        def ids() -> Ragged:
            return ragged([one.tokens for one in found()])

        def words() -> Ragged:
            return sides.target.decoded(ids())

        def target() -> pa.Array | Ragged:
            if not isinstance(batch.source.values, pa.Array):
                return ids()
            return pa.array([" ".join(row.to_pylist()) for row in words()], pa.string())

        def matrix() -> pa.Array:
            rows = zip(found(with_matrix=True), sources.lengths.tolist(), strict=True)
            lists = [[] if one.notes is None else one.notes[:, :length].tolist() for one, length in rows]
            return pa.array(lists, pa.list_(pa.list_(pa.float64())))

        return Computed({"matrix": matrix, "target": target, "words": words, "ids": ids})

    return predictor


def network_of(artifact: Artifact, hyperparameters: Hyperparameters, sides: Sides, device: str) -> Seq2SeqNetwork:
    """The network of a model, ready to translate. It computes with 64 bits, so that two translations are hardly ever so alike in
    probability that the rows beside a row could decide between them."""
    from sparkml_algos.algorithms.seq2seq.network import Seq2SeqNetwork
    from sparkml_algos.networks.state import loaded

    return loaded(lambda: Seq2SeqNetwork(settings_of(hyperparameters, sides.sizes)), artifact, device).double()


def ragged(lists: list[list[int]]) -> Ragged:
    """Lists of ids in one piece."""
    values = np.array([token for row in lists for token in row], np.int64)
    return Ragged(values, np.cumsum([0, *map(len, lists)]).astype(np.int64))

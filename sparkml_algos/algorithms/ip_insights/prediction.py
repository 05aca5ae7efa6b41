"""Scores of IP Insights, and the vectors they come from; no Spark here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.identities import NO_ADDRESS
from sparkml_algos.rows.predictor import Computed, Predictor

#: Shares of the training scores that are below the numbers of the artifact's ``quantiles``: finer towards the low end, where alarms are.
QUANTILES = np.concatenate([np.linspace(0, 0.01, 101), np.linspace(0.01, 1, 991)[1:]])


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Predictor:
    """The predictor of a model.

    Its outputs are ``dot_product`` (rows,), float64, NaN where an address is missing, ``entity_embedding`` and ``ip_embedding`` (rows,
    vector_dim), float32. They are computed with 64 bits and rounded to 32, so that they do not depend on the rows beside a row.
    """
    from sparkml_algos.algorithms.ip_insights.network import IPInsightsNetwork, slots
    from sparkml_algos.networks.state import loaded, to_tensor

    shape = (hyperparameters.num_entity_vectors, hyperparameters.vector_dim, hyperparameters.num_ip_encoder_layers)
    network = loaded(lambda: IPInsightsNetwork(*shape), artifact, device)
    network.addresses.double()

    def predictor(batch: Batch) -> Mapping[str, np.ndarray]:
        entities = network.entities(to_tensor(slots(batch.entity, shape[0]), device))
        addresses = network.encode(to_tensor(batch.ip, device))

        def scores() -> np.ndarray:
            found = (entities.double() * addresses).sum(1).float().double().numpy(force=True)
            return np.where(batch.ip == NO_ADDRESS, np.nan, found)

        def of_addresses() -> np.ndarray:
            return np.where((batch.ip == NO_ADDRESS)[:, None], np.float32(np.nan), addresses.float().numpy(force=True))

        return Computed(
            {
                "dot_product": scores,
                "entity_embedding": lambda: entities.numpy(force=True),
                "ip_embedding": of_addresses,
            }
        )

    return predictor


def program(artifact: Artifact, hyperparameters: Hyperparameters) -> tuple[Any, list[str], list[str]]:
    """The network as a program of tensors: what computes, and the names of its inputs, hashes of entities and addresses, and outputs."""
    from sparkml_algos.algorithms.ip_insights.network import IPInsightsNetwork, PairScores
    from sparkml_algos.networks.state import loaded

    shape = (hyperparameters.num_entity_vectors, hyperparameters.vector_dim, hyperparameters.num_ip_encoder_layers)
    network = loaded(lambda: IPInsightsNetwork(*shape), artifact)
    network.addresses.double()
    return PairScores(network), ["entity", "ip"], ["dot_product", "entity_embedding", "ip_embedding"]

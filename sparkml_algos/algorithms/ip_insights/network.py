"""The network of IP Insights, and how it learns."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparkml_algos.algorithms.ip_insights.auc import area, histogram, made_up
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.networks.learner import Draws, NetworkLearner
from sparkml_algos.networks.state import to_tensor
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.identities import NO_ADDRESS
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training.progress import EpochResult, Progress

logger = logging.getLogger(__name__)

ADDRESS_BITS = 32
# Deviation of the start of the vectors of entities. On requests to a web server, 0.01, 0.05 and 0.2 were within 0.01 of each other.
START_DEVIATION = 0.05


class IPInsightsNetwork(nn.Module):
    """Vectors of entities, looked up, and of addresses, computed from their bits.

    Parameters
    ----------
    num_entity_vectors, vector_dim, num_ip_encoder_layers : int
    """

    def __init__(self, num_entity_vectors: int, vector_dim: int, num_ip_encoder_layers: int) -> None:
        super().__init__()
        self.entities = nn.Embedding(num_entity_vectors, vector_dim, sparse=True)
        nn.init.normal_(self.entities.weight, std=START_DEVIATION)
        widths = [ADDRESS_BITS, *[vector_dim] * num_ip_encoder_layers]
        hidden = [layer for width in widths[:-1] for layer in (nn.Linear(width, vector_dim), nn.ReLU())]
        self.addresses = nn.Sequential(*hidden, nn.Linear(widths[-1], vector_dim))

    def encode(self, address: Tensor) -> Tensor:
        """Vectors (rows, vector_dim) of addresses (rows,), int64: of their bits from the left, as −1 and 1."""
        bits = (address[:, None] >> torch.arange(ADDRESS_BITS - 1, -1, -1, device=address.device)) & 1
        return self.addresses((2 * bits - 1).to(self.addresses[-1].weight.dtype))

    def forward(self, entity: Tensor, address: Tensor, negatives: Tensor, other: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Dot products of entities with their addresses, addresses at random, and those of other rows.

        Parameters
        ----------
        entity, address : Tensor of int64, shape (rows,)
            Which vector an entity has; the bits of an address.
        negatives : Tensor of int64, shape (random, rows)
            Addresses.
        other : Tensor of int64, shape (shuffled, rows)
            Rows.

        Returns
        -------
        (Tensor, Tensor, Tensor)
            Shapes (rows,), (random, rows) and (shuffled, rows).
        """
        entity = self.entities(entity)
        vectors = self.encode(torch.cat([address, negatives.flatten()])).view(1 + len(negatives), *entity.shape)
        scores = (vectors * entity).sum(2)
        return scores[0], scores[1:], (vectors[0][other] * entity).sum(2)


class IPInsightsLearner(NetworkLearner):
    """Learns to tell pairs that were seen from pairs that were made up.

    Parameters
    ----------
    hyperparameters : Hyperparameters
    *arguments
        Of `NetworkLearner`.
    """

    def __init__(self, hyperparameters: Hyperparameters, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._vectors, self._interval = hyperparameters.num_entity_vectors, hyperparameters.batch_metrics_publish_interval
        self._random, self._shuffled = hyperparameters.random_negative_sampling_rate, hyperparameters.shuffled_negative_sampling_rate
        self.larger_is_better = self._watched.marks_validation
        self._began, self._rows = time.perf_counter(), 0

    def begin_step(self, progress: Progress) -> None:
        super().begin_step(progress)
        if progress.step and progress.step % self._interval == 0:
            seconds = time.perf_counter() - self._began
            logger.info("epoch %d, step %d: %.0f rows/s by this worker", progress.epoch + 1, progress.step, self._rows / seconds)
            self._began, self._rows = time.perf_counter(), 0

    def loss(self, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        """Cross entropies of the pairs of this worker's rows."""
        entity, address = pairs(batch, self._vectors)
        rows = len(entity)
        self._rows += rows
        random = draws.random.integers(1 << ADDRESS_BITS, size=(self._random, rows))
        # Any other row of the mini-batch, with the same chance; a row that is alone has no other.
        shuffled = self._shuffled if rows > 1 else 0
        other = (np.arange(rows) + draws.random.integers(1, max(rows, 2), size=(shuffled, rows))) % max(rows, 1)
        seen, *unseen = self.forward(*(to_tensor(array, self.device) for array in (entity, address, random, other)))
        loss = nn.functional.softplus(-seen).sum() + sum(nn.functional.softplus(scores).sum() for scores in unseen)
        return {"loss": loss}

    def weight(self, batch: Batch) -> float:
        """The number of pairs."""
        rows = int((batch.ip != NO_ADDRESS).sum())
        return rows * (1 + self._random + self._shuffled * (rows > 1))

    def end_epoch(self, progress: Progress) -> EpochResult:
        if not self._totals[-1]:
            raise InvalidRows("no row has an address; with invalid_ip='missing' such are not trained on")
        return super().end_epoch(progress)

    def validate(self, batches: Iterable[Batch], draws: Draws) -> Mapping[str, float]:
        counts = np.zeros((2, *histogram(np.empty(0)).shape))
        for batch in batches:
            entity, address = pairs(batch, None)
            counts += [histogram(self.scores(entity, one)) for one in (address, made_up(entity, address))]
        return {"discriminator_auc": area(*self._communicator.allreduce(counts))}

    def result(self, found: dict[str, float]) -> EpochResult:
        watched = found["validation:discriminator_auc" if self.larger_is_better else "train:loss"]
        return EpochResult(found, watched, found["train:loss"])

    @torch.no_grad()
    def scores(self, entity: np.ndarray, address: np.ndarray) -> np.ndarray:
        """Dot products (rows,) for hashes of entities and addresses, both (rows,)."""
        inputs = (to_tensor(array, self.device) for array in (slots(entity, self._vectors), address))
        entities, addresses = next(inputs), next(inputs)
        return (self.network.entities(entities) * self.network.encode(addresses)).sum(1).numpy(force=True)


def pairs(batch: Batch, vectors: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Entities and addresses of the rows that have one: hashes of the former or, of so many vectors, which one is theirs."""
    has = batch.ip != NO_ADDRESS
    entity, address = (batch.entity, batch.ip) if has.all() else (batch.entity[has], batch.ip[has])
    return (entity if vectors is None else slots(entity, vectors)), address


def slots(entity: np.ndarray, vectors: int) -> np.ndarray:
    """Which of so many vectors an entity of this hash has: the rest of the hash, as a number without sign."""
    return (entity.view(np.uint64) % np.uint64(vectors)).astype(np.int64)

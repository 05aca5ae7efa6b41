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

ADDRESS_BITS, OCTET_BITS = 32, 8
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
        """Vectors (rows, vector_dim) of addresses (rows,), int64."""
        return self.addresses[-1](self._hidden(address))

    def _hidden(self, address: Tensor) -> Tensor:
        """What the last layer is given of addresses (rows,): of their bits from the left, as −1 and 1."""
        # An octet is looked up, which takes a third of the time that 32 shifts of all addresses take.
        octets = (address[:, None] >> _places(ADDRESS_BITS, OCTET_BITS, address)) & ((1 << OCTET_BITS) - 1)
        values = torch.arange(1 << OCTET_BITS, device=address.device)
        bits_of_octets = (2 * ((values[:, None] >> _places(OCTET_BITS, 1, address)) & 1) - 1).to(self.addresses[-1].weight.dtype)
        bits = nn.functional.embedding(octets, bits_of_octets).view(len(address), ADDRESS_BITS)
        return self.addresses[:-1](bits)

    def forward(
        self, touched: Tensor, entity: Tensor, shuffled: Tensor, address: Tensor, negatives: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Dot products of entities with their addresses, of the same with addresses at random, and of others with the addresses.

        The last layer is linear, so its transpose is applied to the vectors of entities instead: ⟨v, W h + b⟩ = ⟨Wᵀ v, h⟩ + ⟨v, b⟩. A
        mini-batch has fewer entities than addresses, as each row brings some of these at random and entities come again.

        Parameters
        ----------
        touched : Tensor of int64, shape (touched,)
            Vectors of entities, each once.
        entity : Tensor of int64, shape (rows,)
            Which of those touched an entity has.
        shuffled : Tensor of int64, shape (shuffled, rows)
            The same of entities that are paired with the addresses of these rows.
        address : Tensor of int64, shape (rows,)
            Its bits.
        negatives : Tensor of int64, shape (random, rows)
            Addresses.

        Returns
        -------
        (Tensor, Tensor, Tensor)
            Shapes (rows,), (random, rows) and (shuffled, rows).
        """
        vectors, last = self.entities(touched), self.addresses[-1]
        projected, offset = vectors @ last.weight, vectors @ last.bias
        hidden = self._hidden(torch.cat([address, negatives.flatten()])).view(1 + len(negatives), len(address), last.in_features)
        # Parts by `split`: the gradient of several slices would be as many arrays of zeros, added up.
        of_rows, of_random = hidden.split([1, len(negatives)])
        which = torch.cat([entity[None], shuffled])
        own, others = nn.functional.embedding(which, projected).split([1, len(shuffled)])
        of_own, of_others = nn.functional.embedding(which, offset[:, None])[:, :, 0].split([1, len(shuffled)])
        seen = (of_rows * own).sum(2) + of_own
        return seen[0], (of_random * own).sum(2) + of_own, (of_rows * others).sum(2) + of_others


class PairScores(nn.Module):
    """Dot products and vectors of pairs, as a program of tensors: for hashes of entities and addresses, both int64 (rows,).

    Parameters
    ----------
    network : IPInsightsNetwork
    """

    def __init__(self, network: IPInsightsNetwork) -> None:
        super().__init__()
        self.network, self._vectors = network, network.entities.num_embeddings

    def forward(self, entity: Tensor, ip: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # The rest of the hash as a number without sign: 2⁶⁴ more where it is negative.
        rest = torch.remainder(entity, self._vectors) + torch.where(entity < 0, (1 << 64) % self._vectors, 0)
        vectors = self.network.entities(torch.remainder(rest, self._vectors))
        bits = (ip[:, None] >> _places(ADDRESS_BITS, 1, ip)) & 1
        addresses = self.network.addresses((2 * bits - 1).double())
        absent = ip == NO_ADDRESS
        scores = (vectors.double() * addresses).sum(1)
        return scores.masked_fill(absent, torch.nan), vectors, addresses.masked_fill(absent[:, None], torch.nan)


def _places(bits: int, width: int, like: Tensor) -> Tensor:
    """How far to shift numbers of so many bits for each of their parts of a width, from the left."""
    return torch.arange(bits - width, -1, -width, device=like.device)


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
        touched, entity = np.unique(entity, return_inverse=True)
        rows = len(entity)
        self._rows += rows
        random = draws.random.integers(1 << ADDRESS_BITS, size=(self._random, rows))
        # Every address meets the entity of another row: any, with the same chance. A row that is alone has no other.
        meets = self._shuffled if rows > 1 else 0
        shuffled = np.array([entity[another(rows, draws.random)] for _ in range(meets)], np.int64).reshape(meets, rows)
        inputs = (touched, entity, shuffled, address, random)
        seen, *unseen = self.forward(*(to_tensor(array, self.device) for array in inputs))
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


def another(rows: int, random: np.random.Generator) -> np.ndarray:
    """For each of two or more rows another one, each of them once: the next one in an order at random."""
    order = random.permutation(rows)
    found = np.empty_like(order)
    found[order] = np.roll(order, 1)
    return found


def pairs(batch: Batch, vectors: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Entities and addresses of the rows that have one: hashes of the former or, of so many vectors, which one is theirs."""
    has = batch.ip != NO_ADDRESS
    entity, address = (batch.entity, batch.ip) if has.all() else (batch.entity[has], batch.ip[has])
    return (entity if vectors is None else slots(entity, vectors)), address


def slots(entity: np.ndarray, vectors: int) -> np.ndarray:
    """Which of so many vectors an entity of this hash has: the rest of the hash, as a number without sign."""
    return (entity.view(np.uint64) % np.uint64(vectors)).astype(np.int64)

"""The network of the neural topic model: a variational autoencoder of counts of words.

Of a document with counts x, an encoder gives mean μ and log-variance log σ² of a normal distribution; h = μ + σ∘ε is drawn from it, θ =
softmax(h) are the weights of the topics, and the decoder expects word w with probability softmax(R·θ + b)_w. Documents come as their
counts that are not 0, and no layer makes an array of all of them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from sparkml_algos.algorithms.ntm.measures import have_words, measures
from sparkml_algos.algorithms.ntm.noise import EVALUATION, document_keys, normals, uniforms
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.networks.learner import Draws, NetworkLearner, Sums
from sparkml_algos.networks.optimizers import OptimizerSettings
from sparkml_algos.networks.state import to_tensor
from sparkml_algos.rows.batch import Batch, Features
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training.job import Job
from sparkml_algos.training.progress import EpochResult, Progress
from sparkml_algos.training.watching import WatchedRows

ACTIVATIONS: Mapping[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}
# Deviation of the weights of words, in encoder and decoder, at the start.
START_DEVIATION = 0.02
# What random numbers are drawn for, in their seed.
_NOISE, _SUB_SAMPLE = 1, 2


class Documents(NamedTuple):
    """Documents as the counts of the words they have.

    Attributes
    ----------
    words : Tensor of int64, shape (entries,)
    counts : Tensor of float32, shape (entries,)
    starts : Tensor of int64, shape (documents,)
        First entry of each document.
    rows : Tensor of int64, shape (entries,)
        The document of each entry.
    """

    words: Tensor
    counts: Tensor
    starts: Tensor
    rows: Tensor

    @classmethod
    def of(cls, features: Features, device: torch.device | str = "cpu", dtype: Any = np.float32) -> Documents:
        """The documents of a batch on a device."""
        rows = sp.csr_matrix(features)
        owners = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        parts = (rows.indices.astype(np.int64), rows.data.astype(dtype), rows.indptr[:-1].astype(np.int64), owners)
        return cls(*(to_tensor(part, device) for part in parts))


class Encoder(nn.Module):
    """Mean and log-variance of the latent vector of documents.

    Parameters
    ----------
    vocabulary, num_topics : int
    layers : sequence of int
        Sizes of the dense layers.
    activation : str
        A key of `ACTIVATIONS`.
    batch_norm : bool
        Normalise the layers over the documents of a mini-batch.
    normalize_latent : bool
        Normalise the mean and the log-variance so, without a scale that is learned: no topic can fall silent, for every component of the
        mean keeps its variance over documents.
    """

    def __init__(
        self, vocabulary: int, num_topics: int, layers: Sequence[int], activation: str, batch_norm: bool, normalize_latent: bool
    ) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(vocabulary, layers[0], mode="sum")
        nn.init.normal_(self.words.weight, std=START_DEVIATION)
        self.bias = nn.Parameter(torch.zeros(layers[0]))
        rest: list[nn.Module] = []
        for place, size in enumerate(layers):
            rest += [nn.Linear(layers[place - 1], size)] if place else []
            rest += [nn.BatchNorm1d(size)] if batch_norm else []
            rest += [ACTIVATIONS[activation]()]
        self.rest = nn.Sequential(*rest)
        self.mean, self.log_variance = nn.Linear(layers[-1], num_topics), nn.Linear(layers[-1], num_topics)
        self.norms = nn.ModuleList(nn.BatchNorm1d(num_topics, affine=False) for _ in range(2)) if normalize_latent else None

    def forward(self, words: Tensor, counts: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        """Both of shape (documents, topics), of documents as `Documents` has them."""
        hidden = self.rest(self.words(words, starts, per_sample_weights=torch.log1p(counts)) + self.bias)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        return (mean, log_variance) if self.norms is None else (self.norms[0](mean), self.norms[1](log_variance))


class TopicNetwork(nn.Module):
    """Encoder and decoder.

    Parameters
    ----------
    vocabulary, num_topics, layers, activation, batch_norm, normalize_latent
        See `Encoder`.
    prior_variance : float
        Of the normal distribution with mean 0 that is the prior of the latent vector.
    """

    def __init__(
        self,
        vocabulary: int,
        num_topics: int,
        layers: Sequence[int],
        activation: str,
        batch_norm: bool,
        normalize_latent: bool,
        prior_variance: float,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(vocabulary, num_topics, layers, activation, batch_norm, normalize_latent)
        self.decoder = nn.Linear(num_topics, vocabulary)
        nn.init.normal_(self.decoder.weight, std=START_DEVIATION)
        self.prior_variance = prior_variance

    def expect_words(self, shares: np.ndarray) -> None:
        """Start with documents that have words in these shares, whatever their topics: R then learns what topics add to them.

        Parameters
        ----------
        shares : ndarray, shape (vocabulary,)
            Positive.
        """
        with torch.no_grad():
            self.decoder.bias.copy_(torch.from_numpy(np.log(shares)))

    def forward(self, seen: Documents, documents: Documents, noise: Tensor) -> tuple[Tensor, Tensor]:
        """What documents cost.

        Parameters
        ----------
        seen : Documents
            What the encoder sees of them.
        documents : Documents
        noise : Tensor, shape (documents, topics)
            Standard normal numbers.

        Returns
        -------
        (Tensor, Tensor)
            −Σ_w x_w log p(w), and the Kullback-Leibler divergence of the latent distribution from the prior; shape (documents,).
        """
        mean, log_variance = self.encoder(seen.words, seen.counts, seen.starts)
        topics = torch.softmax(mean + noise * (log_variance / 2).exp(), dim=1)
        logits = _not_of_16_bits(self.decoder(topics))
        reconstruction = _CrossEntropy.apply(logits, documents.rows, documents.words, documents.counts)
        return reconstruction, self._divergence(_not_of_16_bits(mean), _not_of_16_bits(log_variance))

    def topics(self, documents: Documents) -> Tensor:
        """Weights of the topics of documents, without noise, shape (documents, topics)."""
        return torch.softmax(self.encoder(documents.words, documents.counts, documents.starts)[0], dim=1)

    def _divergence(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """KL(N(μ, σ²) ‖ N(0, prior)) of each document."""
        log_prior = math.log(self.prior_variance)
        ratio = (mean * mean + log_variance.exp()) / self.prior_variance
        return 0.5 * (ratio - 1 - log_variance + log_prior).sum(dim=1)


class DenseTopics(nn.Module):
    """Weights of the topics of documents, as a program of tensors: for counts of all words, float32 (documents, vocabulary).

    Parameters
    ----------
    network : TopicNetwork
        Of 64 bits.
    """

    def __init__(self, network: TopicNetwork) -> None:
        super().__init__()
        self.encoder, self._topics = network.encoder, network.encoder.mean.out_features

    def forward(self, counts: Tensor) -> tuple[Tensor]:
        encoder, counts = self.encoder, counts.double()
        mean = encoder.mean(encoder.rest(torch.log1p(counts) @ encoder.words.weight + encoder.bias))
        weights = torch.softmax(mean if encoder.norms is None else encoder.norms[0](mean), dim=1)
        return (weights.masked_fill(counts.sum(dim=1, keepdim=True) == 0, 1 / self._topics),)


def _not_of_16_bits(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


class _CrossEntropy(torch.autograd.Function):
    """−Σ_w x_w log softmax(logits)_w of each document; of the counts x and the logarithms only those of its words are ever there."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, rows: Tensor, words: Tensor, counts: Tensor) -> Tensor:
        shares = torch.softmax(logits, dim=1)
        entries = rows * shares.shape[1] + words
        # What is too small for a number has its logarithm bounded; the gradient needs none.
        logs = shares.view(-1)[entries].clamp_min_(torch.finfo(shares.dtype).tiny).log_()
        ctx.save_for_backward(shares, rows, entries, counts)
        return logits.new_zeros(len(logits)).index_add_(0, rows, logs.mul_(counts).neg_())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        shares, rows, entries, counts = ctx.saved_tensors
        weighted = counts * gradient[rows]
        found = shares * torch.zeros_like(gradient).index_add_(0, rows, weighted)[:, None]
        found.view(-1).index_add_(0, entries, weighted.neg_())
        return found, None, None, None


def kl_weight(warm_up: float, epoch: int) -> float:
    """What the divergence counts for in an epoch, counted from 0: more each time, and 1 from the end of a warm-up of so many epochs on."""
    return min(1.0, (epoch + 1) / warm_up) if warm_up else 1.0


class TopicLearner(NetworkLearner):
    """The network in training.

    Parameters
    ----------
    network, job, communicator, optimizer, watched
        See `NetworkLearner`.
    hyperparameters : Hyperparameters
        Of the algorithm.
    """

    figures = ("objective", "reconstruction", "divergence", "words")

    def __init__(
        self,
        network: TopicNetwork,
        job: Job,
        communicator: Communicator,
        optimizer: OptimizerSettings,
        watched: WatchedRows,
        hyperparameters: Hyperparameters,
    ) -> None:
        super().__init__(network, job, communicator, optimizer, watched)
        self._num_topics = hyperparameters.num_topics
        self._sub_sample, self._word_dropout = hyperparameters.sub_sample, hyperparameters.word_dropout
        self._kl_weight = functools.partial(kl_weight, hyperparameters.kl_warm_up * hyperparameters.epochs)

    def gradient(self, batch: Batch) -> Sums:
        drawn = self._drawn(batch.features)
        return super().gradient(batch if drawn.all() else batch.take(drawn))

    def _drawn(self, features: Features) -> np.ndarray:
        """Which documents of a mini-batch are trained on: those that have words, or a share of them."""
        drawn = have_words(features)
        if self._sub_sample == 1:
            return drawn
        seed = [self._job.seed, self._progress.epoch, self._progress.step, self._communicator.rank, _SUB_SAMPLE]
        return drawn & (np.random.default_rng(seed).random(len(drawn)) < self._sub_sample)

    def loss(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        training, progress = self.network.training, draws.progress
        keys = document_keys(batch.features, [self._job.seed, progress.epoch, progress.step, _NOISE] if training else EVALUATION)
        documents = Documents.of(batch.features, self.device)
        seen = self._partly_hidden(batch.features, keys) if training and self._word_dropout else documents
        parts = self.forward(seen, documents, to_tensor(normals(keys, self._num_topics), self.device))
        lengths = np.asarray(batch.features.sum(axis=1, dtype=np.float64)).ravel()
        weight = None if batch.weight is None else to_tensor(batch.weight, self.device)
        reconstruction, divergence = (part.sum() if weight is None else weight @ part for part in parts)
        return {
            "objective": reconstruction + self._kl_weight(progress.epoch) * divergence,
            "reconstruction": reconstruction,
            "divergence": divergence,
            "words": torch.tensor(float(batch.weights @ lengths), device=self.device),
        }

    def _partly_hidden(self, features: Features, keys: np.ndarray) -> Documents:
        """Documents of which the encoder sees a share of the words, drawn anew in every step."""
        rows = sp.csr_matrix(features)
        by_entry = np.repeat(keys, np.diff(rows.indptr))
        kept = uniforms(by_entry, rows.indices + self._num_topics) >= self._word_dropout
        ends = np.append(0, np.cumsum(kept))[rows.indptr]
        return Documents.of(sp.csr_matrix((rows.data[kept], rows.indices[kept], ends), rows.shape), self.device)

    def end_epoch(self, progress: Progress) -> EpochResult:
        if not self._totals[-1]:
            drawn = "" if self._sub_sample == 1 else f", or sub_sample={self._sub_sample:g} has drawn none"
            raise InvalidRows(f"epoch {progress.epoch + 1} had no document with a word to train on: the dataset has none{drawn}")
        return super().end_epoch(progress)

    def validate(self, batches: Iterable[Batch], draws: Draws) -> Mapping[str, float]:
        """Of documents that have words, as `evaluate` judges them."""
        kept = (batch.take(have_words(batch.features)) for batch in batches)
        return super().validate((batch for batch in kept if len(batch)), draws)

    def result(self, found: dict[str, float]) -> EpochResult:
        """The service's ``total_loss``, its two parts, and perplexity as it has it: exp(loss per word)."""
        metrics = {}
        for rows in ("train", "validation"):
            if f"{rows}:words" in found:
                metrics |= measures(np.array([*(found[f"{rows}:{name}"] for name in self.figures[1:]), 1.0]), rows)
        # While the weight of the divergence still rises, the loss may rise with it: those epochs are neither best nor do they end anything.
        is_judged = self._kl_weight(self._progress.epoch) == 1
        return EpochResult(metrics, metrics.get("validation:total_loss", metrics["train:total_loss"]) if is_judged else np.inf)

"""Training of LDA on arrays: moments, their decomposition, and refinements that start from it.

The stages are epochs of the job, each a pass over the documents, and each exchanges one sum over them:

1. the means of words, and M2 times a random block (or, of a small vocabulary, times the identity: M2 itself);
2. M2 times the orthonormal basis of the last image, three times: a block power iteration for the leading eigenvectors of M2;
3. the third moment of the words whitened by these, then its decomposition into topics;
4. as often as `refinements` says, expectation maximisation: the mixture of each document given the topics, then the topics given the words
   that each has by these mixtures.

References
----------
A. Anandkumar et al., "A spectral algorithm for latent Dirichlet allocation", NIPS 2012. N. Halko, P. Martinsson, J. Tropp, "Finding
structure with randomness", SIAM Review 53 (2011).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from sparkml_algos.algorithms.lda.decomposition import decompose, topics
from sparkml_algos.algorithms.lda.mixtures import TINY, Topics, mixtures
from sparkml_algos.algorithms.lda.moments import (
    Triples,
    lengths,
    rates,
    times_pairs,
    whiten,
    whitened_third_moment,
    without_mean,
)
from sparkml_algos.algorithms.lda.params import FIELDS
from sparkml_algos.algorithms.lda.prediction import load, log_likelihood
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job

# Components computed for each topic asked for, by the service's documentation.
COMPUTED_PER_TOPIC = 1.25

# With more than this the third moment would outgrow a worker: its cube takes 134 MB, and a run of alternating least squares minutes.
MAX_COMPONENTS = 256

# Up to this vocabulary M2 is formed; beyond, it is multiplied by a block of so many columns more than components.
SMALL_VOCABULARY = 256
OVERSAMPLING = 10

# Passes of the power iteration after the first. Of 63 components on 20-newsgroups the middle eigenvalue after one is 0.64 of that after
# eight, after three 0.96.
POWER_ITERATIONS = 3

# Every topic starts with this much of every word of the vocabulary, so that no word is impossible. Of 0.1, 0.3, 1 and 3 on a part of
# 20-newsgroups with 50 topics, 0.1 and 0.3 give the lowest perplexity of held-out words, larger ones more coherent topics.
WORDS_BEFORE = 0.3

# Steps towards a document's mixture in a refinement. Of 3, 5 and 10 the perplexity there is 1013, 988 and 971 after five refinements.
REFINEMENT_STEPS = 10


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Find topics.

    Returns
    -------
    Artifact
        The same on every worker: ``alpha`` (topics,), descending, of sum alpha0, and ``beta`` (topics, vocabulary), positive with rows of
        sum 1; float64. In its values ``train:pwll``, per-word log-likelihood of the training documents under the topics before the last
        refinement, if there was any.
    """
    width = _width(hyperparameters, shard.num_features)
    stages: list[Callable[[Artifact], Artifact]] = [lambda _: _first_image(width, hyperparameters, communicator, job)]
    if width < shard.num_features:
        stages += [lambda state: _next_image(state, hyperparameters, communicator, job)] * POWER_ITERATIONS
    stages += [lambda state: _decomposed(state, hyperparameters, communicator, job)]
    stages += [lambda state: _refined(state, hyperparameters, communicator, job)] * hyperparameters.refinements
    state = job.resume() or Artifact()
    for epoch in job.epochs(len(stages)):
        state = stages[epoch](state)
        job.end_epoch(state, **state.values)
    order = np.argsort(-state.arrays["alpha"], kind="stable")
    return Artifact({name: state.arrays[name][order] for name in ("alpha", "beta")}, state.values)


def passes(hyperparameters: Hyperparameters) -> int:
    """How often the documents are read, at most."""
    return 2 + POWER_ITERATIONS + hyperparameters.refinements


def num_components(hyperparameters: Hyperparameters) -> int:
    """Components that are computed, of which the best are kept."""
    return min(int(np.ceil(COMPUTED_PER_TOPIC * hyperparameters.num_topics)), MAX_COMPONENTS)


def _width(hyperparameters: Hyperparameters, vocabulary: int) -> int:
    """Columns of the block that M2 is multiplied by."""
    width = num_components(hyperparameters) + OVERSAMPLING
    return vocabulary if vocabulary <= max(width, SMALL_VOCABULARY) else width


# ----------------------------------------------------------------------------------------------------------------- moments


def _first_image(width: int, hyperparameters: Hyperparameters, communicator: Communicator, job: Job) -> Artifact:
    """``mean``, M1; ``basis`` and its ``image``, M2 · basis; ``words``, their number, and ``documents``, of at least 1, 2, 3 words."""
    vocabulary = job.shard.num_features
    basis = np.eye(width) if width == vocabulary else _orthonormal(job.random.standard_normal((vocabulary, width)), communicator)
    mean, image, totals = np.zeros(vocabulary), np.zeros(basis.shape), np.zeros(4)
    for counts, weight in _documents(job, hyperparameters):
        length = lengths(counts)
        mean += counts.T @ rates(length, weight, 1)
        image += times_pairs(counts, rates(length, weight, 2), basis)
        totals += [weight @ length, *(weight[length >= words].sum() for words in (1, 2, 3))]
    sums = communicator.allreduce(np.concatenate([mean, totals]))
    mean, totals = sums[:-4], sums[-4:]
    if not totals[3]:
        raise InvalidRows("LDA learns from documents of at least three words; the dataset has none")
    mean /= totals[1]
    image = without_mean(communicator.allreduce(image) / totals[2], basis, mean, hyperparameters.alpha0)
    return Artifact({"mean": mean, "basis": basis, "image": image, "words": totals[:1], "documents": totals[1:]})


def _next_image(state: Artifact, hyperparameters: Hyperparameters, communicator: Communicator, job: Job) -> Artifact:
    """The same state for the basis that the last image spans."""
    basis, mean = _orthonormal(state.arrays["image"], communicator), state.arrays["mean"]
    image = np.zeros(basis.shape)
    for counts, weight in _documents(job, hyperparameters):
        image += times_pairs(counts, rates(lengths(counts), weight, 2), basis)
    image = communicator.allreduce(image) / state.arrays["documents"][1]
    return Artifact({**state.arrays, "basis": basis, "image": without_mean(image, basis, mean, hyperparameters.alpha0)})


def _orthonormal(columns: np.ndarray, communicator: Communicator) -> np.ndarray:
    return communicator.broadcast(scipy.linalg.qr(columns, mode="economic")[0])


def _documents(job: Job, hyperparameters: Hyperparameters) -> Iterator[tuple[sp.csr_matrix, np.ndarray]]:
    """Counts of words and weights of this worker's documents, float64, a mini-batch at a time. Copies of a document share its weight."""
    copies = job.communicator.size if job.replicated else 1
    for batch in job.minibatches(hyperparameters.mini_batch_size):
        yield sp.csr_matrix(batch.features, dtype=np.float64), batch.weights / copies


# ------------------------------------------------------------------------------------------------------------------ topics


def _decomposed(state: Artifact, hyperparameters: Hyperparameters, communicator: Communicator, job: Job) -> Artifact:
    """Topics by the third moment; ``alpha`` and ``beta`` are the state from here on."""
    mean, alpha0 = state.arrays["mean"], hyperparameters.alpha0
    whitening, unwhitening = whiten(state.arrays["basis"], state.arrays["image"], num_components(hyperparameters))
    whitening, unwhitening = (communicator.broadcast(np.ascontiguousarray(part)) for part in (whitening, unwhitening))
    triples = Triples(whitening)
    for counts, weight in _documents(job, hyperparameters):
        triples.add(counts, rates(lengths(counts), weight, 3))
    moment = communicator.allreduce(triples.total()) / state.arrays["documents"][2]
    moment = whitened_third_moment(moment, whitening.T @ mean, alpha0)
    weights, vectors = decompose(moment, hyperparameters, communicator, job.seed)
    alpha, beta = topics(weights, vectors, unwhitening, alpha0, hyperparameters.num_topics)
    alpha, beta = _completed(alpha, beta, mean, hyperparameters, job.random)
    alpha *= alpha0 / alpha.sum()
    return Artifact({"alpha": alpha, "beta": _smoothed(beta * (state.arrays["words"] * alpha / alpha0)[:, None])})


def _completed(
    alpha: np.ndarray, beta: np.ndarray, mean: np.ndarray, hyperparameters: Hyperparameters, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """As many topics as asked for. Where the moments have fewer, the others are the mean, shaken at random; refinements tell them apart."""
    missing = hyperparameters.num_topics - len(alpha)
    shaken = mean * random.exponential(size=(missing, len(mean)))
    alpha = np.append(alpha, np.full(missing, alpha.min(initial=hyperparameters.alpha0)))
    return alpha, np.concatenate([beta, shaken / shaken.sum(axis=1, keepdims=True)])


def _smoothed(words: np.ndarray) -> np.ndarray:
    """Topics from the words that each has."""
    words = words + WORDS_BEFORE
    return words / words.sum(axis=1, keepdims=True)


def _refined(state: Artifact, hyperparameters: Hyperparameters, communicator: Communicator, job: Job) -> Artifact:
    """Topics of the words that each has by the mixtures of all documents; alpha in proportion to its share of the mixtures."""
    alpha, beta = state.arrays["alpha"], state.arrays["beta"]
    topics_now = Topics.of(alpha, beta)
    found, shares, totals = np.zeros(beta.shape), np.zeros(alpha.shape), np.zeros(2)
    for counts, weight in _documents(job, hyperparameters):
        theta, probability = mixtures(counts, topics_now, REFINEMENT_STEPS)
        theta = theta * weight[:, None]
        ratio = sp.csr_matrix((counts.data / np.maximum(probability, TINY), counts.indices, counts.indptr), counts.shape)
        found += (ratio.T @ theta).T
        shares += theta.sum(axis=0)
        totals += log_likelihood(counts, weight, probability)
    sums = communicator.allreduce(np.concatenate([found.ravel(), shares, totals]))
    found, shares, totals = np.split(sums, [found.size, found.size + shares.size])
    artifact = {
        "alpha": hyperparameters.alpha0 * shares / shares.sum(),
        "beta": _smoothed(found.reshape(beta.shape) * beta),
    }
    return Artifact(artifact, {"train:pwll": float(totals[0] / totals[1])})


LDA_ALGORITHM = Algorithm(
    name="lda",
    fields=FIELDS,
    train=train,
    load=load,
    passes=passes,
    model_bytes=lambda hyperparameters, num_features: 8 * hyperparameters.num_topics * num_features,
)

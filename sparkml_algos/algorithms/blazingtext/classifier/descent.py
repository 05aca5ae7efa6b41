"""The parameters of a text classifier, and how they move: by one step for each text, in several threads or on several workers.

    h = mean of the vectors of a text's words and n-grams,   p = softmax(W h),   minimise  −log p(label)

Threads of a worker move the same parameters without waiting for each other, as in fastText; a worker with one thread makes the same steps
in every run. Several workers compute the steps for a few texts each from the same parameters, and all of them make the steps of all.

References
----------
B. Recht, C. Re, S. Wright, F. Niu, "Hogwild: a lock-free approach to parallelizing stochastic gradient descent", NIPS 2011.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import scipy.sparse as sp

from sparkml_algos import kernels
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.collectives.communicator import Communicator

# Texts that make a thread of their own worth while; few texts are so trained on alike in every run.
ROWS_PER_THREAD = 512
# What keeps a logarithm finite.
TINY = 1e-30


class Parameters:
    """Vectors of features and of labels.

    Attributes
    ----------
    vectors : ndarray of float32, shape (features, dim)
        Of words, of n-grams, and one of zeros, see `texts.Encoder`.
    outputs : ndarray of float32, shape (labels, dim)
    """

    def __init__(self, vectors: np.ndarray, outputs: np.ndarray, communicator: Communicator) -> None:
        self.vectors, self.outputs, self._communicator = vectors, outputs, communicator

    @classmethod
    def fresh(cls, words: int, ngrams: int, labels: int, dim: int, seed: int, communicator: Communicator) -> Parameters:
        """As a training begins: vectors of words uniform from −1/dim to 1/dim, all others 0; the same on every worker."""
        vectors = np.zeros((words + ngrams + 1, dim), np.float32)
        vectors[:words] = np.random.default_rng(seed).uniform(-1 / dim, 1 / dim, (words, dim))
        return cls(vectors, np.zeros((labels, dim), np.float32), communicator)

    def step(self, features: Ragged, targets: np.ndarray, rates: np.ndarray, windows: int) -> float:
        """Steps for texts. All workers call it, with texts of their own, perhaps none, and the same number of windows.

        Parameters
        ----------
        features : Ragged of int32
        targets : ndarray of int32, shape (texts,)
            The label that each is to have.
        rates : ndarray of float32, shape (texts,)
        windows : int
            Parts into which several workers cut their texts; the steps for a part of all of them are computed from the same parameters.

        Returns
        -------
        float
            Sum of −log p(label) over the texts of this worker, each before its step.
        """
        if self._communicator.size == 1:
            return self._one_by_one(features, targets, rates)
        cuts, loss = np.linspace(0, len(targets), windows + 1).astype(int), 0.0
        for start, end in itertools.pairwise(cuts):
            part = slice(start, end)
            loss += self._together(features.take(part), targets[part], rates[part])
        return loss

    def _one_by_one(self, features: Ragged, targets: np.ndarray, rates: np.ndarray) -> float:
        train = _kernels().train_rows if kernels.available() else train_rows
        threads = max(1, min(kernels.threads(), len(targets) // ROWS_PER_THREAD)) if kernels.available() else 1
        cuts = np.linspace(0, len(targets), threads + 1).astype(int)
        calls = [
            functools.partial(train, features.values, features.offsets[a : b + 1], targets[a:b], rates[a:b], self.vectors, self.outputs)
            for a, b in itertools.pairwise(cuts)
        ]
        return float(sum(kernels.in_threads(calls)))

    def _together(self, features: Ragged, targets: np.ndarray, rates: np.ndarray) -> float:
        """The steps for a few texts of each worker, which every worker makes in the same order, so that their parameters stay equal to the
        last bit. What travels is, of each text, its ids, and a vector that all of these move by, not the vectors themselves."""
        found = moves_of(features, targets, rates, self.vectors, self.outputs)
        add = _kernels().add_rows if kernels.available() else add_rows
        for message in self._communicator.allgather(_packed(features, found)):
            theirs, move = _unpacked(message, self.vectors.shape[1], len(self.outputs))
            self.outputs += move.steps.T @ move.hidden
            add(theirs.values, theirs.offsets, move.gradients, self.vectors)
        return found.loss


@dataclass(frozen=True)
class Moves:
    """What texts do to the parameters.

    Attributes
    ----------
    gradients : ndarray of float32, shape (texts, dim)
        What each feature of a text moves by.
    hidden : ndarray of float32, shape (texts, dim)
    steps : ndarray of float32, shape (texts, labels)
        The vector of a label moves by its step times ``hidden``.
    loss : float
        Sum of −log p(label).
    """

    gradients: np.ndarray
    hidden: np.ndarray
    steps: np.ndarray
    loss: float = 0.0


def moves_of(features: Ragged, targets: np.ndarray, rates: np.ndarray, vectors: np.ndarray, outputs: np.ndarray) -> Moves:
    """What texts do to the parameters, all of them computed from those given."""
    counts, rows = np.maximum(features.lengths, 1).astype(np.float32)[:, None], np.arange(len(targets))
    hidden = sums_of(features, vectors) / counts
    scores = hidden @ outputs.T
    shares = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
    shares /= shares.sum(axis=1, keepdims=True)
    steps = -shares
    steps[rows, targets] += 1
    steps *= (rates * (features.lengths > 0))[:, None]
    loss = -np.log(shares[rows, targets] + TINY) @ (features.lengths > 0)
    return Moves(steps @ outputs / counts, hidden, steps, float(loss))


def sums_of(features: Ragged, vectors: np.ndarray) -> np.ndarray:
    """Sum of the vectors of each text, shape (texts, dim), float32."""
    ones = np.ones(len(features.values), np.float32)
    return sp.csr_matrix((ones, features.values, features.offsets), shape=(len(features), len(vectors))) @ vectors


def add_rows(features: np.ndarray, ends: np.ndarray, gradients: np.ndarray, vectors: np.ndarray) -> None:
    """`kernels.text_classifier.add_rows` with NumPy, where there is no numba."""
    np.add.at(vectors, features, np.repeat(gradients, np.diff(ends), axis=0))


def _packed(features: Ragged, moves: Moves) -> np.ndarray:
    numbers = [part.astype(np.float32, copy=False).ravel().view(np.int32) for part in (moves.gradients, moves.hidden, moves.steps)]
    head = np.concatenate([[len(features)], features.lengths]).astype(np.int32)
    return np.concatenate([head, features.values, *numbers])


def _unpacked(message: np.ndarray, dim: int, labels: int) -> tuple[Ragged, Moves]:
    rows = int(message[0])
    offsets = np.concatenate([[0], np.cumsum(message[1 : rows + 1], dtype=np.int64)])
    rest = message[rows + 1 :]
    ids, numbers = rest[: offsets[-1]], rest[offsets[-1] :].view(np.float32)
    gradients, hidden, steps = np.split(numbers, [rows * dim, 2 * rows * dim])
    return Ragged(ids, offsets), Moves(gradients.reshape(rows, dim), hidden.reshape(rows, dim), steps.reshape(rows, labels))


def train_rows(
    features: np.ndarray, ends: np.ndarray, targets: np.ndarray, rates: np.ndarray, vectors: np.ndarray, outputs: np.ndarray
) -> float:
    """The steps of `kernels.text_classifier.train_rows` with NumPy, where there is no numba."""
    loss = 0.0
    for target, rate, start, end in zip(targets.tolist(), rates, ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        if start == end:
            continue
        ids = features[start:end]
        hidden = vectors[ids].sum(axis=0) / np.float32(end - start)
        scores = outputs @ hidden
        shares = np.exp(scores - scores.max())
        shares /= shares.sum()
        loss -= np.log(shares[target] + TINY)
        steps = -rate * shares
        steps[target] += rate
        gradient = steps @ outputs / np.float32(end - start)
        outputs += steps[:, None] * hidden
        np.add.at(vectors, ids, gradient)
    return loss


def _kernels() -> ModuleType:
    from sparkml_algos.kernels import text_classifier

    return text_classifier

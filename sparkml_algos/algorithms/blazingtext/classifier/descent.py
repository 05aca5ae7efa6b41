"""The parameters of a text classifier, and how they move: by one step for each text, in several threads and on several workers.

    h = mean of the vectors of a text's words and n-grams,   p = softmax(W h),   minimise  −log p(label)

Threads of a worker move the same parameters without waiting for each other, as in fastText; a worker with one thread makes the same steps
in every run.

References
----------
B. Recht, C. Re, S. Wright, F. Niu, "Hogwild: a lock-free approach to parallelizing stochastic gradient descent", NIPS 2011.
"""

from __future__ import annotations

import functools

import numpy as np

from sparkml_algos import kernels
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.collectives.sparse_sums import SparseSums, rows_of_others

# Texts that make a thread of their own worth while; few texts are so trained on alike in every run.
ROWS_PER_THREAD = 512
# What keeps a logarithm finite.
TINY = 1e-30
POWER = 1.0


class Parameters:
    """Vectors of features and of labels.

    Attributes
    ----------
    vectors : ndarray of float32, shape (features, dim)
    outputs : ndarray of float32, shape (labels, dim)
    """

    def __init__(self, vectors: np.ndarray, outputs: np.ndarray, communicator: Communicator) -> None:
        self.vectors, self.outputs, self._communicator = vectors, outputs, communicator
        shared = communicator.size > 1
        self._before = (vectors.copy(), outputs.copy()) if shared else None

    @classmethod
    def fresh(cls, words: int, ngrams: int, labels: int, dim: int, seed: int, communicator: Communicator) -> Parameters:
        """As a training begins: vectors of words uniform from −1/dim to 1/dim, all others 0; the same on every worker."""
        vectors = np.zeros((words + ngrams, dim), np.float32)
        vectors[:words] = np.random.default_rng(seed).uniform(-1 / dim, 1 / dim, (words, dim))
        return cls(vectors, np.zeros((labels, dim), np.float32), communicator)

    def step(self, features: Ragged, targets: np.ndarray, rates: np.ndarray) -> float:
        """Steps for texts, one after the other.

        Parameters
        ----------
        features : Ragged of int32
        targets : ndarray of int32, shape (texts,)
            The label that each is to have.
        rates : ndarray of float32, shape (texts,)

        Returns
        -------
        float
            Sum of −log p(label), each before its step.
        """
        train = _kernel() if kernels.available() else train_rows
        threads = max(1, min(kernels.threads(), len(targets) // ROWS_PER_THREAD)) if kernels.available() else 1
        cuts = np.linspace(0, len(targets), threads + 1).astype(int)
        calls = [
            functools.partial(
                train, features.values, features.offsets[a : b + 1], targets[a:b], rates[a:b], self.vectors, self.outputs
            )
            for a, b in zip(cuts[:-1], cuts[1:], strict=True)
        ]
        return float(sum(kernels.in_threads(calls)))

    def merge(self, features: np.ndarray) -> None:
        """Let all workers have the same parameters again: those before the last merge, moved by what all of them have moved theirs.

        Parameters
        ----------
        features : ndarray of int32
            Ids, perhaps repeated, of the vectors that this worker has moved.
        """
        if self._before is None:
            return
        vectors, outputs = self._before
        moved_outputs = np.append(self.outputs - outputs, np.float32(len(features) > 0))
        moved_outputs = self._communicator.allreduce(moved_outputs)
        outputs += moved_outputs[:-1].reshape(outputs.shape) / max(1, moved_outputs[-1]) ** POWER
        self.outputs[:] = outputs
        ids = np.unique(features).astype(np.int32)
        own = np.hstack([self.vectors[ids] - vectors[ids], np.ones((len(ids), 1), np.float32)])
        moved = SparseSums(np.zeros(0), ids, own, len(vectors)).at_owners(self._communicator)
        vectors[moved.ids] += moved.rows[:, :-1] / moved.rows[:, -1:] ** POWER
        for others, rows in rows_of_others(moved.ids, vectors[moved.ids], self._communicator):
            vectors[others] = self.vectors[others] = rows
        self.vectors[moved.ids] = vectors[moved.ids]


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


def _kernel():  # noqa: ANN202 - a function like `train_rows`
    from sparkml_algos.kernels import text_classifier

    return text_classifier.train_rows

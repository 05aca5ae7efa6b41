"""What topics say of documents: their mixtures, and how likely their words are."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sparkml_algos.algorithms.lda.mixtures import Topics, mixtures
from sparkml_algos.algorithms.lda.moments import lengths
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch

# At most so many steps, until no share moves by more than this.
STEPS, TOLERANCE = 200, 1e-4


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> MixturePredictor:
    """A predictor of ``topic_mixture`` (documents, topics), rows of sum 1, float64.

    Parameters
    ----------
    artifact : Artifact
        From `training.train`.
    hyperparameters : Hyperparameters
        Not needed.
    device : str
        Ignored: mixtures are found on the CPU.
    """
    return MixturePredictor(artifact)


class MixturePredictor:
    """Finds the mixtures of the documents of a batch."""

    def __init__(self, artifact: Artifact) -> None:
        self._topics = Topics.of(artifact.arrays["alpha"], artifact.arrays["beta"])

    def __call__(self, batch: Batch) -> dict[str, np.ndarray]:
        theta = mixtures(sp.csr_matrix(batch.features), self._topics, STEPS, TOLERANCE)[0].astype(np.float64)
        return {"topic_mixture": theta / theta.sum(axis=1, keepdims=True)}

    def likelihood(self, batch: Batch) -> np.ndarray:
        """Log-likelihood of the words of all documents under their mixtures, and how many there are, weighted; shape (2,)."""
        counts = sp.csr_matrix(batch.features)
        return log_likelihood(counts, batch.weights, mixtures(counts, self._topics, STEPS, TOLERANCE)[1])


def log_likelihood(counts: sp.csr_matrix, weight: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Log-likelihood of the words and how many there are, shape (2,).

    Parameters
    ----------
    counts : csr_matrix, shape (documents, vocabulary)
    weight : ndarray, shape (documents,)
    probability : ndarray
        Of each entry of `counts`.
    """
    with np.errstate(divide="ignore"):  # topics that were edited may have no place for a word
        logs = np.log(probability, dtype=np.float64)
    logs = sp.csr_matrix((counts.data * logs, counts.indices, counts.indptr), counts.shape)
    return np.array([weight @ lengths(logs), weight @ lengths(counts)])

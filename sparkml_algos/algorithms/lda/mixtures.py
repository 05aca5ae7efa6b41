"""The mixture of topics of a document, given the topics.

The mixture θ of a document of counts c and n words is the one that maximises

    Σ_w c_w log Σ_k θ_k β_kw + Σ_k α_k log θ_k,

a concave function, so there is one. Each step moves θ along the gradient of the likelihood, scaled by θ itself, and never lowers it:

    θ_k ← (α_k + θ_k Σ_w c_w β_kw / Σ_j θ_j β_jw) / (α0 + n)

which is expectation maximisation. It starts at α / α0, where a document without words stays.

References
----------
J. Kivinen, M. Warmuth, "Exponentiated gradient versus gradient descent for linear predictors", Information and Computation 132 (1997), for
gradients scaled so. A. Asuncion et al., "On smoothing and inference for topic models", UAI 2009.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

# Floats of the words of a block of documents, a topic's each: 2 MiB stay in a core's cache from step to step.
WORDS_BLOCK = 1 << 19

# What a word that no topic has is taken to have, so that nothing is divided by zero.
TINY = 1e-30


@dataclass(frozen=True)
class Topics:
    """Topics as mixtures are computed with.

    Attributes
    ----------
    prior : ndarray of float32, shape (topics,)
    words : ndarray of float32, shape (vocabulary, topics)
        What each topic has of a word, side by side in memory.
    """

    prior: np.ndarray
    words: np.ndarray

    @classmethod
    def of(cls, alpha: np.ndarray, beta: np.ndarray) -> Topics:
        """From the prior, shape (topics,), and the topics, shape (topics, vocabulary)."""
        return cls(alpha.astype(np.float32), np.ascontiguousarray(beta.T, np.float32))


def mixtures(counts: sp.csr_matrix, topics: Topics, steps: int, tolerance: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Mixtures of documents, and the probability of each of their words.

    Parameters
    ----------
    counts : csr_matrix, shape (documents, vocabulary)
    topics : Topics
    steps : int
        At most so many.
    tolerance : float
        A document is done once no share of a topic moves by more in a step.

    Returns
    -------
    (ndarray, ndarray)
        θ (documents, topics), float32; what it is of a document does not depend on the others. Σ_k θ_k β_kw (entries of `counts`,) in
        their order, float32.
    """
    words, prior = topics.words, topics.prior
    counts = counts.astype(np.float32, copy=False)
    theta = np.empty((counts.shape[0], len(prior)), np.float32)
    probability = np.empty(counts.nnz, np.float32)
    for start, end in _blocks(counts, max(1, WORDS_BLOCK // len(prior))):
        inside = slice(counts.indptr[start], counts.indptr[end])
        theta[start:end], probability[inside] = _block(counts[start:end], prior, words, steps, tolerance)
    return theta, probability


def _blocks(counts: sp.csr_matrix, entries: int) -> Iterator[tuple[int, int]]:
    """Ranges of documents of about so many entries."""
    start, documents = 0, counts.shape[0]
    while start < documents:
        end = int(np.searchsorted(counts.indptr, counts.indptr[start] + entries, side="right")) - 1
        end = min(max(end, start + 1), start + entries, documents)
        yield start, end
        start = end


def _block(counts: sp.csr_matrix, alpha: np.ndarray, words: np.ndarray, steps: int, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    theta = np.repeat(alpha[None] / alpha.sum(), counts.shape[0], axis=0)
    total = alpha.sum() + np.asarray(counts.sum(axis=1))
    near, documents = words[counts.indices], _documents(counts)
    rows, left, left_near, left_documents, left_total = np.arange(len(theta)), counts, near, documents, total
    moves = np.ones(len(theta), bool)
    for _ in range(steps):
        before = theta[rows]
        ratio = left.data / np.maximum(np.einsum("ij,ij->i", left_near, before[left_documents]), TINY)
        after = alpha + before * (sp.csr_matrix((ratio, left.indices, left.indptr), left.shape) @ words)
        after /= left_total
        theta[rows[moves]] = after[moves]
        if not tolerance:
            continue
        moves &= np.abs(after - before).max(axis=1) > tolerance
        if not moves.any():
            break
        if moves.sum() <= len(rows) // 2:  # cutting out the documents that still move costs about as much as a step
            rows, moves = rows[moves], np.ones(moves.sum(), bool)
            left, left_total = counts[rows], total[rows]
            left_near, left_documents = words[left.indices], _documents(left)
    theta /= theta.sum(axis=1, keepdims=True)
    return theta, np.einsum("ij,ij->i", near, theta[documents])


def _documents(counts: sp.csr_matrix) -> np.ndarray:
    """The document of each entry."""
    return np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))

"""From the whitened third moment to topics.

Whitening makes the components of T = Σ λ_k v_k⊗v_k⊗v_k orthonormal, and alternating least squares uses it: with two factors V held, the
third that fits best is G = T(·, V, V), for the columns v⊗v are orthonormal too; of it the nearest orthonormal factor is kept, that of the
polar decomposition of G · diag λ, λ_k = T(v_k, v_k, v_k).

    α_k = 4α0(α0+1) / ((α0+2)²λ_k²),   β_k = ½λ_k(α0+2)·(Wᵀ)⁺v_k

References
----------
A. Anandkumar et al., "A spectral algorithm for latent Dirichlet allocation", NIPS 2012; "Tensor decompositions for learning latent
variable models", JMLR 15 (2014). J. Chen, Y. Saad, "On the tensor SVD and the optimal low rank orthogonal approximation of tensors",
SIAM J. Matrix Anal. Appl. 30 (2009).
"""

from __future__ import annotations

import numpy as np

from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator


def decompose(tensor: np.ndarray, hyperparameters: Hyperparameters, communicator: Communicator, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """λ, positive, shape (L,), and V, shape (L, L) with a component in each column: the best of several runs of alternating least squares.

    If the first run ends with an error above `tol`, the workers share the other `max_restarts` − 1; the result does not depend on how
    many workers there are.
    """
    weights, vectors, error = alternate(tensor, hyperparameters, np.random.default_rng([seed, 0]))
    errors = np.full(hyperparameters.max_restarts, np.inf)
    errors[0], found = error, {0: (weights, vectors)}
    if communicator.broadcast(np.array([error]))[0] > hyperparameters.tol:
        for restart in range(1 + communicator.rank, hyperparameters.max_restarts, communicator.size):
            weights, vectors, errors[restart] = alternate(tensor, hyperparameters, np.random.default_rng([seed, restart]))
            found[restart] = weights, vectors
    best = int(communicator.allreduce(errors, "min").argmin())
    weights, vectors = found.get(best, found[0])
    owner = (best - 1) % communicator.size if best else 0
    return communicator.broadcast(weights, owner), communicator.broadcast(vectors, owner)


def alternate(tensor: np.ndarray, hyperparameters: Hyperparameters, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """One run of alternating least squares from a random orthonormal factor, until it has converged to within `tol`.

    Returns
    -------
    (ndarray, ndarray, float)
        λ, V and the share of the tensor's squares that they leave unexplained.
    """
    width = len(tensor)
    first, second = np.triu_indices(width)
    # Off the diagonal both halves of the symmetric tensor count.
    packed = np.ascontiguousarray(tensor[first, second].T) * np.where(first == second, 1.0, 2.0)
    squares = max(float(np.einsum("ijk,ijk", tensor, tensor)), 1e-300)
    vectors = np.linalg.qr(random.standard_normal((width, width)))[0]
    weights, error = np.zeros(width), 1.0
    for _ in range(hyperparameters.max_iterations):
        image = packed @ (vectors[first] * vectors[second])
        weights = np.einsum("ij,ij->j", image, vectors)
        before, error = error, 1 - float(weights @ weights) / squares
        if error < hyperparameters.tol or abs(before - error) < hyperparameters.tol:
            break
        left, _, right = np.linalg.svd(image * weights)
        vectors = left @ right
    else:
        weights = np.einsum("ij,ij->j", packed @ (vectors[first] * vectors[second]), vectors)
        error = 1 - float(weights @ weights) / squares
    return np.abs(weights), vectors * np.where(weights < 0, -1.0, 1.0), error


def topics(
    weights: np.ndarray, vectors: np.ndarray, unwhitening: np.ndarray, alpha0: float, num_topics: int
) -> tuple[np.ndarray, np.ndarray]:
    """The topics that explain most of M2, of all components found.

    The service keeps those of the largest α. But α ~ 1 / λ² is largest where λ drowns in noise: with 6 topics planted in 3000 documents a
    spurious component had a larger α than the smallest topic. What a component adds to M2 is α_k‖β_k‖² / (α0(α0+1)), which is
    ‖(Wᵀ)⁺v_k‖² whatever λ is, and tells the two apart. A component whose entries sum to less than 0 is no topic.

    Returns
    -------
    (ndarray, ndarray)
        α, at most α0, and β (topics, vocabulary), not negative, rows of sum 1; `num_topics` of them or, where there are not that many, all.
    """
    alpha = 4 * alpha0 * (alpha0 + 1) / ((alpha0 + 2) ** 2 * np.maximum(weights, 1e-150) ** 2)
    parts = (unwhitening @ vectors).T
    order = np.argsort(-np.einsum("ij,ij->i", parts, parts), kind="stable")
    beta = 0.5 * weights[order, None] * (alpha0 + 2) * parts[order]
    kept = np.flatnonzero(beta.sum(axis=1) > 0)[:num_topics]
    beta = np.maximum(beta[kept], 0)
    return np.minimum(alpha[order][kept], alpha0), beta / beta.sum(axis=1, keepdims=True)

"""Moments of the words of documents, and what whitens them.

With x1, x2, x3 distinct words of a document, each a unit vector of the vocabulary, and counts c of n words,

    E[x1]           = mean of c / n
    E[x1⊗x2]        = mean of (c⊗c − diag c) / (n(n−1))
    E[x1⊗x2⊗x3]     = mean of (c⊗c⊗c − Σ_i c_i (e_i⊗e_i⊗c + e_i⊗c⊗e_i + c⊗e_i⊗e_i) + 2 Σ_i c_i e_i⊗e_i⊗e_i) / (n(n−1)(n−2))
    M1 = E[x1],   M2 = E[x1⊗x2] − α0/(α0+1)·M1⊗M1

each over the documents that are long enough. Over a large vocabulary V neither of the last two is ever formed: the second is multiplied by
V × L blocks, the third is summed as W sees it, W being the V × L matrix with WᵀM2W = I.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

# Eigenvalues below this share of the largest are rounding.
NEGLIGIBLE = 1e-10

# Floats of a block of pairs of whitened words: 8 MiB.
PAIRS_BLOCK = 1 << 20


def lengths(counts: sp.csr_matrix) -> np.ndarray:
    """Words of each document, shape (documents,), float64."""
    return np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()


def rates(length: np.ndarray, weight: np.ndarray, words: int) -> np.ndarray:
    """Weight of each document over the number of its ordered choices of so many words; 0 where it has fewer words."""
    choices = np.prod([length - taken for taken in range(words)], axis=0)
    return np.where(length >= words, weight, 0) / np.where(length >= words, choices, 1)


def times_pairs(counts: sp.csr_matrix, rate: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Sum over documents of rate · (c⊗c − diag c), times a block (vocabulary, L)."""
    image = counts.T @ (rate[:, None] * (counts @ block))
    image -= (counts.T @ rate)[:, None] * block
    return image


def without_mean(image: np.ndarray, block: np.ndarray, mean: np.ndarray, alpha0: float) -> np.ndarray:
    """M2 · block, from E[x1⊗x2] · block."""
    return image - np.outer(alpha0 / (alpha0 + 1) * mean, mean @ block)


def whiten(basis: np.ndarray, image: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """What makes M2 the identity, within the span of `basis`.

    Parameters
    ----------
    basis : ndarray, shape (vocabulary, width)
        Orthonormal columns.
    image : ndarray, shape (vocabulary, width)
        M2 · basis.
    most : int
        Directions to keep, those with the largest eigenvalues.

    Returns
    -------
    (ndarray, ndarray)
        W with WᵀM2W = I and M2W, the pseudo-inverse of Wᵀ; both (vocabulary, L), L being `most` or the number of positive eigenvalues.
        The largest entry of each column of W is positive.
    """
    core = basis.T @ image
    values, turn = np.linalg.eigh((core + core.T) / 2)
    values, turn = values[::-1][:most], turn[:, ::-1][:, :most]
    alive = values > NEGLIGIBLE * max(values[0], 1e-300)
    directions, root = basis @ turn[:, alive], np.sqrt(values[alive])
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=0)[None], axis=0)
    directions *= np.where(largest < 0, -1.0, 1.0)
    return directions / root, directions * root


class Triples:
    """Sums of triples of distinct words, as the columns of W see them.

    Parameters
    ----------
    whitening : ndarray, shape (vocabulary, L)
        W.
    """

    def __init__(self, whitening: np.ndarray) -> None:
        self._whitening = whitening
        width = whitening.shape[1]
        self._pairs = np.triu_indices(width)
        self._cubes = np.zeros((len(self._pairs[0]), width))
        self._beside = np.zeros(whitening.shape)
        self._counts = np.zeros(len(whitening))

    def add(self, counts: sp.csr_matrix, rate: np.ndarray) -> None:
        """Take documents in, each times its rate."""
        seen = counts @ self._whitening
        scaled = rate[:, None] * seen
        self._add_cubes(self._cubes, seen, scaled)
        self._beside += counts.T @ scaled
        self._counts += counts.T @ rate

    def total(self) -> np.ndarray:
        """The sum over all documents taken in, symmetric, shape (L, L, L)."""
        # Of a word that meets itself, e⊗e⊗c is taken off once in each of three places; of the three that are e⊗e⊗e two must come back.
        seen = np.flatnonzero(self._counts)
        words, repeated = self._whitening[seen], np.zeros(self._cubes.shape)
        self._add_cubes(repeated, words, self._beside[seen] - 2 / 3 * self._counts[seen, None] * words)
        repeated = self._unpacked(repeated)
        total = self._unpacked(self._cubes)
        for axes in ((0, 1, 2), (0, 2, 1), (2, 0, 1)):
            total -= repeated.transpose(axes)
        return total

    def _add_cubes(self, cubes: np.ndarray, twice: np.ndarray, once: np.ndarray) -> None:
        """Add Σ t⊗t⊗o over rows t and o, of which the first two places are packed into pairs."""
        first, second = self._pairs
        step = max(1, PAIRS_BLOCK // max(1, len(first)))
        for start in range(0, len(twice), step):
            block = twice[start : start + step]
            cubes += (block[:, first] * block[:, second]).T @ once[start : start + step]

    def _unpacked(self, cubes: np.ndarray) -> np.ndarray:
        width = self._whitening.shape[1]
        full = np.empty((width, width, width))
        full[self._pairs], full[self._pairs[::-1]] = cubes, cubes
        return full


def whitened_third_moment(triples: np.ndarray, mean: np.ndarray, alpha0: float) -> np.ndarray:
    """The third moment without what the means explain, of which the topics are the components.

        M3 = E[x1⊗x2⊗x3] − α0/(α0+2)·(E[x1⊗x2⊗M1] + E[x1⊗M1⊗x2] + E[M1⊗x1⊗x2]) + 2α0²/((α0+1)(α0+2))·M1⊗M1⊗M1

    Parameters
    ----------
    triples : ndarray, shape (L, L, L)
        E[x1⊗x2⊗x3] as W sees it.
    mean : ndarray, shape (L,)
        WᵀM1.
    alpha0 : float

    Returns
    -------
    ndarray, shape (L, L, L)
    """
    pairs = np.eye(len(mean)) + alpha0 / (alpha0 + 1) * np.outer(mean, mean)  # WᵀE[x1⊗x2]W, since WᵀM2W = I
    mixed = alpha0 / (alpha0 + 2) * pairs[:, :, None] * mean
    mixed = mixed + mixed.transpose(0, 2, 1) + mixed.transpose(2, 0, 1)
    return triples - mixed + 2 * alpha0**2 / ((alpha0 + 1) * (alpha0 + 2)) * np.outer(mean, mean)[:, :, None] * mean

"""The scatter of rows, S = Σ w (x − m)ᵀ(x − m), and its leading directions.

Products in float32 take half the time of those in float64, and put an error of about 1e-7 √(S_ii S_jj) into an entry S_ij. What is lost
then are directions whose variance is smaller than such a share of the total: where columns differ by orders of magnitude or nearly repeat
each other, or where some rows are far from all others. So few features are multiplied in float64 always, and many until there are enough
rows to tell how small the smallest variance of interest is; from then on, blocks of rows whose squares dwarf it.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.linalg.blas import dsyrk, ssyrk

from sparkml_algos.arrays.device import to_device
from sparkml_algos.rows.batch import Batch

# Rows multiplied at once before their sum goes into the float64 total.
BLOCK_ROWS = 1024

# Up to so many features float64 costs little: 0.2 µs more for a row, where a row takes 1 µs to arrive.
FEW_FEATURES = 128

# Components that float32 must leave intact, at least; more where more are asked for, in powers of two, for settings with the same
# number can share a scatter.
GUARDED_COMPONENTS = 64

# Rows multiplied in float64 first: so many, or so many times the guarded components.
PILOT_ROWS, PILOT_FACTOR = 1024, 4

# The squared length of a row may be on average so many times the smallest variance of interest, for its products to be in float32.
TRUSTED = 1e4

# Eigenvalues below this share of the largest are computed again from a matrix with unit diagonal.
GRADED = 1e-8


def guarded(num_components: int, num_features: int) -> int:
    """How many components float32 must leave intact."""
    return min(num_features, max(GUARDED_COMPONENTS, 1 << (num_components - 1).bit_length()))


class Scatter:
    """The scatter of the rows of one worker about their mean, batch after batch.

    Parameters
    ----------
    num_features : int
    guarded : int
        Components that are to be found.
    device : str

    Attributes
    ----------
    weight : float
    rows : int
    """

    def __init__(self, num_features: int, guarded: int, device: str) -> None:
        self._total, self._sums = np.zeros((num_features, num_features)), np.zeros(num_features)
        self._guarded, self._device = guarded, device
        self._shift: np.ndarray | None = None
        self._is_exact = num_features <= FEW_FEATURES
        self._limit: float | None = None
        self.weight, self.rows = 0.0, 0

    def add(self, batch: Batch) -> None:
        """Take rows in."""
        weights = batch.weights
        self.rows += len(batch)
        self.weight += weights.sum()
        if sp.issparse(batch.features):
            features = batch.features.astype(np.float64)
            self._sums += features.T @ weights
            self._total += features.T @ features.multiply(weights[:, None]).tocsr()
            return
        if self._shift is None:
            self._shift = batch.features.mean(axis=0, dtype=np.float64).astype(np.float32)
        for start in range(0, len(batch), BLOCK_ROWS):
            self._add_block(batch.features[start : start + BLOCK_ROWS], weights[start : start + BLOCK_ROWS], batch.weight is not None)
        if self._limit is None and not self._is_exact and self.rows >= max(PILOT_ROWS, PILOT_FACTOR * self._guarded):
            self._limit = TRUSTED * smallest_variance(self._about_mean(), self._guarded) / self.weight

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """The scatter about the mean, of which the upper triangle counts, and the mean. Nothing can be added any more."""
        mean = self._sums / max(self.weight, 1e-300)
        add_outer(self._total, -self.weight, mean)
        return self._total, mean if self._shift is None else mean + self._shift

    def _add_block(self, rows: np.ndarray, weights: np.ndarray, is_weighted: bool) -> None:
        block = rows - self._shift
        if self._limit is None or not weights @ np.einsum("ij,ij->i", block, block) <= self._limit * weights.sum():
            block = rows.astype(np.float64) - self._shift
        self._sums += weights @ block
        if is_weighted:
            block *= np.sqrt(weights).astype(block.dtype)[:, None]
        self._total += squared(block, self._device)

    def _about_mean(self) -> np.ndarray:
        """A copy of what `result` would give now, both triangles."""
        total = np.triu(self._total)
        total += np.triu(total, 1).T
        return total - np.outer(self._sums, self._sums / max(self.weight, 1e-300))


def smallest_variance(scatter: np.ndarray, count: int) -> float:
    """A lower bound of the count-th eigenvalue of a scatter, both triangles: a Ritz value of the span of its image of a random block."""
    block = np.random.default_rng(0).standard_normal((len(scatter), min(len(scatter), count + count // 4)))
    basis = scipy.linalg.qr(scatter @ block, mode="economic")[0]
    return max(0.0, float(np.linalg.eigvalsh(basis.T @ scatter @ basis)[-count]))


def squared(block: np.ndarray, device: str) -> np.ndarray:
    """Upper triangle of blockᵀ · block, in the precision of the block."""
    if device != "cpu":
        on_device = to_device(block, device)
        return (on_device.T @ on_device).cpu().numpy()
    syrk = dsyrk if block.dtype == np.float64 else ssyrk
    return syrk(1.0, block.T, lower=1).T


def add_outer(matrix: np.ndarray, factor: float, vector: np.ndarray) -> None:
    """Add factor · vectorᵀ · vector, in place and without a second matrix."""
    for row, value in zip(matrix, factor * vector, strict=True):
        row += value * vector


def negligible(size: int) -> float:
    """Share of the largest eigenvalue of a matrix with unit diagonal below which others are rounding of float64."""
    return 4 * size * float(np.finfo(np.float64).eps)


def leading(scatter: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues, descending, shape (count,), and their eigenvectors as rows, shape (count, features).

    An eigenvalue is found up to 1e-16 of the largest. Where that does not do, S = D A D with the roots D of its diagonal: A = BᵀB has
    eigenvalues of one size, and the singular values of B D, roots of those of S, are found up to 1e-16 of the largest of them.

    References
    ----------
    J. Demmel, K. Veselić, "Jacobi's method is more accurate than QR", SIAM J. Matrix Anal. Appl. 13 (1992).
    """
    size = len(scatter)
    values, vectors = scipy.linalg.eigh(scatter, subset_by_index=[size - count, size - 1], lower=False)
    if not values[0] < GRADED * values[-1]:
        return values[::-1], vectors[:, ::-1].T
    scales = np.sqrt(np.diag(scatter).clip(min=0))
    divisors = np.where(scales > 0, scales, 1)
    shares, turn = scipy.linalg.eigh(scatter / np.outer(divisors, divisors), lower=False)
    shares[shares < negligible(size) * shares[-1]] = 0
    _, roots, right = scipy.linalg.svd((turn * np.sqrt(shares)).T * scales)
    return roots[:count] ** 2, right[:count]

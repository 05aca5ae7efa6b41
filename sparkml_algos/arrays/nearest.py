"""Which of some centres is nearest to each row, and how far it is, as if every number had 64 bits.

The nearest centre c of a row x is the one with the largest score x·c − |c|²/2. Matrix products in float32 give all scores of a block of
rows at once, but with an error in proportion to |x||c|, in which the distances between rows drown that stand far from the origin, or
have a column of a much larger scale than the others. So the scores are

1. relative to the middle of the centres, where rows are dense;
2. trusted only as far as their error allows, which is at most γ(|x||c| + |c|²/2) ≤ γ(|x|²/2 + |c|²). With γ|c|² added, a score is, up to
   γ|x|²/2, an upper bound of the true one, so the centre u with the largest is certain where the second is smaller by more than
   γ(|x|² + 2|c_u|²): a bound that a centre far away does not spoil for the others;
3. computed again, where that does not hold, in float64; and what is uncertain then, such as ties, is settled by differences.

Distances are those between the row and the centre: of dense rows from differences, of sparse ones by the same products in float64, or
from differences where these cancel.

References
----------
N. Higham, "Accuracy and stability of numerical algorithms", SIAM 2002, section 3.1. N. Higham, T. Mary, "A new approach to probabilistic
rounding error analysis", SIAM J. Sci. Comput. 41 (2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import scipy.sparse as sp

Rows = np.ndarray | sp.csr_matrix

# Floats of a block of scores: 1 MiB stays in a core's cache between the product and the search for the largest.
SCORES_BLOCK = 1 << 18
MIN_BLOCK_ROWS = 64

# Floats of dense rows that are looked at together: 4 MiB.
ROWS_BLOCK = 1 << 20

# Numbers of a block of differences in float64, small enough for the cache.
DIFFERENCES_BLOCK = 1 << 17

# With more centres a row that may be the nearest, products in float64 are quicker than differences.
FEW_CANDIDATES = 8

# Squares below this may have lost digits in float32, whose smallest normal number is 1.2e-38.
SMALL_SQUARE = 1e-30

# Relative error that a square computed by products may have; those that may have a larger one are computed from differences.
SQUARE_TOLERANCE = 1e-7


def rounding(terms: int, dtype: type[np.floating]) -> float:
    """γ: the error of a rounded sum of so many rounded products, relative to the sum of their magnitudes.

    The smaller of the bound that always holds, `terms` times the unit roundoff, and the one that fails for one sum in 10¹³.
    """
    return min(terms, 8 * np.sqrt(terms)) * float(np.finfo(dtype).eps) / 2


@dataclass(frozen=True)
class Nearest:
    """The nearest centres of some rows.

    Parameters
    ----------
    index : ndarray of int64, shape (rows,)
        Of centres equally near, the first.
    squares : ndarray of float64, shape (rows,)
        Squared Euclidean distances, to a relative error of about 1e-7.
    """

    index: np.ndarray
    squares: np.ndarray


class Centers:
    """Centres, prepared once for the search among them.

    Parameters
    ----------
    points : ndarray, shape (centres, features)
    middle : ndarray of float32, shape (features,), optional
        A point near most rows; by default that of the centres, see `middle_of`.

    Attributes
    ----------
    points : ndarray of float64, shape (centres, features)
    first : ndarray of int64, shape (distinct centres,)
        Places of those that are searched: of equal centres the first.
    """

    def __init__(self, points: np.ndarray, middle: np.ndarray | None = None) -> None:
        self.points = np.asarray(points, np.float64)
        self.middle = middle_of(self.points) if middle is None else middle
        # Each of several equal centres would leave the others in doubt.
        self.first = _first_of_equals(self.points)
        self._distinct = self.points if len(self.first) == len(self.points) else self.points[self.first]
        self._block_rows = max(MIN_BLOCK_ROWS, SCORES_BLOCK // max(self._distinct.shape))

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def coarse(self) -> Products:
        """Scores of dense rows in float32."""
        count, features = self._distinct.shape
        return Products(self._distinct - self.middle, np.float32, biased=count > features)

    @cached_property
    def fine(self) -> Products:
        """Scores of dense rows in float64."""
        return Products(self._distinct - self.middle, np.float64)

    def nearest(self, rows: Rows, out: np.ndarray | None = None) -> Nearest:
        """The nearest centre of each row.

        Parameters
        ----------
        rows : ndarray of float32 or float64, or csr_matrix, shape (rows, features)
        out : ndarray of float32, shape (rows, features), optional
            Where rows are dense and of float32, the rows less their centres are wanted here.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is looked at again
            if sp.issparse(rows):
                return self._nearest_sparse(rows)
            return self._nearest_double(rows) if rows.dtype == np.float64 else self._nearest_dense(rows, out)

    # ------------------------------------------------------------------------------------------------------------- dense rows

    def _nearest_dense(self, rows: np.ndarray, out: np.ndarray | None) -> Nearest:
        width = rows.shape[1]
        step = min(len(rows), max(MIN_BLOCK_ROWS, ROWS_BLOCK // width))
        index, squares = np.empty(len(rows), np.int64), np.empty(len(rows))
        centred, scratch = self.coarse.operand(step), np.empty((step, width), np.float32) if out is None else None
        for start in range(0, len(rows), max(step, 1)):
            part, size = slice(start, start + step), min(step, len(rows) - start)
            np.subtract(rows[part], self.middle, out=centred[:size, :width])
            chosen, gap = self.coarse.best(centred[:size])
            difference = self._difference(rows[part], chosen, scratch[:size] if out is None else out[part])
            square = np.einsum("ij,ij->i", difference, difference).astype(np.float64)
            left = np.flatnonzero(~(gap > self.coarse.doubt_at(square, chosen)) | _inexact(square, difference))
            if len(left):
                double = rows[part][left].astype(np.float64)
                chosen[left] = self._settled(double, centred[left])
                double -= self._distinct[chosen[left]]
                square[left], difference[left] = squared_lengths(double), double
            index[part], squares[part] = chosen, square
        return Nearest(self.first[index], squares)

    def _difference(self, rows: np.ndarray, chosen: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Rows less their centres. A centre is the sum of two numbers of float32, so that nothing is lost but of the difference itself."""
        high, low = self._halves
        np.subtract(rows, high.take(chosen, axis=0), out=out)
        if low is not None:
            out -= low.take(chosen, axis=0)
        return out

    @cached_property
    def _halves(self) -> tuple[np.ndarray, np.ndarray | None]:
        high = self._distinct.astype(np.float32)
        low = (self._distinct - high).astype(np.float32)
        return high, low if low.any() else None

    def _settled(self, rows: np.ndarray, operand: np.ndarray) -> np.ndarray:
        """Places of the nearest centres of rows of float64 for which scores in float32 leave a doubt.

        Parameters
        ----------
        rows : ndarray of float64, shape (rows, features)
        operand : ndarray of float32
            What the coarse products multiply.
        """
        scores = self.coarse.scores(operand)
        index = scores.argmax(axis=1)
        lengths = squared_lengths(operand[:, : rows.shape[1]]).astype(np.float64)
        candidates = ~(scores < (scores[np.arange(len(index)), index] - self.coarse.doubt(lengths, index))[:, None])
        if np.count_nonzero(candidates) <= FEW_CANDIDATES * len(rows):
            return self._by_differences(rows, candidates)
        return self._by_products(rows)[0]

    def _nearest_double(self, rows: np.ndarray) -> Nearest:
        index, squares = np.empty(len(rows), np.int64), np.empty(len(rows))
        for start in range(0, len(rows), self._block_rows):
            part = slice(start, start + self._block_rows)
            index[part], squares[part] = self._by_products(rows[part])
        return Nearest(self.first[index], squares)

    def _by_products(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places of the nearest centres of rows of float64, and squared distances."""
        centred = rows - self.middle
        lengths = squared_lengths(centred)
        index, scores = self._certain(rows, self.fine, centred, lengths)
        squares = lengths - 2 * scores
        for some in _cuts(self.fine.cancelled(squares, lengths, index), rows.shape[1]):
            squares[some] = squared_lengths(rows[some] - self._distinct[index[some]])
        return index, squares

    # ------------------------------------------------------------------------------------------------------------ sparse rows

    def _nearest_sparse(self, rows: sp.csr_matrix) -> Nearest:
        double = rows.astype(np.float64)
        lengths = squared_lengths(double)
        terms = 1 << int(np.diff(rows.indptr).max(initial=1)).bit_length()
        coarse, fine = (Products(self._distinct, dtype, terms) for dtype in (np.float32, np.float64))
        index, gap = coarse.best(rows)
        left = np.flatnonzero(~(gap > coarse.doubt(lengths, index)))
        for start in range(0, len(left), self._block_rows):
            part = left[start : start + self._block_rows]
            index[part], _ = self._certain(double[part], fine, double[part], lengths[part])
        entries = np.repeat(np.arange(len(index)), np.diff(rows.indptr))
        products = np.bincount(entries, double.data * self._distinct[index[entries], rows.indices], len(index))
        squares = lengths + 2 * (fine.half_squares[index] - products)
        for some in _cuts(fine.cancelled(squares, lengths, index), rows.shape[1]):
            squares[some] = squared_lengths(double[some].toarray() - self._distinct[index[some]])
        return Nearest(self.first[index], squares)

    # ------------------------------------------------------------------------------------------------------------------- ties

    def _certain(self, rows: Rows, fine: Products, operand: Rows, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The place of the nearest centre and its score, by products in float64 or, where these leave a doubt, by differences.

        Parameters
        ----------
        rows : ndarray or csr_matrix of float64
        fine : Products
        operand : ndarray or csr_matrix
            The rows, relative to what the centres of the products are relative to.
        lengths : ndarray
            Squared lengths of the operand.
        """
        scores = fine.scores(operand)
        index = scores.argmax(axis=1)
        largest = scores[np.arange(len(index)), index]
        candidates = scores >= (largest - fine.doubt(lengths, index))[:, None]
        left = np.flatnonzero(np.count_nonzero(candidates, axis=1) > 1)
        if len(left):
            index[left] = self._by_differences(rows[left], candidates[left])
            largest[left] = scores[left, index[left]]
        return index, largest - fine.raised_by(index)

    def _by_differences(self, rows: Rows, candidates: np.ndarray) -> np.ndarray:
        """The place of the nearest candidate of each row of float64; candidates are marked, shape (rows, centres)."""
        squares = np.full(candidates.shape, np.inf)
        who, which = np.nonzero(candidates)
        for pairs in _cuts(np.arange(len(who)), rows.shape[1]):
            some = rows[who[pairs]]
            some = some.toarray() if sp.issparse(some) else some
            squares[who[pairs], which[pairs]] = squared_lengths(some - self._distinct[which[pairs]])
        return squares.argmin(axis=1)


class Products:
    """Scores of rows by matrix products in some precision, raised to upper bounds, and how far they can be trusted.

    Parameters
    ----------
    centers : ndarray of float64, shape (centres, features)
    dtype : type
        ``np.float32`` or ``np.float64``.
    terms : int, optional
        Products that are summed up for a score at most; by default one of each feature.
    biased : bool
        Whether rows come with a column of ones, which the offsets multiply: faster where there are many centres.

    Attributes
    ----------
    weights : ndarray, shape (features or, if `biased`, one more, centres)
    offsets : ndarray, shape (centres,)
        A score is the product of a row with the weights less the offset.
    half_squares : ndarray of float64, shape (centres,)
        Halves of the squared lengths.
    error, smallest : float
        Of the error of a score: what is in proportion to the squares of row and centre, and what is not.
    """

    def __init__(self, centers: np.ndarray, dtype: type[np.floating], terms: int | None = None, biased: bool = False) -> None:
        self.half_squares = 0.5 * squared_lengths(centers)
        # Rounding of row, centre, half square and difference comes to that of the sum.
        self.error = rounding((terms or centers.shape[1]) + 4, dtype)
        self.weights = np.ascontiguousarray(centers.T, dtype)
        self.offsets = (self.half_squares * (1 - 2 * self.error)).astype(dtype)
        self.biased = biased
        if biased:
            self.weights = np.vstack([self.weights, -self.offsets])
        self.smallest = float(np.finfo(dtype).tiny) * (centers.shape[1] + 4)

    def operand(self, rows: int) -> np.ndarray:
        """Memory for so many dense rows: their features and, if `biased`, a column of ones, shape (rows, features or one more)."""
        return np.ones((rows, len(self.weights)), self.weights.dtype)

    def scores(self, rows: Rows) -> np.ndarray:
        """Shape (rows, centres)."""
        scores = rows @ self.weights
        if not self.biased:
            scores -= self.offsets
        return scores

    def best(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """The place of the largest score of each row, and by how much it exceeds the second."""
        index, gap = np.empty(rows.shape[0], np.int64), np.empty(rows.shape[0], self.offsets.dtype)
        step, count = max(MIN_BLOCK_ROWS, SCORES_BLOCK // len(self.offsets)), len(self.offsets)
        first = np.arange(0, step * count, count)
        for start in range(0, len(index), step):
            scores = self.scores(rows[start : start + step])
            flat, starts = scores.reshape(-1), first[: len(scores)]
            chosen = scores.argmax(axis=1, out=index[start : start + step])
            places = starts + chosen
            largest = flat[places]
            flat[places] = -np.inf
            np.subtract(largest, flat[starts + scores.argmax(axis=1)], out=gap[start : start + step])  # quicker than `max`
        return index, gap

    def doubt(self, lengths: np.ndarray, index: np.ndarray) -> np.ndarray:
        """By how much the largest score must exceed another one to be larger for certain.

        Parameters
        ----------
        lengths : ndarray, shape (rows,)
            Squared lengths of the rows.
        index : ndarray, shape (rows,)
            Places of their largest scores.
        """
        return self.error * (lengths + 4 * self.half_squares[index]) + self.smallest

    def doubt_at(self, squares: np.ndarray, index: np.ndarray) -> np.ndarray:
        """A bound of `doubt` where squared distances are known, since |x|² ≤ 2|x − c|² + 2|c|²."""
        return self.error * (2 * squares + 8 * self.half_squares[index]) + self.smallest

    def raised_by(self, index: np.ndarray) -> np.ndarray:
        """How much the scores at these places are above the true ones, but for rounding."""
        return 2 * self.error * self.half_squares[index]

    def cancelled(self, squares: np.ndarray, lengths: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Places of the squared distances that have lost too many digits as differences of scores and squared lengths of rows."""
        return np.flatnonzero(~(squares > self.error / SQUARE_TOLERANCE * (lengths + 2 * self.half_squares[index])))


def squared_lengths(rows: Rows) -> np.ndarray:
    """Squared Euclidean length of each row, in their precision, shape (rows,)."""
    if sp.issparse(rows):
        entries = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        return np.bincount(entries, rows.data * rows.data, rows.shape[0])
    return np.einsum("ij,ij->i", rows, rows)


def squared_distances(rows: np.ndarray, lengths: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Squared distances between some rows and all of them, to a relative error of 1e-7, shape (targets, rows).

    Parameters
    ----------
    rows : ndarray of float64, shape (rows, features)
    lengths : ndarray, shape (rows,)
        Their squared lengths.
    targets : ndarray of int
        Which of them.
    """
    squares = lengths[targets, None] + lengths
    least = rounding(rows.shape[1] + 4, np.float64) / SQUARE_TOLERANCE * squares
    squares -= 2 * (rows[targets] @ rows.T)
    places, others = np.nonzero(squares <= least)
    for pairs in _cuts(np.arange(len(places)), rows.shape[1]):
        squares[places[pairs], others[pairs]] = squared_lengths(rows[targets[places[pairs]]] - rows[others[pairs]])
    return squares


def middle_of(points: np.ndarray) -> np.ndarray:
    """In each feature the value of one of the points that as many are below as above, or one more; float32.

    Unlike the mean, it stays with most of the points if a few are far away.

    Parameters
    ----------
    points : ndarray, shape (points, features)
    """
    place = (len(points) - 1) // 2
    return np.partition(np.ascontiguousarray(points.T), place)[:, place].astype(np.float32)


def _first_of_equals(points: np.ndarray) -> np.ndarray:
    """Places of the points, of equal ones only of the first."""
    bits = np.ascontiguousarray(points + 0.0).view(np.uint64)  # 0 for -0
    if len(np.unique(np.einsum("ij,j->i", bits, _factors(points.shape[1])))) == len(points):  # sums of integers are exact in any order
        return np.arange(len(points))
    return np.sort(np.unique(points, axis=0, return_index=True)[1])


@lru_cache(maxsize=4)
def _factors(count: int) -> np.ndarray:
    """Random odd numbers."""
    return np.random.default_rng(0).integers(1 << 63, size=count, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def _inexact(squares: np.ndarray, differences: np.ndarray) -> np.ndarray:
    """Which squares are of differences that are too large or too small to be squared in float32."""
    inexact = ~np.isfinite(squares)
    small = np.flatnonzero(squares < SMALL_SQUARE)
    inexact[small] = differences[small].any(axis=1)
    return inexact


def _cuts(places: np.ndarray, width: int) -> list[np.ndarray]:
    """Places in pieces for which differences of such rows fit a block."""
    step = max(1, DIFFERENCES_BLOCK // max(width, 1))
    return [places[start : start + step] for start in range(0, len(places), step)]

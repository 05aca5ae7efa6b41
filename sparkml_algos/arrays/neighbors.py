"""The nearest of stored rows, with matrix products: exact, or among the rows of the nearest centroids.

A block of products in float32 says which rows may be among the nearest; their distances are then computed in float64 from differences.
The rounding of a product is bounded, |fl(x·q) − x·q| ≤ γ |x||q| with γ = d·u / (1 − d·u), so it can be told whether a row that was left
out could be nearer than one that was found. Where it could (rows far from the origin and close to each other, or more ties than spare
candidates), the query is searched again in float64. What is found is exact for the stored rows; of rows equally far, the first one wins.

Rows are ordered by a score, the smaller the nearer: |x|²/2 − x·q for Euclidean distance, which is half the square of the distance but for
|q|²/2, and −x·q for inner products.

References
----------
N. Higham, "Accuracy and stability of numerical algorithms", SIAM 2002, section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Scores that are held at once: 64 MiB in float32.
SCORES = 1 << 24
# Stored rows of a block, so that a block has enough queries for a fast product.
ROWS = 1 << 16
# Queries for which the lists of an inverted index are scanned together.
QUERIES = 1 << 14
# Candidates beyond k. MNIST, k = 10: with 8 no query of 10,000 is searched again.
SPARE = 8
# Numbers among which only the smallest is looked at first.
GROUP = 64
# Numbers of a block of differences in float64, small enough for the cache.
DIFFERENCES = 1 << 17

UNIT = 2.0**-24  # of rounding in float32
FINE_UNIT = 2.0**-53

Found = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Rows:
    """Stored rows.

    Parameters
    ----------
    values : ndarray, shape (rows, d), float32
    half_squares : ndarray, shape (rows,), float32
        Half their squared lengths, rounded from float64.
    is_l2 : bool
        Euclidean distance; else inner products.
    """

    values: np.ndarray
    half_squares: np.ndarray
    is_l2: bool

    def __len__(self) -> int:
        return len(self.values)

    def scores(self, queries: np.ndarray, part: slice, out: np.ndarray) -> None:
        """Scores of stored rows in `out`, shape (queries, rows)."""
        np.matmul(queries, self.values[part].T, out=out)
        if self.is_l2:
            np.subtract(self.half_squares[part], out, out=out)
        else:
            np.negative(out, out=out)


def half_squares(values: np.ndarray) -> np.ndarray:
    """Half the squared length of each row, float32."""
    return np.concatenate(
        [
            0.5 * np.einsum("ij,ij->i", block, block)
            for start in range(0, len(values), ROWS)
            for block in [values[start : start + ROWS].astype(np.float64)]
        ]
    ).astype(np.float32)


def search(rows: Rows, queries: np.ndarray, k: int) -> Found:
    """The k nearest of all rows.

    Parameters
    ----------
    rows : Rows
        At least k of them.
    queries : ndarray, shape (queries, d), float32
    k : int

    Returns
    -------
    (ndarray, ndarray)
        Places of the rows, nearest first, int64, and their distances, float64, shape (queries, k): squared Euclidean distances, or the
        negative inner products.
    """
    count = min(len(rows), k + SPARE)
    found = np.empty((len(queries), k), np.int64), np.empty((len(queries), k))
    step = max(1, SCORES // min(len(rows), ROWS))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        candidates, bound = _candidates(rows, queries[block], count)
        for whole, part in zip(found, _nearest(rows, queries[block], candidates, k), strict=True):
            whole[block] = part
        if count < len(rows):
            certain = _score(rows, queries[block], found[1][block, -1]) < bound
            doubtful = start + np.flatnonzero(~certain)  # also where numbers were too large for float32
            _search_finely(rows, queries, doubtful, found)
    return found


def search_lists(rows: Rows, centroids: Rows, offsets: np.ndarray, queries: np.ndarray, k: int, probes: int) -> Found:
    """The k nearest of the rows in the lists of the nearest centroids; of all rows, where these have fewer than k.

    Parameters
    ----------
    rows : Rows
        List after list.
    centroids : Rows
    offsets : ndarray, shape (lists + 1,), int64
        Where each list starts, and the end of the last.
    queries : ndarray, shape (queries, d), float32
    k : int
    probes : int
        Lists to scan for a query.

    Returns
    -------
    (ndarray, ndarray)
        As of `search`.
    """
    count = min(len(rows), k + SPARE)
    found = np.empty((len(queries), k), np.int64), np.empty((len(queries), k))
    step = max(1, min(QUERIES, SCORES // (probes * count), SCORES // len(centroids)))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        lists = nearest_lists(centroids, queries[block], probes)
        candidates = _scan(rows, offsets, queries[block], lists, count)
        enough = (candidates >= 0).sum(axis=1) >= k
        for whole, part in zip(found, _nearest(rows, queries[block], candidates, k), strict=True):
            whole[block] = part
        few = start + np.flatnonzero(~enough)
        if len(few):
            found[0][few], found[1][few] = search(rows, queries[few], k)
    return found


def nearest_lists(centroids: Rows, queries: np.ndarray, count: int) -> np.ndarray:
    """The nearest centroids of each query, in no order, shape (queries, count)."""
    scores = np.empty((len(queries), len(centroids)), np.float32)
    centroids.scores(queries, slice(None), scores)
    return smallest(scores, count)[0]


def smallest(scores: np.ndarray, count: int) -> Found:
    """Places and values of the `count` smallest numbers in each row, in no order.

    Of many numbers, the smallest are in the groups with the smallest minima, `count` of them at most, and minima are found faster than
    numbers are partitioned.
    """
    queries, width = scores.shape
    if count == width:
        return np.broadcast_to(np.arange(width), scores.shape), scores
    if width % GROUP or 2 * count > width // GROUP:
        places = np.argpartition(scores, count - 1, axis=1)[:, :count]
        return places, np.take_along_axis(scores, places, axis=1)
    grouped = scores.reshape(queries, -1, GROUP)
    groups = np.argpartition(grouped.min(axis=2), count - 1, axis=1)[:, :count]
    within = np.take_along_axis(grouped, groups[:, :, None], axis=1).reshape(queries, -1)
    places = np.argpartition(within, count - 1, axis=1)[:, :count]
    whole = np.take_along_axis(groups, places // GROUP, axis=1) * GROUP + places % GROUP
    return whole, np.take_along_axis(within, places, axis=1)


# ----------------------------------------------------------------------------------------------------------------- candidates


def _candidates(rows: Rows, queries: np.ndarray, count: int) -> Found:
    """Places of `count` rows with the smallest scores as computed in float32, shape (queries, count), and what the true scores of all
    others exceed, shape (queries,)."""
    width = min(len(rows), ROWS)
    buffer = np.empty((len(queries), -(-width // GROUP) * GROUP), np.float32)
    best: Found | None = None
    for start in range(0, len(rows), ROWS):
        part = slice(start, min(start + ROWS, len(rows)))
        filled = part.stop - part.start
        rows.scores(queries, part, buffer[:, :filled])
        buffer[:, filled:] = np.inf  # up to whole groups
        places, scores = smallest(buffer, min(count, filled))
        places = np.minimum(places, filled - 1) + start
        if best is not None:
            places, scores = np.concatenate([best[0], places], axis=1), np.concatenate([best[1], scores], axis=1)
            chosen, scores = smallest(scores, min(count, scores.shape[1]))
            places = np.take_along_axis(places, chosen, axis=1)
        best = places, scores
    return best[0], best[1].max(axis=1).astype(np.float64) - _error(rows, queries, UNIT)


def _scan(rows: Rows, offsets: np.ndarray, queries: np.ndarray, lists: np.ndarray, count: int) -> np.ndarray:
    """Places of the `count` rows with the smallest scores in the given lists of each query; −1 where there are fewer."""
    probes = lists.shape[1]
    scores = np.full((len(queries), probes, count), np.inf, np.float32)
    places = np.full((len(queries), probes, count), -1, np.int64)
    pairs = np.argsort(lists, axis=None, kind="stable")  # all queries of one list together
    cuts = np.searchsorted(lists.ravel()[pairs], np.arange(len(offsets)))
    for one in np.flatnonzero((np.diff(cuts) > 0) & (np.diff(offsets) > 0)):
        part = slice(int(offsets[one]), int(offsets[one + 1]))
        size = part.stop - part.start
        step = max(1, SCORES // size)
        for start in range(int(cuts[one]), int(cuts[one + 1]), step):
            query, probe = np.divmod(pairs[start : min(start + step, int(cuts[one + 1]))], probes)
            block = np.empty((len(query), size), np.float32)
            rows.scores(queries[query], part, block)
            kept = min(count, size)
            chosen, values = smallest(block, kept)
            scores[query, probe, :kept] = values
            places[query, probe, :kept] = chosen + part.start
    scores, places = scores.reshape(len(queries), -1), places.reshape(len(queries), -1)
    return np.take_along_axis(places, smallest(scores, min(count, scores.shape[1]))[0], axis=1)


# ---------------------------------------------------------------------------------------------------------- exact distances


def _nearest(rows: Rows, queries: np.ndarray, candidates: np.ndarray, k: int) -> Found:
    """The k nearest candidates, nearest first; a candidate −1 is none."""
    candidates = np.sort(candidates, axis=1)
    distances = _distances(rows, queries, candidates)
    distances[candidates < 0] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(candidates, order, axis=1), np.take_along_axis(distances, order, axis=1)


def _distances(rows: Rows, queries: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances, or negative inner products, in float64, shape (queries, places)."""
    result = np.empty(places.shape)
    width = rows.values.shape[1]
    across = max(1, min(places.shape[1], DIFFERENCES // width))
    step = max(1, DIFFERENCES // (width * across))
    for start in range(0, len(queries), step):
        some = queries[start : start + step].astype(np.float64)
        for left in range(0, places.shape[1], across):
            block = slice(start, start + step), slice(left, left + across)
            near = rows.values[places[block]].astype(np.float64)
            if rows.is_l2:
                near -= some[:, None]
                result[block] = np.einsum("ijk,ijk->ij", near, near)
            else:
                result[block] = -(near @ some[:, :, None])[:, :, 0]
    return result


def _score(rows: Rows, queries: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Scores that stand for distances."""
    if not rows.is_l2:
        return distances
    queries = queries.astype(np.float64)
    return 0.5 * (distances - np.einsum("ij,ij->i", queries, queries))


def _error(rows: Rows, queries: np.ndarray, unit: float) -> np.ndarray:
    """Bound of the error of any score: of the product, and of rounding half a squared length and the difference."""
    longest = np.sqrt(2.0 * float(rows.half_squares.max()))
    lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
    return unit * longest * ((rows.values.shape[1] + 3) * lengths + longest)


def _search_finely(rows: Rows, queries: np.ndarray, doubtful: np.ndarray, found: Found) -> None:
    """Search the `doubtful` queries in float64, and put what is found into `found`."""
    k = found[0].shape[1]
    step = max(1, SCORES // 2 // len(rows))
    for start in range(0, len(doubtful), step):
        chosen = doubtful[start : start + step]
        some = queries[chosen].astype(np.float64)
        scores = np.empty((len(some), len(rows)))
        for left in range(0, len(rows), ROWS):
            part = slice(left, left + ROWS)
            block = rows.values[part].astype(np.float64)
            np.matmul(some, -block.T, out=scores[:, part])
            if rows.is_l2:
                scores[:, part] += 0.5 * np.einsum("ij,ij->i", block, block)
        error = _error(rows, some, FINE_UNIT)
        limits = np.partition(scores, k - 1, axis=1)[:, k - 1] + 2 * error
        for query, row, limit in zip(chosen, scores, limits, strict=True):
            near = np.flatnonzero(row <= limit)[None]
            places, distances = _nearest(rows, queries[query : query + 1], near, k)
            found[0][query], found[1][query] = places[0], distances[0]

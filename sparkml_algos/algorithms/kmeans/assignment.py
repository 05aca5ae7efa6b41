"""What the rows of a mini-batch add to the centres they are nearest to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from sparkml_algos.arrays.device import to_device
from sparkml_algos.arrays.nearest import Centers, Products, squared_lengths
from sparkml_algos.rows.batch import Batch

if TYPE_CHECKING:
    from torch import Tensor


class Received:
    """What all workers together add to each centre in a step.

    Parameters
    ----------
    origin : ndarray, shape (centres, features)
        The centres that rows were assigned to.
    totals : ndarray, shape (centres, features + 3)
        The sum of what `assigned_sums` gave on each worker.

    Attributes
    ----------
    weights : ndarray of float64, shape (centres,)
    within : ndarray of float64, shape (centres,)
        Weighted sums of squared distances to the mean of what the centre received.
    rows : float
        Number of rows.
    """

    def __init__(self, origin: np.ndarray, totals: np.ndarray) -> None:
        self._origin, self._sums = origin, totals[:, :-3].astype(np.float64)
        self.weights = totals[:, -3].astype(np.float64)
        self.within = np.maximum(totals[:, -2] - squared_lengths(self._sums) / np.maximum(self.weights, 1e-300), 0)
        self.rows = float(totals[:, -1].sum(dtype=np.float64))

    def about(self, points: np.ndarray) -> np.ndarray:
        """Sum of the weighted differences between rows and the point of their centre, shape (centres, features)."""
        sums = self._origin - points
        sums *= self.weights[:, None]
        sums += self._sums
        return sums


class Scratch:
    """Memory that is used again from step to step, for new pages cost more time than what is written to them."""

    def __init__(self) -> None:
        self._array = np.empty((0, 0), np.float32)

    def of(self, shape: tuple[int, int]) -> np.ndarray:
        """An array of float32 with anything in it."""
        if len(self._array) < shape[0] or self._array.shape[1] != shape[1]:
            self._array = np.empty(shape, np.float32)
        return self._array[: shape[0]]


def assigned_sums(batch: Batch, centers: Centers, device: str, scratch: Scratch) -> np.ndarray:
    """Sums over the rows nearest to each centre.

    Parameters
    ----------
    batch : Batch
    centers : Centers
        Of float32, so that differences to them are exact.
    device : str
    scratch : Scratch

    Returns
    -------
    ndarray of float32, shape (centres, features + 3)
        Sum of the weighted differences between rows and centre, sum of the weights, weighted sum of the squared distances, number of rows.
    """
    if not len(batch):
        return np.zeros((len(centers), centers.points.shape[1] + 3), np.float32)
    if device != "cpu":
        return _on_gpu(batch, centers, device)
    is_sparse = sp.issparse(batch.features)
    differences = None if is_sparse else scratch.of(batch.features.shape)
    found = centers.nearest(batch.features, differences)
    weight = np.ones(len(batch), np.float32) if batch.weight is None else batch.weight
    totals = np.empty((len(centers), centers.points.shape[1] + 3), np.float32)
    totals[:, -3] = np.bincount(found.index, weight, len(centers))
    totals[:, -2] = np.bincount(found.index, weight * found.squares, len(centers))
    totals[:, -1] = np.bincount(found.index, minlength=len(centers))
    if is_sparse:
        sums = _by_center(found.index, weight.astype(np.float64), len(centers)) @ batch.features
        totals[:, :-3] = sums.toarray() - np.bincount(found.index, weight, len(centers))[:, None] * centers.points
    else:
        totals[:, :-3] = _by_center(found.index, weight, len(centers)) @ differences
    return totals


def _by_center(index: np.ndarray, weight: np.ndarray, count: int) -> sp.csc_matrix:
    """The matrix that sums weighted rows by their centres, shape (centres, rows)."""
    return sp.csr_matrix((weight, index, np.arange(len(index) + 1)), shape=(len(index), count)).T


def _on_gpu(batch: Batch, centers: Centers, device: str) -> np.ndarray:
    """The same on a GPU, where rows are dense."""
    features = batch.features.toarray() if sp.issparse(batch.features) else batch.features
    rows = to_device(features, device)
    nearest = _nearest_on_gpu(rows, features, centers, device)
    differences = rows - to_device(centers.points.astype(np.float32), device)[nearest]
    squares = (differences * differences).sum(1, keepdim=True)
    weight = rows.new_ones(len(rows), 1) if batch.weight is None else to_device(batch.weight, device)[:, None]
    totals, filled = rows.new_zeros(len(centers), rows.shape[1] + 3), 0
    for part in (differences * weight, weight, squares * weight, rows.new_ones(len(rows), 1)):
        totals[:, filled : filled + part.shape[1]].index_add_(0, nearest, part)
        filled += part.shape[1]
    return totals.cpu().numpy()


def _nearest_on_gpu(rows: Tensor, features: np.ndarray, centers: Centers, device: str) -> Tensor:
    """Index of the nearest centre of each row: as in `arrays.nearest` by products in float32, by products in float64 where these leave a
    doubt, and on the CPU where these do too.

    Parameters
    ----------
    rows : Tensor, shape (rows, features)
    features : ndarray
        The same rows.
    centers : Centers
    device : str
    """
    middle = to_device(centers.middle, device)
    index, is_open = _best_on_gpu(rows - middle, centers.coarse, device)
    left = is_open.nonzero()[:, 0]
    if len(left):
        index[left], is_open = _best_on_gpu(rows[left].double() - middle.double(), centers.fine, device)
        left = left[is_open]
    index = to_device(centers.first, device)[index]
    if len(left):
        index[left] = to_device(centers.nearest(features[left.cpu().numpy()]).index, device)
    return index


def _best_on_gpu(rows: Tensor, products: Products, device: str) -> tuple[Tensor, Tensor]:
    """The place of the largest score of each row, and whether another one might be larger."""
    weights, offsets, half_squares = (
        to_device(part, device) for part in (products.weights[: rows.shape[1]], products.offsets, products.half_squares)
    )
    scores = rows @ weights - offsets
    values, places = scores.topk(min(2, scores.shape[1]), dim=1)
    index = places[:, 0]
    doubt = products.error * ((rows * rows).sum(1) + 4 * half_squares[index]) + products.smallest
    is_certain = (values[:, 0] - values[:, -1] > doubt) | (scores.shape[1] == 1)
    return index, ~is_certain

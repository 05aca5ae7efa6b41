"""The arithmetic of a factorization machine on some rows, in time linear in the values that are not 0.

Parameters of the features stand in one table (features, 1 + factors): the linear weight first, then the factors. With S = X·table and X²
the squares of the features, element by element,

    f = bias + S₀ + ½ Σ_f (S_f² − X²·V_f²),    ∂/∂w = Xᵀg,    ∂/∂V_f = Xᵀ(g·S_f) − V_f·(X²ᵀg)

for derivatives g of the loss by f: two products with a matrix of 1 + factors columns, and two with a single one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from sparkml_algos.arrays.device import to_device
from sparkml_algos.rows.batch import Features


class Rows:
    """Some rows without the columns in which all of them are 0.

    Parameters
    ----------
    features : ndarray or csr_matrix, shape (rows, features)
    dtype : type
        Of the arithmetic.
    device : str, optional
        The torch device that dense products run on; NumPy's arithmetic by default.

    Attributes
    ----------
    columns : ndarray of int32, shape (touched,)
        The features that are not 0 in all rows, ascending. Only their rows of the table matter; what is called ``table`` below has these
        alone.
    """

    def __init__(self, features: Features, dtype: type = np.float32, device: str | None = None) -> None:
        self.columns, features = _compact(features)
        features = features.astype(dtype, copy=False)
        self._device = None if sp.issparse(features) else device
        self._features, self._squares = self._moved(features), self._moved(_squares(features))

    def taken_from(self, table: np.ndarray) -> np.ndarray:
        """The rows of a table (features, 1 + factors) that matter."""
        return table.take(self.columns, axis=0)

    def scores(self, bias: float, table: np.ndarray) -> np.ndarray:
        """f of each row, shape (rows,), for a table (touched, 1 + factors)."""
        self._table = self._moved(table)
        self._sums = self._features @ self._table
        pairs = (self._sums[:, 1:] ** 2).sum(1) - self._squares @ (self._table[:, 1:] ** 2).sum(1)
        return _numpy(bias + self._sums[:, 0] + pairs / 2)

    def gradient(self, slope: np.ndarray) -> np.ndarray:
        """Σ slope · derivative of f by the table that `scores` was given last, shape (touched, 1 + factors); may be called once."""
        slope = self._moved(slope)
        weighted = self._sums
        weighted[:, 0] = 1
        weighted *= slope[:, None]
        found = self._features.T @ weighted
        found[:, 1:] -= self._table[:, 1:] * (self._squares.T @ slope)[:, None]
        return _numpy(found)

    def _moved(self, array: Features) -> Any:
        return array if self._device is None else to_device(array, self._device)


class Room:
    """Memory in which one mini-batch after the other is computed by kernels.

    Parameters
    ----------
    features : int
    """

    def __init__(self, features: int) -> None:
        words = -(-features // 64)
        self.bits, self.ranks = np.zeros(words, np.uint64), np.empty(words, np.int32)
        self._arrays: dict[str, np.ndarray] = {}

    def array(self, name: str, rows: int, width: int, dtype: type) -> np.ndarray:
        """An array (rows, width) of any content; what was given under this name before is overwritten."""
        found = self._arrays.get(name)
        if found is None or len(found) < rows or found.shape[1] != width or found.dtype != dtype:
            found = self._arrays[name] = np.empty((rows + rows // 4, width), dtype)
        return found[:rows]


class CompiledRows:
    """What `Rows` is, of sparse rows, computed by kernels.

    Parameters
    ----------
    features : csr_matrix, shape (rows, features)
    dtype : type
        Of the arithmetic.
    room : Room
        What `taken_from` and `gradient` give lies in it, until the next rows are computed there.

    Attributes
    ----------
    columns : ndarray of int32, shape (touched,)
    """

    def __init__(self, features: sp.csr_matrix, dtype: type, room: Room) -> None:
        from sparkml_algos.kernels.factorization import find_columns

        self._room, self._ends, self._data = room, features.indptr, features.data.astype(dtype, copy=False)
        columns, self._places = np.empty(features.nnz, np.int32), np.empty(features.nnz, np.int32)
        count = find_columns(features.indices, self._data, room.bits, room.ranks, columns, self._places)
        self.columns = columns[:count]

    def taken_from(self, table: np.ndarray) -> np.ndarray:
        from sparkml_algos.kernels.memory import take_rows

        found = self._room.array("table", len(self.columns), table.shape[1], table.dtype.type)
        take_rows(table, self.columns, 0, len(self.columns), found)
        return found

    def scores(self, bias: float, table: np.ndarray) -> np.ndarray:
        from sparkml_algos.kernels.factorization import add_scores

        dtype = self._data.dtype.type
        self._table, self._sums = table, self._room.array("sums", len(self._ends) - 1, table.shape[1], dtype)
        found = np.full(len(self._sums), bias, dtype)
        add_scores(self._ends, self._places, self._data, table, self._sums, found)
        return found

    def gradient(self, slope: np.ndarray) -> np.ndarray:
        from sparkml_algos.kernels.factorization import add_gradient

        found = self._room.array("gradient", *self._table.shape, self._data.dtype.type)
        found[...] = 0
        slope = np.ascontiguousarray(slope, self._data.dtype)
        add_gradient(self._ends, self._places, self._data, self._table, self._sums, slope, found)
        return found


def _numpy(array: Any) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def _squares(features: Features) -> Features:
    return _like(features, features.data**2, features.indices, features.shape[1]) if sp.issparse(features) else features * features


def _like(features: sp.csr_matrix, data: np.ndarray, indices: np.ndarray, width: int) -> sp.csr_matrix:
    return sp.csr_matrix((data, indices, features.indptr), shape=(features.shape[0], width), copy=False)


def _compact(features: Features) -> tuple[np.ndarray, Features]:
    """The columns with a value other than 0, ascending, and the rows with these columns only."""
    width = features.shape[1]
    if not sp.issparse(features):
        columns = np.flatnonzero(features.any(axis=0)).astype(np.int32)
        return columns, features if len(columns) == width else features[:, columns]
    if not features.data.all():
        features = features.copy()
        features.eliminate_zeros()
    if width > features.nnz:
        columns, places = np.unique(features.indices, return_inverse=True)
        places = places.astype(np.int32)
    else:
        touched = np.zeros(width, bool)
        touched[features.indices] = True
        columns = np.flatnonzero(touched).astype(np.int32)
        places = (np.cumsum(touched, dtype=np.int32) - 1)[features.indices]
    return columns, _like(features, features.data, places, len(columns))

"""Vectors of numbers, dense and sparse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from sparkml_algos.rows.batch import Features
from sparkml_algos.rows.kinds import Facts, InvalidRows, InvalidValue, Kind, Reader, first_null, flat_values, offsets_of, to_float32
from sparkml_algos.rows.packed import unpack

# Below this share of non-zeros sparse rows stay sparse. Dense products run about twenty times faster per element, so a
# row with more than one element in twenty is quicker dense, and it is smaller dense from one in two.
SPARSE_BELOW_DENSITY = 0.05

INDICES, SIZE, PACKED = "indices", "size", "packed"


@dataclass(frozen=True)
class Vector(Kind):
    """As many numbers in every row, float32: an ndarray (rows, features) or, of sparse vectors, a csr_matrix.

    In Arrow a row is a list of values and, where there are sparse ones, their ``indices`` and ``size``, null in dense rows; or ``packed``,
    see `rows.packed`. The reader's fact is ``num_features``.

    Parameters
    ----------
    num_features : int, optional
        How many numbers; as many as in the first row by default.
    missing_values : bool
        Whether a value may be missing. NaN and null elements are missing then, and so is what a sparse row does not store; where such rows
        become dense, NaN stands for it, and where dense rows become sparse, zeros are stored. Otherwise all of these are refused, and what
        a sparse row does not store is zero.
    counts : bool
        Whether values must be counts: whole numbers from 0.
    """

    num_features: int | None = None
    missing_values: bool = False
    counts: bool = False

    parts: ClassVar[Mapping[str, pa.DataType]] = {
        "": pa.list_(pa.float32()),
        INDICES: pa.list_(pa.int32()),
        SIZE: pa.int32(),
        PACKED: pa.binary(),
    }

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _VectorReader(self, role, names)

    def arrays(self, values: np.ndarray | sp.csr_matrix) -> dict[str, pa.Array]:
        if isinstance(values, np.ndarray):
            block = np.ascontiguousarray(values, np.float32)
            offsets = np.arange(0, block.size + 1, max(1, block.shape[1]), dtype=np.int32)
            return {"": pa.ListArray.from_arrays(offsets, block.ravel())}
        block = values.tocsr()
        offsets = block.indptr.astype(np.int32)
        return {
            "": pa.ListArray.from_arrays(offsets, block.data.astype(np.float32)),
            INDICES: pa.ListArray.from_arrays(offsets, block.indices.astype(np.int32)),
            SIZE: pa.array(np.full(block.shape[0], block.shape[1], np.int32)),
        }

    def merge(self, facts: Sequence[Facts]) -> Facts:
        found = {fact["num_features"] for fact in facts if fact}
        if len(found) > 1:
            each = ", ".join(f"{fact['num_features']} on worker {rank}" for rank, fact in enumerate(facts) if fact)
            raise InvalidRows(f"rows differ in their number of features: {each}")
        return {"num_features": found.pop()} if found else {}


class _VectorReader(Reader):
    def __init__(self, kind: Vector, role: str, names: Sequence[str]) -> None:
        super().__init__(role, names)
        self._kind, self._num_features = kind, kind.num_features
        self._sparse: bool | None = None

    @property
    def facts(self) -> Facts:
        return {} if self._num_features is None else {"num_features": self._num_features}

    def learn(self, facts: Facts) -> None:
        self._num_features = facts.get("num_features", self._num_features)

    def empty(self) -> np.ndarray:
        return np.empty((0, self._num_features or 0), np.float32)

    def read(self, parts: Mapping[str, pa.Array]) -> Features:
        if PACKED in parts:
            values, indices, size = unpack(parts[PACKED])
        else:
            values, indices, size = parts[""], parts.get(INDICES), parts.get(SIZE)
        self.refuse_nulls(values)
        offsets, flat = offsets_of(values), flat_values(values)
        lengths = np.diff(offsets)
        if flat.null_count and not self._kind.missing_values:
            position = first_null(flat)
            row = int(np.searchsorted(offsets, position, side="right")) - 1
            raise InvalidValue(f"{self._element(position - offsets[row])} is null", row)
        data = to_float32(flat)
        is_sparse = None if size is None or size.null_count == len(size) else ~np.asarray(size.is_null())
        dimension = lengths if is_sparse is None else np.where(is_sparse, np.asarray(size.fill_null(0)), lengths)
        self._check_dimension(dimension)
        positions = None if is_sparse is None else self._positions(indices, is_sparse, lengths, offsets)
        self._check_finite(data, offsets, positions)
        if self._kind.counts:
            self._check_counts(data, offsets, positions)
        shape = (len(values), self._num_features or 0)
        if is_sparse is None:
            dense = data.reshape(shape)
            self._sparse = self._sparse if len(dense) == 0 else bool(self._sparse)
            return self._sparse_rows(dense) if self._sparse else dense
        return self._mixed(data, offsets, positions, shape)

    def of_values(self, values: np.ndarray | sp.csr_matrix) -> Features | None:
        if not isinstance(values, np.ndarray) or values.ndim != 2 or self._sparse:
            return None
        block = np.ascontiguousarray(values, np.float32)
        self._check_dimension(np.full(len(block), block.shape[1]))
        offsets = np.arange(0, block.size + 1, max(1, block.shape[1]))
        self._check_finite(block.ravel(), offsets, None)
        if self._kind.counts:
            self._check_counts(block.ravel(), offsets, None)
        return block

    @property
    def column(self) -> str:
        return f"{self.role} columns" if len(self.names) > 1 else f"{self.role} column {self.names[0]!r}"

    def _element(self, element: int) -> str:
        if len(self.names) > 1:
            return f"{self.role} column {self.names[element]!r}"
        return f"{self.column}, element {element},"

    def _mixed(self, data: np.ndarray, offsets: np.ndarray, indices: np.ndarray, shape: tuple[int, int]) -> Features:
        """Rows of which some or all are sparse, as CSR or densified, whichever the first such batch makes cheaper."""
        matrix = sp.csr_matrix((data, indices, offsets), shape=shape)
        if self._sparse is None:
            self._sparse = len(data) < SPARSE_BELOW_DENSITY * shape[0] * shape[1]
        return matrix if self._sparse else self._dense_rows(matrix)

    def _sparse_rows(self, dense: np.ndarray) -> sp.csr_matrix:
        if not self._kind.missing_values:
            return sp.csr_matrix(dense)
        rows, columns = dense.shape
        indices = np.tile(np.arange(columns, dtype=np.int32), rows)
        return sp.csr_matrix((dense.ravel(), indices, np.arange(0, rows * columns + 1, columns)), shape=dense.shape)

    def _dense_rows(self, matrix: sp.csr_matrix) -> np.ndarray:
        if not self._kind.missing_values:
            return matrix.toarray()
        dense = np.full(matrix.shape, np.nan, np.float32)
        dense[np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices] = matrix.data
        return dense

    def _check_dimension(self, lengths: np.ndarray) -> None:
        if not len(lengths):
            return
        if self._num_features is None:
            self._num_features = int(lengths[0])
        if self._sparse is None and self._num_features == 0:
            raise InvalidValue(f"{self.column} is empty (0 values)", 0)
        wrong = np.flatnonzero(lengths != self._num_features)
        if len(wrong):
            raise InvalidValue(f"{self.column} has {int(lengths[wrong[0]])} values, expected {self._num_features}", int(wrong[0]))

    def _positions(self, indices: pa.ListArray, is_sparse: np.ndarray, lengths: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Column of every value. Whatever is beyond the row would be written beyond its memory."""
        given = np.diff(offsets_of(indices))
        if len(wrong := np.flatnonzero(is_sparse & (given != lengths))):
            row = int(wrong[0])
            raise InvalidValue(f"{self.column} has {int(given[row])} indices of {int(lengths[row])} values", row)
        found = _positions(indices, is_sparse, lengths)
        if len(found) and not 0 <= found.min() <= found.max() < self._num_features:
            position = int(np.flatnonzero((found < 0) | (found >= self._num_features))[0])
            row = int(np.searchsorted(offsets, position, side="right")) - 1
            raise InvalidValue(f"{self.column} has the index {int(found[position])}, expected one from 0 to {self._num_features - 1},", row)
        return found

    def _check_finite(self, data: np.ndarray, offsets: np.ndarray, indices: np.ndarray | None) -> None:
        # The sum of squares is finite only if all values are, and takes a sixth of the time of a look at each. It overflows above 1e19.
        with np.errstate(over="ignore"):
            if np.isfinite(np.dot(data, data)):
                return
        wrong = np.isinf(data) if self._kind.missing_values else ~np.isfinite(data)
        if not wrong.any():
            return
        row, within, value = _first(wrong, data, offsets, indices)
        raise InvalidValue(f"{self._element(within)} is {value} as a 32-bit float", row)

    def _check_counts(self, data: np.ndarray, offsets: np.ndarray, indices: np.ndarray | None) -> None:
        wrong = (data < 0) | (data != np.floor(data))
        if wrong.any():
            row, within, value = _first(wrong, data, offsets, indices)
            raise InvalidValue(f"{self._element(within)} is {value:g}, expected a count (a whole number from 0),", row)


def _first(marked: np.ndarray, data: np.ndarray, offsets: np.ndarray, indices: np.ndarray | None) -> tuple[int, int, float]:
    """Row, element and value of the first value that is marked."""
    position = int(np.flatnonzero(marked)[0])
    row = int(np.searchsorted(offsets, position, side="right")) - 1
    within = position - int(offsets[row]) if indices is None else int(indices[position])
    return row, within, data[position]


def _positions(indices: pa.ListArray, is_sparse: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Column of every value: as given in sparse rows, counted up in dense ones."""
    given = indices.flatten().to_numpy()
    if is_sparse.all():
        return given
    result = np.empty(int(lengths.sum()), np.int32)
    sparse_value = np.repeat(is_sparse, lengths)
    result[sparse_value] = given
    counted = np.arange(len(result)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    result[~sparse_value] = counted[~sparse_value]
    return result

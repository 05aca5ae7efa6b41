"""Rows as arrays: a batch, and the decoder that makes batches out of Arrow record batches, checking every row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from sparkml_algos.rows.packed import unpack

# Column names of the Arrow record batches a decoder reads.
VALUES, INDICES, SIZE, LABEL, WEIGHT, VALIDATION, ID = "values", "indices", "size", "label", "weight", "validation", "id"
GROUP, BASE_MARGIN = "group", "base_margin"
# One column in place of the first three: vectors as `rows.packed` reads them. The name may stand beside those of a user.
PACKED = "_sparkml_algos_packed"

# Below this share of non-zeros sparse rows stay sparse. Dense products run about twenty times faster per element, so a
# row with more than one element in twenty is quicker dense, and it is smaller dense from one in two.
SPARSE_BELOW_DENSITY = 0.05

Features = np.ndarray | sp.csr_matrix


class InvalidRows(ValueError):
    """Rows that cannot be trained on or scored: nulls, NaN, ragged or of the wrong dimension."""


@dataclass(frozen=True)
class Batch:
    """Some rows.

    Parameters
    ----------
    features : ndarray or csr_matrix of float32, shape (rows, features)
    label : ndarray of float32, shape (rows,), optional
    weight : ndarray of float32, shape (rows,), optional
    validation : ndarray of bool, shape (rows,), optional
        Which rows are for validation; a `Shard` separates them from those to train on.
    id : ndarray of int64, shape (rows,), optional
        What the user calls the rows.
    group : ndarray of int64, shape (rows,), optional
        Rows with the same number are ranked together.
    base_margin : ndarray of float32, shape (rows,), optional
        What the score of each row starts from.
    """

    features: Features
    label: np.ndarray | None = None
    weight: np.ndarray | None = None
    validation: np.ndarray | None = None
    id: np.ndarray | None = None
    group: np.ndarray | None = None
    base_margin: np.ndarray | None = None

    def __len__(self) -> int:
        return self.features.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of the features and the columns beside them."""
        parts = [self.features] if isinstance(self.features, np.ndarray) else _csr_parts(self.features)
        return sum(part.nbytes for part in [*parts, self.label, self.weight, self.id, self.group, self.base_margin] if part is not None)

    @property
    def weights(self) -> np.ndarray:
        """Weights of the rows, 1 without any, float64, shape (rows,)."""
        return np.ones(len(self)) if self.weight is None else self.weight.astype(np.float64)

    def take(self, rows: np.ndarray | slice) -> Batch:
        return Batch(*(None if column is None else column[rows] for column in _columns(self)))

    @staticmethod
    def concat(batches: Sequence[Batch]) -> Batch:
        """One batch of all rows; the batches are all dense or all sparse."""
        if len(batches) == 1:
            return batches[0]
        features, *scalars = zip(*map(_columns, batches), strict=True)
        stack = np.concatenate if isinstance(features[0], np.ndarray) else lambda parts: sp.vstack(parts, format="csr")
        return Batch(stack(features), *(None if parts[0] is None else np.concatenate(parts) for parts in scalars))

    @staticmethod
    def empty(num_features: int) -> Batch:
        return Batch(np.empty((0, num_features), np.float32), np.empty(0, np.float32), np.empty(0, np.float32))


@dataclass(frozen=True)
class LabelRange:
    """The numbers that a label may be.

    Parameters
    ----------
    minimum, maximum : float
        Ends, which belong to the range.
    min_exclusive : bool
        Whether the lower end does not.
    """

    minimum: float = -np.inf
    maximum: float = np.inf
    min_exclusive: bool = False

    def outside(self, label: np.ndarray) -> np.ndarray:
        """Which labels are not in the range."""
        return (label <= self.minimum if self.min_exclusive else label < self.minimum) | (label > self.maximum)

    def __str__(self) -> str:
        if np.isfinite(self.maximum):
            return f"a number from {self.minimum:g} to {self.maximum:g}"
        return f"a number {'>' if self.min_exclusive else '>='} {self.minimum:g}"


class Decoder:
    """Turns Arrow record batches into `Batch`es, and names what is wrong with a row that cannot be one.

    Parameters
    ----------
    names : sequence of str
        The features column, or the list of numeric columns the features were assembled from; for messages.
    num_features : int, optional
        Expected length of a row; taken from the first row when not given.
    label, weight, validation, group, base_margin : str, optional
        Names of these columns in the user's data, for messages. Rows of weight 0 are left out.
    classes : int, optional
        Labels must be integers from 0 to one less than this.
    id : str, optional
        Name of the column that names the rows.
    label_range : LabelRange, optional
        Labels must be in it.
    missing_values : bool
        Whether a value may be missing. NaN and null elements are missing then, and so is what a sparse row does not store; where such rows
        become dense, NaN stands for it, and where dense rows become sparse, zeros are stored. Otherwise all of these are refused, and what
        a sparse row does not store is zero.

    Attributes
    ----------
    counts : bool
        Whether features must be counts: whole numbers from 0.
    largest_label : float
        Of all rows so far; -inf before the first, or where labels are not classes.
    """

    def __init__(
        self,
        names: Sequence[str],
        num_features: int | None = None,
        label: str | None = None,
        weight: str | None = None,
        validation: str | None = None,
        classes: int | None = None,
        id: str | None = None,
        *,
        group: str | None = None,
        base_margin: str | None = None,
        label_range: LabelRange | None = None,
        missing_values: bool = False,
        counts: bool = False,
    ) -> None:
        self.names = list(names)
        self.num_features = num_features
        self.label, self.weight, self.validation = label, weight, validation
        self.id, self.group, self.base_margin = id, group, base_margin
        self.classes, self.label_range = classes, label_range
        self.missing_values, self.counts = missing_values, counts
        self.largest_label = -np.inf
        self.where = ""
        self._rows = 0
        self._sparse: bool | None = None

    def __call__(self, batch: pa.RecordBatch) -> Batch:
        """Decode one record batch with `values` and, for vectors, `indices` and `size`; `label`, `weight`, `validation`, `id`, `group`,
        `base_margin` when named."""
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        if PACKED in columns:
            columns[VALUES], columns[INDICES], columns[SIZE] = unpack(columns[PACKED])
        features = self._features(columns[VALUES], columns.get(INDICES), columns.get(SIZE))
        label = self._scalar(columns[LABEL], self.label) if self.label else None
        weight = self._scalar(columns[WEIGHT], self.weight) if self.weight else None
        if weight is not None and (weight < 0).any():
            row = int(np.flatnonzero(weight < 0)[0])
            raise self._invalid(f"weight column {self.weight!r} is negative ({weight[row]:g})", row)
        if self.classes is not None:
            self._check_classes(label)
            self.largest_label = max(self.largest_label, float(label.max(initial=-np.inf)))
        if self.label_range is not None:
            self._check_range(label)
        validation = self._exact(columns[VALIDATION], self.validation) if self.validation else None
        id = self._exact(columns[ID], self.id) if self.id else None
        group = self._exact(columns[GROUP], self.group) if self.group else None
        base_margin = self._scalar(columns[BASE_MARGIN], self.base_margin) if self.base_margin else None
        self._rows += len(batch)
        decoded = Batch(features, label, weight, validation, id, group, base_margin)
        return decoded if weight is None or weight.all() else decoded.take(np.flatnonzero(weight))

    def _features(self, values: pa.ListArray, indices: pa.ListArray | None, size: pa.Array | None) -> Features:
        if values.null_count:
            raise self._invalid(f"{self._column()} is null", _first_null(values))
        offsets, flat = _offsets(values), _flat(values)
        lengths = np.diff(offsets)
        if flat.null_count and not self.missing_values:
            position = _first_null(flat)
            row = int(np.searchsorted(offsets, position, side="right")) - 1
            raise self._invalid(f"{self._column(position - offsets[row])} is null", row)
        data = _float32(flat)
        is_sparse = None if size is None or size.null_count == len(size) else ~np.asarray(size.is_null())
        dimension = lengths if is_sparse is None else np.where(is_sparse, np.asarray(size.fill_null(0)), lengths)
        self._check_dimension(dimension)
        positions = None if is_sparse is None else _sparse_indices(indices, is_sparse, lengths)
        self._check_finite(data, offsets, positions)
        if self.counts:
            self._check_counts(data, offsets, positions)
        shape = (len(values), self.num_features or 0)
        if is_sparse is None:
            dense = data.reshape(shape)
            self._sparse = self._sparse if len(dense) == 0 else bool(self._sparse)
            return self._sparse_rows(dense) if self._sparse else dense
        return self._mixed(data, offsets, positions, shape)

    def _mixed(self, data: np.ndarray, offsets: np.ndarray, indices: np.ndarray, shape: tuple[int, int]) -> Features:
        """Rows of which some or all are sparse, as CSR or densified, whichever the first such batch makes cheaper."""
        matrix = sp.csr_matrix((data, indices, offsets), shape=shape)
        if self._sparse is None:
            self._sparse = len(data) < SPARSE_BELOW_DENSITY * shape[0] * shape[1]
        return matrix if self._sparse else self._dense_rows(matrix)

    def _sparse_rows(self, dense: np.ndarray) -> sp.csr_matrix:
        if not self.missing_values:
            return sp.csr_matrix(dense)
        rows, columns = dense.shape
        indices = np.tile(np.arange(columns, dtype=np.int32), rows)
        return sp.csr_matrix((dense.ravel(), indices, np.arange(0, rows * columns + 1, columns)), shape=dense.shape)

    def _dense_rows(self, matrix: sp.csr_matrix) -> np.ndarray:
        if not self.missing_values:
            return matrix.toarray()
        dense = np.full(matrix.shape, np.nan, np.float32)
        dense[np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices] = matrix.data
        return dense

    def _check_dimension(self, lengths: np.ndarray) -> None:
        if not len(lengths):
            return
        if self.num_features is None:
            self.num_features = int(lengths[0])
        if self._sparse is None and self.num_features == 0:
            raise self._invalid(f"{self._column()} is empty (0 values)", 0)
        wrong = np.flatnonzero(lengths != self.num_features)
        if len(wrong):
            found = int(lengths[wrong[0]])
            raise self._invalid(f"{self._column()} has {found} values, expected {self.num_features}", int(wrong[0]))

    def _check_finite(self, data: np.ndarray, offsets: np.ndarray, indices: np.ndarray | None) -> None:
        # The sum of squares is finite only if all values are, and takes a sixth of the time of a look at each. It overflows above 1e19.
        if np.isfinite(np.dot(data, data)):
            return
        wrong = np.isinf(data) if self.missing_values else ~np.isfinite(data)
        if not wrong.any():
            return
        row, within, value = _first(wrong, data, offsets, indices)
        raise self._invalid(f"{self._column(within)} is {value} as a 32-bit float", row)

    def _check_counts(self, data: np.ndarray, offsets: np.ndarray, indices: np.ndarray | None) -> None:
        wrong = (data < 0) | (data != np.floor(data))
        if wrong.any():
            row, within, value = _first(wrong, data, offsets, indices)
            raise self._invalid(f"{self._column(within)} is {value:g}, expected a count (a whole number from 0),", row)

    def _scalar(self, column: pa.Array, name: str) -> np.ndarray:
        if column.null_count:
            raise self._invalid(f"column {name!r} is null", _first_null(column))
        data = _float32(column)
        if not np.isfinite(data.sum(dtype=np.float64)):
            row = int(np.flatnonzero(~np.isfinite(data))[0])
            raise self._invalid(f"column {name!r} is {data[row]} as a 32-bit float", row)
        return data

    def _exact(self, column: pa.Array, name: str) -> np.ndarray:
        """A column in its own type."""
        if column.null_count:
            raise self._invalid(f"column {name!r} is null", _first_null(column))
        return column.to_numpy(zero_copy_only=False)

    def _check_classes(self, label: np.ndarray) -> None:
        wrong = np.flatnonzero((label < 0) | (label >= self.classes) | (label != np.floor(label)))
        if len(wrong):
            expected = "0 or 1" if self.classes == 2 else f"an integer from 0 to {self.classes - 1}"
            raise self._invalid(f"label column {self.label!r} is {label[wrong[0]]:g}, expected {expected},", int(wrong[0]))

    def _check_range(self, label: np.ndarray) -> None:
        wrong = np.flatnonzero(self.label_range.outside(label))
        if len(wrong):
            raise self._invalid(f"label column {self.label!r} is {label[wrong[0]]:g}, expected {self.label_range},", int(wrong[0]))

    def _column(self, element: int | None = None) -> str:
        if len(self.names) > 1:
            return "features columns" if element is None else f"features column {self.names[element]!r}"
        suffix = "" if element is None else f", element {element},"
        return f"features column {self.names[0]!r}{suffix}"

    def _invalid(self, what: str, row: int) -> InvalidRows:
        return InvalidRows(f"{what} in row {self._rows + row}{self.where}")


def _columns(batch: Batch) -> tuple[Features | np.ndarray | None, ...]:
    return tuple(getattr(batch, column.name) for column in fields(batch))


def _csr_parts(matrix: sp.csr_matrix) -> list[np.ndarray]:
    return [matrix.data, matrix.indices, matrix.indptr]


def _offsets(lists: pa.ListArray) -> np.ndarray:
    """Start of each list in the flattened values, and the end of the last."""
    offsets = lists.offsets.to_numpy()
    return offsets - offsets[0] if len(offsets) else np.zeros(1, np.int32)


def _flat(lists: pa.ListArray) -> pa.Array:
    """The values of all lists; nothing stands between them, for null lists have been refused before."""
    offsets = lists.offsets
    return lists.values.slice(offsets[0].as_py(), offsets[-1].as_py() - offsets[0].as_py()) if len(lists) else lists.values


def _first(marked: np.ndarray, data: np.ndarray, offsets: np.ndarray, indices: np.ndarray | None) -> tuple[int, int, float]:
    """Row, element and value of the first value that is marked."""
    position = int(np.flatnonzero(marked)[0])
    row = int(np.searchsorted(offsets, position, side="right")) - 1
    within = position - int(offsets[row]) if indices is None else int(indices[position])
    return row, within, data[position]


def _float32(values: pa.Array) -> np.ndarray:
    return values.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)


def _sparse_indices(indices: pa.ListArray, is_sparse: np.ndarray, lengths: np.ndarray) -> np.ndarray:
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


def _first_null(column: pa.Array) -> int:
    return int(np.flatnonzero(np.asarray(column.is_null()))[0])

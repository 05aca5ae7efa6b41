"""Columns of Arrow record batches from the columns and tensors of records, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from pyspark.ml.linalg import MatrixUDT, VectorUDT
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    ByteType,
    DataType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
)

from sparkml_algos.formats.columns import Column
from sparkml_algos.formats.messages import RawTensor

FEATURES, LABEL = "features", "label"
SPARSE, DENSE = 0, 1
MAX_INT = (1 << 31) - 1
# Row pointers are the one thing whose size a record claims and does not have to pay for: at most 16 MiB of them, as on the JVM.
MAX_SPARSE_ROWS = 1 << 22

_INTS = pa.list_(pa.field("element", pa.int32(), nullable=False))
_DOUBLES = pa.list_(pa.field("element", pa.float64(), nullable=False))
_KIND = pa.field("type", pa.int8(), nullable=False)
# The structs that Spark keeps vectors and matrices in.
VECTOR = pa.struct([_KIND, ("size", pa.int32()), ("indices", _INTS), ("values", _DOUBLES)])
MATRIX = pa.struct([
    _KIND,
    pa.field("numRows", pa.int32(), nullable=False),
    pa.field("numCols", pa.int32(), nullable=False),
    ("colPtrs", _INTS),
    ("rowIndices", _INTS),
    ("values", _DOUBLES),
    pa.field("isTransposed", pa.bool_(), nullable=False),
])  # fmt: skip
_NUMBERS = {DoubleType(): pa.float64(), FloatType(): pa.float32(), IntegerType(): pa.int32()}


@dataclass(frozen=True)
class Slot:
    """A column of the DataFrame, and the entry of a record's map that holds it."""

    column: str
    map: str
    entry: str

    @property
    def is_label(self) -> bool:
        return self.map == LABEL

    @property
    def place(self) -> str:
        return f"column {self.column!r} (entry {self.entry!r} of {self.map})"


@dataclass(frozen=True)
class Tensor:
    """The numbers that one row has in one column.

    Attributes
    ----------
    values : ndarray
        float32, float64 or int32, shape (numbers,).
    keys : ndarray or None
        Positions of the values in the flattened tensor, ascending, int64; None of a dense tensor.
    shape : tuple of int or None
    """

    values: np.ndarray
    keys: np.ndarray | None = None
    shape: tuple[int, ...] | None = None

    @property
    def elements(self) -> int:
        """Numbers and, of a sparse tensor, zeros."""
        return len(self.values) if self.shape is None else prod(self.shape)

    @classmethod
    def of(cls, raw: RawTensor) -> Tensor:
        """The tensor of an entry.

        Raises
        ------
        ValueError
            If values, keys and shape do not fit together.
        """
        shape = tuple(int(length) for length in raw.shape) or None
        tensor = cls(raw.values, None, shape)
        total, described = tensor.elements, f"the shape {list(shape or ())}"
        if total >= 1 << 63:
            raise ValueError(f"{described} is too large")
        if not len(raw.keys):
            if shape and total and not len(raw.values):
                return cls(raw.values, np.empty(0, np.int64), shape)
            if total != len(raw.values):
                raise ValueError(f"it has {len(raw.values)} values, which do not fit {described}")
            return tensor
        if shape is None:
            raise ValueError("it has keys but no shape")
        if len(raw.keys) != len(raw.values):
            raise ValueError(f"it has {len(raw.values)} values but {len(raw.keys)} keys")
        if (beyond := raw.keys[raw.keys >= np.uint64(total)]).size:
            raise ValueError(f"the key {beyond[0]} is outside {described}")
        order = np.argsort(raw.keys, kind="stable")
        keys = raw.keys[order].astype(np.int64)
        if (twice := keys[1:][np.diff(keys) == 0]).size:
            raise ValueError(f"the key {twice[0]} occurs twice")
        return cls(raw.values[order], keys, shape)


def can_read(type_: DataType) -> bool:
    """Whether records can be read as a column of this type."""
    return isinstance(type_, (DoubleType, VectorUDT, MatrixUDT)) or _is_numbers(type_)


def can_write(type_: DataType, slot: Slot) -> bool:
    """Whether a column of this type can be written."""
    scalar = isinstance(type_, (DoubleType, FloatType, IntegerType, LongType, ShortType, ByteType, BooleanType))
    return isinstance(type_, (VectorUDT, MatrixUDT)) or _is_numbers(type_) or slot.is_label and scalar


def _is_numbers(type_: DataType) -> bool:
    return isinstance(type_, ArrayType) and type_.elementType in _NUMBERS


# ------------------------------------------------------------------------------------------------------------- tensors to rows


def check(tensor: Tensor, type_: DataType) -> str | None:
    """Why a tensor cannot be a value of a column of this type; None if it can."""
    shape = list(tensor.shape or ())
    if isinstance(type_, DoubleType):
        several = f"it has {tensor.elements} elements, but the column is a double; give a schema in which it is a vector"
        return None if tensor.elements == 1 else several
    if isinstance(type_, MatrixUDT):
        if len(shape) != 2:
            return f"its shape {shape} is not that of a matrix"
        if max(shape) > MAX_INT or tensor.keys is None and tensor.elements > MAX_INT:
            return f"its shape {shape} is larger than a matrix can be"
        if tensor.keys is not None and shape[0] > MAX_SPARSE_ROWS:
            return f"a sparse matrix of {shape[0]} rows; at most {MAX_SPARSE_ROWS} can be read"
        return None
    if isinstance(type_, VectorUDT):
        return f"its shape {shape} has more elements than a vector can have" if tensor.elements > MAX_INT else None
    if tensor.keys is not None:
        return "it is sparse, which an array column cannot tell; read it as a vector"
    lossless = {DoubleType: ("<f4", "<f8", "<i4"), FloatType: ("<f4",), IntegerType: ("<i4",)}[type(type_.elementType)]
    found = tensor.values.dtype
    return None if found in lossless else f"it is {found}, which does not fit an array of {type_.elementType.simpleString()} without loss"


def whole_column(column: Column, type_: DataType) -> pa.Array | None:
    """Dense or sparse vectors and single numbers of many rows at once; None where rows must be looked at one by one."""
    values = column.values
    if isinstance(values, np.ndarray) and values.ndim == 2:
        rows, width = values.shape
        offsets = pa.array(np.arange(0, rows * width + 1, max(width, 1), dtype=np.int32)[: rows + 1])
        if isinstance(type_, DoubleType) and width == 1:
            return pa.array(values[:, 0].astype(np.float64))
        if isinstance(type_, VectorUDT) and width > 0 and values.size <= MAX_INT:
            kinds, sizes = pa.array(np.full(rows, DENSE, np.int8)), pa.nulls(rows, pa.int32())
            numbers = pa.ListArray.from_arrays(offsets, pa.array(values.ravel().astype(np.float64)), type=_DOUBLES)
            return pa.StructArray.from_arrays([kinds, sizes, pa.nulls(rows, _INTS), numbers], fields=list(VECTOR))
    if isinstance(values, sp.csr_matrix) and isinstance(type_, VectorUDT) and values.shape[1] <= MAX_INT and len(column.shape or ()) == 1:
        rows, width = values.shape
        # A row with all its elements may have been a dense one among the sparse.
        if (np.diff(values.indptr) == width).any():
            return None
        kinds, sizes = pa.array(np.full(rows, SPARSE, np.int8)), pa.array(np.full(rows, width, np.int32))
        offsets = pa.array(values.indptr.astype(np.int32))
        keys = pa.ListArray.from_arrays(offsets, pa.array(values.indices.astype(np.int32)), type=_INTS)
        numbers = pa.ListArray.from_arrays(offsets, pa.array(values.data.astype(np.float64)), type=_DOUBLES)
        return pa.StructArray.from_arrays([kinds, sizes, keys, numbers], fields=list(VECTOR))
    return None


def to_arrow(tensors: Sequence[Tensor | None], type_: DataType) -> pa.Array:
    """The column of tensors that `check` has passed; None is null."""
    missing = np.array([tensor is None for tensor in tensors], bool)
    tensors = [Tensor(np.empty(0, np.float32)) if tensor is None else tensor for tensor in tensors]
    if isinstance(type_, DoubleType):
        return pa.array([tensor.values[0] if len(tensor.values) else 0.0 for tensor in tensors], pa.float64(), mask=missing)
    if isinstance(type_, ArrayType):
        numbers = pa.list_(pa.field("element", _NUMBERS[type_.elementType], nullable=type_.containsNull))
        return _lists([tensor.values for tensor in tensors], numbers, missing)
    kinds = pa.array([DENSE if tensor.keys is None else SPARSE for tensor in tensors], pa.int8())
    sparse = np.array([tensor.keys is not None for tensor in tensors], bool)
    values = _lists([tensor.values for tensor in tensors], _DOUBLES)
    keys = [np.empty(0, np.int64) if tensor.keys is None else tensor.keys for tensor in tensors]
    if isinstance(type_, VectorUDT):
        sizes = pa.array([tensor.elements for tensor in tensors], pa.int32(), mask=~sparse)
        columns = [kinds, sizes, _lists(keys, _INTS, ~sparse), values]
        return pa.StructArray.from_arrays(columns, fields=list(VECTOR), mask=pa.array(missing))
    shapes = [tensor.shape or (0, 0) for tensor in tensors]
    pointers = [
        np.searchsorted(key, np.arange(shape[0] + 1) * shape[1]) if is_sparse else key
        for key, shape, is_sparse in zip(keys, shapes, sparse, strict=True)
    ]
    columns = [key % max(shape[1], 1) for key, shape in zip(keys, shapes, strict=True)]
    # Row by row, as the record has it, is to Spark a transposed matrix.
    parts = [
        kinds, *(pa.array([shape[axis] for shape in shapes], pa.int32()) for axis in (0, 1)),
        _lists(pointers, _INTS, ~sparse), _lists(columns, _INTS, ~sparse), values, pa.array([True] * len(tensors)),
    ]  # fmt: skip
    return pa.StructArray.from_arrays(parts, fields=list(MATRIX), mask=pa.array(missing))


def _lists(parts: Sequence[np.ndarray], type_: pa.ListType, missing: np.ndarray | None = None) -> pa.ListArray:
    offsets = np.zeros(len(parts) + 1, np.int32)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    flat = np.concatenate(parts) if parts else np.empty(0)
    flat = pa.array(flat.astype(type_.value_type.to_pandas_dtype(), copy=False))
    return pa.ListArray.from_arrays(pa.array(offsets), flat, type=type_, mask=None if missing is None else pa.array(missing))


# ------------------------------------------------------------------------------------------------------------- rows to tensors


def stack(tensors: Sequence[Tensor]) -> Column:
    """Tensors of one kind and shape as a column of `formats`."""
    first = tensors[0]
    if first.keys is None:
        shape = first.shape or (len(first.values),)
        return Column(np.stack([tensor.values for tensor in tensors]).reshape(len(tensors), *shape), shape)
    pointers = np.concatenate([[0], np.cumsum([len(tensor.values) for tensor in tensors])])
    values, keys = (np.concatenate(parts) for parts in zip(*((tensor.values, tensor.keys) for tensor in tensors), strict=True))
    return Column(sp.csr_matrix((values, keys, pointers), shape=(len(tensors), first.elements)), first.shape)


def alike(tensor: Tensor | None) -> tuple:
    """What rows have in common that can be written at once."""
    if tensor is None:
        return ()
    size = len(tensor.values) if tensor.keys is None else -1
    return tensor.values.dtype, tensor.keys is None, size, tensor.shape


def from_arrow(column: pa.Array, type_: DataType, *, float64: bool) -> list[Tensor | None]:
    """The tensors of a column; None for null."""
    wanted = np.dtype(np.float64 if float64 else np.float32)
    if isinstance(type_, VectorUDT):
        return _from_vectors(column, wanted)
    if isinstance(type_, MatrixUDT):
        return _from_matrices(column, wanted)
    if isinstance(type_, ArrayType):
        if column.flatten().null_count:
            raise ValueError("an element is null")
        dtype = np.dtype(np.int32) if isinstance(type_.elementType, IntegerType) else wanted
        return [None if part is None else Tensor(_narrow(part, dtype)) for part in _parts(column)]
    numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    return [Tensor(_narrow(numbers[row : row + 1], wanted)) if valid[row] else None for row in range(len(column))]


def _from_vectors(column: pa.StructArray, dtype: np.dtype) -> list[Tensor | None]:
    kinds, sizes, indices, values = (column.field(index) for index in range(4))
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    rows = zip(valid, kinds.to_pylist(), sizes.to_pylist(), _parts(indices), _parts(values), strict=True)
    return [_from_vector(*row, dtype) if ok else None for ok, *row in rows]


def _from_vector(kind: int, size: int | None, keys: np.ndarray | None, values: np.ndarray, dtype: np.dtype) -> Tensor:
    numbers = _narrow(values, dtype)
    return Tensor(numbers, keys.astype(np.int64), (size,)) if kind == SPARSE else Tensor(numbers)


def _from_matrices(column: pa.StructArray, dtype: np.dtype) -> list[Tensor | None]:
    fields = [column.field(index) for index in range(7)]
    rows = zip(
        column.is_valid().to_numpy(zero_copy_only=False), *(field.to_pylist() for field in fields[:3]), *map(_parts, fields[3:6]),
        fields[6].to_pylist(), strict=True,
    )  # fmt: skip
    return [_from_matrix(*row, dtype) if ok else None for ok, *row in rows]


def _from_matrix(
    kind: int, rows: int, columns: int, pointers: np.ndarray, indices: np.ndarray, values: np.ndarray, transposed: bool, dtype: np.dtype
) -> Tensor:
    if kind == DENSE:
        ordered = values if transposed else values.reshape(columns, rows).T.ravel()
        return Tensor(_narrow(ordered, dtype), shape=(rows, columns))
    lines = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers)).astype(np.int64)
    keys = lines * columns + indices if transposed else indices * np.int64(columns) + lines
    order = np.argsort(keys, kind="stable")
    return Tensor(_narrow(values[order], dtype), keys[order], (rows, columns))


def _parts(column: pa.ListArray) -> list[np.ndarray | None]:
    """The lists of a column as views of its values."""
    values = column.values.to_numpy(zero_copy_only=False)
    offsets, valid = column.offsets.to_numpy(), column.is_valid().to_numpy(zero_copy_only=False)
    return [values[offsets[row] : offsets[row + 1]] if valid[row] else None for row in range(len(column))]


def _narrow(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype != np.float32 or values.dtype == np.float32:
        return values.astype(dtype, copy=False)
    with np.errstate(over="ignore"):
        narrow = values.astype(dtype)
    lost = np.isinf(narrow) & ~np.isinf(values)
    if lost.any():
        raise ValueError(f"its value {values[lost][0]} is too large for float32; write it with the option valueType=float64")
    return narrow

"""Spark's stages over numbers and vectors."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.serving.pipelines.columns import (
    NUMBER,
    NUMBER_OR_VECTOR,
    VECTOR,
    Frame,
    dense,
    length,
    numbers,
    refuse,
    sized,
    vectors,
)
from sparkml_algos.serving.pipelines.saved import SavedStage, chosen
from sparkml_algos.serving.pipelines.stage import Stage

# Vectors that are mostly zeros stay sparse from this length on.
SPARSE_FROM = 1000


class Assembler(Stage):
    """``VectorAssembler``."""

    def __init__(self, saved: SavedStage) -> None:
        self._names, self._output = list(saved.param("inputCols")), saved.param("outputCol")
        self._refuses = chosen(saved, "handleInvalid", ["error", "keep"]) == "error"
        super().__init__(saved, dict.fromkeys(self._names, NUMBER_OR_VECTOR), [self._output])

    def __call__(self, frame: Frame) -> None:
        parts = []
        for name in self._names:
            column = frame[name]
            part = numbers(frame, name)[:, None] if not sp.issparse(column) and np.ndim(column) == 1 else vectors(frame, name)
            if self._refuses:
                values = part.data if sp.issparse(part) else part
                if np.isnan(values).any():
                    wrong = np.isnan(dense(part)).any(axis=1)
                    refuse(wrong, f"column {name!r} is missing or NaN")
            parts.append(part)
        if any(map(sp.issparse, parts)) and sum(part.shape[1] for part in parts) >= SPARSE_FROM:
            frame[self._output] = sp.hstack(parts, format="csr")
        else:
            frame[self._output] = np.concatenate([dense(part) for part in parts], axis=1)


class _OfVectors(Stage):
    """A stage that makes vectors of vectors."""

    def __init__(self, saved: SavedStage) -> None:
        self._input, self._output = saved.param("inputCol"), saved.param("outputCol")
        super().__init__(saved, {self._input: VECTOR}, [self._output])

    def __call__(self, frame: Frame) -> None:
        frame[self._output] = self.of(vectors(frame, self._input))

    def of(self, rows: np.ndarray | sp.csr_matrix) -> np.ndarray | sp.csr_matrix:
        raise NotImplementedError


def _scaled(rows: np.ndarray | sp.csr_matrix, scale: np.ndarray) -> np.ndarray | sp.csr_matrix:
    if isinstance(rows, np.ndarray):
        return rows * scale
    rows = rows.tocsr()
    return sp.csr_matrix((rows.data * scale[rows.indices], rows.indices, rows.indptr), rows.shape)


def _inverse(values: np.ndarray) -> np.ndarray:
    """1 / value, 0 of 0."""
    return np.divide(1.0, values, out=np.zeros_like(values), where=values != 0)


class StandardScaler(_OfVectors):
    """``StandardScalerModel``."""

    center, spread, with_center, with_spread = "mean", "std", "withMean", "withStd"

    def __init__(self, saved: SavedStage) -> None:
        super().__init__(saved)
        self._centers, self._scales = saved.param(self.with_center), saved.param(self.with_spread)
        self._center, self._scale = saved.vector(self.center), _inverse(saved.vector(self.spread))

    def of(self, rows: np.ndarray | sp.csr_matrix) -> np.ndarray | sp.csr_matrix:
        rows = sized(rows, len(self._center), self._input)
        if self._centers:
            rows = dense(rows) - self._center
        return _scaled(rows, self._scale) if self._scales else rows


class RobustScaler(StandardScaler):
    """``RobustScalerModel``."""

    center, spread, with_center, with_spread = "median", "range", "withCentering", "withScaling"


class MinMaxScaler(_OfVectors):
    """``MinMaxScalerModel``."""

    def __init__(self, saved: SavedStage) -> None:
        super().__init__(saved)
        self._low, high = saved.vector("originalMin"), saved.vector("originalMax")
        self._min, top = float(saved.param("min")), float(saved.param("max"))
        span = high - self._low
        self._scale = np.divide(top - self._min, span, out=np.zeros_like(span), where=span != 0)
        self._constant = (self._min + top) / 2

    def of(self, rows: np.ndarray | sp.csr_matrix) -> np.ndarray:
        rows = dense(sized(rows, len(self._low), self._input))
        found = np.where(self._scale != 0, (rows - self._low) * self._scale + self._min, self._constant)
        return np.where(np.isnan(rows), rows, found)


class MaxAbsScaler(_OfVectors):
    """``MaxAbsScalerModel``."""

    def __init__(self, saved: SavedStage) -> None:
        super().__init__(saved)
        largest = saved.vector("maxAbs")
        self._scale = np.divide(1.0, largest, out=np.ones_like(largest), where=largest != 0)

    def of(self, rows: np.ndarray | sp.csr_matrix) -> np.ndarray | sp.csr_matrix:
        return _scaled(sized(rows, len(self._scale), self._input), self._scale)


class Normalizer(_OfVectors):
    """``Normalizer``."""

    def __init__(self, saved: SavedStage) -> None:
        super().__init__(saved)
        self._p = float(saved.param("p"))

    def of(self, rows: np.ndarray | sp.csr_matrix) -> np.ndarray | sp.csr_matrix:
        values = abs(dense(rows))
        if np.isinf(self._p):
            norms = values.max(axis=1, initial=0.0)
        elif self._p == 1:
            norms = values.sum(axis=1)
        else:
            norms = np.sqrt((values**2).sum(axis=1)) if self._p == 2 else (values**self._p).sum(axis=1) ** (1 / self._p)
        scale = np.where(norms == 0, 1.0, _inverse(norms))[:, None]
        return rows * scale if isinstance(rows, np.ndarray) else rows.multiply(scale).tocsr()


class ElementwiseProduct(_OfVectors):
    """``ElementwiseProduct``."""

    def __init__(self, saved: SavedStage) -> None:
        super().__init__(saved)
        given = saved.param("scalingVec")
        self._scale = np.array(given["values"], np.float64)
        if given.get("indices") is not None and given.get("type") == 0:
            self._scale = np.zeros(given["size"])
            self._scale[given["indices"]] = given["values"]

    def of(self, rows: np.ndarray | sp.csr_matrix) -> np.ndarray | sp.csr_matrix:
        return _scaled(sized(rows, len(self._scale), self._input), self._scale)


class Components(_OfVectors):
    """Spark's own ``PCAModel``, which does not centre."""

    def __init__(self, saved: SavedStage) -> None:
        super().__init__(saved)
        self._axes = saved.matrix("pc")

    def of(self, rows: np.ndarray | sp.csr_matrix) -> np.ndarray:
        return sized(rows, len(self._axes), self._input) @ self._axes


class Idf(_OfVectors):
    """``IDFModel``."""

    def __init__(self, saved: SavedStage) -> None:
        super().__init__(saved)
        self._idf = saved.vector("idf")

    def of(self, rows: np.ndarray | sp.csr_matrix) -> np.ndarray | sp.csr_matrix:
        return _scaled(sized(rows, len(self._idf), self._input), self._idf)


class Slicer(_OfVectors):
    """``VectorSlicer``, by places."""

    def __init__(self, saved: SavedStage) -> None:
        super().__init__(saved)
        if saved.param("names"):
            raise saved.cannot("it selects by names, which only Spark knows; select by indices")
        self._places = np.array(saved.param("indices"), np.int64)

    def of(self, rows: np.ndarray | sp.csr_matrix) -> np.ndarray | sp.csr_matrix:
        if self._places.size and self._places.max() >= rows.shape[1]:
            raise InvalidRows(f"column {self._input!r} has {rows.shape[1]} values, more than {self._places.max()} are needed in row 0")
        return rows[:, self._places]


class Selector(_OfVectors):
    """``VarianceThresholdSelectorModel``, ``UnivariateFeatureSelectorModel``, ``ChiSqSelectorModel``."""

    def __init__(self, saved: SavedStage) -> None:
        self._input, self._output = saved.param("featuresCol"), saved.param("outputCol")
        Stage.__init__(self, saved, {self._input: VECTOR}, [self._output])
        self._places = np.sort(np.array(saved.value("selectedFeatures"), np.int64))

    of = Slicer.of


class SizeHint(Stage):
    """``VectorSizeHint``."""

    def __init__(self, saved: SavedStage) -> None:
        self._input, self._size = saved.param("inputCol"), int(saved.param("size"))
        self._refuses = chosen(saved, "handleInvalid", ["error", "optimistic"]) == "error"
        super().__init__(saved, {self._input: VECTOR}, [])

    def __call__(self, frame: Frame) -> None:
        if self._refuses:
            sized(vectors(frame, self._input), self._size, self._input)


class _OfColumns(Stage):
    """A stage that makes a column of each of its columns."""

    kind = NUMBER

    def __init__(self, saved: SavedStage) -> None:
        self._inputs, self._outputs = saved.columns("inputCol", "inputCols"), saved.columns("outputCol", "outputCols")
        super().__init__(saved, dict.fromkeys(self._inputs, self.kind), self._outputs)


class Imputer(_OfColumns):
    """``ImputerModel``. What is null is NaN here, and both are missing, beside the missing value."""

    def __init__(self, saved: SavedStage) -> None:
        super().__init__(saved)
        self._missing = float(saved.param("missingValue"))
        self._surrogates = [float(saved.value(name)) for name in self._inputs]

    def __call__(self, frame: Frame) -> None:
        for name, output, surrogate in zip(self._inputs, self._outputs, self._surrogates, strict=True):
            column = numbers(frame, name)
            frame[output] = np.where(np.isnan(column) | (column == self._missing), surrogate, column)


class Bucketizer(_OfColumns):
    """``Bucketizer``, of which a ``QuantileDiscretizer`` makes one. What is null stays so, as in Spark, where NaN has a bucket."""

    def __init__(self, saved: SavedStage) -> None:
        super().__init__(saved)
        several = saved.metadata["paramMap"].get("splitsArray")
        self._splits = [np.array([_double(value) for value in splits]) for splits in several or [saved.param("splits")]]
        chosen(saved, "handleInvalid", ["error", "keep"])

    def __call__(self, frame: Frame) -> None:
        for name, output, splits in zip(self._inputs, self._outputs, self._splits, strict=True):
            column = numbers(frame, name)
            missing = np.isnan(column)
            outside = ~missing & ((column < splits[0]) | (column > splits[-1]))
            refuse(outside, f"column {name!r} is", column, f"not between {splits[0]:g} and {splits[-1]:g}")
            place = np.searchsorted(splits, column, side="right") - 1
            place = np.where(column == splits[-1], len(splits) - 2, place)
            frame[output] = np.where(missing, np.nan, place)


class Binarizer(_OfColumns):
    """``Binarizer``, of numbers or vectors."""

    kind = NUMBER_OR_VECTOR

    def __init__(self, saved: SavedStage) -> None:
        super().__init__(saved)
        several = saved.metadata["paramMap"].get("thresholds")
        self._thresholds = [float(value) for value in several or [saved.param("threshold")] * len(self._inputs)]

    def __call__(self, frame: Frame) -> None:
        for name, output, threshold in zip(self._inputs, self._outputs, self._thresholds, strict=True):
            column = frame[name]
            frame[output] = (dense(column) > threshold).astype(np.float64)


class OneHot(_OfColumns):
    """``OneHotEncoderModel``."""

    def __init__(self, saved: SavedStage) -> None:
        super().__init__(saved)
        self._sizes = [int(size) for size in saved.value("categorySizes")]
        self._keeps = chosen(saved, "handleInvalid", ["error", "keep"]) == "keep"
        self._drops = bool(saved.param("dropLast"))

    def __call__(self, frame: Frame) -> None:
        for name, output, size in zip(self._inputs, self._outputs, self._sizes, strict=True):
            column = numbers(frame, name)
            known = (column >= 0) & (column < size)
            # What is null, which is NaN here, stays so in Spark, and no vector.
            refuse(np.isnan(column) | ~known & (not self._keeps), f"column {name!r} is", column, f"none of {size} categories")
            width = size + self._keeps - self._drops
            place = np.where(known, column, size).astype(np.int64)
            rows = np.flatnonzero(place < width)
            offsets = np.concatenate([[0], np.cumsum(place < width)])
            frame[output] = sp.csr_matrix((np.ones(len(rows)), place[rows], offsets), shape=(length(column), width))


_INFINITIES = {"Inf": np.inf, "Infinity": np.inf, "-Inf": -np.inf, "-Infinity": -np.inf}


def _double(value: float | str) -> float:
    """A double as Spark's JSON has it: infinities are texts."""
    return _INFINITIES[value] if isinstance(value, str) else float(value)

"""Spark's stages as nodes of a graph.

Of a frame, numbers are a tensor (rows,), vectors (rows, length), texts (rows,). A graph refuses no row but one with a label that a
``StringIndexerModel`` does not know, which ends its run with an error, as in Spark: what else Spark refuses, such as a missing value in an
assembler, is answered by NaN or by anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparkml_algos.export.graph import ML, TEXT, CannotExport, Graph
from sparkml_algos.serving.pipelines.saved import SavedStage, chosen

_SPARK = "org.apache.spark.ml.feature."
UNKNOWN_LABEL = "__unknown"


@dataclass
class Frame:
    """Tensors by the names of columns.

    Attributes
    ----------
    graph : Graph
    tensors : dict of str to str
    types : dict of str to dtype
        Of columns that are no numbers in the precision of the graph.
    labels : dict of str to list of str
        Of columns of indices, what they stand for.
    """

    graph: Graph
    tensors: dict[str, str] = field(default_factory=dict)
    types: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, list[str]] = field(default_factory=dict)

    def numbers(self, name: str) -> str:
        """A column of numbers or vectors, in the precision of the graph."""
        kind = self.types.get(name)
        if kind is not None and np.dtype(kind) == TEXT:
            raise CannotExport(f"column {name!r} is a text where a number is read")
        return self.tensors[name] if kind is None else self.graph.real(self.tensors[name])

    def put(self, name: str, tensor: str, kind: Any = None) -> None:
        """Add a column."""
        self.tensors[name] = tensor
        self.types.pop(name, None)
        if kind is not None and kind != self.graph.number:
            self.types[name] = kind


Translate = Callable[[Graph, SavedStage, Frame], None]


def _assembler(graph: Graph, saved: SavedStage, frame: Frame, vectors: frozenset[str]) -> None:
    chosen(saved, "handleInvalid", ["error", "keep"])
    parts = [frame.numbers(name) if name in vectors else graph.column(frame.numbers(name)) for name in saved.param("inputCols")]
    frame.put(saved.param("outputCol"), graph("Concat", *parts, axis=1))


def _of_vectors(make: Callable[[Graph, SavedStage, str], str], read: str = "inputCol") -> Translate:
    """A stage that makes a vector of a vector."""

    def translate(graph: Graph, saved: SavedStage, frame: Frame) -> None:
        frame.put(saved.param("outputCol"), make(graph, saved, frame.numbers(saved.param(read))))

    return translate


def _inverse(values: np.ndarray, of_zero: float = 0.0) -> np.ndarray:
    return np.divide(1.0, values, out=np.full_like(values, of_zero), where=values != 0)


def _scaler(center: str, spread: str, with_center: str, with_spread: str) -> Translate:
    def make(graph: Graph, saved: SavedStage, rows: str) -> str:
        if saved.param(with_center):
            rows = graph("Sub", rows, graph.reals(saved.vector(center)))
        return graph("Mul", rows, graph.reals(_inverse(saved.vector(spread)))) if saved.param(with_spread) else rows

    return _of_vectors(make)


def _min_max(graph: Graph, saved: SavedStage, rows: str) -> str:
    low, high = saved.vector("originalMin"), saved.vector("originalMax")
    least, most = float(saved.param("min")), float(saved.param("max"))
    span = high - low
    scale = np.divide(most - least, span, out=np.zeros_like(span), where=span != 0)
    # A constant feature is put in the middle; what is missing stays so.
    offset = np.where(scale != 0, least, (least + most) / 2)
    return graph("Add", graph("Mul", graph("Sub", rows, graph.reals(low)), graph.reals(scale)), graph.reals(offset))


def _max_abs(graph: Graph, saved: SavedStage, rows: str) -> str:
    return graph("Mul", rows, graph.reals(_inverse(saved.vector("maxAbs"), 1.0)))


def _normalizer(graph: Graph, saved: SavedStage, rows: str) -> str:
    p, values = float(saved.param("p")), graph("Abs", rows)
    if np.isinf(p):
        norms = graph.reduced("ReduceMax", values, 1, keep=True)
    else:
        norms = graph.sum(graph("Pow", values, graph.reals(p)), 1, keep=True)
        norms = graph("Pow", norms, graph.reals(1 / p))
    return graph("Div", rows, graph("Where", graph("Equal", norms, graph.reals(0)), graph.reals(1), norms))


def _times(graph: Graph, saved: SavedStage, rows: str) -> str:
    given = saved.param("scalingVec")
    scale = np.array(given["values"], np.float64)
    if given.get("indices") is not None and given.get("type") == 0:
        scale = np.zeros(given["size"])
        scale[given["indices"]] = given["values"]
    return graph("Mul", rows, graph.reals(scale))


def _slicer(graph: Graph, saved: SavedStage, rows: str) -> str:
    if saved.param("names"):
        raise saved.cannot("it selects by names, which only Spark knows; select by indices")
    return graph("Gather", rows, graph.ints(*saved.param("indices")), axis=1)


def _selector(graph: Graph, saved: SavedStage, rows: str) -> str:
    return graph("Gather", rows, graph.ints(*sorted(saved.value("selectedFeatures"))), axis=1)


def _size_hint(graph: Graph, saved: SavedStage, frame: Frame) -> None:
    """Says what a column is, and changes nothing."""


def _imputer(graph: Graph, saved: SavedStage, frame: Frame) -> None:
    missing = graph.reals(float(saved.param("missingValue")))
    for name, output in _pairs(saved):
        values = frame.numbers(name)
        is_missing = graph("Or", graph("IsNaN", values), graph("Equal", values, missing))
        frame.put(output, graph("Where", is_missing, graph.reals(float(saved.value(name))), values))


def _bucketizer(graph: Graph, saved: SavedStage, frame: Frame) -> None:
    chosen(saved, "handleInvalid", ["error", "keep"])
    several = saved.metadata["paramMap"].get("splitsArray") or [saved.param("splits")]
    for (name, output), splits in zip(_pairs(saved), several, strict=True):
        values = frame.numbers(name)
        inside = np.array([double(value) for value in splits])[1:-1]
        reached = graph("GreaterOrEqual", graph.column(values), graph.reals(inside))
        place = graph.sum(graph.real(reached), 1)
        frame.put(output, graph("Where", graph("IsNaN", values), graph.reals(np.nan), place))


def _binarizer(graph: Graph, saved: SavedStage, frame: Frame) -> None:
    pairs = _pairs(saved)
    several = saved.metadata["paramMap"].get("thresholds") or [saved.param("threshold")] * len(pairs)
    for (name, output), threshold in zip(pairs, several, strict=True):
        frame.put(output, graph.real(graph("Greater", frame.numbers(name), graph.reals(float(threshold)))))


def _one_hot(graph: Graph, saved: SavedStage, frame: Frame) -> None:
    keeps, drops = chosen(saved, "handleInvalid", ["error", "keep"]) == "keep", bool(saved.param("dropLast"))
    for (name, output), size in zip(_pairs(saved), saved.value("categorySizes"), strict=True):
        place = graph("Min", frame.numbers(name), graph.reals(size)) if keeps else frame.numbers(name)
        width = int(size) + keeps - drops
        frame.put(output, graph.real(graph("Equal", graph.column(place), graph.reals(np.arange(width)))))


def _string_indexer(graph: Graph, saved: SavedStage, frame: Frame) -> None:
    keeps = chosen(saved, "handleInvalid", ["error", "keep"]) == "keep"
    labels = saved.value("labelsArray") if "labelsArray" in saved.table.column_names else [saved.value("labels")]
    for (name, output), known in zip(_pairs(saved), labels, strict=True):
        if np.dtype(frame.types.get(name, graph.number)) != TEXT:
            raise saved.cannot(f"column {name!r} is of numbers, which Spark compares as Java writes them; index a text column")
        found = graph(
            "LabelEncoder", frame.tensors[name], domain=ML, keys_strings=list(known), values_int64s=list(range(len(known))),
            default_int64=len(known),
        )  # fmt: skip
        # Where unknown labels are refused, there is no such place, and so the run ends.
        places = np.arange(len(known) + keeps, dtype=np.float64)
        frame.put(output, graph("Gather", graph.reals(places), found, axis=0))
        frame.labels[output] = [*known, *([UNKNOWN_LABEL] if keeps else [])]


def _index_to_string(graph: Graph, saved: SavedStage, frame: Frame) -> None:
    name = saved.param("inputCol")
    labels = saved.metadata["paramMap"].get("labels") or frame.labels.get(name)
    if not labels:
        raise saved.cannot(f"nothing says what the indices in {name!r} stand for; set its labels")
    place = graph.cast(frame.numbers(name), np.int64)
    frame.put(saved.param("outputCol"), graph("Gather", graph.constant(np.array(labels, object)), place, axis=0), TEXT)


def _pairs(saved: SavedStage) -> list[tuple[str, str]]:
    """Columns that are read, and what is made of each."""
    return list(zip(saved.columns("inputCol", "inputCols"), saved.columns("outputCol", "outputCols"), strict=True))


_INFINITIES = {"Inf": np.inf, "Infinity": np.inf, "-Inf": -np.inf, "-Infinity": -np.inf}


def double(value: float | str) -> float:
    """A double as Spark's JSON has it: infinities are texts."""
    return _INFINITIES[value] if isinstance(value, str) else float(value)


ASSEMBLER = f"{_SPARK}VectorAssembler"
#: Spark's stages that become nodes, by class; the assembler apart.
STAGES: Mapping[str, Translate] = {
    f"{_SPARK}{name}": stage
    for name, stage in {
        "Binarizer": _binarizer,
        "Bucketizer": _bucketizer,
        "ChiSqSelectorModel": _of_vectors(_selector, "featuresCol"),
        "ElementwiseProduct": _of_vectors(_times),
        "IDFModel": _of_vectors(lambda graph, saved, rows: graph("Mul", rows, graph.reals(saved.vector("idf")))),
        "ImputerModel": _imputer,
        "IndexToString": _index_to_string,
        "MaxAbsScalerModel": _of_vectors(_max_abs),
        "MinMaxScalerModel": _of_vectors(_min_max),
        "Normalizer": _of_vectors(_normalizer),
        "OneHotEncoderModel": _one_hot,
        "PCAModel": _of_vectors(lambda graph, saved, rows: graph.product(rows, saved.matrix("pc"))),
        "RobustScalerModel": _scaler("median", "range", "withCentering", "withScaling"),
        "StandardScalerModel": _scaler("mean", "std", "withMean", "withStd"),
        "StringIndexerModel": _string_indexer,
        "UnivariateFeatureSelectorModel": _of_vectors(_selector, "featuresCol"),
        "VarianceThresholdSelectorModel": _of_vectors(_selector, "featuresCol"),
        "VectorSizeHint": _size_hint,
        "VectorSlicer": _of_vectors(_slicer),
    }.items()
}


def translate(graph: Graph, saved: SavedStage, frame: Frame, vectors: frozenset[str]) -> None:
    """Append the nodes of a stage of Spark's.

    Parameters
    ----------
    graph : Graph
    saved : SavedStage
    frame : Frame
        Gets what the stage makes.
    vectors : frozenset of str
        Columns that are vectors.

    Raises
    ------
    CannotExport, CannotServe
        Naming the stage, if it, or a setting of it, has no such nodes.
    """
    if saved.cls == ASSEMBLER:
        _assembler(graph, saved, frame, vectors)
    elif saved.cls in STAGES:
        STAGES[saved.cls](graph, saved, frame)
    else:
        raise CannotExport(
            f"stage {saved.uid} ({saved.cls.rpartition('.')[2]}) cannot be exported: ONNX has nothing that computes it; those that "
            f"can are {', '.join(sorted(name.rpartition('.')[2] for name in (ASSEMBLER, *STAGES)))}"
        )

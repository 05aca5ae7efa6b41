"""Graphs of ONNX, built node by node.

A tensor is known by its name. Numbers that a model computes with have one precision throughout a graph, 64 or 32 bits; what must have
another one says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("exporting needs onnx and onnxruntime: pip install 'sparkml-algos[onnx]'", name=error.name) from error

from sparkml_algos.version import __version__

#: What the numbers of a graph may be.
FLOAT64, FLOAT32, FLOAT16, INT8 = "float64", "float32", "float16", "int8"
PRECISIONS = (FLOAT64, FLOAT32, FLOAT16, INT8)

# ONNX 1.16 and ONNX Runtime 1.18 know these versions; older ones have no `StringSplit`.
OPSET, ML_OPSET, IR_VERSION = 20, 3, 10
ML = "ai.onnx.ml"
# A file of protocol buffers cannot be larger.
MAX_BYTES = (1 << 31) - 1
# Constants up to this size are kept once, however often they are used.
_SHARED_BYTES = 64
# The largest number of 16 bits.
MAX_FLOAT16 = float(np.finfo(np.float16).max)

#: How the first axis of all inputs and outputs is called.
ROWS = "rows"

_TYPES = {np.dtype(kind): helper.np_dtype_to_tensor_dtype(np.dtype(kind)) for kind in (
    "float16", "float32", "float64", "int8", "int32", "int64", "uint8", "uint64", "bool"
)}  # fmt: skip
# Of texts, in NumPy.
TEXT = np.dtype(object)


class CannotExport(ValueError):
    """A model, or a setting of it, that no graph is equal to."""


@dataclass(frozen=True)
class Input:
    """An input of a graph.

    Attributes
    ----------
    name : str
    dtype : dtype
        `TEXT` of texts.
    shape : tuple of int, str or None
        A text is a length that differs from call to call.
    """

    name: str
    dtype: Any
    shape: tuple[int | str | None, ...]


class Graph:
    """A graph that grows.

    Parameters
    ----------
    precision : {"float64", "float32", "float16", "int8"}
        With 16 bits the weights have so many and are computed with in 32; 8 bits are made of a graph of 32 when it is complete.

    Attributes
    ----------
    number : type
        Of the numbers that are computed with: ``np.float64`` or ``np.float32``.
    products, convolutions : list of str
        Names of the nodes that may compute with 8 bits: matrix products; and convolutions, with what is made of these at once.
    """

    def __init__(self, precision: str = FLOAT64) -> None:
        self.precision = precision
        self.number = np.float64 if precision == FLOAT64 else np.float32
        self.products: list[str] = []
        self.convolutions: list[str] = []
        self._nodes: list[Any] = []
        self._root, self._count = self, 0
        self._constants: dict[str, Any] = {}
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    # ----------------------------------------------------------------------------------------------------------------- nodes

    def __call__(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Append a node with one output.

        Parameters
        ----------
        operator : str
        *inputs : str
            Names of tensors; an empty one where an input is left out.
        domain : str
        **attributes

        Returns
        -------
        str
            Name of its output.
        """
        return self.several(operator, *inputs, outputs=1, domain=domain, **attributes)[0]

    def several(self, operator: str, *inputs: str, outputs: int, domain: str = "", **attributes: Any) -> list[str]:
        """Append a node with several outputs."""
        name = self._name(operator)
        names = [name] if outputs == 1 else [f"{name}_{place}" for place in range(outputs)]
        self._nodes.append(helper.make_node(operator, list(inputs), names, name=name, domain=domain, **attributes))
        return names

    def _name(self, operator: str) -> str:
        self._root._count += 1
        return f"{operator}_{self._root._count}"

    # ------------------------------------------------------------------------------------------------------------- constants

    def constant(self, array: Any) -> str:
        """A tensor of the type that it has."""
        array = np.asarray(array)
        root = self._root
        key = (str(array.dtype), array.shape, array.tobytes()) if array.dtype != TEXT and array.nbytes <= _SHARED_BYTES else None
        if key is not None and key in root._known:
            return root._known[key]
        name = root._name("constant")
        root._constants[name] = _tensor(array, name)
        if key is not None:
            root._known[key] = name
        return name

    def reals(self, array: Any) -> str:
        """Numbers in the precision of the graph."""
        return self.constant(np.asarray(array, self.number))

    def ints(self, *values: int) -> str:
        """Whole numbers, shape (values,)."""
        return self.constant(np.array(values, np.int64))

    def weights(self, array: np.ndarray) -> str:
        """Numbers that were learned, in the precision of the graph; of 16 bits where that is what it has and they are not too large."""
        array = np.asarray(array)
        if self.precision == FLOAT16 and np.abs(array).max(initial=0) <= MAX_FLOAT16:
            return self.cast(self.constant(array.astype(np.float16)), np.float32)
        return self.reals(array)

    def single(self, array: np.ndarray) -> str:
        """Numbers that were learned, where the runtime computes with 32 bits alone."""
        array = np.asarray(array)
        if self.precision == FLOAT16 and np.abs(array).max(initial=0) <= MAX_FLOAT16:
            return self.cast(self.constant(array.astype(np.float16)), np.float32)
        return self.constant(array.astype(np.float32))

    # ------------------------------------------------------------------------------------------------- operators in other words

    def cast(self, value: str, dtype: Any) -> str:
        """The same numbers of another type."""
        return self("Cast", value, to=TensorProto.STRING if np.dtype(dtype) == TEXT else _TYPES[np.dtype(dtype)])

    def real(self, value: str) -> str:
        """Numbers of any type in the precision of the graph."""
        return self.cast(value, self.number)

    def product(self, rows: str, weights: np.ndarray) -> str:
        """A matrix product with something that was learned."""
        found = self("MatMul", rows, self.weights(weights))
        self.products.append(found)
        return found

    def affine(self, rows: str, weights: np.ndarray, bias: np.ndarray | float) -> str:
        """``rows @ weights + bias``."""
        return self("Add", self.product(rows, weights), self.reals(bias))

    def reduced(self, operator: str, value: str, axis: int, keep: bool = False) -> str:
        """A reduction along one axis: ``ReduceSum``, ``ReduceMax`` …"""
        return self(operator, value, self.ints(axis), keepdims=int(keep))

    def sum(self, value: str, axis: int, keep: bool = False) -> str:
        """The sum along an axis."""
        return self.reduced("ReduceSum", value, axis, keep)

    def column(self, value: str, axis: int = 1) -> str:
        """With one more axis, of length 1."""
        return self("Unsqueeze", value, self.ints(axis))

    def stacked(self, *columns: str) -> str:
        """Tensors of shape (rows,) side by side, shape (rows, columns)."""
        return self("Concat", *(self.column(one) for one in columns), axis=1)

    def top(self, value: str, count: int, largest: bool = True) -> tuple[str, str]:
        """The largest or smallest numbers of each row in order, and their places; of equal ones the first comes first."""
        values, places = self.several("TopK", value, self.ints(count), outputs=2, axis=1, largest=int(largest), sorted=1)
        return values, places

    def size(self, value: str, axis: int = 0) -> str:
        """The length of an axis, shape (1,)."""
        return self("Slice", self("Shape", value), self.ints(axis), self.ints(axis + 1))

    def filled(self, like: str, number: float, width: int | None = None) -> str:
        """As many rows as a tensor has, filled with a number; shape (rows,) or (rows, width)."""
        shape = self.size(like) if width is None else self("Concat", self.size(like), self.ints(width), axis=0)
        return self("ConstantOfShape", shape, value=numpy_helper.from_array(np.array([number], self.number)))

    def loop(
        self, steps: int, states: Sequence[tuple[str, Any]], body: Callable[[Graph, list[str]], tuple[list[str], str | None]]
    ) -> list[str]:
        """A computation again and again.

        Parameters
        ----------
        steps : int
            At most so many times.
        states : sequence of (str, dtype)
            Tensors at the start and their types.
        body : callable
            From a graph to append to and the tensors to what they become; and, if not None, a bool without axes: whether to go on.

        Returns
        -------
        list of str
            What they are in the end.
        """
        inner = Graph(self.precision)
        inner.products, inner.convolutions = self.products, self.convolutions
        inner._root = self._root
        number, going = self._name("step"), self._name("going")
        names = [self._name("state") for _ in states]
        after, goes_on = body(inner, names)
        inputs = [_declared(number, np.int64, ()), _declared(going, np.bool_, ())]
        inputs += [_declared(name, dtype, None) for name, (_, dtype) in zip(names, states, strict=True)]
        on = inner("Identity", goes_on if goes_on is not None else going)
        kept = [inner("Identity", value) for value in after]
        outputs = [_declared(on, np.bool_, ())]
        outputs += [_declared(name, dtype, None) for name, (_, dtype) in zip(kept, states, strict=True)]
        graph = helper.make_graph(inner._nodes, self._name("body"), inputs, outputs)
        start = [self.constant(np.array(steps, np.int64)), self.constant(np.array(True))]
        return self.several("Loop", *start, *(value for value, _ in states), outputs=len(states), body=graph)

    # --------------------------------------------------------------------------------------------------------- what it is from outside

    def input(self, given: Input) -> str:
        """Declare an input; its name is that of its tensor."""
        self._inputs.append(_declared(given.name, given.dtype, given.shape))
        return given.name

    def output(self, name: str, value: str, dtype: Any, shape: Sequence[int | str | None] | None = None) -> None:
        """Declare an output, which is a tensor under another name."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=self._name("output")))
        self._outputs.append(_declared(name, dtype, shape))

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs declared so far."""
        return [output.name for output in self._outputs]

    def model(self, name: str, properties: Mapping[str, str]) -> Any:
        """The graph as a model, checked.

        Parameters
        ----------
        name : str
        properties : mapping of str to str
            Kept in the file, for people.

        Raises
        ------
        CannotExport
            If it is larger than a file may be.
        """
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, list(self._constants.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        model.producer_name, model.producer_version = "sparkml-algos", __version__
        helper.set_model_props(model, dict(properties))
        if model.ByteSize() > MAX_BYTES:
            raise CannotExport(f"its graph has {model.ByteSize():,} bytes, and a file of ONNX holds {MAX_BYTES:,}")
        onnx.checker.check_model(model)
        return model


def _declared(name: str, dtype: Any, shape: Sequence[int | str | None] | None) -> Any:
    kind = TensorProto.STRING if np.dtype(dtype) == TEXT else _TYPES[np.dtype(dtype)]
    return helper.make_tensor_value_info(name, kind, shape)


def _tensor(array: np.ndarray, name: str) -> Any:
    if array.dtype == TEXT:
        return helper.make_tensor(name, TensorProto.STRING, array.shape, [text.encode() for text in array.ravel()])
    return numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)

"""Graphs of 8 bits."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from sparkml_algos.export.graph import CannotExport

# Rows at most by which it is found what numbers convolutions give.
_CALIBRATION_ROWS = 32
_QUANTIZED = ("MatMulInteger", "QuantizeLinear")


def quantized(model: Any, products: Sequence[str], convolutions: Sequence[str], feeds: Mapping[str, np.ndarray]) -> Any:
    """A graph whose matrix products and convolutions have weights of 7 of 8 bits, with a scale for each column or channel.

    With all 8 the sums of pairs of products would be cut off on processors that have no instructions for them (AVX2 without VNNI): there
    a product of 512 x 512 was wrong by 0.8 standard deviations, with 7 bits by 0.14. What goes into a product is rounded as it comes, by a
    scale of its own for each call; what goes into convolutions by scales that are found once, by rows that the graph is given.

    Parameters
    ----------
    model : ModelProto
        Of 32 bits.
    products, convolutions : sequence of str
        Names of the nodes.
    feeds : mapping of str to ndarray
        Rows, by the names of the graph's inputs.

    Raises
    ------
    CannotExport
        If there is nothing to make 8 bits of.
    """
    if not products and not convolutions:
        raise CannotExport("precision='int8' is of matrix products and convolutions, and its graph has none")
    found = model
    if products:
        found = _passed(found, lambda before, after: _with_products(before, after, products))
    if convolutions:
        found = _passed(found, lambda before, after: _with_convolutions(before, after, convolutions, feeds))
    if not any(node.op_type in _QUANTIZED for node in found.graph.node):
        raise CannotExport("precision='int8': the library has left every matrix product and convolution as it was")
    found.metadata_props.extend(prop for prop in model.metadata_props if prop.key not in {one.key for one in found.metadata_props})
    return found


def _passed(model: Any, change: Callable[[str, str], None]) -> Any:
    """What a function of the library, which knows files alone, makes of a graph."""
    with tempfile.TemporaryDirectory(prefix="sparkml-algos-int8-") as folder, _quiet():
        before, after = str(Path(folder) / "before.onnx"), str(Path(folder) / "after.onnx")
        onnx.save(model, before)
        change(before, after)
        return onnx.load(after)


def _with_products(before: str, after: str, products: Sequence[str]) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    chosen = {"op_types_to_quantize": ["MatMul"], "nodes_to_quantize": list(products)}
    quantize_dynamic(before, after, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8, **chosen)


def _with_convolutions(before: str, after: str, convolutions: Sequence[str], feeds: Mapping[str, np.ndarray]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Rows(CalibrationDataReader):
        """Rows, one at a time."""

        def __init__(self) -> None:
            count = len(next(iter(feeds.values())))
            places = np.unique(np.linspace(0, count - 1, min(count, _CALIBRATION_ROWS)).astype(int))
            self._rows = iter([{name: array[place : place + 1] for name, array in feeds.items()} for place in places.tolist()])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._rows, None)

    chosen = {"op_types_to_quantize": ["Conv", "Relu"], "nodes_to_quantize": list(convolutions)}
    kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "quant_format": QuantFormat.QDQ}
    quantize_static(before, after, Rows(), per_channel=True, reduce_range=True, **kinds, **chosen)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's advice on how it would rather be used."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)

"""Graphs of 8 bits."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from sparkml_algos.export.graph import CannotExport


def quantized(model: Any, products: Sequence[str]) -> Any:
    """A graph whose matrix products have weights of 8 bits, with a scale for each column; rows are rounded as they come.

    Parameters
    ----------
    model : ModelProto
        Of 32 bits.
    products : sequence of str
        Names of the nodes.

    Raises
    ------
    CannotExport
        If there is nothing to make 8 bits of.
    """
    if not products:
        raise CannotExport("precision='int8' is of matrix products, and its graph has none")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory(prefix="sparkml-algos-int8-") as folder, _quiet():
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(model, str(before))
        chosen = {"op_types_to_quantize": ["MatMul"], "nodes_to_quantize": list(products)}
        quantize_dynamic(str(before), str(after), per_channel=True, weight_type=QuantType.QInt8, **chosen)
        found = onnx.load(str(after))
    if not any(node.op_type == "MatMulInteger" for node in found.graph.node):
        raise CannotExport("precision='int8': the library has left every matrix product as it was")
    found.metadata_props.extend(prop for prop in model.metadata_props if prop.key not in {one.key for one in found.metadata_props})
    return found


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

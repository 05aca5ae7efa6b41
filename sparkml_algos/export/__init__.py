"""Models as graphs of ONNX, as files of their libraries, and as packages for devices. Needs the extra ``onnx``, and no Spark."""

from __future__ import annotations

from sparkml_algos.export.comparison import Difference
from sparkml_algos.export.edge.package import Package, package, verify
from sparkml_algos.export.exporting import export
from sparkml_algos.export.graph import CannotExport
from sparkml_algos.export.report import Report

__all__ = ["CannotExport", "Difference", "Package", "Report", "export", "package", "verify"]

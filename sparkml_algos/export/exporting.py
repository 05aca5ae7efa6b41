"""Models as files that others run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sparkml_algos.arrays.saved import read_metadata
from sparkml_algos.export import comparison
from sparkml_algos.export.algorithms import translation_of
from sparkml_algos.export.graph import FLOAT32, FLOAT64, INT8, PRECISIONS, ROWS, CannotExport, Graph
from sparkml_algos.export.native import NATIVE, write_native
from sparkml_algos.export.pipeline import WholePipeline
from sparkml_algos.export.quantization import quantized
from sparkml_algos.export.report import Report, written
from sparkml_algos.export.subject import OneModel, Subject
from sparkml_algos.export.translation import SINGLE, Trained
from sparkml_algos.serving.local import saved
from sparkml_algos.serving.pipelines.saved import PIPELINES
from sparkml_algos.version import __version__

# Of numbers of 32 bits: choices that may be others, as numbers at the edge of a decision are rounded.
_AT_THE_EDGE = 1e-3
# Of the numbers that rows are generated from.
SEED = 19
ONNX = ".onnx"


def export(
    model: Any,
    target: str | os.PathLike[str],
    *,
    precision: str = FLOAT64,
    rows: Any = None,
    widths: Mapping[str, int] | None = None,
) -> Report:
    """Write a model as a graph of ONNX that answers as it does, which is tried out before anything is written; or as its library does.

    Parameters
    ----------
    model : Model, PipelineModel or path
        A fitted model, or the local directory where one was saved; a pipeline becomes one graph.
    target : path
        Its suffix says the format: ``.onnx``; ``.ubj`` or ``.json`` of the xgboost library; of networks ``.pt2``, that of `torch.export`.
    precision : {"float64", "float32", "float16", "int8"}
        What it computes with. With 64 bits it is equal to ours, with 32 to about seven digits, which some models have anyhow. With
        ``float16`` its weights have 16 bits and are computed with in 32; with ``int8`` those of matrix products and convolutions have 7 of
        8. These two change answers: the report says by how much.
    rows : ndarray, or mapping of str to column, optional
        Rows to compare by, as `serving.load(path)` takes them; generated ones by default. With ``label`` the report has both qualities: of
        segmentation its masks, of detection of each image an array of class, left, top, width and height.
    widths : mapping of str to int, optional
        Of a pipeline: how many numbers its columns of vectors have, where no stage tells.

    Returns
    -------
    Report

    Raises
    ------
    CannotExport
        If no graph is equal to the model, with the reason; or if the one that was made is not. Nothing is written then.
    """
    target = Path(target)
    if target.suffix not in (ONNX, *NATIVE):
        raise ValueError(f"{target} must end with one of {', '.join((ONNX, *NATIVE))}")
    with local_folder(model) as path:
        if target.suffix != ONNX:
            if precision != FLOAT64 or rows is not None or widths:
                raise ValueError(f"precision, rows and widths are of {ONNX}; {target.suffix} is written as its library does")
            return write_native(path, target, SEED)
        graph, report = compared(subject_of(path, widths), target, precision, rows)
    written(target, graph)
    return report


@contextmanager
def local_folder(model: Any) -> Iterator[Path]:
    """Where a model is saved on this machine, for a while if it is saved for this."""
    with tempfile.TemporaryDirectory(prefix="sparkml-algos-export-") as folder:
        yield Path(saved(model, Path(folder) / "model"))


def subject_of(path: Path, widths: Mapping[str, int] | None = None) -> Subject:
    """What a saved directory holds, on its way to a graph.

    Raises
    ------
    CannotExport, FileNotFoundError
    """
    if read_metadata(path)["class"] in PIPELINES:
        return WholePipeline(path, widths)
    if widths:
        raise ValueError("widths are of the columns of a pipeline")
    return OneModel(translation_of(Trained.read(path)))


def compared(subject: Subject, target: Path, precision: str, rows: Any = None) -> tuple[bytes, Report]:
    """The graph of a model as bytes, and how it compares.

    Raises
    ------
    CannotExport
        If it is not equal where it should be.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision not in subject.precisions:
        raise CannotExport(
            f"{subject.name} has no graph of {precision}, but of {', '.join(subject.precisions)}: what it decides by has more digits"
        )
    columns, label = _columns(subject, rows)
    feeds, ours = subject.asked(columns)
    graph = Graph(precision)
    outputs = subject.build(graph)
    for name, (tensor, kind) in outputs.items():
        shape = subject.shapes.get(name) or getattr(ours[name], "shape", (0,))[1:]
        graph.output(name, tensor, kind, (ROWS, *shape))
    model = graph.model(subject.name, {"class": subject.name, "precision": precision, "sparkml_algos": __version__})
    model = quantized(model, graph.products, graph.convolutions, feeds) if precision == INT8 else model
    content = model.SerializeToString()
    found = comparison.answers(comparison.session(content), feeds, min(comparison.BLOCK, subject.compared_rows))
    differences = comparison.differences(found, subject.settled(found, ours), subject.decisions)
    tolerance = {FLOAT64: subject.tolerance, FLOAT32: max(SINGLE, subject.tolerance)}.get(precision)
    measured = subject.quality(ours, found, label)
    count = len(next(iter(feeds.values())))
    report = Report(target, subject.name, precision, len(content), count, tolerance, differences, measured)
    _refuse_differences(report)
    return content, report


def _columns(subject: Subject, rows: Any) -> tuple[dict[str, Any], Any]:
    """Rows to compare by, and their labels."""
    if rows is None:
        return subject.rows(np.random.default_rng(SEED), subject.compared_rows), None
    columns = dict(rows) if isinstance(rows, Mapping) else {"features": rows}
    label = columns.pop("label", None)
    return columns, label


def _refuse_differences(report: Report) -> None:
    if report.tolerance is None:
        return
    allowed = 0 if report.precision == FLOAT64 else int(_AT_THE_EDGE * report.rows)
    if report.largest <= report.tolerance and report.differing <= allowed:
        return
    raise CannotExport(
        f"the graph of {report.model} with {report.precision} is not equal to it: numbers differ by up to {report.largest:.2g}, where "
        f"{report.tolerance:.2g} is allowed, and choices in {report.differing} of {report.rows} rows, where {allowed} may\n{report}"
    )

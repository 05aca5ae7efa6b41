"""What a graph answers beside what we do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

# Rows that a graph is given at once: some compute much of each.
BLOCK = 128


@dataclass(frozen=True)
class Difference:
    """Between an output of a graph and ours.

    Attributes
    ----------
    output : str
    largest, mean : float
        Of numbers: their distance, in relation to our number where that is more than 1. Of choices `mean` is the share that are others, and
        `largest` is NaN.
    differing : int or None
        Of choices: rows in which they are others. None of numbers.
    """

    output: str
    largest: float
    mean: float
    differing: int | None = None


def session(graph: bytes | str, threads: int = 1) -> Any:
    """A graph ready to be run by ONNX Runtime, on the CPU.

    Parameters
    ----------
    graph : bytes or str
        What a file holds, or its path.
    threads : int
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def answers(running: Any, feeds: Mapping[str, np.ndarray], block: int = BLOCK) -> dict[str, np.ndarray]:
    """What a graph answers, so many rows at a time, outputs by name."""
    names = [output.name for output in running.get_outputs()]
    wanted = {one.name for one in running.get_inputs()}
    feeds = {name: array for name, array in feeds.items() if name in wanted}
    rows = len(next(iter(feeds.values())))
    parts = [
        running.run(None, {name: array[start : start + block] for name, array in feeds.items()}) for start in range(0, max(rows, 1), block)
    ]
    return {name: np.concatenate(values) for name, values in zip(names, zip(*parts, strict=True), strict=True)}


def differences(found: Mapping[str, np.ndarray], ours: Mapping[str, Any], decisions: Sequence[str]) -> list[Difference]:
    """Output by output of a graph."""
    return [_difference(name, values, ours[name], name in decisions) for name, values in found.items()]


def _difference(name: str, found: np.ndarray, ours: Any, is_decision: bool) -> Difference:
    wanted = np.array(ours.to_pylist(), object) if isinstance(ours, pa.Array | pa.ChunkedArray) else np.asarray(ours)
    if found.shape != wanted.shape:
        raise AssertionError(f"output {name!r} has the shape {found.shape}, ours {wanted.shape}")
    if is_decision or wanted.dtype == object:
        others = (found != wanted).reshape(len(found), -1)
        return Difference(name, np.nan, float(others.mean()) if others.size else 0.0, int(others.any(axis=1).sum()))
    found, wanted = found.astype(np.float64), wanted.astype(np.float64)
    equal = (found == wanted) | np.isnan(found) & np.isnan(wanted)
    with np.errstate(invalid="ignore"):
        apart = np.where(equal, 0.0, np.abs(found - wanted) / np.maximum(1.0, np.abs(wanted)))
    apart = np.where(np.isnan(apart), np.inf, apart)
    return Difference(name, float(apart.max(initial=0.0)), float(apart.mean()) if apart.size else 0.0)


def both_qualities(
    ours: Mapping[str, Any], found: Mapping[str, np.ndarray], decisions: Sequence[str], label: Any
) -> dict[str, tuple[float, float]]:
    """`quality` of our answers, and of those of a graph."""
    label = None if label is None else np.asarray(label)
    theirs = quality(found, decisions, label)
    return {name: (value, theirs[name]) for name, value in quality(ours, decisions, label).items()}


def quality(outputs: Mapping[str, Any], decisions: Sequence[str], label: np.ndarray | None) -> dict[str, float]:
    """How good answers are: of clusters the mean squared distance, and where labels are known the accuracy or the root of the mean squared
    error."""
    if "distance_to_cluster" in outputs:
        return {"mean squared distance": float(np.mean(np.asarray(outputs["distance_to_cluster"], np.float64) ** 2))}
    name = next((name for name in ("predicted_label", "prediction", "score") if name in outputs), None)
    if label is None or name is None:
        return {}
    values = outputs[name]
    values = np.array(values.to_pylist(), object) if isinstance(values, pa.Array) else np.asarray(values)
    if name in decisions:
        return {"accuracy": float(np.mean(values == np.asarray(label, values.dtype)))}
    return {"root of the mean squared error": float(np.sqrt(np.mean((values.astype(np.float64) - label) ** 2)))}

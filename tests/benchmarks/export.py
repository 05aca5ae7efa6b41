"""Graphs of ONNX beside the models that they were made of, in differences and rows a second; and how long a first answer takes.

Rows a second are those of one thread, given a thousand rows at a time, in a process of their own for each model.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from data import REPOSITORY, Data
from harness import Options, Report, Table, measure

SAVED = REPOSITORY / "tests" / "saved"
ROWS, SECONDS, STARTS = 1000, 1.0, 5
FEATURES, CENTERS, ROUNDS = 100, 10, 100
FIRST_ANSWER = """
import sys
import numpy as np
from sparkml_algos import serving
found = serving.load(sys.argv[1])(features=np.ones((1, int(sys.argv[2])), np.float32))
assert all(len(found[name]) == 1 for name in found)
assert "torch" not in sys.modules
"""


def differences(data: Data, options: Options) -> Report:
    """Every model that is kept for the tests, in both precisions that are held to be equal."""
    from sparkml_algos.export import CannotExport, export
    from sparkml_algos.export.algorithms import REFUSED, TRANSLATIONS

    rows: list[list[Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in sorted(name for name in (*TRANSLATIONS, *REFUSED) if (SAVED / name).is_dir()):
            try:
                found = {
                    precision: export(SAVED / name, Path(folder) / "model.onnx", precision=precision)
                    for precision in ("float64", "float32")
                }
            except CannotExport as error:
                rows.append([name, None, None, None, None, str(error).partition(": ")[2] or str(error)])
                continue
            exact, single = found["float64"], found["float32"]
            rows.append([name, f"{exact.largest:.0e}", exact.differing, f"{single.largest:.0e}", single.differing, ""])
    columns = ["model", "float64: largest difference", "other choices", "float32: largest difference", "other choices ", "refused because"]
    return Report([Table("Graphs beside models, 1,000 generated rows", columns, rows)], {"rows": rows})


def speed(data: Data, options: Options) -> Report:
    """Models of 100 features."""
    kinds = ["kmeans", "linear", "pca", "xgboost", "machine", "forest"]
    rows = [measure(_speed, threads=1, kind=kind) for kind in kinds]
    columns = ["model", "ours, rows/s", "float64, rows/s", "float32, rows/s", "float32 / ours"]
    return Report([Table(f"Rows a second of one thread, {ROWS} rows at a time, {FEATURES} features", columns, rows)], {"rows": rows})


def start(data: Data, options: Options) -> Report:
    """From the start of a process to its first answer."""
    rows = []
    for name in (
        "KMeansModel",
        "LinearLearnerBinaryClassifierModel",
        "PCAModel",
        "RandomCutForestModel",
        "LDAModel",
        "XGBoostClassificationModel",
    ):
        seconds, before = [], resource.getrusage(resource.RUSAGE_CHILDREN)
        for _ in range(STARTS):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", FIRST_ANSWER, str(SAVED / name), "3"], check=True, cwd=REPOSITORY)
            seconds.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rows.append([name, median(seconds), max(seconds), busy / STARTS])
    return Report(
        [Table("Seconds from the start of a process to the first answer", ["model", "median", "slowest", "of processor time, mean"], rows)],
        {"rows": rows},
    )


def _speed(kind: str) -> list[Any]:

    from sparkml_algos import serving
    from sparkml_algos.export import export
    from sparkml_algos.export.comparison import session

    with tempfile.TemporaryDirectory() as folder:
        path = _model(Path(folder), kind)
        model = serving.load(path)
        given = np.random.default_rng(2).normal(size=(ROWS, FEATURES)).astype(np.float32)
        found = [_rate(lambda: _all(model(features=given)))]
        for precision in ("float64", "float32"):
            graph = Path(folder) / f"{precision}.onnx"
            export(path, graph, precision=precision)
            running = session(str(graph))
            found.append(_rate(lambda running=running: running.run(None, {"features": given})))
    return [kind, *found, found[2] / found[0]]


def _all(outputs: Any) -> list[Any]:
    """The outputs that a graph has, too."""
    return [outputs[name] for name in outputs if name not in ("contributions", "leaf", "attribution")]


def _rate(call: Any) -> float:
    call()
    calls, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        call()
        calls += 1
    return calls * ROWS / (time.perf_counter() - began)


def _model(folder: Path, kind: str) -> Path:
    import endpoint  # its models

    if kind in endpoint.MODELS:
        return endpoint.models_of(folder, kind)
    from sparkml_algos.algorithms.random_cut_forest.forest import grow
    from sparkml_algos.arrays.artifact import Artifact
    from sparkml_algos.arrays.saved import read_local

    random = np.random.default_rng(0)
    if kind == "pca":
        axes = np.linalg.qr(random.normal(size=(FEATURES, 10)))[0].T
        name, artifact = "PCAModel", Artifact({"components": axes, "mean": np.zeros(FEATURES), "explained_variance": np.ones(10)})
    elif kind == "machine":
        arrays = {"bias": np.zeros(1), "linear": random.normal(size=FEATURES), "factors": 0.1 * random.normal(size=(FEATURES, 8))}
        name, artifact = "FactorizationMachinesRegressorModel", Artifact(arrays)
    else:
        forest = grow(random.normal(size=(50, 256, FEATURES)).astype(np.float32), random.random((50, 255, 2)))
        name, artifact = "RandomCutForestModel", forest.to_artifact()
    endpoint.write_model(folder / "model", read_local(SAVED / name)[0], artifact)
    return folder / "model"


CASES = {"differences": differences, "speed": speed, "start": start}

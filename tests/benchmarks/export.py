"""Graphs of ONNX beside the models that they were made of, in differences and rows a second; and how long a first answer takes.

Rows a second are those of the processor with one thread, in a process of their own for each model.
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
import scipy.sparse as sp
from data import REPOSITORY, Data
from harness import Options, Report, Skipped, Table, measure

SAVED = REPOSITORY / "tests" / "saved"
SECONDS, STARTS = 1.0, 5
#: Rows to train on and to ask about; images, which are both.
TRAINED, ASKED, IMAGES = 2000, 1000, 24
# Models larger than those of the tests, and such as are exported.
_TREES = {"num_round": 100, "max_depth": 6}
SETTINGS: dict[str, dict[str, Any]] = {
    "BlazingTextClassifier": {"word_ngrams": 1, "vector_dim": 100},
    "BlazingTextWord2Vec": {"subwords": False, "vector_dim": 100},
    "IPInsights": {"vector_dim": 128},
    "LDA": {"num_topics": 50},
    "NeuralTopicModel": {"num_topics": 50},
    "Object2Vec": {"enc0_token_embedding_dim": 100, "enc_dim": 256},
    "PCA": {"num_components": 50},
    **dict.fromkeys(("XGBoostClassifier", "XGBoostRegressor", "XGBoostRanker"), _TREES),
}
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
    """A model of every algorithm that is exported, trained on rows of the public datasets and asked about others of these."""
    sys.path.insert(0, str(REPOSITORY))
    from sparkml_algos.export.algorithms import TRANSLATIONS
    from tests.datasets import DATA
    from tests.real_rows import TASKS

    if not DATA.is_dir():
        raise Skipped(f"{DATA}, with the public datasets, is not there")
    rows = [measure(_beside, threads=1, place=place) for place, task in enumerate(TASKS) if task.model in TRANSLATIONS]
    columns = ["model", "rows", "ours, rows/s", "float64, rows/s", "float32, rows/s", "float32 / ours"]
    columns += ["float64: largest difference", "other choices", "float32: largest difference", "other choices "]
    notes = [
        f"Rows per CPU second of one thread, up to {ASKED:,} at a time; trained on {TRAINED:,} others, of images on the same.",
        "Differences are those of these rows, in relation to our number where that is more than 1.",
        "Ours takes sparse rows as they are, decodes images, reads names and addresses; graphs are given zeros too, pixels, numbers.",
    ]
    return Report([Table("Graphs beside models that were trained on public datasets", columns, rows)], {"rows": rows}, notes)


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


def _beside(place: int) -> list[Any]:
    """A row of the table of `speed`, of a task by its place."""
    sys.path.insert(0, str(REPOSITORY))
    from sparkml_algos import serving
    from sparkml_algos.export import comparison, export
    from sparkml_algos.export.exporting import subject_of
    from sparkml_algos.training.run import train_arrays
    from tests.export.models import features_of, saved_as
    from tests.real_rows import TASKS

    task = TASKS[place]
    name = task.estimator.__name__
    algorithm = task.estimator.algorithm()
    given = task.columns(IMAGES if task.is_of_images else TRAINED + ASKED)
    read = {field.role: given[field.role] for field in algorithm.fields if field.role in given}
    columns = {role: values if isinstance(values, list) or sp.issparse(values) else np.asarray(values) for role, values in read.items()}
    settings = task.estimator(**{**task.settings, **SETTINGS.get(name, {})}).hyperparameters()
    artifact = train_arrays(algorithm, settings, **{role: values[:TRAINED] for role, values in columns.items()})
    asked = {field.role: columns[field.role][-ASKED:] for field in algorithm.fields if field.scoring and field.role in columns}
    facts = features_of(columns["features"].shape[1]) if "features" in columns else None
    with tempfile.TemporaryDirectory() as folder:
        path = saved_as(Path(folder) / "model", task.model, artifact, facts=facts, **settings)
        subject, model = subject_of(path), serving.load(path)
        feeds, _ = subject.asked(asked)
        count = len(next(iter(feeds.values())))
        reports = {one: export(path, Path(folder) / f"{one}.onnx", precision=one, rows=asked) for one in ("float64", "float32")}
        names = [one.output for one in reports["float32"].differences]
        rates = [_rate(lambda: _outputs(model(**asked), names), count)]
        for report in reports.values():
            running = comparison.session(str(report.path))
            rates.append(_rate(lambda running=running: comparison.answers(running, feeds, subject.compared_rows), count))
    apart = [cell for report in reports.values() for cell in (f"{report.largest:.0e}", report.differing)]
    return [f"{name}, {task.columns.__name__.replace('_', ' ')}", count, *rates, rates[2] / rates[0], *apart]


def _outputs(found: Any, names: list[str]) -> list[Any]:
    """Those that a graph has, too, which are computed when they are asked for."""
    return [found[name] for name in names if name in found]


def _rate(call: Any, rows: int) -> float:
    call()
    calls, began = 0, time.process_time()
    while time.process_time() - began < SECONDS:
        call()
        calls += 1
    return calls * rows / (time.process_time() - began)


CASES = {"differences": differences, "speed": speed, "start": start}

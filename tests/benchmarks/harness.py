"""What every benchmark needs: fresh processes, local sessions, medians, ratios, tables.

A benchmark module has a dictionary ``CASES`` of name to a function ``case(data, options) -> Report``. A case measures through
`measure`, which calls a top-level function of the module in a Python process of its own, so that no measurement profits from the JVM,
the Python workers or the caches of another.
"""

from __future__ import annotations

import gc
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from table import format_cell

if TYPE_CHECKING:
    from data import Dataset
    from pyspark.ml import Model
    from pyspark.sql import DataFrame, SparkSession

    from sparkml_algos.arrays.artifact import Artifact
    from sparkml_algos.core.model import AlgorithmModel
    from sparkml_algos.training.algorithm import Algorithm

HERE = Path(__file__).resolve().parent
CORES = 2
DRIVER_MEMORY = "4g"
# A measurement that takes longer is stuck; the longest takes some minutes on two quiet cores.
MEASUREMENT_TIMEOUT = 1800.0
LINES_OF_ERROR = 30
# Models to transform with are fitted on so many rows: enough for models that look like finished ones, which is all that the speed of
# transform depends on.
ROWS_OF_TRANSFORM_MODELS = 20_000
TRANSFORMS = 7
SECONDS_BETWEEN_LOOKS = 0.02
# Rows of a record batch: few, for some hold images.
_ROWS_AT_ONCE = 500
# The command line of Python workers; that of the JVM has the daemon's name too, among its settings.
DAEMON = re.compile(rb"-m\0[\w.]*daemon")

Result = TypeVar("Result")
Cell = str | int | float | None


class Skipped(Exception):
    """A case cannot run here; the message says why."""


class MeasurementFailed(RuntimeError):
    """The process of a measurement ended without a result."""


@dataclass(frozen=True)
class Options:
    """How thoroughly to measure.

    Attributes
    ----------
    sessions : int
        Fresh sessions per engine in a comparison of fits; figures are medians over them.
    """

    sessions: int = 1


@dataclass
class Table:
    """Rows under a title; numbers are right-aligned and rounded for reading."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[Cell]] = field(default_factory=list)

    def __str__(self) -> str:
        cells = [list(self.columns), *([format_cell(cell) for cell in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in cells]
        return "\n".join([self.title, lines[0], "-" * len(lines[0]), *lines[1:]])


@dataclass(frozen=True)
class Quality:
    """What came out of a comparison, by one measure for both."""

    name: str
    theirs: float
    ours: float


@dataclass(frozen=True)
class Headline:
    """A comparison with a peer in one line, for the table of the README.

    Attributes
    ----------
    subject : str
        What both did, on which rows.
    peer : str
        Who else did it.
    theirs, ours : float
        Seconds or, where more is better, rows per second.
    unit : {"s", "rows/s"}
    quality : Quality, optional
    """

    subject: str
    peer: str
    theirs: float
    ours: float
    unit: str = "s"
    quality: Quality | None = None

    @property
    def ratio(self) -> float:
        """How many times quicker ours is."""
        return ratio(self.theirs, self.ours) if self.unit == "s" else ratio(self.ours, self.theirs)


@dataclass
class Report:
    """What a case found.

    Attributes
    ----------
    tables : list of Table
        For people.
    values : dict
        For machines; everything in it can be written as JSON.
    notes : list of str
        How it was measured, where a reader could wonder.
    headlines : list of Headline
        Comparisons that are worth a line in the README.
    """

    tables: list[Table]
    values: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    headlines: list[Headline] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n\n".join([*map(str, self.tables), *(["\n".join(f"* {note}" for note in self.notes)] if self.notes else [])])


# ----------------------------------------------------------------------------------------------------------------- processes


def measure(
    function: Callable[..., Result], *, threads: int | None = None, timeout: float = MEASUREMENT_TIMEOUT, **arguments: Any
) -> Result:
    """The result of a top-level function of a benchmark module, called in a fresh Python process.

    Parameters
    ----------
    function : callable
        Takes and returns what JSON can hold.
    threads : int, optional
        Of the process's linear algebra (``OMP_NUM_THREADS``).
    timeout : float
        Seconds.
    **arguments
        Of the function.

    Raises
    ------
    MeasurementFailed
        With the last lines of what the process said.
    """
    name = f"{function.__module__}:{function.__qualname__}"
    shown = ", ".join(f"{key}={Path(value).name if key == 'path' else value}" for key, value in arguments.items())
    print(f"  measuring {name}({shown})", file=sys.stderr, flush=True)
    # Spark's Python workers look the module up by name too.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))}
    if threads:
        environment["OMP_NUM_THREADS"] = environment["OPENBLAS_NUM_THREADS"] = str(threads)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-c", "import harness; harness.answer()", name, json.dumps(arguments), str(answer)]
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        try:
            done = subprocess.run(command, env=environment, cwd=folder, timeout=timeout, **streams)
        except subprocess.TimeoutExpired:
            raise MeasurementFailed(f"{name} took more than {timeout:.0f} s") from None
        if done.returncode or not answer.exists():
            said = "\n".join(done.stdout.splitlines()[-LINES_OF_ERROR:])
            raise MeasurementFailed(f"{name} ended with exit status {done.returncode}:\n{said}")
        return json.loads(answer.read_text())


def answer() -> None:
    """The other end of `measure`: ``module:function``, its arguments as JSON, and where to write the result."""
    name, arguments, path = sys.argv[1:]
    module, function = name.split(":")
    result = getattr(import_module(module), function)(**json.loads(arguments))
    Path(path).write_text(json.dumps(result))


# ------------------------------------------------------------------------------------------------- inside such a process


def local_session(bridge: str = "auto", daemon: str = "pyspark.daemon", cores: int = CORES) -> SparkSession:
    """A session on the cores of this machine, the same for every engine but for our daemon and whether the JVM bridge may join it."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(f"local[{cores}]").appName("benchmark")
    builder = builder.config("spark.driver.memory", DRIVER_MEMORY).config("spark.driver.host", "127.0.0.1")
    builder = builder.config("spark.sparkml_algos.bridge", bridge).config("spark.python.daemon.module", daemon)
    session = builder.config("spark.ui.enabled", "false").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def remote_session() -> SparkSession:
    """A session of Spark Connect, with a server of its own on the cores of this machine."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    return SparkSession.builder.remote(f"local[{CORES}]").getOrCreate()


def cached(session: SparkSession, path: str) -> DataFrame:
    """The rows of a Parquet folder, in Spark's memory."""
    frame = session.read.parquet(path).cache()
    frame.count()
    return frame


def train_alone(algorithm: Algorithm, hyperparameters: dict[str, Any], *, seed: int = 0, **columns: Any) -> tuple[Artifact, dict[str, Any]]:
    """The model of a training on arrays in this process, without Spark, and what the worker reports: seconds, waiting for input.

    Parameters
    ----------
    algorithm : Algorithm
    hyperparameters : dict
        A value for every hyperparameter.
    seed : int
    **columns
        By role.
    """
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.rows.decoder import Decoder, record_batches
    from sparkml_algos.rows.fields import Source
    from sparkml_algos.training.run import Alone, TrainingPlan, train

    fields = [field for field in algorithm.fields_for(Hyperparameters(**hyperparameters)) if field.role in columns]
    plan = TrainingPlan(algorithm, [hyperparameters], Decoder([Source(field, [field.role]) for field in fields]), seed=seed)
    results = dict(train(plan, Alone(), record_batches(fields, columns, _ROWS_AT_ONCE)))
    return results["model/0"], results["report/0"].values


def exported(name: str, artifact: Artifact, hyperparameters: dict[str, Any], rows: dict[str, Any]) -> dict[str, Any]:
    """What graphs of 32 and of 8 bits cost a model, and gain.

    Parameters
    ----------
    name : str
        Of the model's class.
    artifact : Artifact
    hyperparameters : dict
    rows : dict
        As `export` takes them, with ``label``.

    Returns
    -------
    dict
        By precision ``quality`` (by name that of ours and of the graph), ``bytes``, ``largest`` difference and ``rate``, rows per CPU
        second of one thread; ``ours`` is our rate, decoding included.
    """
    sys.path.insert(0, str(HERE.parent.parent))
    from sparkml_algos.export import comparison, export
    from sparkml_algos.export.exporting import subject_of
    from tests.export.models import saved_as

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        path = saved_as(Path(folder) / "model", name, artifact, **hyperparameters)
        subject = subject_of(path)
        columns = {column: values for column, values in rows.items() if column != "label"}
        count = len(next(iter(columns.values())))
        begin = time.process_time()
        feeds, _ = subject.asked(columns)
        found["ours"] = count / (time.process_time() - begin)
        for precision in ("float32", "int8"):
            report = export(path, Path(folder) / f"{precision}.onnx", precision=precision, rows=rows)
            running = comparison.session(str(report.path))
            begin = time.process_time()
            comparison.answers(running, feeds, subject.compared_rows)
            rate = count / (time.process_time() - begin)
            found[precision] = {"quality": report.quality, "bytes": report.bytes, "largest": report.largest, "rate": rate}
    return found


def table_of_exported(found: dict[str, Any]) -> Table:
    """The same for people."""
    (measure_of,) = list(found["int8"]["quality"])[:1]
    table = Table("As a graph of ONNX", ["", measure_of, "MB", "largest difference", "images per CPU second"])
    ours, _ = found["int8"]["quality"][measure_of]
    table.rows.append(["ours, with decoding", f"{ours:.4f}", None, None, found["ours"]])
    for precision in ("float32", "int8"):
        of = found[precision]
        table.rows.append([precision, f"{of['quality'][measure_of][1]:.4f}", of["bytes"] / 1e6, f"{of['largest']:.1g}", of["rate"]])
    return table


class PeakMemory:
    """The most memory that a Python worker had, looked up in /proc while the context is open."""

    def __enter__(self) -> PeakMemory:
        self.mebibytes, self._open = 0.0, True
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._thread.join()

    def _look(self) -> None:
        while self._open:
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    if DAEMON.search((process / "cmdline").read_bytes()):
                        status = (process / "status").read_text().split("VmHWM:")[1]
                        self.mebibytes = max(self.mebibytes, int(status.split()[0]) / 1024)
                except (OSError, IndexError):  # it has just ended
                    continue
            time.sleep(SECONDS_BETWEEN_LOOKS)


def timed(action: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds an action takes, and what it returns."""
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


@contextmanager
def collecting_between() -> Iterator[None]:
    """Without collection of garbage meanwhile.

    Besides its time: on Spark Connect (4.3.0) MLlib's models say goodbye to the server when they are collected, and where that happens
    inside another call the client waits for itself for ever.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()


# ----------------------------------------------------------------------------------------------------------------- transform


def score_times(
    path: str, fit: Callable[[DataFrame], tuple[Model, AlgorithmModel]], *, from_disk: bool = False, connect: bool = False
) -> dict[str, dict[str, list[float]]]:
    """Seconds of each transform of the rows of a Parquet folder, by source and engine.

    Parameters
    ----------
    path : str
    fit : callable
        Makes MLlib's model and ours from a sample of the rows.
    from_disk : bool, default False
        Whether to measure with rows read from disk too, not only with cached ones.
    connect : bool, default False
        Whether in a session of Spark Connect.
    """
    from pyspark.sql import functions as F

    session = remote_session() if connect else local_session()
    frame = cached(session, path)
    sample = frame.limit(ROWS_OF_TRANSFORM_MODELS).cache()
    models = dict(zip(("mllib", "ours"), fit(sample), strict=True))
    sample.unpersist(blocking=True)
    engines: dict[str, Callable[[DataFrame], DataFrame]] = {
        "mllib": lambda source: forced(models["mllib"].transform(source), source),
        "python": lambda source: forced(models["ours"].copy().setScorer("python").transform(source), source),
        "jvm": lambda source: forced(models["ours"].copy().setScorer("jvm").transform(source), source),
        "bare": lambda source: source.agg(F.sum(F.unwrap_udt("features")["values"][0])),
    }

    def seconds(source: DataFrame) -> dict[str, list[float]]:
        with collecting_between():
            rounds = [{name: timed(engine(source).first)[0] for name, engine in engines.items()} for _ in range(TRANSFORMS + 1)]
        return {name: [found[name] for found in rounds[1:]] for name in engines}

    found = {"cached": seconds(frame)}
    # Spark would answer a new read of the same files from the cache.
    frame.unpersist(blocking=True)
    if from_disk:
        found["Parquet"] = seconds(session.read.parquet(path))
    # MLlib's model says goodbye here, for at the end of the process (Spark Connect 4.3.0, Python 3.11) it would for ever.
    models.clear()
    gc.collect()
    return found


def forced(scored: DataFrame, source: DataFrame) -> DataFrame:
    """Sums that need every column of `scored` that `source` has not: of numbers, or of the first entries of vectors."""
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql import functions as F

    added = [field for field in scored.schema.fields if field.name not in source.columns]
    return scored.agg(
        *(F.sum(F.unwrap_udt(field.name)["values"][0] if isinstance(field.dataType, VectorUDT) else F.col(field.name)) for field in added)
    )


def score_rates(model: str, measured: Sequence[tuple[Dataset, dict[str, dict[str, list[float]]]]]) -> Report:
    """Rows per second of a kind of model, from what `score_times` found with each dataset."""
    columns = ["dataset", "source", "MLlib rows/s", "Python rows/s", "JVM rows/s", "Python/MLlib", "JVM/MLlib", "bare rows/s"]
    table, values = Table("Transform: rows per second", columns), {}
    for dataset, sources in measured:
        values[dataset.name] = {}
        for source, seconds in sources.items():
            rates = {engine: dataset.rows / median(found) for engine, found in seconds.items()}
            ratios = {f"{engine}/mllib": ratio(rates[engine], rates["mllib"]) for engine in ("python", "jvm")}
            table.rows.append([dataset.title, source, rates["mllib"], rates["python"], rates["jvm"], *ratios.values(), rates["bare"]])
            values[dataset.name][source] = {**rates, **ratios, "seconds": seconds}
    notes = [
        f"Median of {TRANSFORMS} after a warm-up, the engines in turn; all output columns of each are forced by a sum, of a vector by that "
        "of its first entry.",
        "bare: the same query with one value of each row in place of a prediction, which no scorer can outrun.",
        "cached: DataFrame cached and counted before; Parquet: read from disk each time.",
    ]
    headlines = [
        Headline(f"transform of {model}, {dataset.subject}, every output", "MLlib", rates["mllib"], rates["jvm"], "rows/s")
        for dataset, _ in measured
        for rates in [values[dataset.name]["cached"]]
    ]
    return Report([table], values, notes, headlines)


# ------------------------------------------------------------------------------------------------------------------- numbers


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return float(statistics.median(values))


def ratio(numerator: float, denominator: float) -> float:
    """A quotient that survives a denominator of zero."""
    return numerator / denominator if denominator else float("nan")


def medians(samples: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of every entry over dictionaries with the same keys."""
    return {key: median([sample[key] for sample in samples]) for key in samples[0]}

"""Which Python Spark starts for its workers, and what that one can import.

Spark starts ``PYSPARK_PYTHON``, else the ``python3`` of PATH: where an environment's own ``python`` runs the driver and the environment is
not activated, as in a notebook's kernel, that is another Python, without the environment's libraries.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import shutil
import site
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark import SparkContext
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkml_algos.cluster.errors import last_python_error
from sparkml_algos.cluster.jobs import is_connect
from sparkml_algos.version import __version__

# An internal setting by which a session, a Connect client's too, names another Python.
SETTING = "spark.sql.execution.pyspark.python"
SECONDS_TO_ANSWER = 60

# What a Python can import, asked in itself. As text, for it runs where this package may not be.
LOOK = """
def look(libraries):
    import importlib.util, sys
    version = None
    if importlib.util.find_spec("sparkml_algos"):
        from sparkml_algos.version import __version__ as version
    missing = [library for library in libraries if importlib.util.find_spec(library) is None]
    return {"python": sys.executable, "python_version": "%d.%d" % sys.version_info[:2], "missing": missing, "version": version}
"""
_AND_TELL = "import json, sys; print(json.dumps(look(sys.argv[1:])))"


@dataclass(frozen=True)
class Interpreter:
    """What a Python has.

    Parameters
    ----------
    python : str
        Its path.
    missing : sequence of str
        Those of the libraries asked for that it has not.
    version : str or None
        Of this package; None without.
    python_version : str
        Such as ``3.11``.
    """

    python: str
    missing: Sequence[str]
    version: str | None
    python_version: str = f"{sys.version_info.major}.{sys.version_info.minor}"


class NoInterpreter(RuntimeError):
    """The Python of the executors does not answer; the message says why."""


def is_here(spark: SparkSession) -> bool:
    """Whether Python workers are started on this machine by a JVM that this process has started, with its environment."""
    master = spark.conf.get("spark.master", "")
    return SparkContext._gateway is not None and (master == "local" or master.startswith("local["))


def look_here(spark: SparkSession, libraries: Sequence[str]) -> Interpreter:
    """What Spark's Python workers have in a session for which `is_here` holds. It takes no Spark job, and where they run in this very
    environment next to no time.

    Raises
    ------
    NoInterpreter
    """
    system, name = SparkContext._jvm.System, python_of_workers(spark)
    found = shutil.which(name, path=system.getenv("PATH") or os.defpath)
    if found is None:
        raise NoInterpreter(f"{name!r}, which Spark is to start, is not on the PATH of this session")
    extra = SparkContext._active_spark_context.environment.get("PYTHONPATH")  # spark.executorEnv.PYTHONPATH
    search = os.pathsep.join(filter(None, [extra, system.getenv("PYTHONPATH")]))
    if is_this_environment(found) and _finds_this_package(search):
        return Interpreter(sys.executable, [library for library in libraries if not importlib.util.find_spec(library)], __version__)
    return ask(found, tuple(libraries), search, system.getProperty("user.dir"))


def ask_an_executor(spark: SparkSession, libraries: Sequence[str]) -> Interpreter:
    """What the Python of an executor has, by a job of one task. It is one of plain Python: a function of Arrow would not run without it.

    Raises
    ------
    NoInterpreter
    """
    look = LOOK

    def answer(_):  # noqa: ANN001, ANN202 - a nested function is sent as code, not by the name of its module
        import json

        names = {}
        exec(look, names)
        return json.dumps(names["look"](libraries))

    try:
        row = spark.range(0, 1, 1, 1).select(F.udf(answer, "string", useArrow=False)("id").alias("answer")).first()
    except Exception as error:
        reason = last_python_error(str(error))
        if reason is None:
            raise  # not Python's fault
        raise NoInterpreter(reason) from None
    return Interpreter(**json.loads(row["answer"]))


def python_of_workers(spark: SparkSession) -> str:
    """The name by which Spark starts Python workers, as far as the driver knows."""
    if named := spark.conf.get(SETTING, None):
        return named
    if not is_connect(spark):
        return spark.sparkContext.pythonExec
    environment = SparkContext._jvm.System.getenv if SparkContext._gateway else os.environ.get
    return environment("PYSPARK_PYTHON") or environment("PYSPARK_DRIVER_PYTHON") or "python3"


def is_this_environment(python: str) -> bool:
    """Whether an interpreter is this process's, in the same environment: one file alone may serve many environments by links."""
    here, there = Path(sys.executable), Path(python)
    return here.resolve() == there.resolve() and here.parent.resolve() == there.parent.resolve()


def _finds_this_package(search: str) -> bool:
    """Whether a fresh interpreter is known to find this package where it was found here: this process may have been told where to look
    while it ran."""
    places = [*search.split(os.pathsep), *site.getsitepackages(), site.getusersitepackages()]
    return any(place and Path(place).resolve() == Path(__file__).resolve().parents[2] for place in places)


@functools.cache
def ask(python: str, libraries: tuple[str, ...], search: str = "", directory: str | None = None) -> Interpreter:
    """What an interpreter of this machine has; asked once, in a process of its own.

    Parameters
    ----------
    python : str
        Its path.
    libraries : tuple of str
    search : str
        Its PYTHONPATH.
    directory : str, optional
        Where it is started.

    Raises
    ------
    NoInterpreter
    """
    command, environment = [python, "-c", f"{LOOK}\n{_AND_TELL}", *libraries], {**os.environ, "PYTHONPATH": search}
    try:
        answer = subprocess.run(command, env=environment, cwd=directory, capture_output=True, text=True, timeout=SECONDS_TO_ANSWER)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoInterpreter(f"{python}, which Spark is to start, does not run: {error}") from None
    if answer.returncode:
        raise NoInterpreter(f"{python}, which Spark is to start, does not run: {answer.stderr.strip()}")
    return Interpreter(**json.loads(answer.stdout))

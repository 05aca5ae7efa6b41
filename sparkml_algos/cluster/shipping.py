"""Executors that have the libraries but not this package are sent it, once per session.

A session with executors elsewhere is asked by a job of one task what its Python has, before it scores and before it trains for the first
time; a local one only where more is needed than this package requires.
"""

from __future__ import annotations

import atexit
import json
import logging
import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pyspark.sql import SparkSession

from sparkml_algos.collectives.horovod import INSTALL as INSTALL_HOROVOD
from sparkml_algos.version import __version__

logger = logging.getLogger(__name__)

PACKAGE = "sparkml_algos"
# What executors import to train and to score, and beyond that to train on GPUs or with torch's collectives, or with those of Horovod. What
# one algorithm alone takes, xgboost for one, its workers miss themselves.
ALWAYS = ("numpy", "scipy", "pyarrow")
WITH_TORCH = (*ALWAYS, "torch")
WITH_HOROVOD = (*WITH_TORCH, "horovod")

# Of each session the libraries that its executors are known to have.
_known: weakref.WeakKeyDictionary[SparkSession, set[str]] = weakref.WeakKeyDictionary()


def ensure_importable(spark: SparkSession, libraries: Sequence[str] = ALWAYS) -> None:
    """See to it that functions of this package can run on the executors of a session.

    Parameters
    ----------
    spark : SparkSession
        Classic or Connect.
    libraries : sequence of str
        What they import.

    Raises
    ------
    RuntimeError
        If executors lack a library, or have another version of this package.
    """
    if _known.get(spark, set()).issuperset(libraries) or (_is_local(spark) and set(libraries) <= set(ALWAYS)):
        return
    found = _ask_an_executor(spark, libraries)
    if problem := _problem(found):
        raise RuntimeError(problem)
    if found["version"] is None:
        _ship(spark)
    _known[spark] = {*_known.get(spark, ()), *libraries}


def _is_local(spark: SparkSession) -> bool:
    """Whether executors are threads of the driver's process."""
    master = spark.conf.get("spark.master", "")
    return master == "local" or master.startswith("local[")


def _ask_an_executor(spark: SparkSession, libraries: Sequence[str]) -> dict[str, object]:
    """Version of this package on an executor, None without; its Python, and which libraries it lacks."""

    def answer(batches):  # noqa: ANN001, ANN202 - a nested function is sent as code, not by the name of its module
        import importlib.util
        import json
        import sys

        import pyarrow as pa

        for _ in batches:
            pass
        version = None
        if importlib.util.find_spec("sparkml_algos"):
            from sparkml_algos.version import __version__ as version
        missing = [library for library in libraries if importlib.util.find_spec(library) is None]
        found = {"version": version, "missing": missing, "python": sys.executable}
        yield pa.RecordBatch.from_pydict({"answer": [json.dumps(found)]})

    return json.loads(spark.range(0, 1, 1, 1).mapInArrow(answer, "answer string").first()["answer"])


def _problem(found: dict[str, object]) -> str | None:
    if found["missing"]:
        extra = "'sparkml-algos[torch]'" if "torch" in found["missing"] else f"the requirements of {PACKAGE}"
        horovod = f" ({INSTALL_HOROVOD} builds Horovod)" if "horovod" in found["missing"] else ""
        return (
            f"the Python of the executors, {found['python']}, has no {', '.join(found['missing'])}: install {extra} there{horovod}, or "
            "send an environment that has it (spark-conf/pack-environment.sh)"
        )
    if found["version"] not in (None, __version__):
        return f"the executors have {PACKAGE} {found['version']}, the driver has {__version__}: install the same version on both"
    return None


def _ship(spark: SparkSession) -> None:
    logger.info("executors have no %s of their own; sending version %s", PACKAGE, __version__)
    directory = Path(tempfile.mkdtemp(prefix=f"{PACKAGE}-"))
    # Spark serves the file to executors that come later, too.
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    archive = package_archive(directory)
    if hasattr(spark, "_jsparkSession"):
        spark.sparkContext.addPyFile(str(archive))
    else:
        spark.addArtifacts(str(archive), pyfile=True)


def package_archive(directory: Path) -> Path:
    """The Python files of this package as a zip that Python imports from."""
    root = Path(__file__).parents[1]
    path = directory / f"{PACKAGE}-{__version__}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in _sources(root):
            archive.write(source, source.relative_to(root.parent))
    return path


def _sources(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*.py")) if "__pycache__" not in path.parts)

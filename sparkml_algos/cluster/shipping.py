"""Executors that have the libraries but not this package are sent it, once per session.

Before it scores and before it trains for the first time, a session is asked what the Python of its executors has: by a job of one task
where they are elsewhere, without any where they are on this machine.
"""

from __future__ import annotations

import atexit
import logging
import shutil
import sys
import tempfile
import weakref
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pyspark.sql import SparkSession

from sparkml_algos.cluster.errors import with_check
from sparkml_algos.cluster.interpreters import Interpreter, NoInterpreter, ask_an_executor, is_here, is_this_environment, look_here
from sparkml_algos.cluster.jobs import described
from sparkml_algos.collectives.horovod import INSTALL as INSTALL_HOROVOD
from sparkml_algos.version import __version__

logger = logging.getLogger(__name__)

PACKAGE = "sparkml_algos"
# What executors import to train and to score, and beyond that to train on GPUs or with torch's collectives, or with those of Horovod.
ALWAYS = ("numpy", "scipy", "pyarrow")
WITH_TORCH = (*ALWAYS, "torch")
WITH_HOROVOD = (*WITH_TORCH, "horovod")
# Of what not every algorithm imports, the extra that brings it.
_EXTRAS = {"torch": "torch", "PIL": "images"}

_PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

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
        If executors lack a library, have another version of Python or of this package, or no Python that runs.
    """
    if _known.get(spark, set()).issuperset(libraries):
        return
    here = is_here(spark)
    try:
        with described(spark, f"{PACKAGE}: see what Python the executors have"):
            found = look_here(spark, libraries) if here else ask_an_executor(spark, libraries)
    except NoInterpreter as error:
        message = f"the executors cannot run Python functions of this session: {error}; {how_to_choose(here)}"
        raise RuntimeError(with_check(message)) from None
    if problem := _problem(found, here):
        needing = {"horovod": "horovod", "torch": "gloo"}  # a communicator that does
        communicator = next((needing[library] for library in needing if library in found.missing), None)
        raise RuntimeError(with_check(problem, **({"communicator": communicator} if communicator else {})))
    if found.version is None:
        _ship(spark)
    _known[spark] = {*_known.get(spark, ()), *libraries}


def _problem(found: Interpreter, here: bool) -> str | None:
    named = f"the Python of the executors, {found.python},"
    if found.python_version != _PYTHON_VERSION:
        differs = f"is {found.python_version}, and Spark takes only the driver's version, {_PYTHON_VERSION}, there"
        return f"{named} {differs}; {how_to_choose(here)}"
    if found.missing:
        horovod = f" ({INSTALL_HOROVOD} builds Horovod)" if "horovod" in found.missing else ""
        extras = ",".join(extra for library, extra in _EXTRAS.items() if library in found.missing)
        extra = f"'sparkml-algos[{extras}]'" if extras else f"the requirements of {PACKAGE}"
        remedy = f"install {extra} there{horovod}"
        if not is_this_environment(found.python):
            remedy += f", or have another run: {how_to_choose(here)}"
        return f"{named} has no {', '.join(found.missing)}: {remedy}"
    if found.version not in (None, __version__):
        return f"the executors have {PACKAGE} {found.version}, the driver has {__version__}: install the same version on both"
    return None


def how_to_choose(here: bool) -> str:
    """How another Python comes to be the executors'.

    Parameters
    ----------
    here : bool
        Whether they are on this machine, as `interpreters.is_here` has it.
    """
    driver = f"the driver's is {sys.executable}"
    if here:
        return f"{driver}, and Spark starts it if PYSPARK_PYTHON={sys.executable} is set in the environment before the session begins"
    return (
        f"{driver}; Spark starts the one that PYSPARK_PYTHON names, which must be on every host, or sent there with its libraries "
        "(spark-conf/pack-environment.sh)"
    )


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

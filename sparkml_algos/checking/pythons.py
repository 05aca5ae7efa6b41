"""The Pythons of the driver and of the executors, and the libraries of both."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyspark.sql import SparkSession

from sparkml_algos.checking.report import ADVICE, RIGHT, WRONG, Finding, in_a_line
from sparkml_algos.checking.survey import survey
from sparkml_algos.checking.tasks import ask_all
from sparkml_algos.cluster.errors import last_python_error
from sparkml_algos.cluster.interpreters import is_here, is_this_environment
from sparkml_algos.cluster.shipping import ALWAYS, WITH_HOROVOD, WITH_TORCH, how_to_choose
from sparkml_algos.collectives.horovod import INSTALL as INSTALL_HOROVOD

#: By the name of a library: what it may be called where it is installed, and the oldest version that serves, as setup.py has it.
LIBRARIES: Mapping[str, tuple[Sequence[str], str]] = {
    "numpy": (["numpy"], "1.24"),
    "scipy": (["scipy"], "1.10"),
    "pyarrow": (["pyarrow"], "12"),
    "pandas": (["pandas"], "2.0"),
    "xgboost": (["xgboost", "xgboost-cpu"], "2.1"),
    "torch": (["torch"], "2.4"),
    "horovod": (["horovod"], "0.28"),
    "numba": (["numba"], "0.60"),
}
# What happens where a library is missing that not all trainings need.
_MISSING = {
    "xgboost": "only XGBoostClassifier, XGBoostRegressor and XGBoostRanker need it",
    "numba": "nothing needs it; inner loops are not compiled without it, and slower",
}


def needed(communicator: str, use_gpu: bool, spark_version: str) -> list[str]:
    """Libraries that every training with these settings imports on executors, and scoring."""
    with_torch = use_gpu or communicator in ("gloo", "nccl")
    libraries = WITH_HOROVOD if communicator == "horovod" else WITH_TORCH if with_torch else ALWAYS
    # Before, functions of Arrow come by way of pandas.
    by_pandas = tuple(map(int, spark_version.split(".")[:2])) < (4, 1)
    return [*libraries, *(["pandas"] if by_pandas else [])]


def ask_driver(imported: Sequence[str]) -> dict[str, Any]:
    """What this process has, as `survey` says it."""
    return survey({name: called for name, (called, _) in LIBRARIES.items()}, list(imported))


def ask_executors(spark: SparkSession, size: int) -> list[dict[str, Any]]:
    """What the Pythons of `size` tasks have, as `survey` says it."""
    source, distributions, imported = inspect.getsource(inspect.getmodule(survey)), dict(LIBRARIES), list(ALWAYS)

    def question(_):  # noqa: ANN001, ANN202 - sent as code
        names = {}
        exec(source, names)
        return names["survey"]({name: called for name, (called, _) in distributions.items()}, imported)

    return ask_all(spark, size, question, "see what Pythons the executors have")


def no_answer(spark: SparkSession, error: Exception) -> Finding:
    """What it means that executors do not run Python."""
    reason = last_python_error(str(error)) or in_a_line(error)
    return Finding("Python", WRONG, f"executors run no Python functions of this session: {reason}", how_to_choose(is_here(spark)))


def interpreters(spark: SparkSession, driver: Mapping[str, Any], executors: Sequence[Mapping[str, Any]]) -> Finding:
    """Whether executors have a Python of the driver's version, the same everywhere."""
    mine = f"driver: {driver['version']}, {driver['python']}"
    theirs = sorted({(found["version"], found["python"]) for found in executors})
    described = f"{mine}; executors: " + ", ".join(f"{version}, {python}" for version, python in theirs)
    if any(_minor(version) != _minor(driver["version"]) for version, _ in theirs):
        return Finding("Python", WRONG, f"{described}: Spark takes only the driver's version", how_to_choose(is_here(spark)))
    if is_here(spark) and len(theirs) == 1 and not is_this_environment(theirs[0][1]):
        return Finding("Python", ADVICE, f"{described}: they are two environments", how_to_choose(True))
    return Finding("Python", RIGHT, described)


def libraries(
    spark: SparkSession, driver: Mapping[str, Any], executors: Sequence[Mapping[str, Any]], wanted: Sequence[str]
) -> Iterator[Finding]:
    """A finding for each library, of both sides."""
    shown = [*wanted, *(name for name in ("pandas", *_MISSING) if name not in wanted)]
    for name in shown:
        yield _library(name, driver, executors, name in wanted, how_to_choose(is_here(spark)))


def package(driver_version: str, executors: Sequence[Mapping[str, Any]]) -> Finding:
    """Whether executors have this package, in this version."""
    versions = {found["package"] for found in executors}
    if other := sorted(version for version in versions if version not in (None, driver_version)):
        found = f"driver: {driver_version}; executors: {', '.join(other)}"
        return Finding("sparkml_algos", WRONG, found, f"install {driver_version} on the executors too, or leave it out there: it is sent")
    if None in versions:
        return Finding("sparkml_algos", RIGHT, f"{driver_version}; executors are sent it")
    return Finding("sparkml_algos", RIGHT, f"{driver_version} on both sides")


def _library(name: str, driver: Mapping[str, Any], executors: Sequence[Mapping[str, Any]], wanted: bool, choose: str) -> Finding:
    mine, theirs = driver["libraries"][name], {found["libraries"][name] for found in executors}
    listed = ", ".join(sorted(version or "none" for version in theirs))
    found = f"driver: {mine or 'none'}; executors: {listed}" if {mine} != theirs else f"{mine or 'none'} on both sides"
    hosts = sorted({seen["host"] for seen in executors if seen["libraries"][name] is None})
    install = f"install it there ({INSTALL_HOROVOD} builds it)" if name == "horovod" else "install it there"
    if None in theirs:
        where = "" if len(theirs) == 1 else f" ({', '.join(hosts)})"
        if wanted:
            return Finding(name, WRONG, f"{found}: executors{where} need it", f"{install}, or have another Python run: {choose}")
        return Finding(name, ADVICE, f"{found}{': ' + _MISSING[name] if name in _MISSING else ''}", install)
    broken = [seen["broken"][name] for seen in [driver, *executors] if name in seen["broken"]]
    if broken:
        return Finding(name, WRONG, f"{found}; importing it fails: {broken[0]}", "install it anew, in a version that fits the others")
    least = LIBRARIES[name][1]
    if old := sorted(version for version in {mine, *theirs} - {None} if _numbers(version) < _numbers(least)):
        return Finding(name, WRONG, f"{found}: {old[0]} is older than {least}", f"install {name}>={least} on both sides, the same version")
    if any(_numbers(version)[:1] != _numbers(mine or version)[:1] for version in theirs):
        return Finding(name, WRONG, f"{found}: arrays and models may not pass between them", "install the driver's version there")
    if len({_numbers(version)[:2] for version in {mine, *theirs} - {None}}) > 1:
        return Finding(name, ADVICE, found, "the same version on both sides gives the same results to the last bit")
    return Finding(name, RIGHT, found)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def _minor(version: str) -> tuple[int, ...]:
    return _numbers(version)[:2]

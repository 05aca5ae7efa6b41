"""Executors without this package are sent it; executors that lack more are an error before anything starts."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from sparkml_algos.cluster import shipping
from sparkml_algos.cluster.interpreters import Interpreter, ask_an_executor
from sparkml_algos.cluster.shipping import package_archive
from sparkml_algos.version import __version__

LIBRARIES = sysconfig.get_path("purelib")

# An installed package is found through .pth files, which a folder of PYTHONPATH does not get: its libraries alone.
FIT = """
import os, sys
from pyspark.sql import SparkSession, functions as F
from sparkml_algos import KMeans
builder = SparkSession.builder.master("local-cluster[2,1,512]").config("spark.driver.host", "127.0.0.1")
builder = builder.config("spark.executor.memory", "512m").config("spark.executorEnv.PYTHONPATH", sys.argv[1])
builder = builder.config("spark.ui.enabled", "false")
spark = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()
data = spark.range(0, 100, 1, 2).select(F.array(F.randn(1), F.randn(2)).alias("features"))
model = KMeans(k=2, num_workers=2).fit(data)
print("DONE", model.transform(data).where("prediction in (0, 1)").count(), model.evaluate(data)["test:msd"] > 0)
spark.stop()
"""


def test_the_archive_holds_the_whole_package(tmp_path: Path) -> None:
    archive = package_archive(tmp_path)
    program = "import sparkml_algos.algorithms.kmeans as module, sparkml_algos; print(module.__file__, sparkml_algos.__version__)"
    environment = {**os.environ, "PYTHONPATH": f"{archive}{os.pathsep}{LIBRARIES}"}
    answer = subprocess.run(
        [_bare_python(), "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    path, version = answer.split()
    assert Path(path).is_relative_to(archive / "sparkml_algos" / "algorithms") and version == __version__


@pytest.mark.cluster
@pytest.mark.own_cluster
def test_executors_without_the_package_are_sent_it() -> None:
    answer = _fit_without_package(LIBRARIES)
    assert "DONE 100 True" in answer.stdout, answer.stderr[-3000:]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"missing": ["scipy", "torch"]}, r"the Python of the executors, /usr/bin/python3, has no scipy, torch: install .*; Spark starts"),
        ({"missing": ["horovod"]}, r"has no horovod: .* there \(bash spark-conf/install-horovod\.sh builds.*communicator='horovod'\) says"),
        ({"version": "0.0.1"}, rf"the executors have sparkml_algos 0\.0\.1, the driver has {__version__}: install the same"),
        ({"python_version": "2.7"}, r"the Python of the executors, /usr/bin/python3, is 2\.7, and Spark takes only .*PYSPARK_PYTHON"),
        ({"python": sys.executable, "missing": ["torch"]}, r"has no torch: install 'sparkml-algos\[torch\]' there; .*='gloo'\) says more$"),
    ],
    ids=["libraries", "horovod", "version", "Python", "in the driver too"],
)
def test_executors_that_cannot_run_it_are_an_error_that_says_why(spark, monkeypatch, found, expected) -> None:
    answer = {"python": "/usr/bin/python3", "missing": [], "version": None, **found}
    monkeypatch.setattr(shipping, "ask_an_executor", lambda session, libraries: Interpreter(**answer))
    monkeypatch.setattr(shipping, "is_here", lambda session: False)
    monkeypatch.setattr(shipping, "_known", {})
    with pytest.raises(RuntimeError, match=expected):
        shipping.ensure_importable(spark)


def test_an_executor_says_what_its_python_has(spark) -> None:
    found = ask_an_executor(spark, [*shipping.WITH_TORCH, "a_library_nobody_has"])
    assert found == Interpreter(os.environ["PYSPARK_PYTHON"], ["a_library_nobody_has"], __version__)


def _fit_without_package(libraries: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYSPARK_PYTHON": _bare_python(), "PYSPARK_DRIVER_PYTHON": sys.executable}
    environment.pop("PYTHONPATH", None)  # executors inherit it
    command = [sys.executable, "-c", FIT, libraries]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)


def _bare_python() -> str:
    """The interpreter this environment was made from, which has none of its packages."""
    return str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}")

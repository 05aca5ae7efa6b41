"""Another Python than the driver's is noticed before anything is trained or scored, and both are named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from sparkml_algos.cluster import shipping
from sparkml_algos.cluster.interpreters import (
    NoInterpreter,
    ask,
    ask_an_executor,
    is_here,
    is_this_environment,
    look_here,
    python_of_workers,
)
from sparkml_algos.cluster.jobs import is_connect
from sparkml_algos.cluster.shipping import ALWAYS, ensure_importable
from sparkml_algos.version import __version__
from tests.conftest import FREE_PORT, ROOT, SESSION


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment that has nothing."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, with_pip=False, symlinks=True)
    return str(directory / "bin" / "python3")


class TestAsking:
    def test_an_interpreter_says_what_it_lacks(self, bare: str, tmp_path: Path) -> None:
        found = ask(bare, ("json", "numpy", "a_library_nobody_has"), directory=str(tmp_path))
        assert (found.python, found.missing, found.version) == (bare, ["numpy", "a_library_nobody_has"], None)
        assert found.python_version == f"{sys.version_info[0]}.{sys.version_info[1]}"

    def test_it_has_the_package_where_it_is_told_to_look(self, bare: str, tmp_path: Path) -> None:
        assert ask(bare, ("json",), str(ROOT), str(tmp_path)).version == __version__

    def test_one_that_does_not_run_says_why(self, tmp_path: Path) -> None:
        broken = tmp_path / "python3"
        broken.write_text("#!/bin/sh\necho 'no such home' >&2\nexit 1\n")
        broken.chmod(0o755)
        with pytest.raises(NoInterpreter, match=rf"{broken}, which Spark is to start, does not run: no such home"):
            ask(str(broken), ("json",))
        broken.unlink()
        with pytest.raises(NoInterpreter, match=r"does not run: .*No such file"):
            ask(str(broken), ())


class TestSameEnvironment:
    def test_the_names_of_one_interpreter_are_one_environment(self) -> None:
        assert is_this_environment(sys.executable)
        assert is_this_environment(shutil.which("python3", path=str(Path(sys.executable).parent)))

    def test_a_link_elsewhere_is_another_one(self, tmp_path: Path) -> None:
        """An environment is a link to the interpreter it was made from, which is that of many."""
        link = tmp_path / "python3"
        link.symlink_to(sys.executable)
        assert not is_this_environment(str(link))


class TestLookingHere:
    @pytest.fixture(autouse=True)
    def here(self, spark: SparkSession) -> None:
        if not is_here(spark):
            pytest.skip("executors are elsewhere")

    def test_the_same_is_found_as_by_asking_an_executor(self, spark: SparkSession) -> None:
        libraries = [*ALWAYS, "torch", "a_library_nobody_has"]
        assert look_here(spark, libraries) == ask_an_executor(spark, libraries)

    def test_the_first_fit_takes_no_job_for_it(self, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shipping, "_known", {})
        monkeypatch.setattr(shipping, "ask_an_executor", None)
        ensure_importable(spark)
        assert shipping._known[spark] == set(ALWAYS)

    def test_a_session_s_own_setting_counts(self, spark: SparkSession, bare: str) -> None:
        spark.conf.set("spark.sql.execution.pyspark.python", bare)
        try:
            assert python_of_workers(spark) == bare
            assert look_here(spark, ["numpy"]).missing == ["numpy"]
        finally:
            spark.conf.unset("spark.sql.execution.pyspark.python")

    def test_a_name_that_is_nowhere_is_an_error(self, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
        if is_connect(spark):
            pytest.skip("the server's environment is not to be changed")
        monkeypatch.setattr(spark.sparkContext, "pythonExec", "python-of-nobody")
        monkeypatch.setattr(shipping, "_known", {})
        with pytest.raises(RuntimeError, match=r"'python-of-nobody', which Spark is to start, is not on the PATH .* PYSPARK_PYTHON="):
            ensure_importable(spark)


# A session as somebody has it who runs an environment's python without activating it.
NOT_ACTIVATED = """
import sys
import numpy as np
from pyspark.sql import SparkSession, functions as F
from sparkml_algos import KMeans, KMeansModel, TrainingSummary, warm_up
from sparkml_algos.arrays.artifact import Artifact

master = sys.argv[1]
builder = SparkSession.builder.config("spark.driver.host", "127.0.0.1").config("spark.ui.enabled", "false")
builder = builder.config("spark.ui.showConsoleProgress", "false").config("spark.executor.memory", "512m")
builder = builder.config("spark.sparkml_algos.bridge", "off")  # the JVM would score without any Python
spark = (builder.remote("local[1]") if master == "connect" else builder.master(master)).getOrCreate()
rows = spark.range(0, 20, 1, 1).select(F.array(F.rand(1), F.rand(2)).alias("features"))
model = KMeansModel()
model.artifact = Artifact({"centers": np.zeros((2, 2), np.float32)})
model.training_summary = TrainingSummary(1, 20, [20], {"features": {"num_features": 2}}, "barrier", 0, {})
for what in (
    lambda: KMeans(k=2, num_workers=1, launch="barrier", max_retries=2).fit(rows),
    lambda: KMeans(k=2, num_workers=1, launch="gang").fit(rows),
    lambda: model.transform(rows),
    lambda: model.evaluate(rows),
    lambda: warm_up(spark).result(),
):
    try:
        print("DONE", what())
    except Exception as error:
        print("SAID", type(error).__name__, error, "because", error.__cause__)
spark.stop()
"""


@pytest.mark.parametrize(
    "master",
    [
        pytest.param("local[1]", marks=pytest.mark.skipif(SESSION != "local", reason="a session of its own")),
        pytest.param("connect", marks=pytest.mark.skipif(SESSION != "local", reason="a session and a port of its own")),
        pytest.param("local-cluster[1,1,512]", marks=[pytest.mark.cluster, pytest.mark.own_cluster]),
    ],
)
def test_an_environment_that_was_not_activated_is_told_so(master: str, bare: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYSPARK_")}
    environment |= {"PATH": os.pathsep.join([str(Path(bare).parent), "/usr/bin", "/bin"]), "PYTHONPATH": str(ROOT)}
    java = shutil.which("java")
    if java:
        environment["JAVA_HOME"] = str(Path(java).resolve().parents[1])
    if master == "connect":
        environment |= FREE_PORT
    command = [sys.executable, "-c", NOT_ACTIVATED, master]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    said = [line for line in answer.stdout.splitlines() if line.startswith(("SAID", "DONE"))]
    assert len(said) == 5, answer.stderr[-3000:]
    for line in said:
        assert line.startswith(f"SAID RuntimeError the Python of the executors, {bare}, has no numpy, scipy, pyarrow: ")
        assert f"the driver's is {sys.executable}" in line and "PYSPARK_PYTHON" in line and line.endswith("because None")
    assert "barrier" not in answer.stderr  # nothing was started

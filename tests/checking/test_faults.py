"""Faults that are planted, one or some in a session of its own: `check` finds each, and says how to mend it."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import sparkml_algos
from sparkml_algos.jvm.jars import find_spark
from tests.checking.driver import Found, drive
from tests.cluster.hosts import StandaloneCluster, why_not
from tests.conftest import ROOT, SESSION

own_session = pytest.mark.skipif(SESSION != "local", reason="sessions of its own")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def bare(directory: Path) -> str:
    """The Python of an environment that has nothing."""
    venv.create(directory / "environment", with_pip=False, symlinks=True)
    return str(directory / "environment" / "bin" / "python3")


@pytest.fixture(scope="module")
def broken(directory: Path) -> str:
    """A Python that does not start."""
    python = directory / "broken"
    python.write_text("#!/bin/sh\necho 'no such home' >&2\nexit 1\n")
    python.chmod(0o755)
    return str(python)


@pytest.fixture(scope="module")
def faulty(directory: Path, bare: str, broken: str) -> dict[str, Found]:
    """What is found in a session with many faults at once, and after changes of what can be changed in it."""
    (directory / "file").touch()
    (directory / "hidden").mkdir()
    settings = {
        "spark.master": "local[1]",
        "spark.speculation": "true",
        "spark.executor.pyspark.memory": "900m",
        "spark.sql.execution.arrow.pyspark.enabled": "false",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "0",
        "spark.sql.execution.arrow.maxBytesPerBatch": "1900m",
        "spark.python.worker.reuse": "false",
        "spark.driver.host": "driver.invalid",
        "spark.driver.bindAddress": "127.0.0.1",
    }
    python = "spark.sql.execution.pyspark.python"
    checks = {
        "settings": {"num_workers": 2, "launch": "gang", "use_gpu": True, "checkpoint_dir": str(directory / "file" / "checkpoints")},
        "store that the driver does not see": {"checkpoint_dir": str(directory / "hidden"), "hide": str(directory / "hidden")},
        "environment without libraries": {"conf": {python: bare}},
        "Python that does not start": {"conf": {python: broken}},
    }
    # A jar that was made from other sources.
    spark = find_spark()
    jars = directory / "jars"
    jars.mkdir()
    with zipfile.ZipFile(jars / spark.jar_name, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nSources-Hash: 0\r\n\r\n")
    return dict(zip(checks, drive(*checks.values(), environment={"SPARKML_ALGOS_JARS": str(jars)}, **settings), strict=True))


@own_session
@pytest.mark.parametrize(
    ("item", "status", "found", "remedy"),
    [
        ("workers", "wrong", "the session runs 1 task at a time, num_workers is 2", "give the session more cores"),
        ("speculation", "wrong", "spark.speculation is true", "set spark.speculation to false"),
        ("memory", "wrong", "spark.executor.pyspark.memory 900m bounds each Python worker to 900m", "raise it to 1024m or more"),
        ("Arrow batches", "wrong", "may hold 1900 MiB of rows of 1,000 numbers", "set spark.sql.execution.arrow.maxRecordsPerBatch to "),
        ("Arrow", "advice", "toPandas and createDataFrame go row by row", "set spark.sql.execution.arrow.pyspark.enabled to true"),
        ("Python workers", "advice", "every task starts a Python", "set spark.python.worker.reuse to true"),
        ("checkpoint_dir", "wrong", "cannot write to ", "give the user that runs executors the right to write there"),
        ("GPUs", "wrong", "a local session assigns none", ".master('local-cluster[1,4,8192]')"),
        ("driver reached", "wrong", "spark.driver.host is driver.invalid", "set spark.driver.host to a name or address of the driver"),
        ("JVM bridge", "wrong", "was built from other sources", "python -m sparkml_algos.jvm build"),
    ],
)
def test_faults_of_settings_are_found(faulty: dict[str, Found], item: str, status: str, found: str, remedy: str) -> None:
    finding = faulty["settings"].of(item)
    assert finding["status"] == status and found in finding["found"] and remedy in finding["remedy"] + finding["found"], finding


@own_session
def test_a_store_that_executors_see_but_the_driver_does_not_is_found(faulty: dict[str, Found]) -> None:
    if (reason := why_not()) is not None:
        pytest.skip(f"a directory cannot be hidden from the driver: {reason}")
    finding = faulty["store that the driver does not see"].of("checkpoint_dir")
    assert finding["status"] == "advice" and "executors write to" in finding["found"] and "the driver " in finding["found"], finding
    assert "name storage that all hosts share" in finding["remedy"]


@own_session
def test_libraries_that_executors_lack_are_found(faulty: dict[str, Found], bare: str) -> None:
    found = faulty["environment without libraries"]
    for library in ("numpy", "scipy", "pyarrow"):
        finding = found.of(library)
        assert finding["status"] == "wrong" and "executors: none" in finding["found"], finding
        assert f"PYSPARK_PYTHON={sys.executable}" in finding["remedy"]
    assert bare in found.of("Python")["found"] and not found.ok
    assert found.of("driver reached")["status"] == "wrong"  # what needs no library is seen all the same


@own_session
def test_a_wrong_interpreter_is_found(faulty: dict[str, Found]) -> None:
    found = faulty["Python that does not start"]
    assert found.of("Python")["status"] == "wrong" and "no such home" in found.of("Python")["found"], found.of("Python")
    assert "PYSPARK_PYTHON" in found.of("Python")["remedy"]
    assert found.of("driver reached")["status"] == "unknown"


@own_session
def test_another_version_of_a_library_and_of_this_package_on_executors_is_found(tmp_path: Path) -> None:
    for name, version in (("scipy", "0.9"), ("pandas", "1.5.3")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f'__version__ = "{version}"\n')
        (tmp_path / f"{name}-{version}.dist-info").mkdir()
        (tmp_path / f"{name}-{version}.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (tmp_path / "sparkml_algos").mkdir()
    (tmp_path / "sparkml_algos" / "__init__.py").touch()
    (tmp_path / "sparkml_algos" / "version.py").write_text('__version__ = "0.0.1"\n')
    (found,) = drive({}, python_path=str(tmp_path))
    assert found.of("scipy")["status"] == found.of("pandas")["status"] == "wrong"
    assert "executors: 0.9: 0.9 is older than 1.10" in found.of("scipy")["found"], found.of("scipy")
    assert found.of("scipy")["remedy"] == "install scipy>=1.10 on both sides, the same version"
    package = found.of("sparkml_algos")
    assert package["status"] == "wrong" and package["found"].endswith("executors: 0.0.1"), package
    assert f"install {sparkml_algos.__version__} on the executors too" in package["remedy"]


class TestCommand:
    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "sparkml_algos.check", *arguments]
        return subprocess.run(command, env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True, timeout=120)

    @pytest.mark.parametrize("version", ["11.0.2", "1.8.0_402"])
    def test_an_old_java_is_found_before_a_session_is_started(self, tmp_path: Path, version: str) -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "java").write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2019-01-15' >&2\n")
        (tmp_path / "bin" / "java").chmod(0o755)
        done = self.run(JAVA_HOME=str(tmp_path))
        assert done.returncode == 1, done.stderr
        said = " ".join(done.stdout.split())
        assert f"wrong Java {version}, {tmp_path}/bin/java: Java 17 is the oldest that serves" in said
        assert "→ install a Java runtime of version 17 or later, and set JAVA_HOME to it" in said
        assert "unknown session none is started without the right Java" in said

    def test_no_java_is_found(self, tmp_path: Path) -> None:
        done = self.run(JAVA_HOME=str(tmp_path))
        assert done.returncode == 1 and f"JAVA_HOME={tmp_path} has no bin/java" in " ".join(done.stdout.split())

    def test_what_is_no_setting_is_refused(self) -> None:
        done = self.run("--conf", "speculation=true")
        assert done.returncode == 2 and "'speculation=true' is no setting: spark.NAME=VALUE" in done.stderr

    @own_session
    def test_it_ends_with_0_where_nothing_is_wrong(self, tmp_path: Path) -> None:
        local = ["--master", "local[2]", "--conf", "spark.driver.host=127.0.0.1", "--conf", "spark.ui.enabled=false"]
        done = self.run(*local, "--num-workers", "2", "--checkpoint-dir", str(tmp_path))
        assert done.returncode == 0 and "on Spark" in done.stdout.splitlines()[0] and " wrong " not in done.stdout, done.stdout

    @own_session
    def test_a_server_that_is_not_there_is_found_in_time(self) -> None:
        done = self.run("--connect", "sc://127.0.0.1:1", "--seconds", "6")
        said = " ".join(done.stdout.split())
        assert done.returncode == 1 and "wrong session does not start" in said and "may not be reached from here" in said, done.stdout


@pytest.mark.dynamic
def test_a_barrier_launch_under_dynamic_allocation_is_found(spark: SparkSession) -> None:
    (finding,) = sparkml_algos.check(spark, num_workers=2, launch="barrier").of("dynamic allocation")
    assert finding.status == "wrong" and "SPARK-24942" in finding.found and "use launch='gang' or 'auto'" in finding.remedy


@pytest.mark.cluster
def test_executors_that_were_given_no_gpus_are_found(spark: SparkSession) -> None:
    (finding,) = sparkml_algos.check(spark, use_gpu=True).of("GPUs")
    assert (finding.status, finding.found) == ("wrong", "use_gpu=True needs a GPU per task, and executors with GPUs"), finding
    assert "spark.executor.resource.gpu.discoveryScript (spark-conf/find-gpus.sh)" in finding.remedy


@pytest.mark.cluster
class TestHosts:
    def test_a_firewall_between_executors_and_driver_is_found(self, spark: SparkSession, cluster: StandaloneCluster) -> None:
        """It lets through what Spark needs, on ports that an administrator has been told of."""
        own = spark.sparkContext._jsc.sc().env().blockManager().blockManagerId().port()
        spark_s = [int(spark.conf.get("spark.driver.port")), own, int(cluster.url.rpartition(":")[2])]
        spark.range(0, 3, 1, 3).count()  # executors are there
        with cluster.hosts[0].firewall(cluster.driver_address, let_through=spark_s):
            (finding,) = (report := sparkml_algos.check(spark, num_workers=3)).of("driver reached")
        assert finding.status == "wrong" and cluster.hosts[0].address in finding.found, report
        assert "--deploy-mode cluster" in finding.remedy and "launch='barrier'" in finding.remedy
        assert report.of("executors reached")[0].status == "unknown"

    def test_a_firewall_between_executors_is_found(self, spark: SparkSession, cluster: StandaloneCluster) -> None:
        here, there = cluster.hosts[:2]
        spark.range(0, 3, 1, 3).count()
        with here.firewall(there.address, let_through=[]):
            report = sparkml_algos.check(spark, num_workers=3)
        (finding,) = report.of("executors reached")
        assert finding.status == "wrong" and here.address in finding.found and there.address in finding.found, report
        assert report.of("driver reached")[0].status == "right"

    def test_a_directory_that_is_another_one_on_each_host_is_found(
        self, spark: SparkSession, cluster: StandaloneCluster, tmp_path: Path
    ) -> None:
        host = cluster.hosts[0]
        spark.range(0, 3, 1, 3).count()
        with host.hiding(tmp_path):
            report = sparkml_algos.check(spark, num_workers=3, checkpoint_dir=str(tmp_path))
        (finding,) = report.of("checkpoint_dir")
        assert finding.status == "wrong" and "is another one on each host" in finding.found, report
        assert "name storage that all hosts share" in finding.remedy

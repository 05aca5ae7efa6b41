"""The wheel and the source distribution bring all that a user needs, and nothing that nobody asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import sparkml_algos

ROOT = Path(__file__).parents[2]
SPARKS = ("3.5", "4")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with a wheel and a source distribution, built as a release is."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(["bash", str(ROOT / ".ci" / "build-wheel.sh"), str(folder)], check=True)
    return folder


@pytest.fixture
def sources(dist: Path, tmp_path: Path) -> Iterator[Path]:
    """The source distribution, unpacked."""
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    yield next(tmp_path.iterdir())


def build(sources: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "build", "--wheel", str(sources)]
    environment = {**os.environ, "SPARK_HOME": str(sources), "SPARKML_ALGOS_REQUIRED_SPARKS": "", **variables}  # no Spark to compile with
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_both_have_sources_types_and_a_jar_for_each_spark(dist: Path) -> None:
    wheel, archive = next(dist.glob("*.whl")), next(dist.glob("*.tar.gz"))
    names = zipfile.ZipFile(wheel).namelist()
    with tarfile.open(archive) as opened:
        members = opened.getnames()
    assert wheel.name == f"sparkml_algos-{sparkml_algos.__version__}-py3-none-any.whl"
    assert {"sparkml_algos/py.typed", "sparkml_algos/__init__.pyi"} <= set(names)
    assert any(name.startswith("sparkml_algos/jvm/src/main/scala/") for name in names)
    assert not [name for name in names if name.startswith(("tests", "docs", "build"))]
    for spark in SPARKS:
        assert [name for name in names if name.startswith("sparkml_algos/jvm/built/") and f"-spark{spark}" in name]
        assert [name for name in members if "/jvm-bridge/target/" in name and f"-spark{spark}" in name]


def test_a_wheel_is_made_of_the_source_distribution_without_spark_and_java(sources: Path) -> None:
    done = build(sources, SPARKML_ALGOS_REQUIRED_SPARKS=" ".join(SPARKS), JAVA_HOME=str(sources))
    assert done.returncode == 0, done.stdout
    assert "built" in {Path(name).parent.name for name in zipfile.ZipFile(next((sources / "dist").glob("*.whl"))).namelist()}


def test_a_wheel_that_must_have_a_jar_is_refused_without_it_and_says_how_to_make_one(sources: Path) -> None:
    for jar in (sources / "jvm-bridge" / "target").glob("*-spark3.5-*.jar"):
        jar.unlink()
    done = build(sources, SPARKML_ALGOS_REQUIRED_SPARKS=" ".join(SPARKS))
    assert done.returncode and "error: no jar of the JVM bridge for Spark 3.5 " in done.stdout
    assert "python -m sparkml_algos.jvm build" in done.stdout
    shutil.rmtree(sources / "jvm-bridge" / "target")
    assert build(sources).returncode == 0  # nothing was demanded


@pytest.mark.parametrize("spark", SPARKS)
def test_the_quickstart_runs_in_an_empty_environment_with_the_wheel(spark: str, dist: Path) -> None:
    command = ["bash", str(ROOT / ".ci" / "try-wheel.sh"), str(next(dist.glob("*.whl"))), spark]
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    assert done.returncode == 0 and f"Spark {spark}: installed in " in done.stdout, done.stdout

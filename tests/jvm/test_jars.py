"""The jar of the JVM bridge: built for the Spark at hand, kept while it is up to date, found again, missed with advice."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pyspark
import pytest

import sparkml_algos
from sparkml_algos.jvm import jars
from sparkml_algos.jvm.__main__ import main
from sparkml_algos.jvm.jars import JvmBridgeError, SparkHome, build, classpath_jars, find_spark

MINOR = ".".join(pyspark.__version__.split(".")[:2])
ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one Scala class and one resource, and no jar."""
    main = tmp_path / "jvm-bridge" / "src" / "main"
    for name, text in {"scala/Answer.scala": "object Answer { val value = 42 }", "resources/META-INF/services/Some": "Answer"}.items():
        (main / name).parent.mkdir(parents=True, exist_ok=True)
        (main / name).write_text(text)
    monkeypatch.setattr(jars, "CHECKOUT", tmp_path / "jvm-bridge")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(jars.JARS_VARIABLE, raising=False)
    return tmp_path / "jvm-bridge"


@pytest.fixture
def classes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a compiler would make, without the seconds that it takes."""
    monkeypatch.setattr(jars, "_compile", lambda spark, classes: (classes / "Answer.class").touch())


@pytest.fixture
def fake_spark(tmp_path: Path) -> Path:
    """The folder of a Spark that has its core and nothing else."""
    (tmp_path / "spark" / "jars").mkdir(parents=True)
    (tmp_path / "spark" / "jars" / "spark-core_2.12-3.5.1-vendor-2.jar").touch()
    return tmp_path / "spark"


@pytest.mark.generic
def test_the_jar_of_this_package_is_there_for_the_installed_spark() -> None:
    path = Path(*sparkml_algos.classpath_jars())
    assert path.name.startswith("sparkml-algos_2.") and path.name.endswith(f"-spark{MINOR}-{sparkml_algos.__version__}.jar")
    assert "org/sparkmlalgos/Bridge.class" in zipfile.ZipFile(path).namelist()


@pytest.mark.generic
@pytest.mark.classic  # the compiler knows nothing of sessions
def test_a_jar_holds_classes_and_resources_and_is_compiled_again_only_when_sources_change(checkout: Path) -> None:
    jar, compiled = build()
    assert compiled and jar == checkout / "target" / find_spark().jar_name and classpath_jars() == [str(jar)]
    assert {"Answer.class", "META-INF/services/Some"} <= set(zipfile.ZipFile(jar).namelist())
    assert build() == (jar, False)
    (checkout / "src" / "main" / "resources" / "META-INF" / "services" / "Some").write_text("Another")
    with pytest.raises(JvmBridgeError, match=r"built from other sources .* python -m sparkml_algos\.jvm build"):
        classpath_jars()
    assert build() == (jar, True)
    assert list(jar.parent.iterdir()) == [jar]


@pytest.mark.usefixtures("classes_at_once")
def test_what_is_built_in_a_checkout_serves_a_package_that_was_installed_from_it(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jar, _ = build()
    shutil.copytree(checkout / "src", tmp_path / "installed" / "src")
    monkeypatch.setattr(jars, "CHECKOUT", tmp_path / "nowhere")
    monkeypatch.setattr(jars, "PACKAGE", tmp_path / "installed")
    (found,) = classpath_jars()
    assert Path(found).parent == tmp_path / "cache" / "sparkml-algos" and Path(found).read_bytes() == jar.read_bytes()
    (tmp_path / "installed" / "src" / "main" / "scala" / "Answer.scala").write_text("object Answer { val value = 43 }")
    with pytest.raises(JvmBridgeError, match=r"built from other sources .* anew, where the current folder is no checkout"):
        classpath_jars()


@pytest.mark.usefixtures("classes_at_once")
def test_a_cache_that_cannot_be_written_to_is_done_without(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "cache").touch()
    jar, compiled = build()
    assert compiled and classpath_jars() == [str(jar)] and capsys.readouterr().out.count("could not be written") == 1


def test_what_the_compiler_finds_wrong_is_told(checkout: Path) -> None:
    (checkout / "src" / "main" / "scala" / "Wrong.scala").write_text("object Wrong { val value: Int = missing }")
    with pytest.raises(JvmBridgeError, match=r"(?s)compiling the JVM bridge for Spark .* failed:.*Wrong\.scala.*missing"):
        build()
    assert not list((checkout / "target").iterdir())


def test_a_jar_that_is_not_built_is_missed_with_the_command_that_builds_it(checkout: Path) -> None:
    with pytest.raises(JvmBridgeError, match=rf"not built for Spark {MINOR} .*: python -m sparkml_algos\.jvm build$"):
        classpath_jars()


@pytest.mark.usefixtures("classes_at_once")
def test_a_chosen_folder_is_built_to_and_searched(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(jars.JARS_VARIABLE, str(tmp_path / "elsewhere"))
    with pytest.raises(JvmBridgeError, match=r"no sparkml-algos_\S+ in \S*elsewhere or "):
        classpath_jars()
    jar, _ = build()
    assert classpath_jars() == [str(jar)] == [str(tmp_path / "elsewhere" / jar.name)]


def test_versions_are_read_from_the_spark_that_is_named(fake_spark: Path) -> None:
    spark = find_spark(fake_spark)
    assert spark == SparkHome(fake_spark, version="3.5.1-vendor-2", scala="2.12")
    assert spark.jar_name == f"sparkml-algos_2.12-spark3.5-{sparkml_algos.__version__}.jar"


def test_only_sources_for_the_scala_and_spark_at_hand_are_compiled(checkout: Path, fake_spark: Path) -> None:
    for folder in ("scala-2.12", "scala-2.13", "scala-spark3", "scala-spark4"):
        (checkout / "src" / "main" / folder).mkdir()
        (checkout / "src" / "main" / folder / "Part.scala").touch()
    names = [name for name, _ in jars.sources(find_spark(fake_spark))]
    assert names == ["scala/Answer.scala", "scala-2.12/Part.scala", "scala-spark3/Part.scala", "META-INF/services/Some"]


MISSING = {
    "no Spark there": (["--spark-home", "{folder}/nowhere"], {}, "nowhere is not a Spark: it has no jars/spark-core_*.jar"),
    "SPARK_HOME is wrong": ([], {"SPARK_HOME": "{folder}/nowhere"}, "nowhere is not a Spark"),
    "no compiler": (["--spark-home", "{folder}/spark"], {}, "jars has no scala-compiler jar"),
    "JAVA_HOME is wrong": ([], {"JAVA_HOME": "{folder}/nowhere"}, "no Java: JAVA_HOME={folder}/nowhere has no bin/java"),
    "no Java": ([], {"JAVA_HOME": "", "PATH": "{folder}"}, "no Java: java is not on PATH"),
}


@pytest.mark.parametrize("what", MISSING)
def test_what_a_build_lacks_is_one_line(
    checkout: Path, fake_spark: Path, what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    arguments, environment, message = MISSING[what]
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(folder=fake_spark.parent))
    status = main(["build", *(argument.format(folder=fake_spark.parent) for argument in arguments)])
    said = capsys.readouterr().err
    assert status == 1 and said.count("\n") == 1 and message.format(folder=fake_spark.parent) in said


@pytest.mark.usefixtures("classes_at_once")
def test_jars_that_were_built_before_serve_a_wheel_while_version_and_sources_are_its_own(checkout: Path) -> None:
    jar, _ = build()
    shutil.copy(jar, jar.with_name(jar.name.replace(sparkml_algos.__version__, "0.0.1")))
    (jar.parent / "another.jar").touch()
    assert jars.built_before(jar.parent) == [jar] and jars.built_before(checkout / "nowhere") == []
    (checkout / "src" / "main" / "scala" / "Answer.scala").write_text("object Answer { val value = 43 }")
    assert jars.built_before(jar.parent) == []


@pytest.mark.slow
def test_a_package_that_is_built_where_spark_is_has_the_sources_and_its_jar(tmp_path: Path) -> None:
    command = [sys.executable, "setup.py", "-v", "build_py", "--build-lib", str(tmp_path / "lib")]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    package = tmp_path / "lib" / "sparkml_algos" / "jvm"
    assert (package / "src" / "main" / "scala" / "org" / "sparkmlalgos" / "Bridge.scala").exists()
    assert find_spark().jar_name in {jar.name for jar in jars.built_before(package / "built")}

"""Each file of spark-conf/ is one that its reader loads: Spark, its client of Kubernetes, shells, or what documents its JSON."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest
import yaml
from py4j.java_gateway import JavaObject
from pyspark.sql import SparkSession

from tests.conftest import ROOT
from tests.spark_conf.schemas import CONFIGURATIONS, SPARKMAGIC, ZEPPELIN

FOLDER = ROOT / "spark-conf"
SETTINGS = sorted(path.name for path in FOLDER.glob("*.conf"))
SHARED = "sparkml-algos.conf"
SCRIPTS = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.sh"))
# Settings whose names are made up as they are used, and so are not in Spark's lists.
OPEN = ("spark.executorEnv.", "spark.executor.resource.", "spark.task.resource.", "spark.sparkml_algos.", "spark.connect.")
UNLISTED = {"spark.master", "spark.submit.deployMode", "spark.driver.extraJavaOptions", "spark.jars"}


def settings_of(name: str, commented: bool = False) -> dict[str, str]:
    """The settings of a file, those that are commented out besides; read without Spark."""
    lines = (FOLDER / name).read_text().splitlines()
    if commented:
        lines = [re.sub(r"^# (?=spark\.\S+ {2,}\S+$)", "", line) for line in lines]
    return dict(line.split(None, 1) for line in lines if line.strip() and not line.startswith("#"))


@pytest.mark.classic
class TestSettings:
    @pytest.mark.parametrize("name", SETTINGS)
    def test_spark_reads_the_file(self, spark: SparkSession, name: str) -> None:
        read = spark.sparkContext._jvm.org.apache.spark.util.Utils.getPropertiesFromFile(str(FOLDER / name))
        assert {key: read.apply(key) for key in settings_of(name)} == settings_of(name)
        assert read.size() == len(settings_of(name))

    @pytest.mark.parametrize("name", SETTINGS)
    def test_spark_knows_every_setting_and_takes_its_value(self, spark: SparkSession, name: str) -> None:
        jvm = spark.sparkContext._jvm
        for listing in ("internal.config.package$", "deploy.yarn.config.package$", "deploy.k8s.Config$", "sql.internal.SQLConf$"):
            jvm.java.lang.Class.forName(f"org.apache.spark.{listing}")  # whose settings are known from then on
        unknown = []
        for key, value in settings_of(name, commented=True).items():
            entry = jvm.org.apache.spark.internal.config.ConfigEntry.findEntry(key)
            if entry is not None:
                self.convert(spark, entry, value)
            elif not key.startswith(OPEN) and key not in UNLISTED:
                unknown.append(key)
        assert unknown == []

    def test_an_unknown_setting_and_a_wrong_value_would_be_noticed(self, spark: SparkSession) -> None:
        find = spark.sparkContext._jvm.org.apache.spark.internal.config.ConfigEntry.findEntry
        assert find("spark.speculations") is None
        with pytest.raises(Exception, match="boolean"):
            self.convert(spark, find("spark.speculation"), "no")

    def convert(self, spark: SparkSession, entry: JavaObject, value: str) -> None:
        """Read a value as Spark does; one that is no size, no flag … raises. What it becomes stays in the JVM."""
        assert spark.sparkContext._jvm.scala.Option.apply(value).map(entry.valueConverter()).isDefined()

    def test_kubernetes_client_of_spark_reads_the_pod(self, spark: SparkSession) -> None:
        """As Spark does: the container of the template that is to be the executor is the first."""
        jvm = spark.sparkContext._jvm
        text = (FOLDER / "kubernetes" / "executor-pod.yaml").read_text()
        pod_class = jvm.java.lang.Class.forName("io.fabric8.kubernetes.api.model.Pod")
        pod = jvm.io.fabric8.kubernetes.client.utils.Serialization.unmarshal(text, pod_class)
        container, volumes = pod.getSpec().getContainers()[0], pod.getSpec().getVolumes()
        assert pod.getKind() == "Pod" and not pod.getAdditionalProperties() and not pod.getSpec().getAdditionalProperties()
        assert [mount.getName() for mount in container.getVolumeMounts()] == [volume.getName() for volume in volumes]
        assert any(volume.getName().startswith("spark-local-dir-") for volume in volumes)


class TestAgreement:
    @pytest.mark.parametrize("name", [name for name in SETTINGS if name != SHARED])
    def test_what_suits_every_cluster_is_in_each_file(self, name: str) -> None:
        assert settings_of(SHARED).items() <= settings_of(name).items()

    @pytest.mark.parametrize("name", SETTINGS)
    def test_every_setting_has_its_reason(self, name: str) -> None:
        """Settings stand in blocks, below what says why, or where it is said."""
        blocks = [block for block in (FOLDER / name).read_text().split("\n\n") if re.search(r"^spark\.", block, re.MULTILINE)]
        assert [block for block in blocks if not re.match(r"# (?!spark\.)", block)] == []

    def test_emr_sets_what_the_file_for_yarn_does(self) -> None:
        yarn = settings_of("yarn.conf")
        assert {"spark.master": "yarn", **emr()["spark-defaults"]} == yarn
        assert set(emr()["spark-env/export"].values()) == {yarn["spark.pyspark.python"]}

    def test_livy_sessions_have_what_the_file_for_yarn_sets(self) -> None:
        session = json.loads((FOLDER / "notebooks" / "sparkmagic-config.json").read_text())["session_configs"]
        as_settings = {
            "spark.driver.memory": session["driverMemory"],
            "spark.executor.memory": session["executorMemory"],
            "spark.executor.cores": str(session["executorCores"]),
            "spark.executor.instances": str(session["numExecutors"]),
        }
        assert {"spark.master": "yarn", **as_settings, **session["conf"]} == settings_of("yarn.conf")

    def test_zeppelin_has_what_the_file_for_yarn_sets(self) -> None:
        properties = json.loads((FOLDER / "notebooks" / "zeppelin-interpreter.json").read_text())["properties"]
        found = {name: entry["value"] for name, entry in properties.items()}
        yarn = settings_of("yarn.conf")
        python = yarn.pop("spark.pyspark.python")
        assert yarn.items() <= found.items()
        assert found["PYSPARK_PYTHON"] == found["PYSPARK_DRIVER_PYTHON"] == python


def emr() -> dict[str, dict[str, str]]:
    """Properties by classification."""
    found = {}
    for one in json.loads((FOLDER / "emr" / "configurations.json").read_text()):
        found[one["Classification"]] = one["Properties"]
        found |= {f"{one['Classification']}/{inner['Classification']}": inner["Properties"] for inner in one.get("Configurations", [])}
    return found


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("emr/configurations.json", CONFIGURATIONS),
        ("notebooks/sparkmagic-config.json", SPARKMAGIC),
        ("notebooks/zeppelin-interpreter.json", ZEPPELIN),
    ],
)
def test_json_has_the_form_that_its_reader_documents(name: str, schema: dict) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads((FOLDER / name).read_text()), schema)


def test_zeppelin_calls_each_property_by_its_name() -> None:
    properties = json.loads((FOLDER / "notebooks" / "zeppelin-interpreter.json").read_text())["properties"]
    assert [name for name, entry in properties.items() if entry["name"] != name] == []


def tool(name: str) -> str:
    """A linter that comes as a wheel, into the environment of this Python."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found, f"{name} is not installed: pip install 'sparkml-algos[test]'"
    return found


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_pass_shellcheck(name: str) -> None:
    done = subprocess.run([tool("shellcheck"), str(FOLDER / name)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_passes_hadolint() -> None:
    done = subprocess.run([tool("hadolint"), "--no-color", str(FOLDER / "kubernetes" / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_image_holds_what_kubernetes_is_told_of() -> None:
    dockerfile = (FOLDER / "kubernetes" / "Dockerfile").read_text()
    conf = settings_of("kubernetes.conf")
    assert f"PYSPARK_PYTHON={conf['spark.pyspark.python']}" in dockerfile
    assert f"-t {conf['spark.kubernetes.container.image']} " in dockerfile
    user = int(re.findall(r"^USER (\d+)$", dockerfile, re.MULTILINE)[-1])
    pod = yaml.safe_load((FOLDER / "kubernetes" / "executor-pod.yaml").read_text())
    assert pod["spec"]["securityContext"]["runAsUser"] == user
    assert (ROOT / conf["spark.kubernetes.executor.podTemplateFile"]).exists()
    copied = re.search(r"^COPY (.+) /opt/$", dockerfile, re.MULTILINE)[1].split()
    assert [name for name in copied if not (ROOT / name).exists()] == []


class TestBootstrap:
    """EMR's bootstrap action, on this machine with a home of its own; what S3 would give is a file."""

    def run(self, directory: Path, argument: str) -> subprocess.CompletedProcess:
        tools = directory / "tools"
        tools.mkdir(exist_ok=True)
        (tools / "aws").write_text('#!/bin/sh\n[ "$4" = s3://bucket/denied.whl ] && exit 1\ncp "${4#s3:/}" "$5"\n')
        (tools / "aws").chmod(0o755)
        # What pip would take from an index is in the directory too.
        environment = {**os.environ, "SPARKML_ALGOS_HOME": str(directory / "home"), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(directory)}
        environment["PATH"] = f"{tools}{os.pathsep}{environment['PATH']}"
        environment.pop("PYTHONPATH")
        command = ["bash", str(FOLDER / "emr" / "bootstrap.sh"), argument]
        return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=directory, timeout=120)

    @pytest.mark.parametrize(
        ("argument", "said"),
        [
            ("nothing.txt", "is neither a wheel (.whl) nor an archive"),
            ("missing.whl", "there is no missing.whl on this host"),
            ("s3://bucket/denied.whl", "s3://bucket/denied.whl could not be copied from S3"),
        ],
    )
    def test_it_says_what_it_cannot_do(self, tmp_path: Path, argument: str, said: str) -> None:
        (tmp_path / "nothing.txt").touch()
        done = self.run(tmp_path, argument)
        assert done.returncode == 1 and said in done.stderr, done.stderr

    def test_a_wheel_from_s3_is_installed_into_an_environment(self, tmp_path: Path) -> None:
        """A wheel of the name with an extra that requires nothing; NumPy and Arrow, which the script tries too, are empty modules in it."""
        package = {"sparkml_algos/__init__.py": '__version__ = "0.1.0"\n', "numpy.py": "", "pyarrow.py": ""}
        wheel = self.wheel(tmp_path, "sparkml_algos", "0.1.0", package)
        self.wheel(tmp_path, "pandas", "2.3.0", {"pandas.py": ""})
        done = self.run(tmp_path, f"s3:/{wheel}")
        assert done.returncode == 0, done.stderr
        assert done.stdout == "sparkml_algos 0.1.0 is installed\n"
        assert list((tmp_path / "home").glob("lib/*/site-packages/pandas.py"))

    def wheel(self, directory: Path, name: str, version: str, files: dict[str, str]) -> Path:
        path, info = directory / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
        files = {
            **files,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: xgboost\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": "",
        }
        with zipfile.ZipFile(path, "w") as archive:
            for file, text in files.items():
                archive.writestr(file, text)
        return path

    def test_an_archive_is_unpacked(self, tmp_path: Path) -> None:
        packed = tmp_path / "packed"
        (packed / "bin").mkdir(parents=True)
        (packed / "bin" / "python").write_text("#!/bin/sh\necho sparkml_algos 0.1.0 is installed\n")
        (packed / "bin" / "python").chmod(0o755)
        subprocess.run(["tar", "-czf", str(tmp_path / "environment.tar.gz"), "-C", str(packed), "."], check=True)
        done = self.run(tmp_path, "environment.tar.gz")
        assert done.returncode == 0, done.stderr
        assert done.stdout == "sparkml_algos 0.1.0 is installed\n"


# The same as a user's notebook starts it.
QUIET = """
import sys
from pyspark.sql import SparkSession
builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.ui.showConsoleProgress", "false")
spark = builder.config("spark.driver.extraJavaOptions", "-Dlog4j2.configurationFile=" + sys.argv[1]).getOrCreate()
print(spark.range(3).count())
spark._jvm.org.slf4j.LoggerFactory.getLogger("org.apache.spark.test").error("an error is told")
spark.stop()
"""


def test_spark_logs_errors_only() -> None:
    location = (FOLDER / "log4j2.properties").as_uri()
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run([sys.executable, "-c", QUIET, location], env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout == "3\n"
    said = [line for line in done.stderr.splitlines() if "JAVA_OPTIONS" not in line and "incubator modules" not in line]
    assert len(said) == 1 and said[0].endswith("ERROR test: an error is told"), done.stderr

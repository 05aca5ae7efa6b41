"""The jobs of ``examples/jobs``, run as their users run them, each in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sparkml_algos.formats import recordio_protobuf
from sparkml_algos.jvm.jars import JvmBridgeError, classpath_jars
from tests.conftest import FREE_PORT, ROOT

JOBS = ROOT / "examples" / "jobs"
BIN = Path(sys.executable).parent
# Small machines and small rows: no pages of Spark's, few tasks, and Python workers that have imported what they need.
LOCAL = ["--master", "local[2]", "--conf", "spark.ui.enabled=false", "--conf", "spark.sql.shuffle.partitions=2"]
DAEMON = ["--conf", "spark.python.daemon.module=sparkml_algos.cluster.daemon"]

pytestmark = pytest.mark.classic


def run(folder: Path, command: str, *arguments: object, **variables: object) -> str:
    """What a command prints; it is one of the environment's, so that its Spark and Python are these."""
    settings = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    environment = {**os.environ, **settings, **{name: str(value) for name, value in variables.items()}}
    environment.pop("SPARK_HOME", None)
    words = [str(BIN / command), *map(str, arguments)]
    done = subprocess.run(
        words, env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the rows of make_rows.py, where the jobs run."""
    made = tmp_path_factory.mktemp("jobs")
    run(made, "python", JOBS / "make_rows.py", made / "customers", "--rows", 1000)
    return made


@pytest.fixture(scope="module")
def jars() -> str:
    try:
        return ",".join(classpath_jars())
    except JvmBridgeError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def trained(folder: Path, jars: str) -> tuple[Path, dict[str, float]]:
    """The pipeline that train.py has saved for Python and the JVM, and what it has printed."""
    rows = ["--rows", folder / "customers" / "train.parquet", "--features", "age,income,visits", "--label", "leaves", "--workers", 1]
    printed = run(folder, "spark-submit", *LOCAL, *DAEMON, JOBS / "train.py", *rows, "--model", folder / "model", "--for-jvm")
    return folder / "model", json.loads(printed.splitlines()[-1])


def test_a_job_with_arguments_trains_and_says_what_the_pipeline_is_worth(trained: tuple[Path, dict[str, float]]) -> None:
    _, printed = trained
    assert printed["rows"] == 1000
    assert printed["test:roc_auc_score"] > 0.85 and printed["test:binary_classification_accuracy"] > 0.75


def test_a_stream_scores_each_file_once(folder: Path, trained: tuple[Path, dict[str, float]], jars: str) -> None:
    new = pd.read_parquet(folder / "customers" / "new.parquet")
    (folder / "arriving").mkdir()
    new[:60].to_parquet(folder / "arriving" / "first.parquet")
    new[60:].to_parquet(folder / "arriving" / "second.parquet")
    options = ["--model", trained[0], "--rows", folder / "arriving", "--scored", folder / "scored", "--once"]
    printed = run(folder, "spark-submit", *LOCAL, "--jars", jars, JOBS / "score_stream.py", *options)
    assert printed.splitlines()[-1] == "scored 100 rows so far"
    scored = pd.read_parquet(folder / "scored" / "rows").merge(new, on="id")
    assert len(scored) == 100 and scored["probability"].between(0, 1).all()
    assert (scored["prediction"] == scored["leaves"]).mean() > 0.7


@pytest.mark.slow  # tests/jvm loads and asks such models within a session that is there
def test_scala_scores_with_the_pipeline_that_python_has_saved(folder: Path, trained: tuple[Path, dict[str, float]], jars: str) -> None:
    variables = {"MODEL": trained[0], "ROWS": folder / "customers" / "new.parquet"}
    printed = run(folder, "spark-shell", *LOCAL, "--jars", jars, "-i", JOBS / "score_pipeline.scala", **variables)
    table = [tuple(map(float, row)) for row in re.findall(r"\| +([01]\.0)\| +(\d+)\|([\d.]+)\| +([\d.]+)\|", printed)]
    (stays, rows, age, visits), (_, other_rows, other_age, other_visits) = table
    assert stays == 0 and rows + other_rows == 100 and age > other_age and visits > other_visits


@pytest.mark.slow  # and runs such statements
def test_sql_writes_and_reads_recordio(folder: Path, jars: str) -> None:
    rows = folder / "customers" / "train.parquet"
    variables = ["-d", f"rows={rows}", "-d", f"out={folder / 'recordio'}"]
    printed = run(folder, "spark-sql", *LOCAL, "--jars", jars, *variables, "-f", JOBS / "recordio.sql")
    customers = pd.read_parquet(rows)
    expected = customers.groupby("leaves").agg(rows=("id", "count"), age=("age", "mean"), visits=("visits", "mean")).round(1)
    found = [[float(cell) for cell in line.split("\t")] for line in printed.splitlines() if line.count("\t") == 3 and line[0].isdigit()]
    assert found == [[label, *row] for label, row in zip(expected.index, expected.to_numpy().tolist(), strict=True)]
    files = [recordio_protobuf.decode(file.read_bytes()) for file in sorted((folder / "recordio").glob("part-*"))]
    assert sum(len(batch) for batch in files) == 1000


def test_a_client_of_spark_connect_trains_on_the_server(folder: Path) -> None:
    options = ["--rows", folder / "customers" / "train.parquet", "--features", "age,visits", "-k", 2]
    printed = run(folder, "python", JOBS / "connect_client.py", "--remote", "local[1]", *options, **FREE_PORT)
    table = [tuple(map(float, row)) for row in re.findall(r"\| +([01])\| +(\d+)\|([\d.]+)\| +([\d.]+)\|", printed)]
    assert [row[0] for row in table] == [0, 1] and sum(row[1] for row in table) == 1000
    assert abs(table[0][2] - table[1][2]) > 20  # two ages

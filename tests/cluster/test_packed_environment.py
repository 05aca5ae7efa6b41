"""The archive of spark-conf/pack-environment.sh on executors that have nothing else: no repository, no libraries, with the archive's own
interpreter no Python either.

Executors run on hosts in which the directories of both are empty; what they have is Java and Spark.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyspark
import pytest

from tests.cluster.hosts import StandaloneCluster, why_not
from tests.conftest import ROOT

PACKED = "./environment/bin/python"

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

# A driver of its own, as a user's would be: one process has one JVM, and this one may have it.
DRIVER = """
import json, sys, time
import pyarrow as pa
from pyspark.sql import SparkSession, functions as F
from sparkml_algos import KMeans, XGBoostRegressor

master, address, archive, kind, repository, packed = sys.argv[1:]
python = sys.executable
builder = SparkSession.builder.master(master).config("spark.driver.host", address).config("spark.driver.bindAddress", address)
builder = builder.config("spark.executor.memory", "1g").config("spark.executor.cores", "1").config("spark.ui.enabled", "false")
if kind == "classic":
    builder = builder.config("spark.archives", archive)
elif kind == "connect":
    builder = builder.config("spark.api.mode", "connect")
spark = builder.getOrCreate()
if kind == "connect":
    spark.addArtifacts(archive, archive=True)
    spark.conf.set("spark.sql.execution.pyspark.python", packed)

def look(batches):
    import importlib.util, json, os, sys
    import numpy, pyarrow as pa, sparkml_algos
    for _ in batches:
        pass
    seen = {
        "package": sparkml_algos.__file__, "numpy": numpy.__file__, "prefix": sys.prefix, "base": sys.base_prefix,
        "repository": os.path.exists(f"{repository}/setup.py"), "python": os.path.exists(python),
        "torch": importlib.util.find_spec("torch") is not None,
    }
    yield pa.RecordBatch.from_pydict({"seen": [json.dumps(seen)]})

start = time.monotonic()
seen = [json.loads(row.seen) for row in spark.range(0, 2, 1, 2).mapInArrow(look, "seen string").collect()]
first_job = time.monotonic() - start
# In one partition, so that rows come to the workers in the same order whenever they do.
data = spark.range(0, 2000, 1, 1).select(
    F.array(*(F.randn(seed) + (F.col("id") % 3) * 10 for seed in range(4))).alias("features"), F.rand(7).alias("label")
)
start = time.monotonic()
kmeans = KMeans(k=3, num_workers=2, seed=1).fit(data)
first_fit = time.monotonic() - start
trees = XGBoostRegressor(num_round=2, num_workers=2, predictionCol="label_guessed").fit(data)
scored = trees.transform(kmeans.transform(data))
print("FOUND", json.dumps({
    "seen": seen, "centers": kmeans.cluster_centers.tolist(), "workers": kmeans.training_summary.num_workers,
    "scored": scored.where("prediction between 0 and 2 and label_guessed is not null").count(),
    "seconds": {"first job": round(first_job, 1), "first fit": round(first_fit, 1)},
}))
spark.stop()
"""


@pytest.fixture(scope="module", params=["", "--with-python"], ids=["libraries", "with Python"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / f"environment{request.param}.tar.gz"
    options = [*filter(None, [request.param]), "--python", sys.executable]
    subprocess.run(["bash", str(ROOT / "spark-conf" / "pack-environment.sh"), *options, str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def cluster(archive: Path) -> Iterator[StandaloneCluster]:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    hidden = [ROOT, *(path for path in [Path(sys.prefix)] if not path.is_relative_to(ROOT))]
    # The system's own Python shares its directory with the system.
    if "--with-python" in archive.name and Path(sys.base_prefix) != Path("/usr"):
        hidden.append(Path(sys.base_prefix))
    cluster = StandaloneCluster(2, number=1, hidden=hidden)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def centers() -> list[list[float]]:
    """The model of a session with this environment's own Python."""
    return _drive("local[2]", "127.0.0.1", "", "here")["centers"]


@pytest.mark.parametrize("kind", ["classic", "submitted", "connect"])
def test_executors_train_and_score_with_what_the_archive_holds(
    cluster: StandaloneCluster, archive: Path, kind: str, centers: list[list[float]]
) -> None:
    found = _drive(cluster.url, cluster.driver_address, f"{archive}#environment", kind)
    print(f"{archive.name}, {kind}: {found['seconds']}")
    with_python = "--with-python" in archive.name
    for seen in found["seen"]:
        environment = Path(seen["package"]).parents[4]
        assert environment.name == "environment" and Path(seen["numpy"]).is_relative_to(environment)
        assert Path(seen["prefix"]).resolve() == environment
        assert (Path(seen["base"]).resolve() == environment) == with_python
        assert not seen["repository"] and not seen["python"] and not seen["torch"]
    assert (found["workers"], found["scored"]) == (2, 2000)
    assert found["centers"] == centers


def _drive(master: str, address: str, archive: str, kind: str) -> dict:
    """Run the driver as the head of pack-environment.sh says; `kind` ``here`` is without the archive."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYSPARK_")} | {"PYTHONPATH": str(ROOT)}
    if kind in ("classic", "here"):
        environment["PYSPARK_PYTHON"] = PACKED if kind == "classic" else sys.executable
    start = [sys.executable]
    if kind == "submitted":
        start = [str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), "--master", master, "--archives", archive]
        start += ["--conf", f"spark.pyspark.python={PACKED}", "--conf", f"spark.pyspark.driver.python={sys.executable}"]
    with tempfile.NamedTemporaryFile("w", suffix=".py") as job:
        job.write(DRIVER)
        job.flush()
        command = [*start, job.name, master, address, archive, kind, str(ROOT), PACKED]
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert "FOUND" in answer.stdout, answer.stderr[-5000:]
    return json.loads(answer.stdout.partition("FOUND")[2])

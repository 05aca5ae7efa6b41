"""The settings of spark-conf/ on a standalone cluster, as a user hands them to Spark: the quickstart's pipeline trains with each.

The hosts here are smaller than the files' executors; what they have is said on the command line, which goes before the file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyspark
import pytest

from tests.cluster.hosts import StandaloneCluster, _answers, _free_port, _wait_for, why_not
from tests.conftest import ROOT, SESSION

SPARK = Path(pyspark.__file__).parent
FOLDER = ROOT / "spark-conf"

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.own_cluster,
    pytest.mark.skipif(SESSION != "hosts", reason="needs hosts of its own"),
]


@pytest.fixture(scope="module")
def hosts_of_two() -> Iterator[StandaloneCluster]:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    cluster = StandaloneCluster(2, number=2)
    yield cluster
    cluster.stop()


def submitted(cluster: StandaloneCluster, file: str, *job: str) -> list[str]:
    smaller = {
        "spark.driver.host": cluster.driver_address,
        "spark.driver.bindAddress": cluster.driver_address,
        "spark.driver.memory": "1g",
        "spark.executor.memory": "1g",
        "spark.executor.memoryOverhead": "384m",
        "spark.executor.cores": "1",
        "spark.cores.max": "2",
        "spark.executorEnv.PYTHONPATH": str(ROOT),
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
    }
    conf = [part for key, value in smaller.items() for part in ("--conf", f"{key}={value}")]
    return [str(SPARK / "bin" / "spark-submit"), "--master", cluster.url, "--properties-file", str(FOLDER / file), *conf, *job]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}


def run(command: list[str], **more: str) -> dict:
    done = subprocess.run(command, env={**environment(), **more}, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert "FOUND" in done.stdout, done.stderr[-4000:]
    return json.loads(done.stdout.partition("FOUND")[2])


QUICKSTART = str(ROOT / "tests" / "spark_conf" / "quickstart.py")
EXPECTED = {"rows": 1797, "workers": 2, "speculation": "false"}


@pytest.mark.parametrize(
    ("file", "launch"), [("standalone.conf", "barrier"), pytest.param("dynamic-allocation.conf", "gang", marks=pytest.mark.slow)]
)
def test_the_quickstart_s_pipeline_trains_as_submitted(hosts_of_two: StandaloneCluster, file: str, launch: str, tmp_path: Path) -> None:
    found = run(submitted(hosts_of_two, file, QUICKSTART, str(tmp_path)))
    assert found.pop("purity") > 0.7
    assert found == {**EXPECTED, "launch": launch, "connect": False}


def test_the_quickstart_s_pipeline_trains_on_a_connect_server(hosts_of_two: StandaloneCluster, tmp_path: Path) -> None:
    address = hosts_of_two.driver_address
    port, log = _free_port(address), tmp_path / "server.log"
    on = ["--conf", f"spark.connect.grpc.binding.address={address}", "--conf", f"spark.connect.grpc.binding.port={port}"]
    serve = [*on, "--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    command = submitted(hosts_of_two, "connect-server.conf", *serve)
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment(), cwd=tmp_path, stdout=output, stderr=output)
    try:
        _wait_for(lambda: _answers(address, port), "the server does not come up", log)
        found = run([sys.executable, QUICKSTART, str(tmp_path)], SPARK_REMOTE=f"sc://{address}:{port}")
    finally:
        server.terminate()
        server.wait(30)
    assert found.pop("purity") > 0.7
    assert found == {**EXPECTED, "launch": "barrier", "connect": True}

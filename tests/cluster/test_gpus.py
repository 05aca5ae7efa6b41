"""A GPU for each worker. There need be none: Spark hands out what a discovery script finds, here of an imagined machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pyspark
import pytest
from pyspark.sql import SparkSession

from sparkml_algos.cluster import gpus
from sparkml_algos.cluster.resources import _running_executors
from tests.cluster.hosts import StandaloneCluster
from tests.conftest import ROOT

FIND_GPUS = str(ROOT / "spark-conf" / "find-gpus.sh")
TWO_GPUS = "0, GPU-5a1e\\n1, GPU-77c2\\n"


def machine(directory: Path, listed: str | None, **environment: str) -> dict[str, str]:
    """The environment of a machine whose nvidia-smi lists these GPUs; without one where it is None."""
    environment = {name: value for name, value in os.environ.items() if name != gpus.VISIBLE} | environment
    if listed is not None:
        (directory / "nvidia-smi").write_text(f"#!/bin/sh\nprintf '{listed}'\n")
        (directory / "nvidia-smi").chmod(0o755)
        environment["PATH"] = f"{directory}{os.pathsep}{environment['PATH']}"
    return environment


@pytest.mark.parametrize(
    ("listed", "visible", "found", "reason"),
    [
        (TWO_GPUS, None, ["0", "1"], ""),
        (TWO_GPUS, "1", ["1"], ""),
        (TWO_GPUS, "1,0", ["1", "0"], ""),
        (TWO_GPUS, "GPU-77c2", ["GPU-77c2"], ""),
        (TWO_GPUS, "1,7,0", ["1"], ""),
        (TWO_GPUS, "", [], "CUDA_VISIBLE_DEVICES= shows none of: 0, GPU-5a1e; 1, GPU-77c2"),
        ("", None, [], "nvidia-smi lists no GPU"),
        (None, None, [], "there is no nvidia-smi on PATH"),
    ],
    ids=["all", "one visible", "in CUDA's order", "by name", "up to an unknown one", "none visible", "none listed", "no nvidia-smi"],
)
def test_a_discovery_script_finds_what_cuda_would_use(
    tmp_path: Path, listed: str | None, visible: str | None, found: list[str], reason: str
) -> None:
    environment = machine(tmp_path, listed, **({} if visible is None else {gpus.VISIBLE: visible}))
    if listed is None:
        environment["PATH"] = str(_without_nvidia_smi(tmp_path))
    answer = subprocess.run([FIND_GPUS], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == {"name": "gpu", "addresses": found}
    assert answer.stderr == (f"find-gpus: {reason}\n" if reason else "")


def test_a_discovery_script_passes_on_why_nvidia_smi_fails(tmp_path: Path) -> None:
    environment = machine(tmp_path, "no driver is loaded\\n")
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho no driver is loaded\nexit 9\n")
    answer = subprocess.run([FIND_GPUS], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["addresses"] == []
    assert answer.stderr == "find-gpus: nvidia-smi says: no driver is loaded\n"


@pytest.mark.parametrize(
    ("address", "visible", "device"),
    [
        ("0", None, "cuda:0"),
        ("3", None, "cuda:3"),
        ("3", "1,3", "cuda:1"),
        ("1", "1, 3", "cuda:0"),
        ("GPU-77c2", "GPU-5a1e,GPU-77c2", "cuda:1"),
    ],
)
def test_the_device_is_the_assigned_gpu_as_cuda_counts(monkeypatch, address: str, visible: str | None, device: str) -> None:
    _assign(monkeypatch, [address], visible, there=4)
    assert gpus.claim_gpu() == device
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


@pytest.mark.parametrize(
    ("addresses", "visible", "there", "reason"),
    [
        ([], None, 4, "Spark assigned it none"),
        (["2"], "0,1", 2, "Spark assigned it GPU 2, which CUDA_VISIBLE_DEVICES=0,1 hides"),
        (["0"], "", 0, "Spark assigned it GPU 0, which CUDA_VISIBLE_DEVICES= hides"),
        (["GPU-77c2"], None, 2, "Spark assigned it GPU GPU-77c2, which is not a number and not in CUDA_VISIBLE_DEVICES"),
        (["1"], None, 1, "Spark assigned it GPU 1, but an imagined CUDA finds 1 GPU there"),
        (["0"], None, 0, "Spark assigned it GPU 0, but an imagined CUDA finds no GPU there"),
    ],
)
def test_no_other_gpu_is_taken_instead(monkeypatch, addresses: list[str], visible: str | None, there: int, reason: str) -> None:
    _assign(monkeypatch, addresses, visible, there)
    with pytest.raises(gpus.NoUsableGpu) as caught:
        gpus.claim_gpu()
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ((True, 1, 1, True), r"a local session assigns none: .* \.master\('local-cluster"),
        ((False, 0, 0, True), r"set spark\.executor\.resource\.gpu\.amount and spark\.executor\.resource\.gpu\.discoveryScript"),
        ((False, 2, 0.5, False), r"before Spark 4 .* set spark\.task\.resource\.gpu\.amount=1; it is 0\.5"),
    ],
    ids=["local", "executors without", "Spark 3.5"],
)
def test_sessions_that_cannot_assign_gpus_are_told_what_to_set(settings: tuple, reason: str) -> None:
    with pytest.raises(ValueError, match=f"use_gpu=True needs a GPU per task.*{reason}"):
        gpus.check_gpus(*settings)


def test_sessions_that_can_are_not() -> None:
    gpus.check_gpus(False, 2, 0, True)
    gpus.check_gpus(False, 1, 1, False)


@pytest.mark.cluster
def test_executors_are_counted_where_only_python_can(spark: SparkSession, hosts: StandaloneCluster | None) -> None:
    number = len(hosts.hosts) if hosts else 2
    assert _running_executors(spark, slots=number) == number


# A session of its own, for GPUs are settings that a session starts with. What CUDA shows to the workers is imagined too, but for the fit.
DRIVER = """
import json, sys
import pyarrow as pa
from pyspark.sql import SparkSession, functions as F
from sparkml_algos import KMeans, TrainingError
from sparkml_algos.cluster import launcher
from sparkml_algos.cluster.resources import _running_slots, inspect_cluster
from sparkml_algos.arrays.artifact import Artifact

api, launch, settings = sys.argv[1:]
builder = SparkSession.builder.config(map=json.loads(settings))
if api == "connect":
    builder = builder.config("spark.api.mode", "connect")
spark = builder.getOrCreate()
if api == "classic":
    spark.sparkContext.setLogLevel("OFF")
data = spark.range(0, 100, 1, 2).select(F.array(F.randn(1), F.randn(2)).alias("features"))

def resources(batches):
    from pyspark import TaskContext
    for _ in batches:
        pass
    yield pa.RecordBatch.from_pydict({"gpus": [len(TaskContext.get().resources())]})

def body(worker, batches):
    from sparkml_algos.cluster.gpus import assigned_address
    for _ in batches:
        pass
    yield f"{worker.rank}", Artifact(values={"device": worker.device, "address": assigned_address()})

def imagined(count):
    def run(gang, body, batches):
        from sparkml_algos.cluster import gpus, worker
        real, gpus.cuda_devices = gpus.cuda_devices, lambda: (count, "an imagined CUDA")
        try:
            yield from worker.run_worker(gang, body, batches)
        finally:
            gpus.cuda_devices = real
    return run

def error(action):
    try:
        action()
    except TrainingError as error:
        return str(error)

found = {"ordinary tasks": [row.gpus for row in spark.range(0, 2, 1, 2).mapInArrow(resources, "gpus long").collect()]}
cluster = inspect_cluster(spark, use_gpu=True)
found["workers"], found["running"] = cluster.slots, _running_slots(spark, 1, 2, cluster.profile)
options = launcher.Launch(use_gpu=True, launch=launch)
real, launcher.run_worker = launcher.run_worker, imagined(2)
outcome = launcher.run_gang(data, [F.col("features")], body, options)
found["devices"] = [outcome.artifacts[str(rank)].values for rank in range(outcome.num_workers)]
launcher.run_worker = imagined(1)
found["mixed"] = error(lambda: launcher.run_gang(data, [F.col("features")], body, options))
launcher.run_worker = real
found["fit"] = error(lambda: KMeans(k=2, use_gpu=True, launch=launch).fit(data))
print("FOUND", json.dumps(found))
spark.stop()
"""


SETTINGS = {
    "spark.master": "local-cluster[1,3,1024]",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.executor.memory": "1g",
    "spark.executor.resource.gpu.amount": "2",
    "spark.worker.resource.gpu.amount": "2",
    "spark.worker.resource.gpu.discoveryScript": FIND_GPUS,
}
# Executors of one GPU each, two of them for the stage that trains, on machines that have no other.
DYNAMIC = {
    "spark.master": "local-cluster[3,2,1024]",
    "spark.executor.cores": "2",
    "spark.executor.resource.gpu.amount": "1",
    "spark.worker.resource.gpu.amount": "1",
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.shuffleTracking.enabled": "true",
    "spark.dynamicAllocation.minExecutors": "0",
    "spark.dynamicAllocation.maxExecutors": "2",
}
with_profiles = pytest.mark.skipif(pyspark.__version__ < "4", reason="Spark 3.5 has no resource profiles for functions over DataFrames")


@with_profiles
@pytest.mark.cluster
@pytest.mark.own_cluster
@pytest.mark.parametrize(
    ("api", "launch"), [("classic", "barrier"), pytest.param("classic", "gang", marks=pytest.mark.slow), ("connect", "gang")]
)
def test_the_stage_that_trains_asks_for_a_gpu_for_each_worker(tmp_path: Path, api: str, launch: str) -> None:
    found = _drive(tmp_path, api, launch)
    assert found["ordinary tasks"] == [0, 0]
    _assert_a_gpu_for_each(found)
    assert sorted(each["address"] for each in found["devices"]) == ["0", "1"]
    assert found["running"] == 2  # of three cores, as Spark counts where the master's name does not say


@with_profiles
@pytest.mark.cluster
@pytest.mark.own_cluster
@pytest.mark.slow
def test_under_dynamic_allocation_it_has_executors_of_its_own(tmp_path: Path) -> None:
    found = _drive(tmp_path, "classic", "auto", **DYNAMIC)
    assert found["ordinary tasks"] == [0, 0]
    _assert_a_gpu_for_each(found)


@pytest.mark.cluster
@pytest.mark.own_cluster
@pytest.mark.slow
def test_the_session_s_settings_may_ask_for_it_instead(tmp_path: Path) -> None:
    found = _drive(tmp_path, "classic", "barrier", **{"spark.task.resource.gpu.amount": "1"})
    assert found["ordinary tasks"] == [1, 1]
    _assert_a_gpu_for_each(found)
    assert sorted(each["address"] for each in found["devices"]) == ["0", "1"]
    assert found["running"] == 2


def _assert_a_gpu_for_each(found: dict) -> None:
    assert found["workers"] == len(found["devices"]) == 2  # there are more cores
    assert all(each["device"] == f"cuda:{each['address']}" for each in found["devices"])
    # Of the GPUs 0 and 1 CUDA finds the first only: one worker has none, and with it the gang.
    refused = r"worker \d on [\d.]+ failed in phase start: NoUsableGpu: no usable GPU: Spark assigned it GPU "
    says_more = r"; sparkml_algos\.check\(spark, use_gpu=True\) says more"
    if len({each["address"] for each in found["devices"]}) == 2:
        assert re.fullmatch(refused + "1, but an imagined CUDA finds 1 GPU there" + says_more, found["mixed"])
    assert _has_cuda() or re.fullmatch(refused + r"\d, but torch \S+ finds no GPU there" + says_more, found["fit"])


def _drive(directory: Path, api: str, launch: str, **settings: str) -> dict:
    environment = machine(directory, TWO_GPUS, PYTHONPATH=str(ROOT))
    command = [sys.executable, "-c", DRIVER, api, launch, json.dumps({**SETTINGS, **settings})]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert "FOUND" in answer.stdout, answer.stderr[-5000:]
    return json.loads(answer.stdout.partition("FOUND")[2])


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _assign(monkeypatch: pytest.MonkeyPatch, addresses: list[str], visible: str | None, there: int) -> None:
    """Have this process be a task to which Spark has assigned GPUs, where CUDA finds so many."""
    resources = {"gpu": SimpleNamespace(addresses=addresses)}
    monkeypatch.setattr("pyspark.TaskContext.get", lambda: SimpleNamespace(resources=lambda: resources))
    monkeypatch.setattr(gpus, "cuda_devices", lambda: (there, "an imagined CUDA"))
    monkeypatch.delenv(gpus.VISIBLE, raising=False)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    if visible is not None:
        monkeypatch.setenv(gpus.VISIBLE, visible)


def _without_nvidia_smi(directory: Path) -> Path:
    """A directory for PATH that has what the script itself needs."""
    tools = directory / "tools"
    tools.mkdir()
    (tools / "bash").symlink_to("/bin/bash")
    return tools

"""What a gang does on executors that can die: a session with executor processes of their own."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import KMeans, TrainingError
from tests.averaging import Averaging
from tests.cluster.hosts import StandaloneCluster

pytestmark = pytest.mark.cluster

ROWS = 4000
EPOCHS = 4
COLLECTIVE_TIMEOUT = 12


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    columns = F.array(*(F.randn(seed) for seed in range(5)))
    return spark.range(0, ROWS, 1, 4).select("id", array_to_vector(columns).alias("features"))


@pytest.fixture(params=["barrier", "gang"])
def launch(request: pytest.FixtureRequest) -> str:
    return request.param


def failing(failure: str, launch: str, log: Path | str = "", **settings: object) -> Averaging:
    job = {"launch": launch, "num_workers": 2, "collective_timeout": COLLECTIVE_TIMEOUT, **settings}
    return Averaging(failure=failure, failing_rank=1, epochs=EPOCHS, log=str(log), **job)


@pytest.fixture
def expected(data: DataFrame) -> np.ndarray:
    return Averaging(num_workers=2).fit(data).mean


def test_the_first_cause_reaches_the_driver(data: DataFrame, launch: str) -> None:
    start = time.monotonic()
    with pytest.raises(TrainingError, match=r"worker 1 on [\d.]+ failed in phase train: ArithmeticError: the true cause") as caught:
        failing("raise", launch).fit(data)
    assert "tests/averaging.py" in str(caught.value.__cause__)
    assert time.monotonic() - start < 60


@pytest.mark.slow
def test_the_first_cause_may_be_worker_0(data: DataFrame, launch: str) -> None:
    with pytest.raises(TrainingError, match=r"worker 0 on [\d.]+ failed in phase train: ArithmeticError: the true cause"):
        failing("raise", launch).setFailingRank(0).fit(data)


def test_a_killed_worker_is_named(data: DataFrame, launch: str) -> None:
    with pytest.raises(TrainingError, match=r"worker 1 on [\d.]+ failed in phase train: its process died without a word"):
        failing("kill", launch).fit(data)


@pytest.mark.parametrize("launch", [pytest.param("barrier", marks=pytest.mark.slow), "gang"])
def test_a_worker_that_stops_answering_is_named_in_time(data: DataFrame, launch: str) -> None:
    start = time.monotonic()
    with pytest.raises(TrainingError, match=r"worker 1 stopped answering; noticed by worker 0"):
        failing("stop", launch).fit(data)
    # Besides the timeout what Spark takes to run a job and to end it on a busy machine.
    assert time.monotonic() - start < COLLECTIVE_TIMEOUT + 25


@pytest.mark.parametrize("failure", [pytest.param("kill", marks=pytest.mark.slow), "kill_jvm"])
def test_a_lost_worker_is_replaced_and_training_resumes(
    data: DataFrame, launch: str, failure: str, expected: np.ndarray, tmp_path: Path
) -> None:
    log, checkpoints = tmp_path / "log", tmp_path / "checkpoints"
    log.mkdir()
    model = failing(failure, launch, log, max_retries=2, checkpoint_dir=str(checkpoints)).setFailingEpoch(2).fit(data)
    assert np.allclose(model.mean, expected, rtol=1e-6, atol=1e-9)
    assert model.training_summary.retries >= 1
    epochs = sorted(int(name.split("-")[1]) for name in os.listdir(log) if name.startswith("epoch-"))
    assert set(epochs) == set(range(EPOCHS)) and len(epochs) <= EPOCHS + 1  # at most one epoch done twice
    assert [entry["epoch"] for entry in model.training_summary.history] == list(range(1, EPOCHS + 1))
    assert list(checkpoints.iterdir()) == []


@pytest.mark.slow
def test_without_retries_a_lost_executor_is_an_error_and_the_next_fit_works(data: DataFrame, launch: str, expected: np.ndarray) -> None:
    with pytest.raises(TrainingError, match="worker 1 on"):
        failing("kill_jvm", launch).fit(data)
    assert np.allclose(Averaging(num_workers=2, launch=launch, max_retries=2).fit(data).mean, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_nothing_is_left_behind(data: DataFrame, launch: str) -> None:
    with pytest.raises(TrainingError):
        failing("stop", launch, max_shard_bytes=1000).fit(data)
    deadline = time.monotonic() + 20
    while (stopped := _stopped_workers()) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert stopped == []


def test_a_gang_that_cannot_assemble_says_so(data: DataFrame, spark: SparkSession, hosts: StandaloneCluster | None) -> None:
    slots = len(hosts.hosts) if hosts else 2
    occupied = spark.range(0, 1, 1, 1).mapInArrow(_sleep, "n long")
    _background(occupied.collect)
    time.sleep(3)
    start = time.monotonic()
    with pytest.raises(TrainingError, match=rf"only {slots - 1} of {slots} workers had started 10 s after the first"):
        KMeans(k=2, num_workers=slots, launch="gang", start_timeout=10).fit(data)
    assert time.monotonic() - start < 40


def _sleep(batches):
    import pyarrow as pa

    for _ in batches:
        time.sleep(30)
    yield pa.RecordBatch.from_pydict({"n": [1]})


def _background(function) -> None:
    import threading

    threading.Thread(target=function, daemon=True).start()


def _stopped_workers() -> list[str]:
    """Python processes of Spark in state T, stopped by a signal."""
    listing = subprocess.run(["ps", "-eo", "stat,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if line.startswith("T") and "pyspark.daemon" in line]

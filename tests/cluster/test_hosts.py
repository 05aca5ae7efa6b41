"""What a gang does on hosts with addresses of their own, which may lose touch with each other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import TrainingError
from tests.averaging import Averaging
from tests.cluster.hosts import Host, StandaloneCluster

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]

EPOCHS = 4
COLLECTIVE_TIMEOUT = 15


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    columns = F.array(*(F.randn(seed) for seed in range(5)))
    return spark.range(0, 4000, 1, 4).select("id", array_to_vector(columns).alias("features"))


@pytest.fixture(params=["barrier", "gang"])
def launch(request: pytest.FixtureRequest) -> str:
    return request.param


def waiting(log: Path, launch: str, **settings: object) -> Averaging:
    """A fit whose worker 1 pauses in its second epoch, while worker 0 waits for it."""
    settings = {"failure": "wait", "failing_rank": 1, "epochs": EPOCHS, "log": str(log), "num_workers": 2, **settings}
    return Averaging(launch=launch, collective_timeout=COLLECTIVE_TIMEOUT, **settings)


@contextmanager
def unplugged_while_waiting(cluster: StandaloneCluster, log: Path) -> Iterator[Host]:
    """Unplug the host of the worker that waits, as soon as it does."""
    marker = log / "failed"
    while not (marker.exists() and marker.read_text()):
        time.sleep(0.1)
    pid = int(marker.read_text())
    host = next(host for host in cluster.hosts if pid in host.processes())
    host.unplug()
    try:
        yield host
    finally:
        host.plug_in()


def test_workers_run_on_hosts_of_their_own(data: DataFrame, cluster: StandaloneCluster, launch: str) -> None:
    model = Averaging(num_workers=3, launch=launch).fit(data)
    expected = np.mean([row["features"].toArray() for row in data.collect()], axis=0)
    np.testing.assert_allclose(model.mean, expected, rtol=1e-5, atol=1e-7)
    assert all(host.processes("pyspark") for host in cluster.hosts)


@pytest.mark.slow
def test_an_unplugged_host_is_named_in_time(data: DataFrame, cluster: StandaloneCluster, launch: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        fit = pool.submit(waiting(tmp_path, launch).fit, data)
        with unplugged_while_waiting(cluster, tmp_path) as host:
            start = time.monotonic()
            error = fit.exception(timeout=120)
            seconds = time.monotonic() - start
    assert isinstance(error, TrainingError)
    assert f"worker 1 on {host.address}" in str(error) or "worker 1 stopped answering" in str(error), error
    assert seconds < COLLECTIVE_TIMEOUT + 25
    cluster.wait_for_workers(len(cluster.hosts))


@pytest.mark.parametrize("launch", [pytest.param("barrier", marks=pytest.mark.slow), "gang"])
def test_training_goes_on_without_an_unplugged_host(data: DataFrame, cluster: StandaloneCluster, launch: str, tmp_path: Path) -> None:
    expected = Averaging(num_workers=2).fit(data).mean
    log, checkpoints = tmp_path / "log", tmp_path / "checkpoints"
    log.mkdir()
    with ThreadPoolExecutor(1) as pool:
        fit = pool.submit(waiting(log, launch, max_retries=3, checkpoint_dir=str(checkpoints)).fit, data)
        with unplugged_while_waiting(cluster, log):
            model = fit.result(timeout=180)
    np.testing.assert_allclose(model.mean, expected, rtol=1e-6, atol=1e-9)
    assert model.training_summary.retries >= 1
    epochs = [int(path.name.split("-")[1]) for path in log.glob("epoch-*")]
    assert set(epochs) == set(range(EPOCHS)) and len(epochs) <= EPOCHS + 1
    cluster.wait_for_workers(len(cluster.hosts))

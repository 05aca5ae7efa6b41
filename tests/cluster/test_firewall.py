"""A firewall that lets executors call Spark's ports of the driver and no others: what trains, what does not, and what opens it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import numpy as np
import pytest
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import sparkml_algos
from sparkml_algos import TrainingError
from sparkml_algos.cluster.rendezvous import DRIVER_PORTS
from tests.averaging import Averaging
from tests.cluster.hosts import Host, StandaloneCluster

pytestmark = pytest.mark.cluster

# Outside those that the system chooses.
OPENED = range(21100, 21108)
#: Within which a check says what it has found, and a training ends, one way or the other.
SECONDS = 90.0


@pytest.fixture
def spark_ports(spark: SparkSession, cluster: StandaloneCluster) -> list[int]:
    """Where executors call driver and master for Spark itself."""
    block_managers = spark.sparkContext._jsc.sc().getExecutorMemoryStatus().keys().mkString(" ").split()
    of_driver = [int(one.rpartition(":")[2]) for one in block_managers if one.startswith(f"{cluster.driver_address}:")]
    return [int(spark.conf.get("spark.driver.port")), *of_driver, int(cluster.url.rpartition(":")[2])]


@pytest.fixture
def host(spark: SparkSession, cluster: StandaloneCluster) -> Host:
    """One of three, each with an executor."""
    spark.range(0, 3, 1, 3).count()
    return cluster.hosts[0]


@pytest.fixture
def walled(host: Host, cluster: StandaloneCluster, spark_ports: list[int]) -> Iterator[Host]:
    """The host, behind the firewall."""
    with host.firewall(cluster.driver_address, spark_ports):
        yield host


@pytest.fixture
def data(spark: SparkSession) -> DataFrame:
    columns = F.array(*(F.randn(seed) for seed in range(5)))
    return spark.range(0, 600, 1, 3).select(array_to_vector(columns).alias("features"))


def test_check_finds_it_in_time_and_says_what_to_open_or_set(spark: SparkSession, cluster: StandaloneCluster, walled: Host) -> None:
    begun = time.monotonic()
    report = sparkml_algos.check(spark, num_workers=3)
    assert time.monotonic() - begun < SECONDS
    (finding,) = report.of("driver reached")
    address = re.escape(cluster.driver_address)
    assert finding.status == "wrong", report
    assert re.fullmatch(
        rf"the driver cannot be reached from executors on {re.escape(walled.address)} at {address}:\d+: timed out", finding.found
    )
    assert re.match(r"open its ports \d+-\d+ \(net\.ipv4\.ip_local_port_range\), of which the system chooses, to executors", finding.remedy)
    assert f"or set {DRIVER_PORTS} to ports that are open" in finding.remedy
    assert report.wrong == [finding] and report.of("executors reached")[0].status == "unknown"


def test_check_finds_one_between_executors(spark: SparkSession, cluster: StandaloneCluster, host: Host) -> None:
    other = cluster.hosts[1]
    with host.firewall(other.address, []):
        (finding,) = sparkml_algos.check(spark, num_workers=3).of("executors reached")
    assert finding.status == "wrong" and "let executors call each other's ports" in finding.remedy
    assert re.fullmatch(
        rf"1 of 9 ways are closed, such as from {re.escape(host.address)} to {re.escape(other.address)}:\d+: timed out", finding.found
    )


def test_a_gang_does_not_train_and_names_the_setting_and_the_check(data: DataFrame, walled: Host) -> None:
    begun = time.monotonic()
    with pytest.raises(TrainingError, match=rf"cannot reach the driver at .*{DRIVER_PORTS}.*sparkml_algos\.check\(spark\) says more"):
        Averaging(num_workers=3, launch="gang").fit(data)
    assert time.monotonic() - begun < SECONDS


def test_a_barrier_stage_trains_without(data: DataFrame, walled: Host) -> None:
    begun = time.monotonic()
    model = Averaging(num_workers=3, launch="barrier").fit(data)
    assert time.monotonic() - begun < SECONDS
    expected = np.mean([row["features"].toArray() for row in data.collect()], axis=0)
    np.testing.assert_allclose(model.mean, expected, rtol=1e-5, atol=1e-7)


def test_ports_that_are_named_and_open_let_a_gang_train(
    spark: SparkSession, data: DataFrame, host: Host, cluster: StandaloneCluster, spark_ports: list[int]
) -> None:
    spark.conf.set(DRIVER_PORTS, f"{OPENED[0]}-{OPENED[-1]}")
    try:
        with host.firewall(cluster.driver_address, [*spark_ports, *OPENED]):
            report = sparkml_algos.check(spark, num_workers=3)
            model = Averaging(num_workers=3, launch="gang").fit(data)
    finally:
        spark.conf.unset(DRIVER_PORTS)
    assert report.of("driver reached")[0].found == f"all of 3 tasks have called {cluster.driver_address}:{OPENED[0]}", report
    assert report.ok and model.training_summary.launch == "gang"

"""The one Spark session of a test run.

``SPARKML_ALGOS_TEST_SESSION`` says which: ``local`` (default), ``connect``, ``local-cluster``, ``hosts`` (a standalone cluster on three
hosts that can be unplugged) or ``dynamic`` (a local cluster with dynamic allocation). Tests marked ``cluster`` belong to a local cluster or
to hosts, those marked ``dynamic`` to the last, those marked ``classic`` to all but ``connect``; all others run on any.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from sparkml_algos.core.joining import why_no_bridge
from sparkml_algos.jvm.jars import JvmBridgeError, classpath_jars
from tests.cluster.hosts import StandaloneCluster, why_not

ROOT = Path(__file__).parents[1]
SESSION = os.environ.get("SPARKML_ALGOS_TEST_SESSION", "local")
# Tests of what goes wrong end many Python workers; with this daemon the next ones need not import everything again.
DAEMON = "tests.daemon"

# Sessions that tests with a marker belong to.
BELONGS_TO = {
    "cluster": ("hosts", "local-cluster"),
    "dynamic": ("dynamic",),
    "classic": ("local", "local-cluster", "hosts", "dynamic"),
}
SETTINGS = {
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": "3",
    "spark.ui.enabled": "false",
    # Thousands of queries, many of which come again: what Spark has generated and compiled for them is kept, what it remembers of them is
    # not.
    "spark.sql.codegen.cache.maxEntries": "4000",
    "spark.sql.ui.retainedExecutions": "20",
    "spark.ui.retainedJobs": "100",
    "spark.ui.retainedStages": "100",
    "spark.ui.retainedTasks": "1000",
}

# What takes minutes comes first, so that of several processes none is left with it when the others have ended; so does what waits for
# executors to go, which stay where something was shuffled for another test.
LONGEST = (
    "tuning/test_dynamic_allocation.py",
    "test_estimators.py",
    "docs/test_examples.py",
    "test_lived_in_frames.py",
    "notebooks/test_zeppelin.py",
    "tuning/test_on_spark.py",
    "examples/test_jobs.py",
    "checking/test_faults.py",
    "algorithms/test_object_detection_training.py",
    "algorithms/test_semantic_segmentation_training.py",
    "algorithms/test_image_classification_training.py",
    "notebooks/test_jupyter.py",
    "notebooks/test_sparkmagic.py",
    "core/test_joining.py",
    "cluster/test_interpreters.py",
    "tuning/test_resumed.py",
)
# By what stands in a file tests/run.sh finds those that have tests with such a marker.
LOOKED_FOR = ("generic", "cluster", "own_cluster", "dynamic")

# For a process that starts a Connect server of its own: PySpark then takes a port that is free, where it otherwise has one for all, which
# that of the session ``connect`` has.
FREE_PORT = {"SPARK_TESTING": "yes"}

# Workers import the tests' own algorithm by name.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
# Many short jobs: the optimising compiler never earns what it costs. The generic tests take three quarters of the time without it. With it
# would go four fifths of the room for compiled code.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if gone := [name for name in LONGEST if not (ROOT / "tests" / name).is_file()]:
        raise pytest.UsageError(f"tests/conftest.py names files that are not there: {', '.join(gone)}")
    items.sort(key=_place)
    text_of = cache(Path.read_text)
    for item in items:
        for marker in LOOKED_FOR:
            if item.get_closest_marker(marker) and f"mark.{marker}" not in text_of(item.path):
                raise pytest.UsageError(f"{item.nodeid} is {marker}, which must stand in its file as pytest.mark.{marker}")
        for marker, sessions in BELONGS_TO.items():
            if item.get_closest_marker(marker) and SESSION not in sessions:
                item.add_marker(pytest.mark.skip(reason=f"needs SPARKML_ALGOS_TEST_SESSION={sessions[0]}; tests/run.sh runs it so"))
        if item.get_closest_marker("horovod") and find_spec("horovod") is None:
            item.add_marker(pytest.mark.skip(reason=f"needs Horovod: bash spark-conf/install-horovod.sh {sys.executable}"))


def _place(item: pytest.Item) -> int:
    """When the tests of a file come."""
    name = item.path.relative_to(ROOT / "tests").as_posix()
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


@pytest.fixture(scope="session")
def bridge(spark: SparkSession) -> SparkSession:
    """The session, where the JVM bridge has joined it."""
    try:
        classpath_jars()
    except JvmBridgeError as error:
        pytest.skip(str(error))
    assert why_no_bridge(spark) is None
    return spark


@pytest.fixture(scope="session")
def hosts() -> Iterator[StandaloneCluster | None]:
    """The cluster of the session ``hosts``, None in others."""
    if SESSION != "hosts":
        yield None
        return
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    cluster = StandaloneCluster()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def spark(hosts: StandaloneCluster | None) -> Iterator[SparkSession]:
    builder = SparkSession.builder.config(map=SETTINGS)
    if SESSION == "connect":
        builder = builder.remote("local[3]").config("spark.python.daemon.module", DAEMON)
    else:
        builder = builder.master("local[3]" if SESSION == "local" else "local-cluster[2,1,1024]")
        builder = builder.config("spark.ui.showConsoleProgress", "false")
        builder = builder.config("spark.executor.memory", "1g").config("spark.executorEnv.PYTHONPATH", os.environ["PYTHONPATH"])
    if SESSION == "local":
        builder = builder.config("spark.python.daemon.module", DAEMON)
    if SESSION == "hosts":
        for key, value in hosts.settings().items():
            builder = builder.config(key, value)
    if SESSION == "dynamic":
        builder = builder.config("spark.dynamicAllocation.enabled", "true").config("spark.dynamicAllocation.minExecutors", "0")
        builder = builder.config("spark.dynamicAllocation.shuffleTracking.enabled", "true")
        builder = builder.config("spark.dynamicAllocation.executorIdleTimeout", "5s")
    session = builder.getOrCreate()
    if SESSION != "connect":
        session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()

"""What each fault costs a training on a cluster: what the user is told, how long it takes, what work is lost. The model is the undisturbed
one to the last bit, and nothing is left behind. `fault_report` makes a table of what is measured here."""

from __future__ import annotations

import functools
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.cluster.driver import IMAGES, TRAININGS, Driver, InSession
from tests.cluster.fault_report import NETWORKS, Row, report
from tests.cluster.faults import FATAL, LASTING, PREEMPTED, Fault, Scene, store_gone
from tests.cluster.hosts import StandaloneCluster
from tests.cluster.leftovers import Before

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]

COLLECTIVE_TIMEOUT = 12
TIMEOUT = 240.0
STORE, DISK, DRIVER = "checkpoint store gone for a while", "disk full on a spill", "driver killed"
# Bytes that workers hold in memory before they spill, and bytes left on a full disk; a worker's rows take more than 3 MB.
SPILLING, DISK_LEFT = 1 << 20, 1 << 18
# Seconds for which a lasting fault lasts.
WINDOW = 8.0
DYNAMIC = {
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.shuffleTracking.enabled": "true",
    "spark.dynamicAllocation.minExecutors": "0",
    "spark.dynamicAllocation.maxExecutors": "3",
    "spark.dynamicAllocation.executorIdleTimeout": "5s",
}


def cells(*named: tuple[str, ...], quick: tuple[tuple[str, ...], ...] = ()) -> list:
    """Parameters, slow but for those in `quick`."""
    return [pytest.param(*one, marks=[] if one in quick else pytest.mark.slow, id="-".join(one)) for one in named]


def everywhere(*faults: str) -> list[tuple[str, ...]]:
    return [(*fault, algorithm, launch) for fault in [(one,) for one in faults] or [()] for algorithm in TRAININGS for launch in LAUNCHES]


LAUNCHES = ("barrier", "gang")


@pytest.fixture(scope="module")
def cluster_of_drivers() -> Iterator[StandaloneCluster]:
    """The session of this process holds every core of the other."""
    cluster = StandaloneCluster(number=1)
    yield cluster
    cluster.stop()


class Watch:
    """Sees checkpoints come.

    Attributes
    ----------
    seen : list of (float, int)
        When each was written, in seconds since the epoch, and how many epochs it holds.
    """

    def __init__(self, checkpoints: Path) -> None:
        self.seen: list[tuple[float, int]] = []
        self._checkpoints, self._over = checkpoints, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.005):
            try:
                found = [(path.stat().st_mtime, int(path.stem.split("-")[1])) for path in self._checkpoints.glob("*/epoch-*.parquet")]
            except OSError:  # the next one has just replaced it
                continue
            self.seen += sorted(set(found) - set(self.seen[-3:]))

    def wait_for(self, epochs: int) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not (self.seen and self.seen[-1][1] >= epochs):
            assert time.monotonic() < deadline, f"no checkpoint of epoch {epochs}, but {self.seen[-1:]}"
            time.sleep(0.005)

    def last(self, until: float) -> tuple[float, int]:
        return [one for one in self.seen if one[0] <= until][-1]

    def first(self, after: float) -> tuple[float, int]:
        return next(one for one in self.seen if one[0] > after)

    def pace(self, start: float = 0.0, end: float = np.inf) -> float:
        """Seconds per epoch."""
        (first, done), *_, (last, more) = [one for one in self.seen if start <= one[0] <= end]
        return (last - first) / (more - done)


@dataclass
class Undisturbed:
    model: dict[str, np.ndarray]
    pace: float


@pytest.fixture(scope="module")
def undisturbed(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Undisturbed]:
    @functools.cache
    def train(algorithm: str) -> Undisturbed:
        checkpoints = tmp_path_factory.mktemp("undisturbed") / "checkpoints"
        with Watch(checkpoints) as watch:
            model = InSession(spark, algorithm, job("barrier", checkpoints)).result(TIMEOUT)
        report(Row("none", algorithm, "barrier", "", f"an epoch takes {watch.pace():.3f} s"))
        return Undisturbed(model, watch.pace())

    return train


def job(launch: str, checkpoints: Path) -> dict[str, object]:
    launch = "gang" if launch == "dynamic" else launch
    return {
        "launch": launch,
        "checkpoint_dir": str(checkpoints),
        "max_retries": 2,
        "collective_timeout": COLLECTIVE_TIMEOUT,
        "start_timeout": 60,
        "max_shard_bytes": SPILLING,
    }


def strike(watch: Watch, algorithm: str, pace: float) -> float:
    """Wait until a training has come some way and is between two checkpoints; the time."""
    watch.wait_for(TRAININGS[algorithm].epochs // 8)
    time.sleep(pace / 2)
    return time.time()


def assert_equal(model: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert model.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(model[name], array, err_msg=name)


def settings(cluster: StandaloneCluster, launch: str) -> dict[str, str]:
    return {**cluster.settings(), "spark.ui.enabled": "false", **(DYNAMIC if launch == "dynamic" else {})}


QUICK = (("Python worker killed", "k-means", "gang"),)


@pytest.mark.parametrize(("fault", "algorithm", "launch"), cells(*everywhere(*FATAL), quick=QUICK))
def test_a_training_that_is_cut_off_goes_on_from_its_last_checkpoint(
    fault: str, algorithm: str, launch: str, cluster: StandaloneCluster, spark: SparkSession, undisturbed, tmp_path: Path
) -> None:
    expected, checkpoints = undisturbed(algorithm), tmp_path / "checkpoints"
    training = functools.partial(InSession, spark, algorithm, job(launch, checkpoints))
    cut_off(FATAL[fault], algorithm, launch, training, Scene(cluster, checkpoints, spark), expected)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["executor JVM killed", "Python worker killed", "worker stopped (SIGSTOP)", "host unplugged"])
def test_the_same_under_dynamic_allocation(fault: str, cluster_of_drivers: StandaloneCluster, undisturbed, tmp_path: Path) -> None:
    cluster, checkpoints, algorithm = cluster_of_drivers, tmp_path / "checkpoints", "k-means"
    training = functools.partial(Driver, settings(cluster, "dynamic"), algorithm, job("dynamic", checkpoints), tmp_path / "driver")
    cut_off(FATAL[fault], algorithm, "dynamic", training, Scene(cluster, checkpoints), undisturbed(algorithm))


def cut_off(
    fault: Fault,
    algorithm: str,
    launch: str,
    start: Callable[[], InSession | Driver],
    scene: Scene,
    expected: Undisturbed,
) -> None:
    before = Before(scene.cluster, scene.checkpoints)
    with Watch(scene.checkpoints) as watch:
        training = start()
        moment = strike(watch, algorithm, expected.pace)
        with fault.strike(scene):
            model = training.result(TIMEOUT)
    assert_equal(model, expected.model)
    told, message = next((when, text) for when, text in training.heard if "trying again" in text)
    assert re.search(fault.says, message), message
    # Of ordinary tasks Spark tells nobody why it ended one.
    assert PREEMPTED in message or fault.name != "task preempted" or launch != "barrier", message
    written, done = watch.last(until=told)
    goes_on, epochs = watch.first(after=told)
    assert epochs > done, f"went back to before epoch {done}"
    assert before.leftovers() == []
    # A worker that may finish what it is at has written one more checkpoint; what it has begun after that takes an epoch at most.
    lost = moment - written if written <= moment else expected.pace
    report(
        Row(
            fault.name,
            algorithm,
            launch,
            "error; a retry goes on from the last checkpoint",
            said(message),
            told - moment,
            goes_on - moment,
            lost,
        )
    )


@dataclass
class Survived:
    """A training that went on while something was wrong, between two moments in seconds since the epoch."""

    training: InSession
    watch: Watch
    start: float
    end: float


def survive(
    strikes: Callable[[Scene], AbstractContextManager[None]],
    seconds: float,
    algorithm: str,
    launch: str,
    scene: Scene,
    expected: Undisturbed,
) -> Survived:
    before = Before(scene.cluster, scene.checkpoints)
    with Watch(scene.checkpoints) as watch:
        training = InSession(scene.spark, algorithm, job(launch, scene.checkpoints))
        start = strike(watch, algorithm, expected.pace)
        with strikes(scene):
            time.sleep(seconds)
            end = time.time()
        model = training.result(TIMEOUT)
    assert_equal(model, expected.model)
    assert before.leftovers() == []
    return Survived(training, watch, start, end)


@pytest.mark.parametrize(("fault", "algorithm", "launch"), cells(*everywhere(*LASTING)))
def test_what_is_slow_costs_time_and_nothing_else(
    fault: str, algorithm: str, launch: str, cluster: StandaloneCluster, spark: SparkSession, undisturbed, tmp_path: Path
) -> None:
    expected = undisturbed(algorithm)
    scene = Scene(cluster, tmp_path / "checkpoints", spark)
    found = survive(LASTING[fault].strike, WINDOW, algorithm, launch, scene, expected)
    assert found.training.heard == []
    slower = found.watch.pace(found.start, found.end) / expected.pace
    report(Row(fault, algorithm, launch, "training takes longer", "nothing", slower=slower))


@pytest.mark.parametrize(("algorithm", "launch"), cells(*everywhere(), quick=(("k-means", "gang"),)))
def test_a_store_that_is_gone_for_a_while_costs_no_training(
    algorithm: str, launch: str, cluster: StandaloneCluster, spark: SparkSession, undisturbed, tmp_path: Path
) -> None:
    expected = undisturbed(algorithm)
    scene = Scene(cluster, tmp_path / "checkpoints", spark)
    found = survive(store_gone, max(10 * expected.pace, 0.5), algorithm, launch, scene, expected)
    (told, warning), (_, relief) = found.training.heard
    assert re.search(r"worker 0 on [\d.]+: no checkpoint after epoch \d+, training goes on", warning), warning
    assert "checkpoints are written again" in relief
    goes_on, epochs = found.watch.first(after=found.end)
    assert epochs > found.watch.last(until=found.start)[1]
    happens = "a warning; training goes on"
    report(Row(STORE, algorithm, launch, happens, said(warning), told - found.start, goes_on - found.end, 0.0))


# Networks have too few rows here to be spilled.
LARGE = [cell for cell in everywhere() if cell[0] not in (*NETWORKS, *IMAGES)]


@pytest.mark.parametrize(("algorithm", "launch"), cells(*LARGE, quick=(("k-means", "barrier"),)))
def test_a_disk_that_is_full_is_named_and_a_retry_starts_anew(
    algorithm: str, launch: str, cluster: StandaloneCluster, spark: SparkSession, undisturbed, tmp_path: Path
) -> None:
    expected, checkpoints = undisturbed(algorithm), tmp_path / "checkpoints"
    before = Before(cluster, checkpoints)
    shuffled, start = shuffle_files(cluster), time.time()
    try:
        with Watch(checkpoints) as watch:
            training = InSession(spark, algorithm, job(launch, checkpoints))
            wait_until(lambda: shuffle_files(cluster) - shuffled)
            for host in cluster.hosts:
                host.disk.leave_free(DISK_LEFT)
            moment = time.time()
            wait_until(lambda: training.heard)
            for host in cluster.hosts:
                host.disk.restore()
            model = training.result(TIMEOUT)
    finally:
        for host in cluster.hosts:
            host.disk.restore()
    assert_equal(model, expected.model)
    told, message = training.heard[0]
    assert re.search(r"worker \d on 198\.18\.78\.\d+ failed in phase ingest: .*cannot be spilled to \S+: No space left", message), message
    goes_on, _ = watch.first(after=told)
    assert before.leftovers() == []
    report(Row(DISK, algorithm, launch, "error; a retry starts anew", said(message), told - moment, goes_on - moment, told - start))


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "launch"), [*everywhere(), ("k-means", "dynamic")])
def test_a_new_driver_goes_on_where_the_killed_one_was(
    algorithm: str, launch: str, cluster_of_drivers: StandaloneCluster, undisturbed, tmp_path: Path
) -> None:
    expected, checkpoints, cluster = undisturbed(algorithm), tmp_path / "checkpoints", cluster_of_drivers
    before = Before(cluster, checkpoints)
    start = functools.partial(Driver, settings(cluster, launch), algorithm, job(launch, checkpoints))
    with Watch(checkpoints) as watch:
        first = start(tmp_path / "first")
        moment = strike(watch, algorithm, expected.pace)
        first.kill()
        model = start(tmp_path / "second").result(TIMEOUT)
    assert_equal(model, expected.model)
    written, done = watch.last(until=moment)
    goes_on, epochs = watch.first(after=moment + 2)
    assert epochs > done
    assert before.leftovers() == []
    report(
        Row(
            DRIVER,
            algorithm,
            launch,
            "a new session goes on from the last checkpoint",
            "its process is gone",
            None,
            goes_on - moment,
            moment - written,
        )
    )


def shuffle_files(cluster: StandaloneCluster) -> set[Path]:
    """What the workers are about to read when it is there."""
    return {path for host in cluster.hosts for path in host.disk.path.rglob("shuffle_*.data")}


def said(message: str) -> str:
    """What the user is told, without what stands around it."""
    return re.sub(r"^attempt \d of \d failed, trying again: ", "", message)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)

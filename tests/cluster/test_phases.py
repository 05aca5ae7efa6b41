"""Where the time of a fit went: phases have names, and add up to what the user waited."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.cluster import launcher, phases
from sparkml_algos.cluster.launcher import Launch, run_gang
from sparkml_algos.cluster.phases import PHASES, Stopwatch, phases_of_attempt, rounded
from tests.averaging import Averaging

SLEEP = 1.5
ALWAYS = [phase for phase in PHASES if phase != "failed"]


class TestStopwatch:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        now = [100.0]
        monkeypatch.setattr(phases.time, "perf_counter", lambda: now[0])
        return now

    def test_a_phase_lasts_until_the_next_and_may_come_again(self, clock: list[float]) -> None:
        watch = Stopwatch("prepare")
        for phase, at in (("wait", 101), ("prepare", 103), ("train", 110)):
            clock[0] = at
            watch.enter(phase)
        clock[0] = 115
        assert watch.seconds() == {"prepare": 8, "wait": 2, "train": 5}

    def test_it_may_have_begun_before(self, clock: list[float]) -> None:
        assert Stopwatch("prepare", began=97.0).seconds() == {"prepare": 3}

    def test_a_phase_can_be_told_by_its_parts(self, clock: list[float]) -> None:
        watch = Stopwatch("wait")
        clock[0] = 101
        watch.enter("failed")
        clock[0] = 105
        watch.split({"start": 1.0, "train": 2.5}, then="collect")
        clock[0] = 106
        assert watch.seconds() == {"wait": 1, "start": 1, "train": 2.5, "collect": 1.5}


LATE = {"start": 0.1, "ingest": 5.0, "setup": 0.2, "train": 3.0, "finish": 0.1, "done": 0.2}
EARLY = {"start": 0.1, "ingest": 1.0, "setup": 4.2, "train": 3.0, "finish": 0.0, "done": 0.1}


class TestAttempt:
    def test_of_the_worker_that_was_last_to_have_its_rows(self) -> None:
        found = phases_of_attempt(12.0, 2.0, [EARLY, LATE])
        assert found == pytest.approx({"start": 2.1, "ingest": 5, "setup": 0.2, "train": 3, "finish": 0.3, "collect": 1.4})
        assert sum(found.values()) == pytest.approx(12)

    def test_where_they_met_without_the_driver_what_came_after_counts_as_the_start(self) -> None:
        found = phases_of_attempt(12.0, None, [LATE])
        assert (found["start"], found["collect"]) == pytest.approx((3.5, 0))
        assert sum(found.values()) == pytest.approx(12)

    def test_are_rounded_in_their_order_after_the_total(self) -> None:
        found = rounded({"train": 1.23456, "prepare": 0.5})
        assert list(found) == ["total", *ALWAYS]
        assert (found["total"], found["train"], found["wait"]) == (1.735, 1.235, 0)
        assert list(rounded({"failed": 1.0}))[1:4] == ["prepare", "wait", "failed"]


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    return spark.range(0, 400, 1, 2).select(F.array(F.randn(1), F.randn(2)).alias("features"))


@pytest.fixture(params=["barrier", "gang"])
def launch(request: pytest.FixtureRequest) -> str:
    return request.param


def adds_up(seconds: dict[str, float], wall: float) -> None:
    assert sum(seconds.values()) == pytest.approx(2 * seconds["total"], rel=0.02)
    assert min(seconds.values()) >= 0
    assert seconds["total"] <= wall and wall - seconds["total"] < max(0.3, 0.02 * wall)


def test_of_a_fit_they_add_up_to_what_the_user_waited(data: DataFrame, launch: str) -> None:
    Averaging(num_workers=2, launch=launch).fit(data)
    start = time.perf_counter()
    model = Averaging(num_workers=2, launch=launch).fit(data)
    wall = time.perf_counter() - start
    assert list(model.training_summary.seconds) == ["total", *ALWAYS]
    adds_up(model.training_summary.seconds, wall)


def sleeps_everywhere(worker: Any, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, Artifact]]:
    worker.phase = "ingest"
    time.sleep(SLEEP * worker.rank)
    worker.phase = "setup"
    communicator = worker.connect()
    communicator.barrier()
    worker.phase = "train"
    time.sleep(2 * SLEEP)
    communicator.barrier()
    worker.phase = "finish"
    yield f"of/{worker.rank}", Artifact(values={"workers_on_host": worker.workers_on_host})


def slow_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    time.sleep(SLEEP)
    yield from batches


def test_each_phase_is_what_its_name_says(data: DataFrame, launch: str) -> None:
    """Time is spent on purpose in each, and found there."""
    start = time.perf_counter()
    outcome = run_gang(data.mapInArrow(slow_rows, data.schema), ["features"], sleeps_everywhere, Launch(num_workers=2, launch=launch))
    wall = time.perf_counter() - start
    seconds = outcome.seconds
    adds_up(seconds, wall)
    assert seconds["start"] >= SLEEP
    assert SLEEP <= seconds["ingest"] < 2 * SLEEP and seconds["setup"] < SLEEP
    assert 2 * SLEEP <= seconds["train"] < 3 * SLEEP
    assert seconds["wait"] < SLEEP


def test_workers_of_one_host_know_of_each_other(data: DataFrame, spark: SparkSession, launch: str) -> None:
    """In these sessions all executors are on this machine."""
    if not spark.conf.get("spark.master").startswith("local"):
        pytest.skip("workers are on hosts of their own")
    artifacts = run_gang(data, ["features"], sleeps_everywhere, Launch(num_workers=2, launch=launch)).artifacts
    assert [artifacts[f"of/{rank}"].values["workers_on_host"] for rank in range(2)] == [2, 2]
    assert set(artifacts) == {"of/0", "of/1"}


def test_waiting_for_another_fit_is_told(data: DataFrame) -> None:
    launcher._TURN.acquire()
    threading.Timer(SLEEP, launcher._TURN.release).start()
    assert SLEEP * 0.8 <= Averaging(num_workers=2).fit(data).training_summary.seconds["wait"] < 3 * SLEEP


def test_attempts_that_failed_are_told(data: DataFrame, launch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "SECONDS_BETWEEN_RETRIES", SLEEP)
    start = time.perf_counter()
    once = {"failure": "raise", "failing_rank": 0, "failing_epoch": 0, "log": str(tmp_path)}
    model = Averaging(**once, mini_batch_size=100, num_workers=2, launch=launch, max_retries=1).fit(data)
    wall = time.perf_counter() - start
    seconds = model.training_summary.seconds
    assert model.training_summary.retries == 1
    adds_up(seconds, wall)
    assert seconds["failed"] >= SLEEP


def test_they_are_saved_with_the_model(data: DataFrame, tmp_path: Path) -> None:
    model = Averaging(num_workers=2).fit(data)
    assert json.loads(json.dumps(model.training_summary.to_dict()))["seconds"] == model.training_summary.seconds

"""Ctrl-C is KeyboardInterrupt, whatever it breaks; and the slots of an interrupted fit are soon free."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark import SparkContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos.cluster import launcher
from sparkml_algos.cluster.errors import JobCancelled
from sparkml_algos.cluster.interruption import interruptible
from sparkml_algos.cluster.jobs import is_connect
from tests.averaging import Averaging


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """A test that fails must not leave its handler to others."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class TestInterruptible:
    def test_an_error_in_its_wake_is_its_context(self) -> None:
        with pytest.raises(KeyboardInterrupt) as caught, interruptible():
            try:
                raise KeyboardInterrupt
            finally:
                raise ConnectionError("cannot cancel")
        assert isinstance(caught.value.__context__, ConnectionError)
        assert caught.value.__suppress_context__

    def test_so_is_one_that_stands_for_another(self) -> None:
        with pytest.raises(SystemExit, match="3"), interruptible():
            try:
                try:
                    raise SystemExit(3)
                finally:
                    raise ConnectionError("cannot cancel")
            except ConnectionError as error:
                raise ValueError("the job failed") from error

    def test_a_handler_that_fails_before_it_interrupts_has_interrupted(self) -> None:
        def cancel_all_jobs(number: int, frame: object) -> None:
            raise ConnectionError("cannot cancel")

        signal.signal(signal.SIGINT, cancel_all_jobs)
        with pytest.raises(KeyboardInterrupt), interruptible():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is cancel_all_jobs

    def test_one_that_was_swallowed_comes_in_the_end(self) -> None:
        done = []
        with pytest.raises(KeyboardInterrupt), interruptible():
            try:
                signal.raise_signal(signal.SIGINT)
            except BaseException:
                done.append(True)
        assert done

    def test_a_signal_that_the_user_handles_interrupts_nothing(self) -> None:
        heard = []
        signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
        with interruptible():
            signal.raise_signal(signal.SIGINT)
        assert heard == [signal.SIGINT]

    def test_an_error_of_a_fit_after_an_interruption_stays_what_it_is(self) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            with pytest.raises(ValueError, match="no such column"), interruptible():
                raise ValueError("no such column") from None

    def test_without_interruption_nothing_changes(self) -> None:
        with interruptible():
            pass
        with pytest.raises(ValueError, match=r"^wrong$"), interruptible():
            raise ValueError("wrong")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_other_threads_have_no_signals(self) -> None:
        raised = []

        def work() -> None:
            try:
                with interruptible():
                    raise ValueError
            except ValueError as error:
                raised.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert len(raised) == 1


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    return spark.range(0, 400, 1, 2).select(F.array(F.randn(1), F.randn(2)).alias("features"))


@pytest.fixture(params=["barrier", "gang"])
def launch(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One entry for each."""
    made, attempt = [], launcher._attempt

    def counted(*arguments):
        made.append(None)
        return attempt(*arguments)

    monkeypatch.setattr(launcher, "_attempt", counted)
    return made


@pytest.fixture
def spark_s_own_handler(spark: SparkSession) -> None:
    """What PySpark does on Ctrl-C where a session was started by the main thread, before Spark 4."""

    def cancel_and_interrupt(number: int, frame: object) -> None:
        SparkContext._active_spark_context.cancelAllJobs()
        raise KeyboardInterrupt

    if SparkContext._active_spark_context is None:
        pytest.skip("a Connect client that has started no server has none")
    signal.signal(signal.SIGINT, cancel_and_interrupt)


@pytest.fixture
def broken_connection(spark_s_own_handler: None, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be cancelled, nor a session's settings be put back, once it was interrupted."""

    def broken(*_: object) -> None:
        raise ConnectionError("Answer from Java side is empty")

    monkeypatch.setattr(SparkContext, "cancelAllJobs", broken)
    session = type(spark) if is_connect(spark) else SparkContext
    for name in ("interruptTag", "removeTag") if is_connect(spark) else ("cancelJobsWithTag", "removeJobTag"):
        monkeypatch.setattr(session, name, broken)


def interrupted(log: Path, launch: str, fit: Callable[[Averaging], object]) -> None:
    """Fit, with a Ctrl-C while a worker trains and the other waits for it."""
    marker = log / "failed"

    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while not (marker.exists() and marker.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(
                Averaging(
                    failure="wait",
                    failing_rank=1,
                    failing_epoch=0,
                    mini_batch_size=100,
                    epochs=3,
                    log=str(log),
                    num_workers=2,
                    launch=launch,
                    max_retries=3,
                )
            )
    finally:
        thread.join()
    assert marker.exists()


def next_fit_is_soon_done(data: DataFrame, launch: str) -> None:
    start = time.monotonic()
    Averaging(num_workers=2, launch=launch).fit(data)
    assert time.monotonic() - start < 20


def test_a_fit_is_interrupted_once_and_for_all(data: DataFrame, launch: str, attempts: list[None], tmp_path: Path) -> None:
    interrupted(tmp_path, launch, lambda estimator: estimator.fit(data))
    assert len(attempts) == 1
    next_fit_is_soon_done(data, launch)


@pytest.mark.usefixtures("spark_s_own_handler")
def test_so_it_is_where_spark_cancels_all_jobs_first(data: DataFrame, launch: str, attempts: list[None], tmp_path: Path) -> None:
    interrupted(tmp_path, launch, lambda estimator: estimator.fit(data))
    assert len(attempts) == 1
    next_fit_is_soon_done(data, launch)


@pytest.mark.usefixtures("broken_connection")
def test_so_it_is_where_nothing_can_be_cancelled(
    data: DataFrame, launch: str, attempts: list[None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tmp_path, launch, lambda estimator: estimator.fit(data))
    assert len(attempts) == 1
    monkeypatch.undo()
    next_fit_is_soon_done(data, launch)


def _slow_rows(batches):
    for batch in batches:
        time.sleep(60)
        yield batch


def test_rows_that_are_still_computed_are_given_up(data: DataFrame, launch: str, attempts: list[None]) -> None:
    slow = data.mapInArrow(_slow_rows, data.schema)
    timer = threading.Timer(4, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        Averaging(num_workers=2, launch=launch, max_retries=3).fit(slow)
    assert len(attempts) == 1
    next_fit_is_soon_done(data, launch)


def test_so_are_several_at_once(data: DataFrame, attempts: list[None], tmp_path: Path) -> None:
    def fit_multiple(estimator: Averaging) -> None:
        dict(estimator.fitMultiple(data, [{estimator.scale: 1.0}, {estimator.scale: 2.0}, {estimator.mini_batch_size: 50}]))

    interrupted(tmp_path, "gang", fit_multiple)
    assert len(attempts) == 1


def test_a_job_that_somebody_cancels_is_not_tried_again(data: DataFrame, spark: SparkSession, attempts: list[None], tmp_path: Path) -> None:
    if is_connect(spark):
        pytest.skip("its jobs are other clients' too")
    marker = tmp_path / "failed"

    def cancel() -> None:
        deadline = time.monotonic() + 60
        while not marker.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        spark.sparkContext.cancelAllJobs()

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        with pytest.raises(JobCancelled, match=r"^the Spark job was cancelled: .*Job \d+ cancelled"):
            Averaging(failure="wait", failing_rank=1, failing_epoch=0, log=str(tmp_path), num_workers=2, max_retries=3).fit(data)
    finally:
        thread.join()
    assert len(attempts) == 1

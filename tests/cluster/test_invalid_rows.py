"""Rows that cannot be trained on cost the user one message: the tasks of the workers end without an error that Spark would report."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import InvalidDataError, LinearLearnerBinaryClassifier
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.cluster import ending
from sparkml_algos.cluster.jobs import is_connect
from sparkml_algos.cluster.launcher import Launch, run_gang
from sparkml_algos.rows.kinds import InvalidRows
from tests.averaging import Averaging

Items = Iterator[tuple[str, Artifact]]
REFUSED = r"worker 1 on [\w.:]+ failed in phase ingest: column 'x' of row 7 is null"


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    return spark.range(0, 4000, 1, 4).select(F.array(F.randn(1), F.randn(2)).alias("features"), (F.col("id") % 2).alias("label"))


@pytest.fixture(params=["barrier", "gang"])
def launch(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def failed_tasks(spark: SparkSession) -> Callable[[], int]:
    """Of the jobs of this test, how many tasks have failed."""
    if is_connect(spark):
        pytest.skip("a Connect client does not see tasks")
    context, group = spark.sparkContext, f"test at {time.time()}"
    context.setLocalProperty("spark.jobGroup.id", group)
    yield lambda: sum(
        context.statusTracker().getStageInfo(stage).numFailedTasks
        for job in context.statusTracker().getJobIdsForGroup(group)
        for stage in context.statusTracker().getJobInfo(job).stageIds
        if context.statusTracker().getStageInfo(stage) is not None
    )
    context.setLocalProperty("spark.jobGroup.id", None)


@pytest.fixture(scope="module", autouse=True)
def warm(data: DataFrame) -> None:
    """Python workers are there before what they do is timed; the process that they are forked from takes long to import everything."""
    for launch in ("barrier", "gang"):
        Averaging(num_workers=2, launch=launch).fit(data)


def gang(data: DataFrame, body: Callable[[Any, Iterator[pa.RecordBatch]], Items], launch: str, **options: Any) -> float:
    """Run a body of which worker 1 refuses its rows; seconds that it took to say so."""
    start = time.monotonic()
    with pytest.raises(InvalidDataError, match=REFUSED):
        run_gang(data, ["features"], body, Launch(num_workers=2, launch=launch, max_retries=2, **options))
    return time.monotonic() - start


def refuse(worker: Any) -> None:
    worker.phase = "ingest"
    if worker.rank == 1:
        raise InvalidRows("column 'x' of row 7 is null")


def connects(worker: Any, batches: Iterator[pa.RecordBatch]) -> Items:
    """The other waits for the one that refuses."""
    refuse(worker)
    worker.connect()
    yield "never", Artifact()


def connects_late(worker: Any, batches: Iterator[pa.RecordBatch]) -> Items:
    """The other comes when the one that refuses is gone."""
    refuse(worker)
    time.sleep(1)
    worker.connect()
    yield "never", Artifact()


def reads_on(worker: Any, batches: Iterator[pa.RecordBatch]) -> Items:
    """The other reads rows all the time."""
    refuse(worker)
    for _ in batches:
        time.sleep(0.2)
    time.sleep(60)
    yield "never", Artifact()


def trains(worker: Any, batches: Iterator[pa.RecordBatch]) -> Items:
    """The other is in a collective, as with a pipe, whose rows come while it trains."""
    communicator = worker.connect()
    communicator.barrier()
    refuse(worker)
    communicator.barrier()
    yield "never", Artifact()


@pytest.mark.parametrize("body", [connects, connects_late, reads_on, trains])
def test_the_others_end_at_once_and_no_task_fails(data: DataFrame, launch: str, body: Any, failed_tasks: Callable[[], int]) -> None:
    seconds = gang(data, body, launch, rows_per_record_batch=100)
    assert failed_tasks() == 0
    assert seconds < 8  # before the grace that a lost connection is given


@pytest.mark.parametrize("communicator", ["gloo"])
def test_so_they_do_where_another_library_connects_them(
    data: DataFrame, launch: str, communicator: str, failed_tasks: Callable[[], int]
) -> None:
    gang(data, trains, launch, communicator=communicator)
    assert failed_tasks() == 0


def does_not_listen(worker: Any, batches: Iterator[pa.RecordBatch]) -> Items:
    refuse(worker)
    time.sleep(60)
    yield "never", Artifact()


def test_one_that_takes_no_notice_is_cancelled(data: DataFrame, launch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "PATIENCE_WITH_LEAVING", 1.0)
    assert gang(data, does_not_listen, launch) < 20


def nobody_likes(worker: Any, batches: Iterator[pa.RecordBatch]) -> Items:
    worker.phase = "setup"
    worker.connect().barrier()
    raise InvalidRows("the dataset is empty")
    yield


def test_what_all_refuse_is_said_once(data: DataFrame, launch: str, failed_tasks: Callable[[], int]) -> None:
    with pytest.raises(InvalidDataError, match=r"^worker \d on [\w.:]+ failed in phase setup: the dataset is empty$"):
        run_gang(data, ["features"], nobody_likes, Launch(num_workers=2, launch=launch))
    assert failed_tasks() == 0


def test_a_bad_label_is_one_message_without_traces_of_workers_or_of_the_jvm(data: DataFrame, launch: str) -> None:
    bad = data.withColumn("label", F.when(F.rand(3) < 0.001, 7).otherwise(F.col("label")))
    with pytest.raises(InvalidDataError, match=r"label column 'label' is 7, expected 0 or 1, in row \d+ of worker \d's shard") as caught:
        LinearLearnerBinaryClassifier(epochs=1, num_workers=2, launch=launch, max_retries=1).fit(bad)
    shown = "".join(traceback.format_exception(caught.value))
    assert shown.count("Traceback") == 1 and "at org.apache" not in shown and "{" not in str(caught.value)


def test_a_bad_label_of_an_evaluation_is_one_message_too(data: DataFrame) -> None:
    model = LinearLearnerBinaryClassifier(epochs=1, num_workers=1).fit(data)
    bad = data.withColumn("label", F.lit(7))
    with pytest.raises(InvalidDataError, match=r"^label column 'label' is 7, expected 0 or 1, in row \d+ of its partition$") as caught:
        model.evaluate(bad)
    assert "at org.apache" not in "".join(traceback.format_exception(caught.value))


def test_the_next_fit_finds_all_slots_free(data: DataFrame, launch: str) -> None:
    gang(data, connects, launch)
    start = time.monotonic()
    Averaging(num_workers=2, launch=launch).fit(data)
    assert time.monotonic() - start < 15

"""Which of many complaints becomes the error."""

from __future__ import annotations

import sys

import pytest

from sparkml_algos import InvalidDataError
from sparkml_algos.cluster.errors import Failure, WorkerFailed, last_python_error, training_error, with_check


def failure(rank: int, message: str, **fields) -> Failure:
    return Failure(rank, "host", "train", message, **fields)


LOST = failure(0, "connection reset", peer=True)
CAUSE = failure(1, "ValueError: the cause", trace="Traceback …")
SAYS_MORE = "; sparkml_algos.check(spark) says more"
DEAD = failure(1, "its process died without a word", silent=True)


def test_a_worker_s_own_trouble_comes_before_a_lost_connection() -> None:
    error = training_error(RuntimeError("spark"), [LOST, CAUSE], {})
    assert str(error) == "worker 1 on host failed in phase train: ValueError: the cause"
    assert error.failure == CAUSE and "Traceback" in str(error.__cause__)


def test_what_came_through_spark_s_exception_counts_too() -> None:
    error = training_error(RuntimeError(f"Job aborted … {WorkerFailed(CAUSE)} …\n\tat java"), [LOST], {})
    assert error.failure == CAUSE


def test_a_silent_death_comes_with_what_spark_says() -> None:
    text = "Lost task 1.0 in stage 3.0 (TID 7) (10.0.0.5 executor 1): ExecutorLostFailure (executor 1 exited) Reason: code 137"
    assert "Spark says of worker 1: its process died: ExecutorLostFailure" in str(training_error(RuntimeError(text), [DEAD, LOST], {}))


def test_a_death_that_only_spark_has_noticed_is_placed() -> None:
    text = "Stage failed because barrier task ResultTask(3, 1) finished unsuccessfully.\nExecutorLostFailure (executor 1 exited)"
    error = training_error(RuntimeError(text), [], {1: ("10.0.0.5", "train")})
    assert str(error) == f"worker 1 on 10.0.0.5 failed in phase train: its process died: ExecutorLostFailure (executor 1 exited){SAYS_MORE}"


def test_a_task_that_spark_took_away_comes_with_the_reason() -> None:
    text = "Stage failed because barrier task ResultTask(3, 1) finished unsuccessfully.\nTaskKilled (preempted by another queue)"
    assert "its process died: TaskKilled (preempted by another queue)" in str(training_error(RuntimeError(text), [LOST, DEAD], {}))


def test_what_a_second_attempt_was_told_is_not_the_cause() -> None:
    late = failure(1, "TurnedAway: worker 1 was started twice", late=True)
    assert training_error(RuntimeError(f"Lost … {WorkerFailed(late)}"), [DEAD, LOST], {}).failure == DEAD
    assert training_error(RuntimeError(f"Lost … {WorkerFailed(late)}"), [], {}).failure == late


def test_a_worker_that_hangs_is_blamed_by_those_who_waited_before_it_is_killed() -> None:
    blame = failure(0, "timed out after 9 s of waiting for worker 1", peer=True, waited_for=1)
    assert "stopped answering" in str(training_error(RuntimeError("spark"), [blame, DEAD], {}))


def test_a_death_comes_before_a_connection_that_it_cut_also_where_that_is_heard_first() -> None:
    assert training_error(RuntimeError("spark"), [failure(0, "lost the connection", peer=True, waited_for=1), DEAD], {}).failure == DEAD


def test_a_death_comes_first_also_where_the_library_does_not_say_whose_connection_it_was() -> None:
    lost = failure(0, "xgboost: Poll error condition:Success code:0", peer=True)
    assert training_error(RuntimeError("spark"), [lost, DEAD], {}).failure == DEAD


def test_bad_rows_are_a_value_error() -> None:
    error = training_error(RuntimeError("spark"), [failure(0, "column is null", invalid_data=True)], {})
    assert isinstance(error, InvalidDataError) and isinstance(error, ValueError)


def test_a_job_that_fails_without_us_is_told_in_one_line() -> None:
    assert str(training_error(RuntimeError("out of disk\n\tat java.lang"), [], {})) == "the Spark job failed: out of disk"


def test_what_the_bridge_to_the_jvm_says_first_is_left_out() -> None:
    text = "An error occurred while calling o7.collectToPython.\n: org.apache.spark.SparkException: out of disk\n\tat java.lang"
    assert str(training_error(RuntimeError(text), [], {})) == "the Spark job failed: org.apache.spark.SparkException: out of disk"


FAILED_BARRIER = """Job aborted due to stage failure: Could not recover from a failed barrier ResultStage. Most recent failure reason: Stage
failed because barrier task ResultTask(0, 0) finished unsuccessfully.
org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "worker.py", line 1, in main
    func = read_udfs()
           ^^^^^^^^^^^
KeyError: 'numpy'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "worker.py", line 2, in read_udfs
    import numpy
ModuleNotFoundError: No module named 'numpy'

\tat org.apache.spark.api.python.BasePythonRunner"""

NOT_STARTED = """
Error from python worker:
  Traceback (most recent call last):
    File "<frozen runpy>", line 1
  /usr/bin/python3: No module named pyspark
PYTHONPATH was:
  /somewhere
org.apache.spark.SparkException: EOFException"""


def test_a_barrier_stage_fails_with_the_last_python_exception() -> None:
    assert last_python_error(FAILED_BARRIER) == "ModuleNotFoundError: No module named 'numpy'"
    message = str(training_error(RuntimeError(FAILED_BARRIER), [], {}))
    assert message.startswith("the Spark job failed: ModuleNotFoundError: No module named 'numpy'; ")
    assert f"the driver's Python is {sys.executable}" in message and "PYSPARK_PYTHON" in message


def test_a_python_that_did_not_start_is_told_by_its_last_line() -> None:
    assert last_python_error(NOT_STARTED) == "Python did not start: /usr/bin/python3: No module named pyspark"


def test_what_is_not_python_s_is_not_taken_for_it() -> None:
    assert last_python_error("org.apache.spark.SparkException: out of disk\n\tat java.lang") is None


def waited(rank: int, waited_for: int) -> Failure:
    return failure(rank, f"timed out of waiting for worker {waited_for}", peer=True, waited_for=waited_for)


def test_of_workers_that_wait_for_each_other_the_one_that_nobody_hears_is_to_blame() -> None:
    error = training_error(RuntimeError("spark"), [waited(0, 1), waited(1, 2), waited(3, 0)], {})
    assert str(error).startswith("worker 2 stopped answering; noticed by worker 1 on host in phase train")


def test_who_is_silent_is_to_blame_where_the_library_does_not_say_who_was_waited_for() -> None:
    seen = dict.fromkeys(range(3), ("host", "train"))
    error = training_error(RuntimeError("spark"), [failure(0, "timed out", peer=True), failure(2, "timed out", peer=True)], seen)
    assert str(error).startswith("worker 1 stopped answering; noticed by worker 0")


@pytest.mark.parametrize(
    ("complaint", "call"),
    [
        (failure(1, "NoUsableGpu: no usable GPU: Spark assigned it none"), "(spark, use_gpu=True)"),
        (failure(1, "OSError: checkpoint_dir /mnt/a b cannot be written: read-only"), "(spark, checkpoint_dir='/mnt/a b')"),
        (failure(1, "ImportError: communicator='horovod' needs horovod.torch in /usr/bin/python3"), "(spark, communicator='horovod')"),
        (failure(1, "ModuleNotFoundError: No module named 'torch'"), "(spark, communicator='gloo')"),
        (failure(1, "ModuleNotFoundError: No module named 'xgboost'"), "(spark)"),
        (failure(1, "ConnectionError: worker 1 cannot reach the driver at 10.0.0.1:4040"), "(spark)"),
        (failure(1, "ConnectionError: only 1 of 2 workers had started 300 s after the first"), "(spark)"),
        (waited(0, 1), "(spark)"),
        (DEAD, "(spark)"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.message[:30],
)
def test_what_there_is_a_check_for_ends_with_the_call(complaint: Failure, call: str) -> None:
    assert str(training_error(RuntimeError("spark"), [complaint], {})).endswith(f"; sparkml_algos.check{call} says more")


@pytest.mark.parametrize("complaint", [CAUSE, failure(0, "column is null", invalid_data=True)], ids=["a bug", "bad rows"])
def test_what_no_check_knows_more_of_does_not(complaint: Failure) -> None:
    assert "sparkml_algos.check" not in str(training_error(RuntimeError("spark"), [complaint], {}))


def test_a_call_is_given_what_the_message_is_about() -> None:
    assert with_check("too few", num_workers=4) == "too few; sparkml_algos.check(spark, num_workers=4) says more"

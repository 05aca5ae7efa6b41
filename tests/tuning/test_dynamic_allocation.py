"""Searches under dynamic allocation, while executors come and go."""

from __future__ import annotations

import threading
import time

import pytest
from pyspark.sql import functions as F

from sparkml_algos.tuning import CategoricalParameter, HyperparameterTuner
from tests.averaging import Averaging

pytestmark = pytest.mark.dynamic

# Executors go some seconds after their last task; those that hold what was shuffled may stay.
MOST_SECONDS = 60.0


@pytest.fixture(scope="module")
def rows(spark):
    return spark.range(0, 400, 1, 4).select(F.array(F.col("id").cast("double"), F.lit(1.0)).alias("features"))


def tuner_of(scales, **options):
    """A search over settings that are trained in no time; two trials at once, each on a worker of its own."""
    estimator = Averaging(**{"epochs": 3, "mini_batch_size": 40, "num_workers": 1, "failing_rank": 0, "progress": "off", **options})
    return HyperparameterTuner(estimator, "rows", {"scale": CategoricalParameter(scales)}, strategy="Grid", max_parallel_jobs=2)


def ended(tuner):
    """How the trials have ended, of which each counted all rows three times."""
    trials = tuner.latest_tuning_job.trials
    assert all(trial.objective == 1200.0 for trial in trials if trial.status == "Completed")
    return [trial.status for trial in trials]


def wait_until_shrunk(spark):
    """Return once there are fewer executors than trials run side by side."""
    deadline = time.monotonic() + MOST_SECONDS
    while (left := spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1) > 1 and time.monotonic() < deadline:
        time.sleep(1.0)
    assert left <= 1


def test_trials_run_side_by_side_also_after_the_cluster_has_shrunk(spark, rows):
    for _ in range(2):
        tuner = tuner_of([1.0, 2.0, 3.0, 4.0])
        model = tuner.fit(rows)
        assert ended(tuner) == ["Completed"] * 4
        assert model.training_summary.launch == "gang"
        wait_until_shrunk(spark)


def test_an_executor_that_goes_in_mid_search_costs_no_trial(spark, rows, tmp_path):
    tuner = tuner_of([1.0, 2.0, 3.0], failure="kill_jvm", log=str(tmp_path))
    tuner.fit(rows)
    assert (tmp_path / "failed").exists()
    assert ended(tuner) == ["Completed"] * 3


def test_executors_that_come_while_others_work_are_shared(spark, rows):
    stop = threading.Event()

    def others():
        while not stop.is_set():
            spark.range(0, 100_000, 1, 6).agg(F.sum("id")).collect()

    thread = threading.Thread(target=others)
    thread.start()
    try:
        tuner = tuner_of([1.0, 2.0, 3.0, 4.0, 5.0])
        tuner.fit(rows)
    finally:
        stop.set()
        thread.join()
    assert ended(tuner) == ["Completed"] * 5

"""A driver is killed in mid-search, and another one goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from sparkml_algos.tuning import HyperparameterTuner
from tests.tuning import killed_driver

pytest.importorskip("xgboost")
pytest.importorskip("optuna")

ROOT = Path(__file__).parents[2]


def ends_in(store):
    """How often each trial is over, by what is kept."""
    (file,) = store.glob("*.jsonl")
    events = []
    for text in file.read_text().splitlines():
        try:
            events.append(json.loads(text))
        except ValueError:  # where the driver was killed
            continue
    return Counter(event["trial"]["number"] for event in events if "trial" in event and event["trial"]["status"] != "InProgress")


@pytest.mark.classic
def test_no_trial_is_lost_and_none_is_trained_twice(spark, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    program = [sys.executable, killed_driver.__file__, str(tmp_path), "3"]
    ended = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=170)
    assert ended.returncode == -signal.SIGKILL, ended.stderr[-2000:]
    before = ends_in(tmp_path)
    assert len(before) >= 3 and set(before.values()) == {1}
    kept = HyperparameterTuner.attach(next(tmp_path.glob("*.jsonl")).stem, tmp_path)
    assert kept.status == "Stopped"  # that of a job whose driver is gone

    tuner = killed_driver.tuner_of(tmp_path)
    model = tuner.fit(killed_driver.rows_of(spark))
    job = tuner.latest_tuning_job
    assert ends_in(tmp_path) == dict.fromkeys(range(8), 1)
    assert [(trial.number, trial.status) for trial in job.trials] == [(number, "Completed") for number in range(8)]
    for trial in kept.trials:
        if trial.is_over:
            assert job.trials[trial.number] == trial
    assert model.training_summary.metrics["validation:logloss"] == pytest.approx(job.best.objective)

    whole = killed_driver.tuner_of(tmp_path / "whole")
    whole.fit(killed_driver.rows_of(spark))
    assert [trial.setting for trial in whole.latest_tuning_job.trials] == [trial.setting for trial in job.trials]

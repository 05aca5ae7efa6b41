"""Searches of several Estimators, and those that fail or go on, leave their trials; gangs compute a formula."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from sparkml_algos import LinearLearnerBinaryClassifier, XGBoostClassifier
from sparkml_algos.tracking import Experiment, Run, autolog, recorder, store
from sparkml_algos.tuning import ContinuousParameter, HyperparameterTuner, running, tuner
from tests.tuning.test_driver import ETA, MARKED, Stand, tune

pytest.importorskip("xgboost")
pytestmark = pytest.mark.usefixtures("in_store", "gangs")


@pytest.fixture
def gangs(monkeypatch):
    monkeypatch.setattr(running, "Stand", Stand)


def test_trials_of_several_estimators_have_their_definition():
    estimators = {"trees": XGBoostClassifier(**MARKED), "line": LinearLearnerBinaryClassifier(**MARKED)}
    ranges = {"trees": ETA, "line": {"wd": ContinuousParameter(1e-4, 1.0)}}
    with Run("several estimators", log_models=False) as run:
        _, job = tune(estimators, ranges, lambda name, setting: setting.get("eta", 5.0), max_jobs=5)
    found = run.refresh().children()
    assert (run.kind, run.facts["best"]) == ("tuning", job.best.name)
    assert [one.parameters["definition"] for one in found] == [trial.definition for trial in job.trials]
    assert [one.metrics["validation:error"] for one in found] == [trial.objective for trial in job.trials]


def test_a_search_that_goes_on_from_its_store_has_no_trial_twice(tmp_path):
    for _ in range(2):  # the second time with nothing to do
        with Run("going on", "the search", log_models=False) as run:
            _, job = tune(XGBoostClassifier(**MARKED), ETA, lambda name, setting: setting["eta"], max_jobs=3, store=tmp_path)
    found = run.refresh().children()
    assert [one.display_name for one in found] == [trial.name for trial in job.trials] and len(found) == 3


def test_a_trial_that_a_lost_driver_was_about_to_record_is_recorded_in_its_place(tmp_path):
    def search() -> Run:
        with Run("lost", "the search", log_models=False) as run:
            tune(XGBoostClassifier(**MARKED), ETA, lambda name, setting: setting["eta"], max_jobs=2, store=tmp_path)
        return run.refresh()

    one, other = search().children()
    client = store.client_of(one.tracking_uri)
    client.update_run(one.run_id, status="RUNNING")
    client.set_tag(one.run_id, "before", "the driver was lost")
    found = search().children()
    assert [(run.run_id, run.status) for run in found] == [(run.run_id, "Completed") for run in (one, other)]


def test_nor_has_one_that_is_in_no_block(tmp_path):
    autolog("going on by itself", log_models=False)
    for _ in range(2):
        tune(XGBoostClassifier(**MARKED), ETA, lambda name, setting: setting["eta"], max_jobs=2, store=tmp_path)
    found = Experiment("going on by itself").runs()
    assert sorted((run.kind, run.status) for run in found) == [("trial", "Completed")] * 2 + [("tuning", "Completed")]


def test_another_search_in_a_run_that_is_gone_on_with_leaves_its_trials_too(tmp_path):
    jobs = []
    for seed in (1, 2, 2):  # the last one goes on from its store, with nothing to do
        options = {"store": tmp_path} if seed == 2 else {}
        with Run("again", "the cell of a notebook", log_models=False) as run:
            jobs += [
                tune(XGBoostClassifier(**MARKED), ETA, lambda name, setting: setting["eta"], max_jobs=2, random_seed=seed, **options)[1]
            ]
    wanted = [trial.objective for job in jobs[:2] for trial in job.trials]
    assert [one.metrics["validation:error"] for one in run.refresh().children()] == wanted


def test_a_search_that_is_started_in_a_block_is_recorded_however_soon_the_block_ends(monkeypatch):
    is_left = threading.Event()
    monkeypatch.setattr(tuner, "inheriting", lambda spark, work: lambda: is_left.wait(10) and work())

    def formula(name, setting):
        return setting["eta"]

    formula.sparkSession = None
    search = HyperparameterTuner(XGBoostClassifier(**MARKED), "validation:error", ETA, strategy="Random", max_jobs=2, progress="off")
    with Run("left at once", log_models=False) as run:
        job = search.start(formula)
    is_left.set()
    job.wait(10)
    assert (run.refresh().kind, len(run.children())) == ("tuning", 2)


def test_a_store_that_is_away_holds_up_no_search_for_each_of_its_trials(monkeypatch, caplog):
    clock = [0.0]

    def in_vain(*_):
        clock[0] += 200.0  # of tries
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(recorder, "time", SimpleNamespace(monotonic=lambda: clock[0], time=time.time))
    monkeypatch.setattr(recorder._RecordedSearch, "_note", in_vain)
    monkeypatch.setattr(recorder._RecordedSearch, "_note_best", in_vain)
    with Run("away", log_models=False):
        _, job = tune(XGBoostClassifier(**MARKED), ETA, lambda name, setting: setting["eta"], max_jobs=9)
    assert clock == [400.0] and job.status == "Completed"
    assert f"7 trials of {job.name}" in caplog.text


def test_what_is_not_known_of_the_program_ends_no_search(monkeypatch):
    def gone():
        raise FileNotFoundError("the working directory")

    monkeypatch.setattr("sparkml_algos.tracking.provenance.code_version", gone)
    with Run("nowhere", log_models=False):
        _, job = tune(XGBoostClassifier(**MARKED), ETA, lambda name, setting: setting["eta"], max_jobs=2)
    assert job.status == "Completed"


def test_a_search_that_fails_is_a_failed_run_with_its_failed_trials():
    def formula(name, setting):
        return float("nan")

    with pytest.raises(RuntimeError, match="no trial"), Run("failing searches", log_models=False) as run:
        tune(XGBoostClassifier(**MARKED), ETA, formula, max_jobs=2)
    assert run.status == "Failed" and [one.status for one in run.children()] == ["Failed"] * 2

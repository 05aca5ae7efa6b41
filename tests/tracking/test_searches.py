"""Searches of several Estimators, and those that fail or go on, leave their trials; gangs compute a formula."""

from __future__ import annotations

import pytest

from sparkml_algos import LinearLearnerBinaryClassifier, XGBoostClassifier
from sparkml_algos.tracking import Run
from sparkml_algos.tuning import ContinuousParameter, tuner
from tests.tuning.test_driver import ETA, MARKED, Stand, tune

pytest.importorskip("xgboost")
pytestmark = pytest.mark.usefixtures("in_store", "gangs")


@pytest.fixture
def gangs(monkeypatch):
    monkeypatch.setattr(tuner, "Stand", Stand)


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


def test_a_search_that_fails_is_a_failed_run_with_its_failed_trials():
    def formula(name, setting):
        return float("nan")

    with pytest.raises(RuntimeError, match="no trial"), Run("failing searches", log_models=False) as run:
        tune(XGBoostClassifier(**MARKED), ETA, formula, max_jobs=2)
    assert run.status == "Failed" and [one.status for one in run.children()] == ["Failed"] * 2

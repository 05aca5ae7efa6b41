"""Several Estimators in one search: whose trial is next."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sparkml_algos.tuning import turns
from sparkml_algos.tuning.improvement import expected_improvement
from sparkml_algos.tuning.job import TuningJob
from sparkml_algos.tuning.rules import CompletionCriteria
from sparkml_algos.tuning.search import Limits, Search
from sparkml_algos.tuning.store import Store
from sparkml_algos.tuning.strategies import Bayesian, Observation, Random
from sparkml_algos.tuning.turns import LEAST_TURN, Turns
from tests.tuning.searching import RANGES, job_of_several, work

NAMES = ("deep", "flat")


def turns_of(job, max_jobs, shares=None, initial=4, store=None, criteria=CompletionCriteria()):  # noqa: B008 - it is frozen
    found = Turns(job, shares, initial, 0)
    for place, name in enumerate(NAMES):
        strategy = Random(RANGES, place) if shares else Bayesian(RANGES, place, engine="tpe")
        found.searches[name] = Search(
            job,
            RANGES,
            strategy,
            Limits(max_jobs, None, criteria),
            dict,
            definition=name,
            store=store,
            pauses=lambda name=name: found.pauses(name),
        )
    return found


def go(turns, error, most=1000):
    """Take turns until there are no more, or so many; `error(name, x)` is the objective. The names of the turns, with their trials."""
    found = []
    while len(found) < most and (turn := turns.next()) is not None:
        name, setting = turn
        search = turns.searches[name]
        search.begins_on(setting)
        found.append((name, work(search, lambda setting, number, name=name: {"validation:error": error(name, setting["x"])})))
    return found


def error(name, x):
    """The one has a narrow valley; the other's is shallow, and nowhere as low as the first one's plain."""
    return 1.0 - math.exp(-(((x - 0.3) / 0.2) ** 2)) if name == "deep" else 2.0 + 0.1 * x


def test_those_that_do_not_learn_have_their_shares_one_after_the_other():
    job = job_of_several(NAMES)
    found = go(turns_of(job, 7, {"deep": 4, "flat": 3}), error)
    assert found == [("deep", [0, 1, 2, 3]), ("flat", [4, 5, 6])]
    assert job.completion == "MaxNumberOfTrainingJobs"
    assert job.best.definition == "deep"
    assert len({trial.setting["x"] for trial in job.trials if trial.definition == "flat"}) == 3


def test_those_that_learn_begin_alike_and_then_the_most_promising_goes_on():
    pytest.importorskip("optuna")
    job = job_of_several(NAMES)
    found = go(turns_of(job, 30), error)
    assert found[0] == ("deep", [0, 1, 2, 3])
    assert found[1][0] == "flat" and found[1][1][:4] == [4, 5, 6, 7]
    later = [trial.definition for trial in job.trials[8:]]
    assert len(job.trials) == 30 and later.count("deep") > 15
    assert job.best.definition == "deep" and job.best.objective < 0.05


def test_a_turn_has_some_trials_at_least(monkeypatch):
    pytest.importorskip("optuna")
    monkeypatch.setattr(turns, "expected_improvement", lambda known, best, seed: 1.0 / len(known))  # whoever has had fewer
    found = go(turns_of(job_of_several(NAMES), 26), error)
    assert [len(numbers) for _, numbers in found[2:]] == [LEAST_TURN] * 6
    assert [name for name, _ in found[2:4]] == ["flat", "deep"] or [name for name, _ in found[2:4]] == ["deep", "flat"]


def test_an_estimator_that_always_fails_does_not_take_the_trials_of_others():
    pytest.importorskip("optuna")
    job = job_of_several(NAMES)
    go(turns_of(job, 24), lambda name, x: math.nan if name == "flat" else error(name, x))
    counts = [sum(trial.definition == name for trial in job.trials) for name in NAMES]
    assert counts[0] > counts[1]
    assert job.best.definition == "deep"


def test_a_criterion_ends_all():
    job = job_of_several(NAMES)
    found = go(turns_of(job, 20, {"deep": 10, "flat": 10}, criteria=CompletionCriteria(target_objective_metric_value=10.0)), error)
    assert found == [("deep", [0])]
    assert job.completion == "TargetObjectiveMetricValue"


def test_a_search_of_several_goes_on_from_its_store(tmp_path):
    store = Store(tmp_path, "job")
    job = job_of_several(NAMES)
    store.append({"job": {"name": job.name, "config": job.config, "facts": job.facts, "created": job.created}})
    shares = {"deep": 4, "flat": 3}
    turns = turns_of(job, 7, shares, store=store)
    name, setting = turns.next()
    turns.searches[name].begins_on(setting)
    running = turns.searches[name].next(0).settings
    again = TuningJob.attach(store)
    assert [trial.definition for trial in again.trials] == ["deep"]
    resumed = turns_of(again, 7, shares, store=store)
    name, setting = resumed.next()
    resumed.searches[name].begins_on(setting)
    assert (name, resumed.searches[name].next(0).settings) == ("deep", running)
    whole = job_of_several(NAMES)
    go(turns_of(whole, 7, shares), error)
    rest = turns_of(TuningJob.attach(store), 7, shares, store=store)
    go(rest, error)
    assert [trial.setting for trial in TuningJob.attach(store).trials] == [trial.setting for trial in whole.trials]


@pytest.mark.parametrize("ended_at", [9, 10, 12])
def test_a_turn_that_was_interrupted_is_as_long_as_it_would_have_been(ended_at, tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    monkeypatch.setattr(turns, "expected_improvement", lambda known, best, seed: 1.0 / len(known))

    def until(name, x):
        if len(job.trials) > ended_at:
            raise KeyboardInterrupt
        return error(name, x)

    whole = job_of_several(NAMES)
    go(turns_of(whole, 18), error)
    store, job = Store(tmp_path, "job"), job_of_several(NAMES)
    store.append({"job": {"name": job.name, "config": job.config, "facts": job.facts, "created": job.created}})
    with pytest.raises(KeyboardInterrupt):
        go(turns_of(job, 18, store=store), until)
    again = TuningJob.attach(store)
    go(turns_of(again, 18, store=store), error)
    assert [(trial.definition, trial.setting) for trial in again.trials] == [(trial.definition, trial.setting) for trial in whole.trials]


def test_settings_that_are_refused_do_not_end_the_search(monkeypatch):
    pytest.importorskip("optuna")
    monkeypatch.setattr(turns, "expected_improvement", lambda known, best, seed: 1.0 / len(known))
    job = job_of_several(NAMES)
    found = turns_of(job, 30)

    def refuse(setting):
        if len(job.trials) > 8:
            raise ValueError("no such setting")
        return dict(setting)

    for one in found.searches.values():
        one._changes = refuse
    go(found, error)
    assert (len(job.trials), job.completion) == (30, "MaxNumberOfTrainingJobs")


def test_stopped_it_begins_no_trial_that_waits():
    job = job_of_several(NAMES)
    turns = turns_of(job, 7, {"deep": 4, "flat": 3})
    turns.next()  # proposed, and not handed out
    job.stop()
    assert turns.next() is None
    assert [(trial.status, trial.objective_status) for trial in job.trials] == [("Stopped", "Failed")]


class TestExpectedImprovement:
    def known(self, function, count=12):
        return [Observation({"x": place}, function(place)) for place in np.linspace(0, 1, count)]

    def test_a_valley_that_goes_on_promises_more_than_a_plain(self):
        valley = expected_improvement(self.known(lambda x: (x - 0.55) ** 2), 0.01, 0)
        plain = expected_improvement(self.known(lambda x: 1.0 + 0.01 * x), 0.01, 0)
        assert valley > 10 * plain >= 0

    def test_it_is_what_it_was_with_the_same_seed_and_larger_units(self):
        known = self.known(lambda x: math.sin(5 * x))
        larger = [Observation(one.units, 1000 * one.value) for one in known]
        found = expected_improvement(known, -0.9, 3)
        assert expected_improvement(known, -0.9, 3) == found
        assert expected_improvement(larger, -900.0, 3) == pytest.approx(1000 * found, rel=1e-6)

    def test_of_few_trials_nothing_is_said(self):
        assert expected_improvement(self.known(abs, 2), 0.0, 0) == 0.0
        assert expected_improvement([Observation({"x": 0.5}, None)] * 5, 0.0, 0) == 0.0

    def test_where_all_are_equal_it_is_how_far_they_are_below_the_best(self):
        assert expected_improvement(self.known(lambda x: 2.0), 1.0, 0) == 0.0

"""Searches by Hyperband: trials wait at rungs in the lanes that train them, and a third goes on."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sparkml_algos.tuning import search
from sparkml_algos.tuning.job import TuningJob
from sparkml_algos.tuning.rules import CompletionCriteria, Hyperband
from sparkml_algos.tuning.search import Limits, Search, stop_as
from sparkml_algos.tuning.store import Store
from sparkml_algos.tuning.strategies import Random
from tests.tuning.searching import RANGES, job_of

HYPERBAND = Hyperband(1, 9)


class Lane:
    """A worker whose trials have the error ``x + 1 / epochs``; it holds those that wait."""

    def __init__(self, searched, lane=0):
        self.search, self.lane, self.held, self.told, self.epochs = searched, lane, {}, [], 0

    def step(self):
        """Do a task; whether there was one."""
        task = self.search.next(self.lane)
        for number in task.forget:
            self.held.pop(number, None)
        if task.end:
            self.held.clear()
            return False
        if not task.settings:
            return True
        (number, _, changes), *_ = task.settings
        before = self.held.pop(number, 0)
        (most,) = task.stop.bounds
        until = task.until or most
        self.told.append((number, before, until))
        self.epochs += until - before
        if until < most:
            self.held[number] = until
        series = [changes["x"] + 1 / epoch for epoch in range(1, until + 1)]
        told = {"trained": until - before, "waits": until < most, "was_stopped": until == most, "epochs": until}
        answer = {"trial": number, "metrics": {}, "last": {"validation:error": series[-1]}, "series": series, "seconds": 0.1, **told}
        self.search.take(self.lane, [answer])
        return True

    def work(self):
        while self.step():
            pass
        return self


def search_of(job, max_jobs=9, criteria=CompletionCriteria(), **options):  # noqa: B008 - it is frozen
    return Search(job, RANGES, Random(RANGES, 1), Limits(max_jobs, None, criteria), dict, hyperband=HYPERBAND, **options)


def ended(searched):
    assert searched.wants() is None
    return searched


def lengths(job):
    return sorted(len(trial.series) for trial in job.trials)


def test_a_third_goes_on_at_each_rung_and_is_trained_once():
    job = job_of()
    searched = search_of(job)
    lane = Lane(searched).work()
    ended(searched)
    best = np.argsort([trial.setting["x"] for trial in job.trials])
    assert len(job.trials[best[0]].series) == 9
    assert lengths(job).count(1) >= 3 and lengths(job).count(9) >= 1
    assert lane.epochs == sum(lengths(job)) == sum(trial.epochs for trial in job.trials)
    assert {trial.status for trial in job.trials if len(trial.series) == 9} == {"Completed"}
    assert {(trial.status, trial.reason) for trial in job.trials if len(trial.series) < 9} == {("Stopped", "EarlyStopped")}
    assert (job.best.number, job.completion) == (best[0], "MaxNumberOfTrainingJobs")


def test_one_that_was_not_among_the_best_goes_on_once_it_is():
    order = [0.1, 0.5, 0.3, 0.9, 0.8, 0.7, *np.linspace(0.91, 0.99, 3)]
    job = job_of()
    searched = search_of(job)
    searched._strategy.propose = lambda number, known: {"x": order[number]}
    told = Lane(searched).work().told
    assert [number for number, before, _ in told if before == 1] == [0, 2, 1]  # of three, of six, of nine
    assert told.index((2, 1, 3)) > told.index((5, 0, 1))


def test_a_trial_waits_in_its_own_lane():
    job = job_of()
    searched = search_of(job)
    lanes = [Lane(searched, lane) for lane in range(2)]
    while sum(lane.step() for lane in lanes):
        pass
    ended(searched)
    for lane in lanes:
        begun = [number for number, before, _ in lane.told if before == 0]
        assert all(number in begun for number, before, _ in lane.told if before)
    assert 9 in lengths(job)


def test_a_lane_where_trials_wait_does_not_end_before_the_others():
    job = job_of()
    searched = search_of(job, 3)
    searched._strategy.propose = lambda number, known: {"x": (0.5, 0.1, 0.9)[number]}
    first, second = Lane(searched, 0), Lane(searched, 1)
    first.step()
    second.step()
    first.step()
    running = searched.next(1)
    assert (running.settings[0][0], running.until) == (1, 3)
    for _ in range(2):
        later = searched.next(0)
        assert not later.settings and not later.end
    searched.lost(1, running, None)  # as all are, with their gang
    first.held.clear()
    first.work()
    ended(searched)
    assert [len(trial.series) for trial in job.trials] == [1, 9, 1]


def test_nor_is_it_kept_waiting_where_none_can_go_on():
    job = job_of()
    searched = search_of(job, 3)
    first = Lane(searched, 0)
    first.step()
    assert not searched.next(1).end
    job.stop()
    assert searched.next(0).end


def test_those_of_a_lane_that_has_ended_begin_anew():
    job = job_of()
    searched = search_of(job)
    searched._strategy.propose = lambda number, known: {"x": number / 10}
    first, second = Lane(searched, 0), Lane(searched, 1)
    first.step()
    searched._let_go(0)
    second.work()
    ended(searched)
    assert first.told == [(0, 0, 1)]
    assert [told for told in second.told if told[0] == 0] == [(0, 0, 3), (0, 3, 9)]
    assert job.trials[0].epochs == 10


def test_trials_of_a_gang_that_is_lost_wait_on_and_begin_anew():
    job = job_of()
    searched = search_of(job)
    searched._strategy.propose = lambda number, known: {"x": number / 10}
    lane = Lane(searched)
    for _ in range(4):
        lane.step()
    task = searched.next(0)
    assert searched.lost(0, task, None) is False
    lane.held.clear()
    lane.work()
    ended(searched)
    assert all(trial.is_over for trial in job.trials) and lengths(job)[-1] == 9
    assert sum(trial.epochs for trial in job.trials) == lane.epochs > sum(lengths(job))


def test_a_lane_holds_so_many_at_most(monkeypatch):
    monkeypatch.setattr("sparkml_algos.tuning.rungs.MOST_WAITING", 2)
    job = job_of()
    searched = search_of(job)
    lane = Lane(searched)
    while lane.step():
        assert len(lane.held) <= 3  # the last one has not been asked about yet
    ended(searched)
    assert 9 in lengths(job)


def test_a_search_of_few_trials_trains_the_best_to_the_end():
    job = job_of()
    Lane(search_of(job, 2)).work()
    assert len(min(job.trials, key=lambda trial: trial.setting["x"]).series) == 9


def test_a_search_that_is_stopped_ends_those_that_wait():
    job = job_of()
    searched = search_of(job)
    lane = Lane(searched)
    for _ in range(5):
        lane.step()
    job.stop()
    assert not lane.step()
    ended(searched)
    assert {trial.status for trial in job.trials} <= {"Stopped", "Completed"}
    assert "the search was stopped before it began" not in [trial.reason for trial in job.trials]


def test_time_that_is_over_lets_none_go_on(monkeypatch):
    job = job_of()
    clock = [1000.0]
    monkeypatch.setattr(search, "time", SimpleNamespace(time=lambda: clock[0]))
    searched = Search(job, RANGES, Random(RANGES, 1), Limits(9, 2000.0, CompletionCriteria()), dict, hyperband=HYPERBAND)
    lane = Lane(searched)
    for _ in range(3):
        lane.step()
    clock[0] = 3000.0
    assert not lane.step()
    ended(searched)
    assert (job.completion, lengths(job)) == ("MaxRuntimeInSeconds", [1, 1, 1])


def test_a_trial_that_reaches_the_target_at_a_rung_ends_the_search():
    job = job_of()
    searched = search_of(job, 9, CompletionCriteria(1.9))
    Lane(searched).work()
    ended(searched)
    assert job.completion == "TargetObjectiveMetricValue"
    assert stop_as(job.best, job, HYPERBAND).bounds == {1: -np.inf}


def test_those_that_wait_go_on_with_another_driver(tmp_path):
    store = Store(tmp_path, "job")
    job = job_of()
    store.append({"job": {"name": job.name, "config": job.config, "facts": job.facts, "created": job.created}})
    lane = Lane(search_of(job, store=store))
    for _ in range(5):
        lane.step()
    again = TuningJob.attach(store)
    assert [trial.series for trial in again.trials] == [trial.series for trial in job.trials]
    searched = search_of(again, store=store)
    Lane(searched).work()
    ended(searched)
    kept = TuningJob.attach(store)
    assert [trial.is_over for trial in kept.trials] == [True] * 9
    assert sorted(kept.finished) == list(range(9)) and 9 in lengths(kept)


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_best_for_a_fraction_of_the_epochs(seed):
    job = job_of()
    hyperband = Hyperband(1, 27)
    searched = Search(job, RANGES, Random(RANGES, seed), Limits(27, None, CompletionCriteria()), dict, hyperband=hyperband)
    lane = Lane(searched).work()
    ended(searched)
    best = min(job.trials, key=lambda trial: trial.setting["x"])
    assert (job.best.number, len(best.series)) == (best.number, 27)
    assert lane.epochs < 0.3 * 27 * 27

"""Whoever is told of searches."""

from __future__ import annotations

import logging
import threading

import pytest

from sparkml_algos.tuning.listeners import Announcer, TuningListener, add_listener, remove_listener
from sparkml_algos.tuning.trial import Trial
from tests.tuning.searching import job_of


class Recorder(TuningListener):
    def __init__(self):
        self.told, self.threads = [], set()

    def on_search_start(self, job, tuner, dataset):
        self.told.append(("search starts", tuner, dataset))

    def on_trial_start(self, job, trial):
        self.threads.add(threading.current_thread())
        self.told.append(("starts", trial.number))

    def on_trial_end(self, job, trial):
        self.threads.add(threading.current_thread())
        self.told.append(("ends", trial.number))

    def on_search_end(self, job):
        self.told.append(("search ends", job.name))


def announce(announcer, count=3):
    announcer.search_starts("tuner", "rows")
    for number in range(count):
        trial = Trial(number, f"job-{number}", {}, {})
        announcer.trial_starts(trial)
        announcer.trial_ends(trial)
    announcer.search_ends()


WANTED = [
    ("search starts", "tuner", "rows"),
    *((what, number) for number in range(3) for what in ("starts", "ends")),
    ("search ends", "job"),
]


def test_all_is_told_in_order_by_another_thread_and_before_the_end():
    recorder = Recorder()
    announce(Announcer(job_of(), [recorder]))
    assert recorder.told == WANTED
    assert threading.current_thread() not in recorder.threads and len(recorder.threads) == 1


def test_a_listener_of_the_process_is_told_of_searches_from_then_on():
    recorder = Recorder()
    before = Announcer(job_of())
    add_listener(recorder)
    add_listener(recorder)
    try:
        announce(before)
        announce(Announcer(job_of(), [recorder]))  # known twice, and told once
    finally:
        remove_listener(recorder)
    announce(Announcer(job_of()))
    remove_listener(recorder)
    assert recorder.told == WANTED


def test_what_a_listener_raises_is_said_and_costs_nothing(caplog):
    class Broken(TuningListener):
        def on_trial_start(self, job, trial):
            raise OSError("no disk")

    recorder = Recorder()
    with caplog.at_level(logging.WARNING):
        announce(Announcer(job_of(), [Broken(), recorder]), 1)
    assert recorder.told == [WANTED[0], ("starts", 0), ("ends", 0), WANTED[-1]]
    assert "on_trial_start of Broken has failed" in caplog.text


def test_without_listeners_there_is_no_thread():
    announcer = Announcer(job_of())
    threads = threading.active_count()
    announcer.search_starts("tuner", "rows")
    assert threading.active_count() == threads
    announcer.search_ends()


def test_a_slow_listener_holds_up_nobody():
    going = threading.Event()

    class Slow(TuningListener):
        def on_trial_start(self, job, trial):
            going.wait(10)

    recorder = Recorder()
    announcer = Announcer(job_of(), [Slow(), recorder])
    announcer.search_starts("tuner", "rows")
    announcer.trial_starts(Trial(0, "job-0", {}, {}))  # returns
    assert ("starts", 0) not in recorder.told
    going.set()
    announcer.search_ends()
    assert ("starts", 0) in recorder.told


@pytest.mark.parametrize("method", ["on_search_start", "on_trial_start", "on_trial_end", "on_search_end"])
def test_a_listener_need_not_listen_to_all(method):
    arguments = {"on_search_start": 3, "on_search_end": 1}.get(method, 2)
    assert getattr(TuningListener(), method)(*[None] * arguments) is None

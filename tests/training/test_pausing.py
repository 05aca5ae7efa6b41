"""A training that waits after some epochs, in a thread of its own, until it is gone on with."""

from __future__ import annotations

import threading

import pytest

from sparkml_algos.training.pausing import Pausable


class Training:
    """Counts epochs, and says in which thread."""

    def __init__(self, epochs=5, fails_after=None):
        self.epochs, self.fails_after, self.done, self.threads, self.was_ended = epochs, fails_after, 0, set(), False
        self.steps = Pausable(self.train)

    def train(self):
        try:
            while self.done < self.epochs:
                self.done += 1
                self.threads.add(threading.current_thread())
                if self.done == self.fails_after:
                    raise ArithmeticError("too far")
                if self.done < self.epochs:
                    self.steps.after_epoch(self.done)
            return f"{self.done} epochs"
        finally:
            self.was_ended = True


def test_it_waits_where_it_is_told_to_and_ends_as_in_one_go():
    training = Training()
    assert [training.steps.advance(until) for until in (2, 3)] == [True, True]
    assert (training.done, training.was_ended) == (3, False)
    assert training.steps.advance(None) is False
    assert training.steps.result == "5 epochs"
    assert len(training.threads) == 1 and threading.current_thread() not in training.threads


def test_in_one_go_it_needs_no_thread():
    training = Training()
    assert training.steps.advance(None) is False
    assert (training.steps.result, training.threads) == ("5 epochs", {threading.current_thread()})


@pytest.mark.parametrize("until", [5, 9])
def test_after_the_last_epoch_it_does_not_wait(until):
    training = Training()
    assert training.steps.advance(until) is False
    assert training.steps.result == "5 epochs"


def test_many_wait_beside_each_other():
    trainings = [Training() for _ in range(20)]
    assert all(training.steps.advance(1 + place % 3) for place, training in enumerate(trainings))
    assert [training.done for training in trainings] == [1 + place % 3 for place in range(20)]
    assert not any(training.steps.advance(None) for training in reversed(trainings))


@pytest.mark.parametrize("waits_first", [False, True])
def test_what_it_fails_of_is_raised_where_it_is_advanced(waits_first):
    training = Training(fails_after=2)
    if waits_first:
        training.steps.advance(1)
    with pytest.raises(ArithmeticError, match="too far"):
        training.steps.advance(4)
    training.steps.give_up()


def test_one_that_is_given_up_lets_go_of_what_it_holds():
    training = Training()
    training.steps.advance(2)
    training.steps.give_up()
    assert (training.done, training.was_ended) == (2, True)
    assert not any(thread.is_alive() for thread in training.threads)


def test_one_that_has_ended_or_not_begun_is_given_up_too():
    training = Training()
    training.steps.give_up()
    training.steps.advance(None)
    training.steps.give_up()
    assert training.steps.result == "5 epochs"

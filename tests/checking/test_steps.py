"""A check ends in time and raises nothing."""

from __future__ import annotations

import threading
import time

import pytest

from sparkml_algos.checking.report import Finding
from sparkml_algos.checking.steps import Steps, TookTooLong


def test_what_a_step_finds_is_kept_in_order() -> None:
    steps = Steps(10)
    one, two = Finding("Java", "right", "17"), Finding("Arrow", "right", "on")
    assert steps.add("Java", lambda: one) and steps.add("Arrow", lambda: iter([two])) and steps.add("GPUs", lambda: None)
    assert steps.findings == [one, two]


def test_an_error_is_an_item_that_is_unknown() -> None:
    def fails() -> Finding:
        raise OSError("no such thing\nat all")

    steps = Steps(10)
    assert not steps.add("Java", fails, "install it")
    assert steps.findings == [Finding("Java", "unknown", "could not be looked at: OSError: no such thing", "install it")]


def test_what_does_not_answer_is_left_behind_and_leaves_time_for_the_others() -> None:
    steps, forever, begun = Steps(4), threading.Event(), time.monotonic()
    assert not steps.add("Java", forever.wait)
    assert 1.5 < time.monotonic() - begun < 3
    assert not steps.add("Arrow", forever.wait)
    assert steps.add("GPUs", lambda: Finding("GPUs", "right", "one"))
    assert time.monotonic() - begun < 5
    assert [finding.status for finding in steps.findings] == ["unknown", "unknown", "right"]
    with pytest.raises(TookTooLong):
        steps.answer(forever.wait)
    forever.set()

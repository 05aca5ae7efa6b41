"""The whole line: a model that is trained, deployed, watched, and trained anew when its monitor raises an alarm."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "examples" / "output" / "retraining"

pytestmark = [pytest.mark.classic, pytest.mark.slow]


def test_the_example_sees_2012_drift_raises_the_alarm_and_trains_anew() -> None:
    command = [sys.executable, str(ROOT / "examples" / "retraining.py")]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = re.search(r"trainings: (\d+); mean rmse (\d+), of the first model (\d+)", done.stdout)
    assert found, done.stdout[-3000:]
    trainings, kept_up, first = map(int, found.groups())
    assert trainings >= 2 and kept_up < 0.85 * first
    months = re.findall(r"2012-\d\d: rmse \d+, (OK|InAlert)", done.stdout)
    assert len(months) == 12 and months.count("InAlert") == trainings
    alarms = [json.loads(line) for line in (OUTPUT / "alarms.jsonl").read_text().splitlines()]
    assert [one["state"] for one in alarms if one["state"] == "InAlert"] == ["InAlert"] * trainings
    # A file of each endpoint that was asked: the one that is started after the last month is not.
    asked = trainings + (months[-1] == "OK")
    assert "<svg" in (OUTPUT / "rentals.html").read_text() and len(list((OUTPUT / "captured").rglob("*.jsonl"))) == asked

"""The programs in ``examples/``, run as a person runs them, on rows that they make or bring: they end, and what they print makes sense."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
#: Two of them have tests of their own.
ELSEWHERE = {"quickstart", "retraining"}
ALARMING = re.compile(r"Traceback|\bERROR\b")


def number(printed: str, pattern: str) -> float:
    """The number in the first group of what a pattern finds."""
    found = re.search(pattern, printed)
    assert found, printed[-3000:]
    return float(found[1])


def forecasts(printed: str) -> None:
    assert number(printed, r"'test:mean_wQuantileLoss': ([\d.]+)") < 0.1


def tells_strangers(printed: str) -> None:
    assert number(printed, r"AUC against shuffled addresses ([\d.]+)") > 0.9
    assert 0 < number(printed, r"([\d.]+) % of the later visits raise an alarm") < 20


def rates(printed: str) -> None:
    assert number(printed, r"RMSE on ratings that were held back: ([\d.]+)") < 0.9  # half a point is chance, and the taste 0.8 more


def finds_topics(printed: str) -> None:
    assert number(printed, r"Uniqueness  ([\d.]+)") > 0.5 and printed.count("\nTopic ") == 8


def translates(printed: str) -> None:
    assert number(printed, r"'test:bleu': ([\d.]+)") > 80


def knows_shapes(printed: str) -> None:
    assert number(printed, r"'test:accuracy': ([\d.]+)") > 0.6


def finds_shapes(printed: str) -> None:
    assert number(printed, r"'test:mAP': ([\d.]+)") > 0.5


def masks_shapes(printed: str) -> None:
    assert number(printed, r"mIoU ([\d.]+)") > 0.8


def sees_what_has_changed(printed: str) -> None:
    as_they_are, changed = printed.split("changed rows: ")
    assert "DataQuality: nothing is violated" in as_they_are, printed
    assert "age (baseline_drift_check)" in changed and "education (completeness_check)" in changed


def keeps_runs(printed: str) -> None:
    assert printed.count("epochs") >= 2 and re.search(r"says \[[01, ]+\]; it comes from rows \w+", printed), printed


#: By the program: what it needs beyond Spark, and what it must print.
PROGRAMS: dict[str, tuple[str, Callable[[str], None]]] = {
    "deepar": ("torch", forecasts),
    "image_classification": ("torch", knows_shapes),
    "ip_insights": ("torch", tells_strangers),
    "object2vec": ("torch", rates),
    "object_detection": ("torch", finds_shapes),
    "semantic_segmentation": ("torch", masks_shapes),
    "topics": ("torch", finds_topics),
    "tracking": ("mlflow", keeps_runs),
    "translation": ("torch", translates),
    "trust": ("pyspark", sees_what_has_changed),
}


def test_every_program_is_run_by_a_test() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*PROGRAMS, *ELSEWHERE}


@pytest.mark.classic
@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_ends_well_and_says_what_makes_sense(name: str, tmp_path: Path) -> None:
    needed, makes_sense = PROGRAMS[name]
    if find_spec(needed) is None:
        pytest.skip(f"needs {needed}")
    command = [sys.executable, str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert not ALARMING.search(done.stderr), done.stderr[-3000:]
    makes_sense(done.stdout)

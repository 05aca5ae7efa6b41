"""The progress bar: for long fits, where somebody looks."""

from __future__ import annotations

import pytest

from sparkml_algos.algorithms.xgboost.training import XGBOOST
from sparkml_algos.core import progress
from sparkml_algos.core.progress import ProgressBar


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SHOW_AFTER_SECONDS", 0.0)


def test_it_is_off_where_output_is_not_interactive() -> None:
    assert not ProgressBar("KMeans").enabled


def test_it_is_on_in_a_terminal_and_off_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert ProgressBar("KMeans").enabled
    assert not ProgressBar("KMeans", "off").enabled


def test_it_shows_epochs_and_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    bar = ProgressBar("KMeans", "on")
    bar.update({"done": 1.5, "total": 3, "train:msd": 7.25})
    bar.close()
    shown = capsys.readouterr().err
    assert "KMeans" in shown and "1.5/3 epochs" in shown and "train:msd=7.25" in shown


def test_it_counts_in_the_unit_of_the_algorithm(capsys: pytest.CaptureFixture[str]) -> None:
    bar = ProgressBar("XGBoostClassifier", "on", XGBOOST.unit)
    bar.update({"done": 12, "total": 100})
    bar.close()
    assert "12/100 rounds" in capsys.readouterr().err


def test_a_short_fit_shows_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "SHOW_AFTER_SECONDS", 60.0)
    bar = ProgressBar("KMeans", "on")
    bar.update({"done": 1, "total": 1})
    bar.close()
    assert capsys.readouterr().err == ""

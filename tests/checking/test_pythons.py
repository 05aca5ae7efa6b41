"""What is said of the two Pythons, where Spark starts one on this machine."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from sparkml_algos.checking import pythons


def said_of(python: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(pythons, "is_here", lambda spark: True)
    driver, executor = ({"version": platform.python_version(), "python": str(one)} for one in (sys.executable, python))
    return pythons.interpreters(None, driver, [executor]).status


def test_the_names_that_a_python_has_in_an_environment_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(sys.executable).parent
    assert {said_of(folder / name, monkeypatch) for name in ("python", "python3", Path(sys.executable).name)} == {"right"}


def test_an_environment_beside_it_is_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(Path(sys.executable).resolve())
    assert said_of(tmp_path / "python3", monkeypatch) == "advice"

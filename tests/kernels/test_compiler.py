"""Kernels: what compiles them, where compiled ones are kept, and what runs without numba."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sparkml_algos import kernels

numba = pytest.importorskip("numba", reason="numba is not installed")

from sparkml_algos.kernels import compiler  # noqa: E402

PROGRAM = """
import numpy as np
from sparkml_algos.kernels.compiler import kernel

@kernel
def twice(values):
    total = 0.0
    for value in values:
        total += 2 * value
    return total

print(twice(np.arange(4.0)), sum(twice.stats.cache_hits.values()), sum(twice.stats.cache_misses.values()))
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "own" / "kernels"
    monkeypatch.setenv(compiler.DIRECTORY, str(place))
    compiler.directory_of_kernels.cache_clear()
    yield place
    compiler.directory_of_kernels.cache_clear()


def run(program: Path) -> list[float]:
    answer = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": os.getcwd()}
    )
    return [float(word) for word in answer.stdout.split()]


def test_a_kernel_is_compiled_once_for_all_processes(directory: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    assert run(program) == [12, 0, 1]
    assert run(program) == [12, 1, 0]
    assert list(directory.rglob("*.nbc"))


def test_compiled_kernels_are_kept_where_nobody_else_can_write(directory: Path) -> None:
    assert compiler.directory_of_kernels() == directory
    assert directory.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_others_can_write_is_refused(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    assert compiler.directory_of_kernels() is None
    assert "others can write it" in caplog.text


def test_a_directory_below_one_that_others_can_write_is_refused(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o700)
    directory.parent.chmod(0o777)
    assert compiler.directory_of_kernels() is None
    assert "the directory above it" in caplog.text


def test_a_link_is_refused(directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    directory.parent.mkdir(mode=0o700)
    directory.symlink_to(tmp_path / "elsewhere")
    assert compiler.directory_of_kernels() is None
    assert "is a link" in caplog.text


def test_without_a_directory_kernels_still_run(directory: Path) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    add = compiler.kernel(lambda a, b: a + b)
    assert add(1, 2) == 3


def test_what_the_user_has_set_for_numba_is_left_as_it_was(directory: Path) -> None:
    before = numba.config.CACHE_DIR
    compiler.kernel(lambda a: a)
    assert before == numba.config.CACHE_DIR


def test_division_by_zero_is_that_of_numpy(directory: Path) -> None:
    divide = compiler.kernel(lambda a, b: a / b)
    assert divide(1.0, 0.0) == np.inf


def test_kernels_run_side_by_side_and_errors_come_through() -> None:
    assert kernels.in_threads([lambda: 1, lambda: 2]) == [1, 2]
    done = []

    def fails() -> None:
        raise KeyError("first")

    def goes_on() -> None:
        time.sleep(0.05)
        done.append(True)

    with pytest.raises(KeyError, match="first"):
        kernels.in_threads([fails, goes_on])
    assert done


def test_the_number_of_threads_is_that_of_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert kernels.threads() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert kernels.threads() >= 1


def test_kernels_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels.available() and kernels.name() == f"numba {numba.__version__}"
    monkeypatch.setenv(kernels.SWITCH, "0")
    assert not kernels.available() and kernels.name() == "numpy"

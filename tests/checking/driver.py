"""A driver of its own with a session as a fault needs it: prints what `check` finds, as JSON.

``python -m tests.checking.driver '{"spark": {settings of the session}, "checks": [arguments of check, …]}'``
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from typing import Any

from tests.conftest import ROOT

SETTINGS = {
    "spark.master": "local[2]",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "OFF",
}
FOUND = "FOUND "


class Found(list):
    """The findings of one check as dicts, with the seconds it took.

    Parameters
    ----------
    answer : dict
        What the driver has printed of it.
    """

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer["findings"])
        self.ok, self.seconds = answer["ok"], answer["seconds"]

    def of(self, item: str) -> dict[str, str]:
        """The only finding about an item."""
        (finding,) = [finding for finding in self if finding["item"] == item]
        return finding

    @property
    def wrong(self) -> list[str]:
        return [finding["item"] for finding in self if finding["status"] == "wrong"]


def drive(*checks: dict[str, Any], environment: dict[str, str] | None = None, python_path: str = str(ROOT), **spark: str) -> list[Found]:
    """What the checks find in one session, which has a process of its own.

    Parameters
    ----------
    *checks : dict
        Arguments of `check`; besides, ``conf``: settings to change first, and ``hide``: a directory that this process, and not its
        JVM, sees empty from then on, and cannot write to.
    environment : dict, optional
        Variables in place of this process's.
    python_path : str
        Where executors look for this package and others first.
    **spark : str
        Settings of the session.
    """
    task = json.dumps({"spark": {**SETTINGS, **spark}, "checks": checks, "python_path": python_path})
    done = subprocess.run(
        [sys.executable, "-m", "tests.checking.driver", task],
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        cwd=tempfile.gettempdir(),  # executors, too, look where they are started
        capture_output=True,
        text=True,
        timeout=240,
    )
    answers = [json.loads(line.removeprefix(FOUND)) for line in done.stdout.splitlines() if line.startswith(FOUND)]
    assert len(answers) == len(checks), done.stdout[-1000:] + done.stderr[-4000:]
    return [Found(answer) for answer in answers]


def hide(directory: str) -> None:
    """Have what this thread and those that it starts see in place of a directory be an empty one that is read-only."""
    libc, new_mounts, private, recursive, read_only = ctypes.CDLL(None, use_errno=True), 0x20000, 1 << 18, 1 << 14, 1
    libc.unshare(new_mounts)
    libc.mount(b"none", b"/", None, private | recursive, None)
    libc.mount(b"none", directory.encode(), b"tmpfs", read_only, None)


def main(task: dict[str, Any]) -> None:
    from pyspark.sql import SparkSession

    import sparkml_algos

    os.environ["PYTHONPATH"] = task["python_path"]
    spark = SparkSession.builder.config(map=task["spark"]).getOrCreate()
    for arguments in task["checks"]:
        for key, value in arguments.pop("conf", {}).items():
            spark.conf.set(key, value)
        if hidden := arguments.pop("hide", None):
            hide(hidden)
        begun = time.monotonic()
        report = sparkml_algos.check(spark, **arguments)
        answer = {"ok": report.ok, "seconds": time.monotonic() - begun, "findings": [asdict(finding) for finding in report]}
        print(FOUND + json.dumps(answer), flush=True)
    os._exit(0)  # a session that hangs would keep it


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

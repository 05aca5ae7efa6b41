"""Steps that end in time whatever they meet, and never raise."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from pyspark.sql import SparkSession

from sparkml_algos.checking.report import UNKNOWN, Finding, in_a_line
from sparkml_algos.cluster.errors import last_python_error
from sparkml_algos.cluster.jobs import Jobs

T = TypeVar("T")


class TookTooLong(TimeoutError):
    """An answer has not come in time."""


@dataclass
class Steps:
    """What a check does, one after the other, until its time is up.

    Parameters
    ----------
    seconds : float
        For all together.
    spark : SparkSession, optional
        Where jobs are cancelled that take too long.

    Attributes
    ----------
    findings : list of Finding
        Of the steps so far.
    """

    seconds: float
    spark: SparkSession | None = None
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.seconds

    def answer(self, ask: Callable[[], T]) -> T:
        """What a function returns, which has all the time there is left but a moment for each of the others.

        Raises
        ------
        TookTooLong
            If it does not return in time: it is left behind, and its Spark jobs are cancelled.
        Exception
            What the function raises.
        """
        seconds = max(1.0, (self._deadline - time.monotonic()) / 2)
        came: list[Callable[[], T]] = []
        jobs: list[Jobs] = []

        def run() -> None:
            try:
                if self.spark is not None:
                    jobs.append(Jobs(self.spark))
                    jobs[0].begin()
                answer = ask()
            except BaseException as error:
                came.append(_raising(error))
            else:
                came.append(lambda: answer)

        thread = threading.Thread(target=run, daemon=True, name="sparkml-algos-check")
        thread.start()
        thread.join(seconds)
        if not came:
            if jobs:
                jobs[0].abandon()
            raise TookTooLong(f"no answer within {seconds:.0f} s")
        return came[0]()

    def add(self, item: str, look: Callable[[], Iterable[Finding] | Finding | None], remedy: str = "") -> bool:
        """Take a step; whether it could be taken. One that could not is an item that is unknown.

        Parameters
        ----------
        item : str
            The item to report then.
        look : callable
            Returns what it has found.
        remedy : str
            What to do then.
        """
        try:
            found = self.answer(lambda: _listed(look()))
        except Exception as error:
            said = last_python_error(str(error)) or in_a_line(error)
            self.findings.append(Finding(item, UNKNOWN, f"could not be looked at: {said}", remedy))
            return False
        self.findings += found
        return True

    def unseen(self, items: Iterable[str], why: str) -> None:
        """Items that cannot be looked at."""
        self.findings += [Finding(item, UNKNOWN, f"could not be looked at: {why}", "mend that first") for item in items]


def _listed(found: Iterable[Finding] | Finding | None) -> list[Finding]:
    return [found] if isinstance(found, Finding) else list(found or [])


def _raising(error: BaseException) -> Callable[[], T]:
    def again() -> T:
        raise error

    return again

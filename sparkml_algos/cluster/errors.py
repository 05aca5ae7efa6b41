"""One error for whatever goes wrong on the workers, with the first cause, not the loudest."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

# Brackets a failure in an exception's text on its way through the JVM.
_OPEN, _CLOSE = "<<sparkml_algos:", ":sparkml_algos>>"

# What Spark says when a process, not code, has died.
_DEATHS = (
    r"ExecutorLostFailure[^\n]*",
    r"Python worker exited unexpectedly[^\n]*",
    r"[^\n]*OutOfMemoryError[^\n]*",
)


@dataclass(frozen=True)
class Failure:
    """What one worker knows about its failure.

    Parameters
    ----------
    rank : int
    host : str
    phase : str
        ``start``, ``ingest``, ``setup``, ``train`` or ``finish``.
    message : str
        Type and text of the exception.
    invalid_data : bool
        The rows are to blame: trying again is no use.
    peer : bool
        Another worker is to blame: a collective failed.
    silent : bool
        The worker said nothing: its connection ended.
    trace : str
        The Python traceback.
    """

    rank: int
    host: str
    phase: str
    message: str
    invalid_data: bool = False
    peer: bool = False
    silent: bool = False
    trace: str = ""

    def encode(self) -> str:
        return f"{_OPEN}{json.dumps(asdict(self))}{_CLOSE}"

    def describe(self) -> str:
        return f"worker {self.rank} on {self.host} failed in phase {self.phase}: {self.message}"


class TrainingError(RuntimeError):
    """Training failed on the workers.

    Attributes
    ----------
    failure : Failure or None
        What the worker that failed first said, if it could say anything.
    """

    def __init__(self, message: str, failure: Failure | None = None) -> None:
        super().__init__(message)
        self.failure = failure


class InvalidDataError(TrainingError, ValueError):
    """Rows cannot be trained on; the message names column, row and worker."""


class WorkerTraceback(Exception):
    """The Python traceback on the worker, as the cause of a `TrainingError`."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class WorkerFailed(RuntimeError):
    """Raised in a Spark task to carry a `Failure` to the driver."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.encode())


def training_error(error: Exception, heard: list[Failure]) -> TrainingError:
    """The error to raise on the driver for a failed Spark job.

    Parameters
    ----------
    error : Exception
        What Spark raised.
    heard : list of Failure
        What workers told the driver directly, in the order it came.
    """
    text = str(error)
    first, death = first_cause([*heard, *decode_failures(text)]), _death(text)
    if first is None:
        return TrainingError(death or f"the Spark job failed: {_first_line(text)}")
    message = first.describe()
    if death and (first.silent or first.peer):
        message += f"; Spark says: {death}"
    result = InvalidDataError(message, first) if first.invalid_data else TrainingError(message, first)
    result.__cause__ = WorkerTraceback(first.trace) if first.trace else None
    return result


def first_cause(failures: Sequence[Failure]) -> Failure | None:
    """Of failures in the order they were heard: the first that a worker calls its own, else the first of all.

    A worker that died silently is heard of at once, those it leaves behind speak up seconds later; one that hangs is
    named by those who waited for it, before it is killed.
    """
    own = [failure for failure in failures if not failure.peer and not failure.silent]
    return next(iter([*own, *failures]), None)


def decode_failures(text: str) -> list[Failure]:
    found: list[dict[str, Any]] = []
    for part in re.findall(re.escape(_OPEN) + r"(\{.*?\})" + re.escape(_CLOSE), text, re.DOTALL):
        try:
            found.append(json.loads(part))
        except json.JSONDecodeError:
            continue
    return [Failure(**fields) for fields in found]


def _death(text: str) -> str | None:
    """Spark's words about a process that died, with task and host if it names them."""
    task = re.search(r"Lost task (\d+)\.\d+ in stage [\d.]+ \(TID \d+\) \(([^ )]+)", text)
    barrier_task = re.search(r"barrier task ResultTask\(\d+, (\d+)\) finished unsuccessfully", text)
    who = f"worker {task[1]} on {task[2]} died" if task else f"worker {barrier_task[1]} died" if barrier_task else "a worker died"
    for pattern in _DEATHS:
        if match := re.search(pattern, text):
            return f"{who}: {match[0].strip()}"
    return None


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")

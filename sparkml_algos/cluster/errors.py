"""One error for whatever goes wrong on the workers, with the first cause, not the loudest."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

# Brackets a failure in an exception's text on its way through the JVM.
_OPEN, _CLOSE = "<<sparkml_algos:", ":sparkml_algos>>"

# What Spark says when a process, not code, has died.
_DEATHS = (
    r"ExecutorLostFailure[^\n]*",
    r"TaskKilled \([^\n]*\)",
    r"Python worker exited unexpectedly[^\n]*",
    r"[^\n]*OutOfMemoryError[^\n]*",
)


# What `sparkml_algos.check` looks at: which failures of workers it says more about, by their text, and what it is to be told. Those of a
# worker that does not answer, or whose process died, are besides.
_CHECKED: tuple[tuple[str, Callable[[re.Match[str]], dict[str, Any]]], ...] = (
    (r"NoUsableGpu|no usable GPU", lambda match: {"use_gpu": True}),
    (r"checkpoint_dir (.+?) cannot be written", lambda match: {"checkpoint_dir": match[1]}),
    (r"communicator='(\w+)' needs", lambda match: {"communicator": match[1]}),
    (r"No module named '(torch|horovod)", lambda match: {"communicator": {"torch": "gloo"}.get(match[1], match[1])}),
    (r"ModuleNotFoundError|PYTHON_VERSION_MISMATCH|Python did not start|cannot reach |workers had started", lambda match: {}),
    (r"MemoryError|bad_alloc|[Cc]an(?:no|')t allocate memory|Unable to allocate", lambda match: {}),
)


def with_check(message: str, **settings: Any) -> str:
    """A message that ends with the call which says more about what it tells.

    Parameters
    ----------
    message : str
    **settings
        What `sparkml_algos.check` is to be told besides the session.
    """
    given = "".join(f", {name}={value!r}" for name, value in settings.items())
    return f"{message}; sparkml_algos.check(spark{given}) says more"


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
    waited_for : int, optional
        With `peer`: the worker that did not answer, where that is known.
    late : bool
        Spark started the worker once more after its gang had come together: it only says what it was told.
    """

    rank: int
    host: str
    phase: str
    message: str
    invalid_data: bool = False
    peer: bool = False
    silent: bool = False
    trace: str = ""
    waited_for: int | None = None
    late: bool = False

    def encode(self) -> str:
        return f"{_OPEN}{json.dumps(asdict(self))}{_CLOSE}"

    def describe(self) -> str:
        if self.waited_for is not None:
            what = f"worker {self.waited_for} stopped answering; noticed by worker {self.rank} on {self.host} in phase {self.phase}"
            return f"{what}: {self.message}"
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


class JobCancelled(TrainingError):
    """Somebody has cancelled the training's Spark job: in Spark's UI, with all jobs of the session, or with an interruption elsewhere."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"the Spark job was cancelled: {_first_line(str(error))}")


class WorkerTraceback(Exception):
    """The Python traceback on the worker, as the cause of a `TrainingError`."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class WorkerFailed(RuntimeError):
    """Raised in a Spark task to carry a `Failure` to the driver."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.encode())


def is_cancelled(error: Exception) -> bool:
    """Whether Spark says that a job was cancelled, rather than that it failed."""
    return re.search(r"SPARK_JOB_CANCELLED|OPERATION_CANCELED|\bJob \d+ cancelled", str(error)) is not None


def training_error(error: Exception | None, heard: Sequence[Failure], seen: Mapping[int, tuple[str, str]]) -> TrainingError:
    """The error to raise on the driver for a training that failed.

    Parameters
    ----------
    error : Exception or None
        What Spark raised, if anything.
    heard : sequence of Failure
        What workers told the driver directly, in the order it came.
    seen : mapping of int to (str, str)
        Host and phase of each worker, as the driver last knew them.
    """
    text = "" if error is None else str(error)
    death = _death(text, seen)
    failures = [*heard, *decode_failures(text), *([death] if death else [])]
    failures = [failure for failure in failures if not failure.late] or failures
    first = first_cause(failures)
    if first is None:
        return TrainingError(_checked(f"the Spark job failed: {last_python_error(text) or _first_line(text)}{_about_pythons(text)}"))
    silent = set(seen) - {failure.rank for failure in failures}
    if first.peer and first.waited_for is None and silent:
        first = replace(first, waited_for=min(silent))
    message = first.describe()
    if death and first is not death and (first.silent or first.peer):
        message += f"; Spark says of worker {death.rank}: {death.message}"
    result = InvalidDataError(message, first) if first.invalid_data else TrainingError(_checked(message, first), first)
    result.__cause__ = WorkerTraceback(first.trace) if first.trace else None
    return result


def _checked(message: str, failure: Failure | None = None) -> str:
    """The message of a training that failed, with the call that says more where there is one."""
    for pattern, settings in _CHECKED:
        if match := re.search(pattern, message):
            return with_check(message, **settings(match))
    return with_check(message) if failure and (failure.peer or failure.silent) else message


def first_cause(failures: Sequence[Failure]) -> Failure | None:
    """Of failures in the order they were heard: the first that a worker calls its own, else the first of all.

    A worker that died silently is heard of at once, and so are those it leaves behind, in any order. Of those who waited for each other,
    one that waited for a worker that says nothing itself is closest to the cause.
    """
    # Executors that lack NumPy, which this imports, are to be able to tell so.
    from sparkml_algos.collectives.communicator import is_timeout

    spoken = {failure.rank for failure in failures if not failure.silent}
    own = [failure for failure in failures if not failure.peer and not failure.silent]
    close = [failure for failure in failures if failure.silent or failure.waited_for not in spoken]
    first = next(iter([*own, *close, *failures]), None)
    if first and first.peer and not is_timeout(first.message):
        # Whoever was at the other end had died before; one that is killed after a timeout had hung.
        died = (failure for failure in failures if failure.silent and first.waited_for in (None, failure.rank))
        return next(died, first)
    return first


def last_python_error(text: str) -> str | None:
    """What the last Python exception says in an error of Spark's, or a Python that did not start; None where there is neither.

    Spark says first what became of the stage, and what the code said last, after its traceback.
    """
    _, started, words = text.rpartition("Error from python worker:")
    if started:
        lines = [line.strip() for line in words.partition("PYTHONPATH was:")[0].splitlines() if line.strip()]
        return f"Python did not start: {lines[-1]}" if lines else None
    _, traced, words = text.rpartition("Traceback (most recent call last):")
    return next((line for line in words.splitlines() if traced and line.strip() and not line.startswith((" ", "\t"))), None)


def _about_pythons(text: str) -> str:
    """What is to be known besides, where it is the Python of some executor that is wrong."""
    if not re.search(r"ModuleNotFoundError|PYTHON_VERSION_MISMATCH|Error from python worker:", text):
        return ""
    return (
        f"; the driver's Python is {sys.executable}, that of the executors is the one that PYSPARK_PYTHON names, else their python3: it "
        "must have the same libraries on every host"
    )


def decode_failures(text: str) -> list[Failure]:
    found: list[dict[str, Any]] = []
    for part in re.findall(re.escape(_OPEN) + r"(\{.*?\})" + re.escape(_CLOSE), text, re.DOTALL):
        try:
            found.append(json.loads(part))
        except json.JSONDecodeError:
            continue
    return [Failure(**fields) for fields in found]


def _death(text: str, seen: Mapping[int, tuple[str, str]]) -> Failure | None:
    """Spark's words about a worker whose process died."""
    words = next((match[0].strip() for pattern in _DEATHS if (match := re.search(pattern, text))), None)
    task = re.search(r"Lost task (\d+)\.\d+ in stage|barrier task ResultTask\(\d+, (\d+)\)", text)
    if words is None or task is None:
        return None
    rank = int(task[1] or task[2])
    host, phase = seen.get(rank, ("an unknown host", "start"))
    return Failure(rank, host, phase, f"its process died: {words}", silent=True)


def _first_line(text: str) -> str:
    lines = (line.strip().removeprefix(": ") for line in text.splitlines())
    return next((line for line in lines if line and not line.startswith("An error occurred while calling")), "no message")

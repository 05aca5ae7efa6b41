"""The library's own collectives between the workers of a gang, and its errors in a form that can be read."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TYPE_CHECKING

from sparkml_algos.collectives.communicator import CommunicationError, Communicator, is_timeout

if TYPE_CHECKING:
    from xgboost.tracker import RabitTracker

CONNECT_ATTEMPTS = 3
_RANK = re.compile(r"Task \d+ got rank \d+")


@contextmanager
def collectives(communicator: Communicator, host: str) -> Iterator[None]:
    """Connect the library's workers for the time of a training; alone, it needs no connections.

    Worker 0 runs the tracker through which they find each other, on its own address. A worker that dies ends the connections of its
    neighbours, and one that hangs makes them run into the communicator's timeout, so the others raise.

    Raises
    ------
    CommunicationError
        If another worker is to blame.
    RuntimeError
        What else the library found, without its stack trace.
    """
    from xgboost import collective
    from xgboost.core import XGBoostError

    if communicator.size == 1:
        try:
            yield
        except XGBoostError as error:
            raise readable(error) from error
        return
    timeout = max(1, int(communicator.timeout))
    tracker = _tracker(communicator.size, host, timeout) if communicator.rank == 0 else None
    arguments = communicator.allgather_json(tracker and tracker.worker_args())[0]
    arguments |= {"dmlc_task_id": f"{communicator.rank:08d}", "dmlc_timeout": timeout, "dmlc_retry": CONNECT_ATTEMPTS}
    try:
        with _without_ranks():
            collective.CommunicatorContext(**arguments).__enter__()  # finds NCCL where there are GPUs
        yield
        collective.finalize()
        if tracker:
            tracker.wait_for(timeout)
    except BaseException as error:
        if not is_timeout(str(error)):  # else it would wait as long again, twice, for who does not answer
            with suppress(XGBoostError):
                collective.finalize()  # of this thread only, so it is done here
        if tracker:
            threading.Thread(target=_freed, args=(tracker,), daemon=True).start()
        if isinstance(error, XGBoostError):
            raise readable(error) from error
        raise


@contextmanager
def _without_ranks() -> Iterator[None]:
    """The library prints the rank of each worker, whatever its verbosity; the rest of what it has to say is passed on."""
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            yield
    finally:
        for line in said.getvalue().splitlines():
            if not _RANK.search(line):
                print(line)


def _tracker(size: int, host: str, timeout: int) -> RabitTracker:
    from xgboost.tracker import RabitTracker

    tracker = RabitTracker(n_workers=size, host_ip=host, sortby="task", timeout=timeout)
    tracker.start()
    return tracker


def _freed(tracker: RabitTracker) -> None:
    """Give a tracker up after a failure, which may take as long as its timeout: it waits for workers that come no more."""
    from xgboost.core import XGBoostError

    with suppress(XGBoostError):
        tracker.free()


def readable(error: Exception) -> RuntimeError:
    """The library's error without its stack trace; another worker's fault as such."""
    text = str(error).split("Stack trace:")[0]
    if "/collective/" in text or "Allreduce" in text:
        causes = re.findall(r"^- \[[^\]]*\]: (.*)$", text, re.MULTILINE)
        return CommunicationError("xgboost: " + "; ".join(causes or [text.strip()]))
    return RuntimeError("xgboost: " + re.sub(r"^\[[\d:]+\] \S+: ", "", text.strip()))

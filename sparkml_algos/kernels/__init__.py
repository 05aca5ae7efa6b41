"""Inner loops that are compiled, where numba is installed, and run at the speed of the machine.

A module of kernels is imported only where `available` says so, in the function that calls it: importing it brings numba, half a second::

    if kernels.available():
        from sparkml_algos.kernels import forest
        ...

Each kernel stands beside a slow reference in the tests, which it equals. Where numba is missing, the way of NumPy or torch runs; `name`
says which of the two, for the summary of a training.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import metadata
from importlib.util import find_spec

#: Set to 0, kernels are not used though numba is there: to compare the two ways, or where compiling is not allowed.
SWITCH = "SPARKML_ALGOS_KERNELS"


def available() -> bool:
    """Whether kernels can be compiled here: numba is installed, and the environment variable ``SPARKML_ALGOS_KERNELS`` is not 0."""
    return os.environ.get(SWITCH, "1") != "0" and _is_installed()


def name() -> str:
    """What runs the inner loops here: ``numba`` with its version, or ``numpy``."""
    return f"numba {metadata.version('numba')}" if available() else "numpy"


def threads() -> int:
    """Threads that a worker may use: ``OMP_NUM_THREADS``, which Spark sets to the cores of a task, else the cores of this process."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(calls: Sequence[Callable[[], object]]) -> list[object]:
    """Run functions side by side, one thread each, and return what they return.

    Kernels let go of Python's lock while they run. Threads of numba's own are not used: they do not survive the fork by which Spark starts
    its workers.

    Parameters
    ----------
    calls : sequence of callables without arguments

    Returns
    -------
    list
        In the order of the calls.

    Raises
    ------
    Exception
        What the first of the calls that failed has raised, once all have ended.
    """
    if len(calls) == 1:
        return [calls[0]()]
    with ThreadPoolExecutor(max(1, len(calls))) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


@cache
def _is_installed() -> bool:
    return find_spec("numba") is not None

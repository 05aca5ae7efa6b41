"""How much memory a worker may use."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

# Share of the memory a worker may use that its rows may take; the rest is for the algorithm, Arrow and the interpreter.
ROWS_SHARE = 0.5

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def default_shard_bytes(workers_on_host: int = 1) -> int:
    """Bytes of rows a worker holds before it spills: half of what is free for it under the tightest limit that applies.

    The limits are the machine's memory, the containers' (control groups) that this process is in, and the process's address space, which
    Spark bounds by ``spark.executor.pyspark.memory``. Of each counts what is free now; the workers of a host share the first two.

    Parameters
    ----------
    workers_on_host : int
        Workers of the gang that run on this host, this one included.
    """
    shared = min([machine_memory(), *container_memory()]) / max(1, workers_on_host)
    return int(ROWS_SHARE * min([shared, *address_space()]))


def machine_memory() -> int:
    """Bytes that programs can still take without swapping: free ones, and those the system gives back, such as cached files."""
    try:
        available = _fields(PROC / "meminfo")["MemAvailable:"] * 1024
    except (OSError, KeyError):  # not Linux, or one before 3.14
        available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return available


def container_memory() -> Iterator[int]:
    """Bytes that are free in each control group around this process, of version 1 or 2, that has a limit."""
    for line in _lines(PROC / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, limit, usage, reclaimable = CGROUPS, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit, usage, reclaimable = CGROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        # A container may see its own group as the root while /proc tells its path outside; then only the root is there.
        own = root / path.strip("/")
        for group in (own, *own.parents[: len(own.parts) - len(root.parts)]):
            try:
                allowed, used = int((group / limit).read_text()), int((group / usage).read_text())
                cached = _fields(group / "memory.stat").get(reclaimable, 0)
            except (OSError, ValueError):  # no such group, or "max": no limit
                continue
            yield max(0, allowed - max(0, used - cached))


def address_space() -> Iterator[int]:
    """Bytes by which this process may grow, if that is limited."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        lines = _lines(PROC / "self" / "statm")
        used = int(lines[0].split()[0]) * os.sysconf("SC_PAGE_SIZE") if lines else 0
        yield max(0, soft - used)


def _fields(path: Path) -> dict[str, int]:
    """Names and numbers of a file of the kernel, a pair on each line."""
    return {words[0]: int(words[1]) for line in path.read_text().splitlines() if len(words := line.split()) > 1}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []

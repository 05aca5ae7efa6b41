"""How much memory a worker may use."""

from __future__ import annotations

import os
import resource
from pathlib import Path

# Share of the memory a worker may use that its rows may take; the rest is for the algorithm, Arrow and the interpreter.
ROWS_SHARE = 0.5


def default_shard_bytes(workers_on_host: int = 1) -> int:
    """Bytes of rows a worker holds before it spills: half of the tightest limit that applies to it.

    The limits are the process's address space (Spark sets it from ``spark.executor.pyspark.memory``), the container's memory
    (cgroup) and the machine's available memory, the last two divided by the workers that share them.
    """
    shared = [limit for limit in (_cgroup_limit(), _available()) if limit]
    limits = [limit / max(1, workers_on_host) for limit in shared]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        limits.append(soft)
    return int(ROWS_SHARE * min(limits))


def _cgroup_limit() -> int | None:
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            return int(Path(path).read_text())
        except (OSError, ValueError):
            continue
    return None


def _available() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

"""What a training that went wrong must not leave behind: processes, connections, files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.hosts import Host, StandaloneCluster

# Spark notices within so many seconds that a host is back, and ends what still runs there.
PATIENCE = 30.0
LOOPBACK = "0100007F"


@dataclass
class Before:
    """What was there before.

    Attributes
    ----------
    cluster : StandaloneCluster
    checkpoints : Path
        Must be empty, or not there, in the end.
    shared_memory, listening : set of str
    """

    cluster: StandaloneCluster
    checkpoints: Path
    shared_memory: set[str] = field(default_factory=lambda: set(os.listdir("/dev/shm")))
    listening: set[str] = field(default_factory=lambda: set(_listening(os.getpid())))

    def leftovers(self) -> list[str]:
        """What is there now and should not be; waits for it to go."""
        deadline = time.monotonic() + PATIENCE
        while (found := list(self._found())) and time.monotonic() < deadline:
            time.sleep(0.3)
        return found

    def _found(self) -> Iterator[str]:
        for host in self.cluster.hosts:
            for pid in python_workers(host):
                if _state(pid) in "TZ":
                    yield f"process {pid} on {host.address} is in state {_state(pid)}"
                yield from (f"process {pid} on {host.address} has a connection to {peer}" for peer in connections(pid))
                yield from (f"process {pid} on {host.address} holds {path}" for path in _open_files(pid) if path.endswith("(deleted)"))
            yield from (str(path) for path in host.disk.path.rglob("tmp*"))
        yield from (f"/dev/shm/{name}" for name in set(os.listdir("/dev/shm")) - self.shared_memory)
        yield from (f"the driver listens on {address}" for address in set(_listening(os.getpid())) - self.listening)
        yield from (str(path) for path in self.checkpoints.rglob("*"))


def python_workers(host: Host) -> list[int]:
    """Python workers of Spark on a host; the daemon that forks them is one of them."""
    return host.processes("pyspark.daemon") + host.processes("sparkml_algos.cluster.daemon")


def training_processes(host: Host) -> list[int]:
    """Python workers that take part in a training: only they have connections that leave the host."""
    return [pid for pid in python_workers(host) if connections(pid)]


def connections(pid: int) -> list[str]:
    """Far ends of a process's connections to other hosts, and what it listens on for them."""
    return [remote for local, remote, _ in _sockets(pid) if local.split(":")[0] not in (LOOPBACK, "00000000")]


def _listening(pid: int) -> list[str]:
    return [local for local, _, state in _sockets(pid) if state == "0A"]


def _sockets(pid: int) -> Iterable[tuple[str, str, str]]:
    """Local address, remote address and state of a process's TCP sockets, as the kernel writes them."""
    inodes = {path[8:-1] for path in _open_files(pid) if path.startswith("socket:[")}
    try:
        table = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    except OSError:
        return []
    fields = (line.split() for line in table)
    return [(entry[1], entry[2], entry[3]) for entry in fields if entry[9] in inodes]


def _open_files(pid: int) -> list[str]:
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):  # it has ended, or closed the file
            found.append(os.readlink(descriptor))
    return found


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "-"

"""Parts of a host that fail by halves: a disk that fills up, a cable that delays and loses packets.

The kernel has a queue for the latter (``tc qdisc … netem``), but not every kernel is built with it. So packets take a detour through
a process here that holds and drops them.
"""

from __future__ import annotations

import collections
import contextlib
import random
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

DISK_BYTES = 512 << 20

# From <linux/if_packet.h>. With the first, packets that the sender leaves to be cut or summed by a network card keep the note that says so.
PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING, SOL_PACKET = 15, 23, 263
ETH_P_ALL = 3
LARGEST_PACKET = 1 << 17


class Disk:
    """A file system in memory, of a size that can be changed.

    Parameters
    ----------
    path : Path
        Is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "sparkml-disk", str(path)], check=True)

    def leave_free(self, nbytes: int) -> None:
        """Shrink the disk until so much is free."""
        self._resize(shutil.disk_usage(self.path).used + nbytes)

    def restore(self) -> None:
        self._resize(DISK_BYTES)

    def remove(self) -> None:
        self.unmount(self.path)

    @staticmethod
    def unmount(path: Path) -> None:
        subprocess.run(["umount", "--lazy", str(path)], capture_output=True)

    def _resize(self, nbytes: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={nbytes}", str(self.path)], check=True)


@contextlib.contextmanager
def slow(cable: str, bridge: str, delay: float, loss: float) -> Iterator[None]:
    """Packets between a cable and its bridge are held for `delay` seconds each way, and the share `loss` of them is lost."""
    outer, inner = f"{cable}o", f"{cable}i"
    # The kernel must not answer on behalf of whoever is asked for at the ends of the detour.
    for command in (
        ["add", outer, "arp", "off", "type", "veth", "peer", "name", inner, "arp", "off"],
        ["set", inner, "up"],
        ["set", outer, "master", bridge, "up"],
        ["set", cable, "nomaster", "arp", "off"],
    ):
        subprocess.run(["ip", "link", *command], check=True)
    detour = subprocess.Popen([sys.executable, __file__, cable, inner, str(delay), str(loss)])
    try:
        yield
    finally:
        detour.kill()
        detour.wait()
        subprocess.run(["ip", "link", "delete", outer], check=True)
        subprocess.run(["ip", "link", "set", cable, "master", bridge, "arp", "on"], check=True)


def _carry(one: str, other: str, delay: float, loss: float) -> None:
    """Pass packets on between two network interfaces."""
    ends = [_listening(name) for name in (one, other)]
    chance, held = random.Random(0), collections.deque()
    while True:
        wait = max(0.0, held[0][0] - time.monotonic()) if held else None
        for end in select.select(ends, [], [], wait)[0]:
            packet = end.recv(LARGEST_PACKET)
            if chance.random() >= loss:
                held.append((time.monotonic() + delay, ends[end is ends[0]], packet))
        while held and held[0][0] <= time.monotonic():
            _, end, packet = held.popleft()
            with contextlib.suppress(OSError):  # the interface is being taken away, or its queue is full: one more is lost
                end.send(packet)


def _listening(interface: str) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    end.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    end.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    end.bind((interface, 0))
    return end


if __name__ == "__main__":
    _carry(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))

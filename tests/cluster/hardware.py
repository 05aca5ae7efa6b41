"""Parts of a host that fail by halves: a disk that fills up, a cable that delays and loses packets, a firewall.

The kernel has queues and tables for the latter (``tc qdisc … netem``, ``nft``), but not every kernel is built with them, nor has every
machine the programs. So packets take a detour through a process here that holds and drops them.
"""

from __future__ import annotations

import collections
import contextlib
import json
import random
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

DISK_BYTES = 512 << 20

# From <linux/if_packet.h>. With the first, packets that the sender leaves to be cut or summed by a network card keep the note that says so.
PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING, SOL_PACKET = 15, 23, 263
ETH_P_ALL = 3
LARGEST_PACKET = 1 << 17
# Where what is read below stands in a packet: after the note, the heads of the cable, of the internet protocol and of TCP.
NOTE_BYTES, CABLE_BYTES = 10, 14
VERSION_4, TCP = b"\x08\x00", 6
SYN, ACK = 0x02, 0x10


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


@dataclass(frozen=True)
class Detour:
    """What becomes of the packets of a cable, in both directions.

    Parameters
    ----------
    delay : float
        Seconds for which they are held.
    loss : float
        The share that is lost.
    guarded : str or None
        An address that connections are opened to at the ports in `open` alone: packets that open others are lost.
    open : collection of int
    """

    delay: float = 0.0
    loss: float = 0.0
    guarded: str | None = None
    open: Collection[int] = ()

    @contextlib.contextmanager
    def taken(self, cable: str, bridge: str) -> Iterator[None]:
        """Have packets between a cable and its bridge take the detour, inside a with statement."""
        outer, inner = f"{cable}o", f"{cable}i"
        # The kernel must not answer on behalf of whoever is asked for at the ends of the detour.
        for command in (
            ["add", outer, "arp", "off", "type", "veth", "peer", "name", inner, "arp", "off"],
            ["set", inner, "up"],
            ["set", outer, "master", bridge, "up"],
            ["set", cable, "nomaster", "arp", "off"],
        ):
            subprocess.run(["ip", "link", *command], check=True)
        carrier = subprocess.Popen([sys.executable, __file__, cable, inner, json.dumps(asdict(self))])
        try:
            yield
        finally:
            carrier.kill()
            carrier.wait()
            subprocess.run(["ip", "link", "delete", outer], check=True)
            subprocess.run(["ip", "link", "set", cable, "master", bridge, "arp", "on"], check=True)

    def passes(self, packet: bytes) -> bool:
        """Whether a packet may go on, as far as that does not hang on chance."""
        called = _called_by(packet) if self.guarded else None
        return called is None or called[0] != self.guarded or called[1] in self.open


def _called_by(packet: bytes) -> tuple[str, int] | None:
    """Address and port that a packet opens a connection to; None where it opens none."""
    cable, internet = packet[NOTE_BYTES:], packet[NOTE_BYTES + CABLE_BYTES :]
    if cable[CABLE_BYTES - 2 : CABLE_BYTES] != VERSION_4 or internet[9] != TCP:
        return None
    segment = internet[4 * (internet[0] & 15) :]
    if segment[13] & (SYN | ACK) != SYN:
        return None
    return socket.inet_ntoa(internet[16:20]), int.from_bytes(segment[2:4], "big")


def _carry(one: str, other: str, detour: Detour) -> None:
    """Pass packets on between two network interfaces."""
    ends = [_listening(name) for name in (one, other)]
    chance, held = random.Random(0), collections.deque()
    while True:
        wait = max(0.0, held[0][0] - time.monotonic()) if held else None
        for end in select.select(ends, [], [], wait)[0]:
            packet = end.recv(LARGEST_PACKET)
            if chance.random() >= detour.loss and detour.passes(packet):
                held.append((time.monotonic() + detour.delay, ends[end is ends[0]], packet))
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
    _carry(sys.argv[1], sys.argv[2], Detour(**json.loads(sys.argv[3])))

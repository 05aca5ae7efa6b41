"""Addresses of this machine."""

from __future__ import annotations

import socket


def address_towards(host: str) -> str:
    """This machine's own address on the way to `host`: never 127.0.1.1, and right where a machine has several."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, 9))
        return probe.getsockname()[0]


def interface_of(address: str) -> str | None:
    """Name of the network interface with this address; None where the system cannot tell."""
    import fcntl
    import struct

    siocgifaddr = 0x8915
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                reply = fcntl.ioctl(probe.fileno(), siocgifaddr, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue
            if socket.inet_ntoa(reply[20:24]) == address:
                return name
    return None


def listen(address: str) -> socket.socket:
    """A socket that others can call, on one address of this machine only."""
    return socket.create_server((address, 0), backlog=4096)

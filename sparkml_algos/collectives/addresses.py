"""Addresses of this machine, of either family of the internet protocol."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

# Any will do: nothing is sent.
_PORT = 9


def address_towards(host: str) -> str:
    """This machine's own address on the way to `host`: never 127.0.1.1, and right where a machine has several.

    Parameters
    ----------
    host : str
        A name, or an address of version 4 or 6, this one in brackets or not. Of a name's addresses version 4 is preferred, as far as
        there is a way to it.

    Raises
    ------
    OSError
        If there is no way to it.
    """
    found = socket.getaddrinfo(host.strip("[]"), _PORT, type=socket.SOCK_DGRAM)
    trouble: OSError | None = None
    for family, kind, protocol, _, address in sorted(found, key=lambda entry: entry[0] != socket.AF_INET):
        with socket.socket(family, kind, protocol) as probe:
            try:
                probe.connect(address)
            except OSError as error:
                trouble = error
            else:
                return probe.getsockname()[0]
    raise OSError(f"this machine has no way to {host}: {trouble}")


def family_of(address: str) -> socket.AddressFamily:
    """Of an address, not of a name."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def endpoint(address: str, port: int) -> str:
    """An address and a port in the form of a URL."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def interface_of(address: str) -> str | None:
    """Name of the network interface with this address; None where the system cannot tell."""
    return _interface_of_6(address) if family_of(address) == socket.AF_INET6 else _interface_of_4(address)


def _interface_of_4(address: str) -> str | None:
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


def _interface_of_6(address: str) -> str | None:
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return None
    wanted = ipaddress.IPv6Address(address.partition("%")[0]).exploded.replace(":", "")
    return next((words[-1] for line in lines if (words := line.split())[0] == wanted), None)


def listen(address: str) -> socket.socket:
    """A socket that others can call, on one address of this machine only."""
    return socket.create_server((address, 0), family=family_of(address), backlog=4096)

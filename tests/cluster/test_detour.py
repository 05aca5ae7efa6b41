"""What a firewall of the tests takes for the opening of a connection."""

from __future__ import annotations

import socket
import struct

import pytest

from tests.cluster.hardware import ACK, CABLE_BYTES, NOTE_BYTES, SYN, TCP, VERSION_4, Detour

DRIVER, UDP = "198.18.78.1", 17
WALL = Detour(guarded=DRIVER, open=[7077])


def packet(port: int, flags: int, address: str = DRIVER, protocol: int = TCP, options: int = 0, version: bytes = VERSION_4) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45 + options, 0, 40, 0, 0, 64, protocol, 0) + socket.inet_aton("198.18.78.11")
    segment = struct.pack("!HHIIBBHHH", 40000, port, 0, 0, 0x50, flags, 0, 0, 0)
    return bytes(NOTE_BYTES) + bytes(CABLE_BYTES - 2) + version + head + socket.inet_aton(address) + bytes(4 * options) + segment


@pytest.mark.parametrize(
    ("given", "passes"),
    [
        (packet(40123, SYN), False),
        (packet(40123, SYN, options=2), False),
        (packet(7077, SYN), True),
        (packet(40123, SYN | ACK), True),  # the answer to a call of the driver's
        (packet(40123, ACK), True),  # a connection that is open
        (packet(40123, SYN, address="198.18.78.12"), True),  # another host
        (packet(40123, SYN, protocol=UDP), True),
        (packet(40123, SYN, version=b"\x08\x06"), True),  # who has an address
    ],
)
def test_a_call_of_a_closed_port_alone_is_lost(given: bytes, passes: bool) -> None:
    assert WALL.passes(given) is passes
    assert Detour().passes(given)

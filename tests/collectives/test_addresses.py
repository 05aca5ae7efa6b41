"""Addresses of this machine."""

from __future__ import annotations

import socket

import pytest

from sparkml_algos.collectives.addresses import address_towards, endpoint, family_of, interface_of, listen
from tests.gang import needs_version_6


def test_own_address_is_the_one_on_the_way() -> None:
    assert address_towards("127.0.0.1") == "127.0.0.1"
    assert interface_of("127.0.0.1") == "lo"
    assert interface_of("203.0.113.7") is None


def test_a_socket_is_open_on_the_given_address_only() -> None:
    with listen("127.0.0.2") as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.2"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 1)


def test_addresses_say_which_family_they_are_of() -> None:
    assert [family_of(address) for address in ("10.0.0.1", "::1", "fe80::1%eth0")] == [socket.AF_INET, socket.AF_INET6, socket.AF_INET6]
    assert [endpoint(address, 80) for address in ("10.0.0.1", "fd00::1")] == ["10.0.0.1:80", "[fd00::1]:80"]


def test_version_4_is_preferred_where_a_name_has_both(monkeypatch: pytest.MonkeyPatch) -> None:
    datagram = (socket.SOCK_DGRAM, socket.IPPROTO_UDP, "")
    both = [(socket.AF_INET6, *datagram, ("::1", 9, 0, 0)), (socket.AF_INET, *datagram, ("127.0.0.1", 9))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: both)
    assert address_towards("driver") == "127.0.0.1"


def test_an_address_without_a_way_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    datagram = (socket.SOCK_DGRAM, socket.IPPROTO_UDP, "")
    broadcast, here = ("255.255.255.255", 9), ("127.0.0.1", 9)  # what may not be connected to without asking
    entries = [(socket.AF_INET, *datagram, address) for address in (broadcast, here)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: entries)
    assert address_towards("driver") == "127.0.0.1"
    entries.pop()
    with pytest.raises(OSError, match="this machine has no way to driver"):
        address_towards("driver")


@needs_version_6
class TestVersion6:
    @pytest.mark.parametrize("host", ["::1", "[::1]"])
    def test_own_address_is_the_one_on_the_way(self, host: str) -> None:
        assert address_towards(host) == "::1"

    def test_interfaces_are_found(self) -> None:
        assert interface_of("::1") == "lo"
        assert interface_of("2001:db8::7") is None

    def test_a_socket_is_open_on_the_given_address_only(self) -> None:
        with listen("::1") as listener:
            host, port = listener.getsockname()[:2]
            assert host == "::1"
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), 1)

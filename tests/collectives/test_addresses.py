"""Addresses of this machine."""

from __future__ import annotations

import socket

import pytest

from sparkml_algos.collectives.addresses import address_towards, interface_of, listen


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

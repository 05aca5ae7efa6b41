"""Two ends of a connection show each other that they know a secret, which itself never travels.

Each sends a random challenge and answers the other's with an HMAC-SHA256 (RFC 2104) under the secret. What follows on the connection is
neither encrypted nor signed: this keeps strangers out, not those who can read or alter the network's packets.
"""

from __future__ import annotations

import hmac
import secrets
import socket

SECRET_BYTES = 32
# Seconds a connection may take to introduce itself.
PATIENCE = 10.0

_GREETING = b"sparkml_algos/1\n"
_CHALLENGE_BYTES, _ANSWER_BYTES = 32, 32


class StrangerError(ConnectionError):
    """The other end does not know the secret."""


def new_secret() -> str:
    """A secret for one job."""
    return secrets.token_hex(SECRET_BYTES)


def admit(connection: socket.socket, secret: str) -> None:
    """The end that was called: challenge the caller, then prove oneself.

    Raises
    ------
    StrangerError
        If the caller does not know the secret.
    OSError
        If the caller is gone, or says nothing for `PATIENCE` seconds.
    """
    before = connection.gettimeout()
    connection.settimeout(PATIENCE)
    challenge = secrets.token_bytes(_CHALLENGE_BYTES)
    connection.sendall(_GREETING + challenge)
    theirs = _read(connection, _CHALLENGE_BYTES)
    if not hmac.compare_digest(_read(connection, _ANSWER_BYTES), _answer(secret, b"caller", challenge, theirs)):
        raise StrangerError("the caller does not know the secret")
    connection.sendall(_answer(secret, b"called", theirs, challenge))
    connection.settimeout(before)


def introduce(connection: socket.socket, secret: str) -> None:
    """The end that calls. The other one may take any time to begin, unless the connection has a timeout.

    Raises
    ------
    StrangerError
        If the other end does not know the secret, or is something else altogether.
    OSError
        If the other end is gone.
    """
    if _read(connection, len(_GREETING)) != _GREETING:
        raise StrangerError("the other end speaks another language")
    theirs, challenge = _read(connection, _CHALLENGE_BYTES), secrets.token_bytes(_CHALLENGE_BYTES)
    connection.sendall(challenge + _answer(secret, b"caller", theirs, challenge))
    if not hmac.compare_digest(_read(connection, _ANSWER_BYTES), _answer(secret, b"called", challenge, theirs)):
        raise StrangerError("the other end does not know the secret")


def _answer(secret: str, who: bytes, challenge: bytes, own_challenge: bytes) -> bytes:
    return hmac.digest(secret.encode(), who + challenge + own_challenge, "sha256")


def _read(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            raise ConnectionError("the other end closed the connection")
        received += part
    return received

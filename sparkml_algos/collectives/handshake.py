"""Two ends of a connection show each other that they know a secret, which itself never travels.

Each sends a random challenge and answers the other's with an HMAC-SHA256 (RFC 2104) under the secret. What follows on the connection is
neither encrypted nor signed: this keeps strangers out, not those who can read or alter the network's packets.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import time

SECRET_BYTES = 32
# Seconds that two ends may take to introduce themselves, all in all.
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
        If the caller is gone, or has not introduced itself within `PATIENCE` seconds, however little it says at a time.
    """
    talk = _Talk(connection)
    challenge = secrets.token_bytes(_CHALLENGE_BYTES)
    talk.say(_GREETING + challenge)
    theirs = talk.hear(_CHALLENGE_BYTES)
    if not hmac.compare_digest(talk.hear(_ANSWER_BYTES), _answer(secret, b"caller", challenge, theirs)):
        raise StrangerError("the caller does not know the secret")
    talk.say(_answer(secret, b"called", theirs, challenge))
    talk.end()


def introduce(connection: socket.socket, secret: str) -> None:
    """The end that calls. The other one may take any time to begin, unless the connection has a timeout; from then on it has `PATIENCE`
    seconds, or the timeout where that is less.

    Raises
    ------
    StrangerError
        If the other end does not know the secret, or is something else altogether.
    OSError
        If the other end is gone or too slow.
    """
    connection.recv(1, socket.MSG_PEEK)
    talk = _Talk(connection)
    if talk.hear(len(_GREETING)) != _GREETING:
        raise StrangerError("the other end speaks another language")
    theirs, challenge = talk.hear(_CHALLENGE_BYTES), secrets.token_bytes(_CHALLENGE_BYTES)
    talk.say(challenge + _answer(secret, b"caller", theirs, challenge))
    if not hmac.compare_digest(talk.hear(_ANSWER_BYTES), _answer(secret, b"called", challenge, theirs)):
        raise StrangerError("the other end does not know the secret")
    talk.end()


def _answer(secret: str, who: bytes, challenge: bytes, own_challenge: bytes) -> bytes:
    return hmac.digest(secret.encode(), who + challenge + own_challenge, "sha256")


class _Talk:
    """What two ends say to each other before a deadline that holds for all of it.

    Parameters
    ----------
    connection : socket.socket
        Its own timeout, if it has one and that is shorter, takes the place of `PATIENCE`.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._timeout = connection, connection.gettimeout()
        self._deadline = time.monotonic() + min(PATIENCE, self._timeout or PATIENCE)

    def say(self, message: bytes) -> None:
        self._connection.settimeout(self._left())
        self._connection.sendall(message)

    def hear(self, count: int) -> bytes:
        heard = b""
        while len(heard) < count:
            self._connection.settimeout(self._left())
            part = self._connection.recv(count - len(heard))
            if not part:
                raise ConnectionError("the other end closed the connection")
            heard += part
        return heard

    def end(self) -> None:
        """Give the connection its own timeout back."""
        self._connection.settimeout(self._timeout)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the other end has not introduced itself in time")
        return left

"""Connections whose callers say what they want in time, and in not too many words."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

#: Bytes of the first line of a request and its headers.
MAX_HEAD_BYTES = 1 << 16
#: Seconds for these, from when a connection is made, or from their first byte.
HEAD_SECONDS = 60.0


def protocol(max_bytes: int = MAX_HEAD_BYTES, seconds: float = HEAD_SECONDS) -> type[asyncio.Protocol]:
    """What uvicorn is to read connections with.

    Its own readers keep whatever comes until headers end, and wait for that as long as it takes.

    Parameters
    ----------
    max_bytes : int
        Of a request's head; beyond them, give or take what came at once, the connection is ended with 400.
    seconds : float
        For which a head is waited for; then the connection is closed.
    """
    base: Any = AutoHTTPProtocol
    if not hasattr(base, "on_headers_complete"):  # h11's, where there is no httptools: it limits bytes by itself
        return base

    class Limited(base):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._in_head, self._head = True, 0
            self._clock: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._start()

        def connection_lost(self, error: Exception | None) -> None:
            self._stop()
            super().connection_lost(error)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if not self._in_head or self.transport.is_closing():
                return
            self._head += len(data)
            if self._head > max_bytes:
                self._stop()
                self.send_400_response(f"The head of a request has at most {max_bytes} bytes.")
            elif self._clock is None:
                self._start()

        def on_message_begin(self) -> None:
            self._in_head, self._head = True, 0
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._in_head = False
            self._stop()
            super().on_headers_complete()

        def _start(self) -> None:
            self._clock = self.loop.call_later(seconds, self.transport.close)

        def _stop(self) -> None:
            if self._clock is not None:
                self._clock.cancel()
                self._clock = None

    return Limited

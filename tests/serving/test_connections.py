"""Callers that never come to the end of what they want."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

pytest.importorskip("httptools")
pytest.importorskip("uvicorn")

import uvicorn
from uvicorn.server import ServerState

from sparkml_algos.serving.endpoint.connections import protocol

MOST, SECONDS = 2000, 0.3


async def size_of(scope, receive, send) -> None:
    size = 0
    while (message := await receive()).get("more_body"):
        size += len(message["body"])
    size += len(message["body"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(str(size)))]})
    await send({"type": "http.response.body", "body": str(size).encode()})


def answered(pieces: Iterable[bytes], pause: float = 0.0) -> bytes:
    """What comes back, until the connection is closed or nothing comes for twice the time."""

    async def ask() -> bytes:
        config = uvicorn.Config(size_of, log_level="critical")
        config.load()
        made, loop = protocol(MOST, SECONDS), asyncio.get_running_loop()
        server = await loop.create_server(lambda: made(config=config, server_state=ServerState(), app_state={}), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        found = b""
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            while part := await asyncio.wait_for(reader.read(1000), 2 * SECONDS):
                found += part
            return found + b"<closed>"
        except ConnectionError:
            return found + b"<closed>"
        except asyncio.TimeoutError:
            return found
        finally:
            writer.close()
            server.close()

    return asyncio.run(ask())


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6000\r\n\r\n"


def test_bodies_are_as_long_and_slow_as_others_allow() -> None:
    found = answered([HEAD, *[b"x" * 1500] * 4, HEAD, *[b"x" * 1500] * 4], pause=0.06)
    assert found.count(b"200 OK") == 2 and found.endswith(b"6000")


@pytest.mark.parametrize("piece", [b"A: b\r\n" * 60, b"x" * 300])
def test_a_head_without_end_is_refused(piece: bytes) -> None:
    found = answered([b"GET / HTTP/1.1\r\nA: ", *[piece] * 10], pause=0.005)
    # The reason may not arrive where more has been sent than is read.
    assert b"200 OK" not in found and found.endswith(b"<closed>")


@pytest.mark.parametrize("pieces", [[], [b"GET / HTTP/1.1\r\n"], [HEAD + b"x" * 6000, b"GET / HTTP/1.1\r\n"]])
def test_a_head_that_does_not_come_is_not_waited_for(pieces: list[bytes]) -> None:
    assert answered(pieces).endswith(b"<closed>")

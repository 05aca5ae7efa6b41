"""Requests that are broken in every way have an answer or a reason, never a failure, and leave nothing behind.

``SPARKML_ALGOS_FUZZ`` says how many requests of each content type the slow test sends, 20,000 by default.
"""

from __future__ import annotations

import gc
import os
import random
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from sparkml_algos import serving
from sparkml_algos.serving.servable import load_servable
from tests.saved.expected import SAVED
from tests.serving.serving import MODELS, body_of, client, run, saved_rows

#: Classes that between them have every kind of column and every content type.
CHOSEN = [
    "BlazingTextClassifierModel",
    "BlazingTextWord2VecModel",
    "IPInsightsModel",
    "KMeansModel",
    "Object2VecModel",
    "XGBoostRegressionModel",
]
#: For each content type a class that takes it.
BY_TYPE = {
    "text/csv": "KMeansModel",
    "application/json": "Object2VecModel",
    "application/jsonlines": "BlazingTextClassifierModel",
    "application/x-recordio-protobuf": "XGBoostRegressionModel",
    "text/libsvm": "XGBoostRegressionModel",
    "text/x-libsvm": "XGBoostRegressionModel",
    "application/x-npy": "KMeansModel",
    "image/png": "ImageClassifierModel",
    "image/jpeg": "ImageClassifierModel",
    "application/x-image": "ImageClassifierModel",
}
REQUESTS = int(os.environ.get("SPARKML_ALGOS_FUZZ", "20000"))
# Requests after which memory is what it stays; and what it may grow by, for what the allocator does not give back.
SETTLED, MOST_GROWTH = 5000, 16 << 20
PIECES = [
    *(b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"NaN", b"1e400", b"-1", b"true", b'{"a":', b"9" * 30),
    *(b"\\ud800", b"\xff\xfe", b"\n", b"\0", b"\x1f\x8b"),
]


def broken(body: bytes, source: random.Random) -> bytes:
    """A body with some of it changed, cut, doubled or put in."""
    data = bytearray(body)
    for _ in range(source.randint(1, 4)):
        place = source.randrange(len(data) + 1)
        kind = source.random()
        if kind < 0.3 and data:
            data[min(place, len(data) - 1)] = source.randrange(256)
        elif kind < 0.5:
            del data[place : place + source.randint(1, 8)]
        elif kind < 0.7:
            data[place:place] = source.choice(PIECES)
        elif kind < 0.9 and data:
            start = source.randrange(len(data))
            data[place:place] = data[start : start + source.randint(1, 16)]
        else:
            del data[place:]
    return bytes(data)


def instances_of(name: str) -> list[dict]:
    return [{"a": 1.0, "b": 2.0, "c": 3.0}] if name == "PipelineModel" else saved_rows(name)[:3]


def resident() -> int:
    """Bytes that this process has in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def asked_about(name: str, content_types: list[str], count: int, seed: int) -> tuple[dict[int, int], int]:
    """How many answers had which code, and what memory has grown by since it had settled."""
    model = load_servable(SAVED / name)
    app = serving.app({"m": model}, serving.Settings(max_bytes=1 << 16))
    source, codes = random.Random(seed), dict.fromkeys((200, 400, 413), 0)
    before = 0

    async def ask() -> None:
        nonlocal before
        async with client(app) as one:
            for content_type in content_types:
                body = b"1,2,3\n" if name == "PipelineModel" and content_type == "text/csv" else body_of(instances_of(name), content_type)
                for number in range(count):
                    sent = broken(body, source)
                    accept = source.choice(model.responses)
                    answer = await one.post("/invocations", content=sent, headers={"content-type": content_type, "accept": accept})
                    codes[answer.status_code] = codes.get(answer.status_code, 0) + 1
                    assert answer.status_code < 500, (content_type, accept, sent, answer.text)
                    if number == SETTLED:
                        before = resident()

    run(ask())
    return codes, resident() - before


@pytest.mark.parametrize("name", [*CHOSEN, "PipelineModel"])
def test_broken_requests_have_an_answer_or_a_reason(name: str) -> None:
    codes, _ = asked_about(name, list(load_servable(SAVED / name).requests), 150, 0)
    assert set(codes) == {200, 400, 413} and codes[400] > 20, codes


def test_each_content_type_has_a_class_that_is_asked() -> None:
    every = {content_type for name in MODELS for content_type in load_servable(SAVED / name).requests}
    assert set(BY_TYPE) == every


@pytest.mark.slow
@pytest.mark.parametrize("content_type", BY_TYPE)
def test_many_broken_requests_have_an_answer_or_a_reason_and_leave_nothing_behind(content_type: str) -> None:
    codes, grown = asked_about(BY_TYPE[content_type], [content_type], REQUESTS, 1)
    print(f"{content_type}: {codes}, memory grew by {grown / (1 << 20):.1f} MiB")
    assert set(codes) <= {200, 400, 413} and codes[400] > REQUESTS / 100, codes
    assert REQUESTS <= SETTLED or grown < MOST_GROWTH

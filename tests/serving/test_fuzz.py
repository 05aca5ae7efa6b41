"""Requests that are broken in every way have an answer or a reason, never a failure."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from sparkml_algos import serving
from sparkml_algos.serving.servable import load_servable
from tests.saved.expected import SAVED
from tests.serving.serving import body_of, client, run, saved_rows

#: Classes that between them have every kind of column and every content type.
CHOSEN = [
    "BlazingTextClassifierModel",
    "BlazingTextWord2VecModel",
    "IPInsightsModel",
    "KMeansModel",
    "Object2VecModel",
    "XGBoostRegressionModel",
]
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


def asked_about(name: str, count: int, seed: int) -> dict[int, int]:
    model = load_servable(SAVED / name)
    app = serving.app({"m": model}, serving.Settings(max_bytes=1 << 16))
    instances = [{"a": 1.0, "b": 2.0, "c": 3.0}] if name == "PipelineModel" else saved_rows(name)[:3]
    source, codes = random.Random(seed), dict.fromkeys((200, 400, 413), 0)

    async def ask() -> None:
        async with client(app) as one:
            for content_type in model.requests:
                body = b"1,2,3\n" if name == "PipelineModel" and content_type == "text/csv" else body_of(instances, content_type)
                for _ in range(count):
                    sent = broken(body, source)
                    accept = source.choice(model.responses)
                    answer = await one.post("/invocations", content=sent, headers={"content-type": content_type, "accept": accept})
                    codes[answer.status_code] = codes.get(answer.status_code, 0) + 1
                    assert answer.status_code < 500, (content_type, accept, sent, answer.text)

    run(ask())
    return codes


@pytest.mark.parametrize("name", [*CHOSEN, "PipelineModel"])
def test_broken_requests_have_an_answer_or_a_reason(name: str) -> None:
    codes = asked_about(name, 150, 0)
    assert set(codes) == {200, 400, 413} and codes[400] > 20, codes


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CHOSEN, "PipelineModel"])
def test_many_broken_requests_have_an_answer_or_a_reason(name: str) -> None:
    codes = asked_about(name, 100_000, 1)
    assert set(codes) == {200, 400, 413}, codes

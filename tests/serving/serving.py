"""What the tests of the endpoint share: bodies of every kind for every saved model, and a client in the process."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkml_algos.formats import RecordBatch, libsvm, recordio_protobuf
from sparkml_algos.formats.content_types import CSV, IMAGES, JSON, JSON_LINES, LIBSVM, RECORDIO_PROTOBUF
from sparkml_algos.formats.lines import Rows
from sparkml_algos.serving.answers import NPY
from tests.saved.expected import SAVED

if TYPE_CHECKING:
    import httpx

#: Classes of which there is a saved model that is served.
MODELS = sorted(
    path.name
    for path in SAVED.glob("*Model")
    if path.with_suffix(".json").exists() and not path.name.startswith(("Pipeline", "Vocabulary"))
)


def picture(row: dict[str, Any]) -> dict[str, Any]:
    """A file of PPM, 8 x 8 pixels of the colour that the features are."""
    return {"image": b"P6 8 8 255 " + bytes(min(255, int(value) * 8 + 1) for value in row["features"]) * 64}


def saved_rows(name: str) -> list[dict[str, Any]]:
    """Instances of the rows that the saved model was asked about."""
    rows = json.loads((SAVED / f"{name}.json").read_text())["rows"]
    made: Callable[[dict], Any] = {
        "BlazingTextClassifierModel": lambda row: {"text": " ".join(f"{value:.0f}" for value in row["features"])},
        "BlazingTextWord2VecModel": lambda row: {"text": " ".join(str(float(value)) for value in row["features"])},
        "DeepARModel": lambda row: {"start": "2024-01-01", "target": row["features"]},
        "ImageClassifierModel": picture,
        "SemanticSegmenterModel": picture,
        "IPInsightsModel": lambda row: {"entity": f"user {row['id'] % 7}", "ip": f"10.0.{row['id'] % 7}.{row['id'] % 50}"},
        "Object2VecModel": lambda row: {"in0": [row["id"]], "in1": [row["id"]]},
        "ObjectDetectorModel": picture,
        "Seq2SeqModel": lambda row: {"source": f"user {row['id'] % 7}"},
    }.get(name, lambda row: {"features": row["features"]})
    return [made(row) for row in rows]


def body_of(instances: list[dict[str, Any]], content_type: str) -> bytes:
    """Instances as a body, of images the first one."""
    if content_type in IMAGES:
        return instances[0]["image"]
    if content_type == JSON:
        return json.dumps({"instances": instances}).encode()
    if content_type == JSON_LINES:
        return b"".join(json.dumps(one).encode() + b"\n" for one in instances)
    if content_type == CSV and "entity" in instances[0]:
        return b"".join(f"{one['entity']}, {one['ip']}\n".encode() for one in instances)
    features = np.array([one["features"] for one in instances], np.float32)
    if content_type == CSV:
        return b"".join(",".join(map(repr, row)).encode() + b"\n" for row in features.tolist())
    if content_type == RECORDIO_PROTOBUF:
        return recordio_protobuf.encode(RecordBatch.of(features))
    if content_type == NPY:
        sink = io.BytesIO()
        np.save(sink, features)
        return sink.getvalue()
    assert content_type in (LIBSVM, "text/x-libsvm")
    return libsvm.encode(Rows(features))


def client(app: Any) -> httpx.AsyncClient:
    """What asks an application in this process."""
    import httpx

    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app, raise_app_exceptions=False), base_url="http://endpoint")


def asked(app: Any, *requests: dict[str, Any]) -> list[httpx.Response]:
    """Answers to requests that come at the same time."""

    async def ask() -> list[httpx.Response]:
        async with client(app) as one:
            return list(
                await asyncio.gather(*(one.request(**{"method": "POST", "url": "/invocations", **request}) for request in requests))
            )

    return run(ask())


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)


def post(body: bytes, content_type: str = JSON, accept: str | None = None, **headers: str) -> dict[str, Any]:
    """A request for answers."""
    given = {"content-type": content_type, **({"accept": accept} if accept else {})}
    return {"content": body, "headers": {**given, **{name.replace("_", "-"): value for name, value in headers.items()}}}

"""What the tests of the endpoint share: bodies of every kind for every saved model, and a client in the process."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Coroutine, Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

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

#: The list of a JSON response by class, where it is not ``predictions``, and those whose response is a bare list.
LISTS = {"PCAModel": "projections", "RandomCutForestModel": "scores"}
BARE = ("BlazingTextClassifierModel", "BlazingTextWord2VecModel")
#: Those whose answers have the type of the request; and whose RecordIO has ids where others have words.
MIRRORING, OF_IDS = (*BARE, "Seq2SeqModel"), ("Seq2SeqModel",)
#: Those of which a request is an image.
OF_IMAGES = ("ImageClassifierModel", "ObjectDetectorModel", "SemanticSegmenterModel")
#: What `transform` appended, by the field that it is in an answer.
TRANSFORMED: dict[str, Callable[[dict[str, list]], list]] = {
    "predicted_label": lambda outputs: outputs["prediction"],
    "closest_cluster": lambda outputs: outputs["prediction"],
    "distance_to_cluster": lambda outputs: outputs["how_far"],
    "projection": lambda outputs: [row[::-1] for row in outputs["projection"]],
    "topic_mixture": lambda outputs: outputs["topicDistribution"],
    "topic_weights": lambda outputs: outputs["topicDistribution"],
    "scores": lambda outputs: outputs["probability"],
    "prediction": lambda outputs: outputs["probability"] if "probability" in outputs else corners_of(outputs["detections"]),
    "annotations": lambda outputs: [[one.asDict() for one in row] for row in outputs["detections"]],
    "mask": lambda outputs: outputs["predicted_mask"],
    "score": lambda outputs: score_of(outputs),
    "probabilities": lambda outputs: outputs["probability"],
    "raw_scores": lambda outputs: outputs["rawPrediction"],
    "label": lambda outputs: outputs["best"],
    "prob": lambda outputs: [[max(row)] for row in outputs["probability"]],
    "target": lambda outputs: outputs["prediction"],
    "matrix": lambda outputs: outputs["attention"],
    **{name: itemgetter(name) for name in ("mean", "quantiles", "dot_product", "vector")},
    **{name: itemgetter(name) for name in ("distances", "labels", "entity_embedding", "ip_embedding")},
}


def corners_of(detections: list) -> list:
    """Class, score and the edges as fractions of images of 8 x 8."""
    return [
        [[number, score, left / 8, top / 8, (left + width) / 8, (top + height) / 8] for number, score, left, top, width, height in row]
        for row in detections
    ]


def score_of(outputs: dict[str, list]) -> list:
    if "score" in outputs:
        return outputs["score"]
    if "probability" not in outputs:
        return outputs["prediction"]
    return [row[1] if len(row) == 2 else row for row in outputs["probability"]]


def objects_of(name: str, body: bytes, accept: str = JSON) -> list[dict[str, Any]]:
    """An answer in JSON or JSON Lines, an object a row."""
    if accept == JSON_LINES:
        return [json.loads(line) for line in body.splitlines()]
    found = json.loads(body)
    return found if name in BARE else found[LISTS.get(name, "predictions")]


def assert_equal(found: Any, wanted: Any, tolerance: float, what: str) -> None:
    """Lists of the same length with the same texts, and the same numbers but for a tolerance, in relation to a number or to 1."""
    pairs = list(zip(_leaves(found), _leaves(wanted), strict=True))
    assert pairs and all(type(one) is type(other) for one, other in pairs), what
    texts = [(one, other) for one, other in pairs if isinstance(one, str)]
    assert all(one == other for one, other in texts), what
    numbers = np.array([(one, other) for one, other in pairs if not isinstance(one, str)]).reshape(-1, 2)
    np.testing.assert_allclose(numbers[:, 0], numbers[:, 1], rtol=tolerance, atol=tolerance, err_msg=what)


def _leaves(value: Any) -> Iterator[str | float]:
    """The texts and numbers that lists and objects hold, and how long each of these is."""
    if isinstance(value, dict):
        yield from _leaves(list(value))
        value = list(value.values())
    if isinstance(value, list | tuple):
        yield float(len(value))
        for one in value:
            yield from _leaves(one)
    else:
        yield value if isinstance(value, str) else float(value)


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
    """Instances as a body, of images the first one. Features are a list, in which NaN is missing, or a sparse row."""
    if content_type in IMAGES:
        return instances[0]["image"]
    if content_type == JSON:
        return json.dumps({"instances": [_as_json(one) for one in instances]}).encode()
    if content_type == JSON_LINES:
        return b"".join(json.dumps(_as_json(one)).encode() + b"\n" for one in instances)
    if content_type == CSV and "entity" in instances[0]:
        return b"".join(f"{_quoted(one['entity'])}, {one['ip']}\n".encode() for one in instances)
    rows = [one["features"] for one in instances]
    sparse = sp.vstack(rows, format="csr", dtype=np.float32) if sp.issparse(rows[0]) else None
    features = np.array(rows, np.float32) if sparse is None else sparse.toarray()
    if content_type == CSV:
        return b"".join(",".join("" if value != value else repr(value) for value in row).encode() + b"\n" for row in features.tolist())
    if content_type == RECORDIO_PROTOBUF:
        return recordio_protobuf.encode(RecordBatch.of(features if sparse is None else sparse))
    if content_type == NPY:
        sink = io.BytesIO()
        np.save(sink, features)
        return sink.getvalue()
    assert content_type in (LIBSVM, "text/x-libsvm")
    return libsvm.encode(Rows(sp.vstack([stored(row) for row in features]) if sparse is None else sparse))


def stored(row: np.ndarray) -> sp.csr_array:
    """A row of features as one that stores all of them, zeros too, but those that are missing."""
    there = np.flatnonzero(~np.isnan(row))
    return sp.csr_array((row[there], there, [0, len(there)]), shape=(1, len(row)))


def _as_json(instance: dict[str, Any]) -> dict[str, Any]:
    features = instance.get("features", [])
    if not sp.issparse(features):
        if not np.isnan(np.array(features, float)).any():
            return instance
        features = stored(np.array(features, float))
    sparse = {"keys": features.indices.tolist(), "shape": [features.shape[1]], "values": features.data.tolist()}
    return {"data": {"features": sparse}}


def _quoted(text: str) -> str:
    """A cell of CSV."""
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in '",\r\n') else text


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

"""The endpoint: routes, codes, limits, batches, capture, new versions."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from sparkml_algos import serving
from sparkml_algos.formats import Column, Ragged, RecordBatch, recordio_protobuf
from sparkml_algos.formats.content_types import CSV, JSON, RECORDIO_PROTOBUF
from sparkml_algos.serving.endpoint.batching import Batcher
from sparkml_algos.serving.endpoint.capture import Recorder
from sparkml_algos.serving.endpoint.hosting import Hosting
from sparkml_algos.serving.endpoint.metrics import Metrics, Shared
from sparkml_algos.serving.endpoint.negotiation import REMEMBERED, _parsed, _wanted
from sparkml_algos.serving.servable import load_servable
from tests.saved.expected import SAVED
from tests.serving.serving import asked, client, post, run

KMEANS = SAVED / "KMeansModel"
TOKEN = "a token of some length"
ROW = b"1,2,3\n"


class Slow:
    """A model that takes a while, and can be told to fail."""

    def __init__(self, seconds: float = 0.0, error: Exception | None = None) -> None:
        self._model, self._seconds, self._error = load_servable(KMEANS), seconds, error
        self.name, self.requests, self.responses = "slow", self._model.requests, self._model.responses
        self.decode, self.work, self.respond = self._model.decode, self._model.work, self._model.respond
        self.response_type = self._model.response_type
        self.calls: list[int] = []

    def score(self, columns, variant):
        self.calls.append(len(columns["features"]))
        time.sleep(self._seconds)
        if self._error is not None:
            raise self._error
        return self._model.score(columns, variant)


def messages(answers: list) -> list[tuple[int, str]]:
    return [(answer.status_code, answer.json()["message"]) for answer in answers]


@pytest.mark.parametrize(
    ("request_", "code", "said"),
    [
        (post(b"1,2\n", CSV), 400, "row 0: features has 2 values, expected 3"),
        (post(b"1,2,x\n", CSV), 400, "column 3 is not a number"),
        (post(b'{"instances": [{"features": [1, 2, 3]}, {"features": [1, "2", 3]}]}'), 400, "instance 1: values must be numbers"),
        (post(b'{"instances": [{"features": [1, 2, 3]}, {}]}'), 400, "instance 1"),
        (post(b"{"), 400, "not JSON"),
        (post(b""), 400, "the body is empty"),
        (post(b"\x93NUMPY", "application/x-npy"), 400, "not an array"),
        (post(b"1,2,1e999\n", CSV), 400, "features column 'features', element 2, is inf as a 32-bit float in row 0"),
        (post(ROW, "text/xml"), 415, "'text/xml' is not one of text/csv"),
        (post(ROW, "csv"), 415, "has no '/'"),
        ({"content": ROW}, 415, "no content type is given"),
        (post(ROW, "text/csv; colour=red"), 400, "'colour' is not one of"),
        (post(ROW, CSV, "image/png"), 406, "'image/png' is not one of application/json"),
        (post(b"1,2,3\n" * 6, CSV), 413, "the request has 6 rows, at most 5"),
        (post(b"1" * 300, CSV), 413, "the body has 300 bytes, at most 200"),
        (post(ROW, CSV, x_amzn_sagemaker_inference_id="x" * 65), 400, "at most 64"),
        ({**post(ROW, CSV), "method": "GET"}, 405, "posted"),
        ({**post(ROW, CSV), "url": "/models/none/invoke"}, 404, "no model 'none' is loaded"),
    ],
)
def test_what_is_wrong_is_said_with_its_code(request_: dict, code: int, said: str) -> None:
    app = serving.app(KMEANS, serving.Settings(max_rows=5, max_bytes=200))
    (found,) = messages(asked(app, request_))
    assert found[0] == code and said in found[1]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON), ("*/*", JSON), ("application/*", JSON), ("text/*", CSV), ("text/csv", CSV), ("image/png, text/csv;q=0.5", CSV),
        ("text/csv;q=0.5, application/json", JSON), ("Text/CSV", CSV),
    ],
)  # fmt: skip
def test_the_best_liked_type_that_there_is_is_answered(accept: str | None, expected: str) -> None:
    (answer,) = asked(serving.app(KMEANS), post(ROW, CSV, accept))
    assert answer.status_code == 200 and answer.headers["content-type"] == expected


def test_several_models_go_by_their_names() -> None:
    app = serving.app({"one": KMEANS, "two": SAVED / "XGBoostRegressionModel"})
    named = post(ROW, CSV, x_amzn_sagemaker_target_model="two")
    answers = asked(app, named, {**post(ROW, CSV), "url": "/models/one/invoke"}, post(ROW, CSV))
    assert [answer.status_code for answer in answers] == [200, 200, 400]
    assert "name one of the models one, two" in answers[2].text
    listed, one, none = asked(app, *({"method": "GET", "url": f"/models{path}"} for path in ("", "/one", "/three")))
    assert [model["modelName"] for model in listed.json()["models"]] == ["one", "two"]
    assert one.json()["class"] == "sparkml_algos.KMeansModel" and none.status_code == 404
    with pytest.raises(ValueError, match="two of the models have one name"):
        serving.app([KMEANS, f"{KMEANS}/"])


def test_health_and_parameters_of_batches() -> None:
    app = serving.app(KMEANS)
    ping, parameters = asked(app, {"method": "GET", "url": "/ping"}, {"method": "GET", "url": "/execution-parameters"})
    assert (ping.status_code, ping.content) == (200, b"")
    assert parameters.json() == {"MaxConcurrentTransforms": 1, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}
    app.draining = True
    ping, answer = asked(app, {"method": "GET", "url": "/ping"}, post(ROW, CSV))
    assert ping.status_code == 503 and answer.status_code == 200 and answer.headers["connection"] == "close"


def test_who_has_no_token_is_turned_away() -> None:
    app = serving.app(KMEANS, serving.Settings(token=TOKEN))
    right, wrong = post(ROW, CSV, authorization=f"Bearer {TOKEN}"), post(ROW, CSV, authorization=f"Bearer {TOKEN}x")
    metrics, ping = {"method": "GET", "url": "/metrics"}, {"method": "GET", "url": "/ping"}
    codes = [answer.status_code for answer in asked(app, right, wrong, post(ROW, CSV), metrics, ping)]
    assert codes == [200, 401, 401, 401, 200]
    assert TOKEN not in repr(serving.Settings(token=TOKEN))
    with pytest.raises(ValueError, match="at least 16 characters"):
        serving.Settings(token="short")


# ------------------------------------------------------------------------------------------------------------ batches


def test_requests_that_come_together_are_scored_together_and_answered_apart() -> None:
    model = Slow(0.05)
    rows = [f"{place},2,3\n".encode() for place in range(20)]
    answers = asked(serving.app({"slow": model}), *(post(row, CSV, CSV) for row in rows))
    assert sum(model.calls) == 20 and len(model.calls) <= 3
    alone = [asked(serving.app(KMEANS), post(row, CSV, CSV))[0].text for row in rows]
    assert [answer.text for answer in answers] == alone


def test_a_row_that_the_model_refuses_spoils_no_other_request() -> None:
    model = Slow(0.05)
    bad = post(b'{"instances": [{"features": [1, 2, 1e300]}]}')
    answers = asked(serving.app({"slow": model}), *[post(ROW, CSV)] * 5, bad, *[post(ROW, CSV)] * 5)
    assert [answer.status_code for answer in answers] == [200] * 5 + [400] + [200] * 5
    assert "in row 0" in answers[5].text


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (Ragged(np.arange(8, dtype=np.float32), np.array([0, 3, 6, 8])), "record 2: 'values' has 2 values, where the first has 3"),
        ([[b"a"], [b"b"]], "'values' holds bytes, expected numbers"),
    ],
)
def test_records_that_are_no_vectors_are_refused(values: Ragged | list[list[bytes]], said: str) -> None:
    body = recordio_protobuf.encode(RecordBatch(len(values), {"values": Column.of(values)}))
    ((code, message),) = messages(asked(serving.app(KMEANS), post(body, RECORDIO_PROTOBUF)))
    assert code == 400 and said in message


def test_a_model_that_fails_is_an_error_of_the_server() -> None:
    (answer,) = asked(serving.app({"slow": Slow(error=RuntimeError("secret"))}), post(ROW, CSV))
    assert answer.status_code == 500 and answer.json() == {"message": "the model failed: RuntimeError"}


def test_what_has_no_room_to_wait_is_refused_with_503() -> None:
    settings = serving.Settings(max_waiting_rows=3, max_batch_rows=1)
    answers = asked(serving.app({"slow": Slow(0.02)}, settings), *[post(ROW, CSV)] * 10)
    codes = [answer.status_code for answer in answers]
    assert set(codes) == {200, 503} and codes.count(200) >= 3
    refused = answers[codes.index(503)]
    assert refused.headers["retry-after"] == "1" and "rows wait to be scored" in refused.text


def test_parts_of_a_request_that_is_refused_are_let_go(caplog: pytest.LogCaptureFixture) -> None:
    app = serving.app(SAVED / "Object2VecModel", serving.Settings(max_waiting_rows=1))
    pair, single = {"in0": [1], "in1": [2]}, {"in0": [3]}
    (refused,) = asked(app, post(json.dumps({"instances": [pair, single]}).encode()))
    (answer,) = asked(app, post(json.dumps({"instances": [pair]}).encode()))
    assert (refused.status_code, answer.status_code) == (503, 200)
    wrong = {"in0": [10**6], "in1": [2]}
    (answer,) = asked(serving.app(SAVED / "Object2VecModel"), post(json.dumps({"instances": [wrong, {"in0": [10**6]}]}).encode()))
    gc.collect()
    assert answer.status_code == 400 and "never retrieved" not in caplog.text


def test_bodies_that_have_no_room_together_are_refused_with_503() -> None:
    app = serving.app({"slow": Slow(0.1)}, serving.Settings(max_waiting_bytes=200))
    answers = asked(app, *[post(ROW * 20, CSV)] * 5)
    codes = [answer.status_code for answer in answers]
    assert codes.count(200) == 1 and codes.count(503) == 4 and "120 bytes" in answers[codes.index(503)].text
    assert [answer.status_code for answer in asked(app, post(ROW * 100, CSV))] == [200] and app.held_bytes == 0


def test_what_takes_too_long_is_refused_with_503() -> None:
    (answer,) = asked(serving.app({"slow": Slow(0.5)}, serving.Settings(timeout=0.1)), post(ROW, CSV))
    assert answer.status_code == 503 and "no answer within 0.1 seconds" in answer.text


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    app = serving.app(KMEANS, serving.Settings(timeout=0.05))

    async def never() -> dict:
        await asyncio.sleep(10)
        return {}

    sent: list[dict] = []

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/invocations", "headers": [(b"content-type", b"text/csv")]}
    run(app(scope, never, send))
    assert sent[0]["status"] == 408


def test_a_bomb_is_not_unpacked() -> None:
    import gzip

    app = serving.app(KMEANS, serving.Settings(max_bytes=10_000))
    bomb, small = gzip.compress(b"1,2,3\n" * 100_000), gzip.compress(ROW)
    refused, answered = asked(app, post(bomb, CSV), post(small, CSV))
    assert refused.status_code == 413 and answered.status_code == 200


def test_long_headers_are_not_remembered() -> None:
    for read in (_parsed, _wanted):
        before = read.remembered.cache_info().currsize
        read(f"text/csv; charset={'x' * REMEMBERED}")
        assert read.remembered.cache_info().currsize == before
        read(f"text/csv; charset={read}"[:REMEMBERED])
        assert read.remembered.cache_info().currsize == before + 1


def test_known_short_work_is_done_in_the_loop_and_long_work_in_a_thread() -> None:
    seen: list[str] = []

    class Watched(Slow):
        def score(self, columns, variant):
            seen.append(threading.current_thread().name)
            return super().score(columns, variant)

    async def ask() -> None:
        batcher, model = Batcher(100, 100, Metrics()), Watched()
        request = model.decode(ROW, _kind(CSV))
        work = model.work(request, _kind(CSV))[0]
        await batcher.submit(model, work)
        batcher._calls.append(0.0)
        await batcher.submit(model, work)
        batcher.close()

    run(ask())
    assert seen[0].startswith("sparkml-algos-model") and seen[1] == threading.current_thread().name


def _kind(name: str):
    from sparkml_algos.formats.content_types import ContentType

    return ContentType(name)


# -------------------------------------------------------------------------------------------- what is seen from outside


def test_metrics_are_prometheus_and_add_up_over_processes() -> None:
    shared = Shared(2)
    apps = [serving.endpoint.application.app(KMEANS, serving.Settings(name="e"), metrics=Metrics(shared, place)) for place in (0, 1)]
    for app in apps:
        asked(app, post(ROW * 3, CSV), post(b"x", CSV), {**post(ROW, CSV), "method": "GET"})
    (answer,) = asked(apps[0], {"method": "GET", "url": "/metrics"})
    found = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in answer.text.splitlines() if not line.startswith("#")}
    labels = 'EndpointName="e",VariantName="AllTraffic"'
    assert found[f'sparkml_algos_invocations_total{{{labels},code="200"}}'] == 2
    assert found[f'sparkml_algos_invocations_total{{{labels},code="400"}}'] == 2
    assert found[f'sparkml_algos_invocations_total{{{labels},code="405"}}'] == 2
    assert found[f'sparkml_algos_invocations_total{{{labels},code="500"}}'] == 0
    assert found[f'sparkml_algos_invocation_seconds_bucket{{{labels},le="+Inf"}}'] == 6
    assert found[f"sparkml_algos_rows_total{{{labels}}}"] == 6
    assert found[f"sparkml_algos_in_flight_requests{{{labels}}}"] == 0
    assert found[f"sparkml_algos_waiting_rows{{{labels}}}"] == 0
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ModuleNotFoundError:
        return
    families = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"sparkml_algos_invocations", "sparkml_algos_waiting_rows"} <= families


def test_a_share_of_the_requests_is_written_down_as_the_service_does(tmp_path: Path) -> None:
    app = serving.app(KMEANS, serving.Settings(name="shop", capture=serving.Capture(tmp_path, 100)))
    attributes = {"x_amzn_sagemaker_inference_id": "id-1", "x_amzn_sagemaker_custom_attributes": "a=b"}
    answer, _, binary = asked(app, post(ROW, CSV, JSON, **attributes), post(b"x", CSV), post(ROW, CSV, "application/x-recordio-protobuf"))
    assert answer.headers["x-amzn-sagemaker-custom-attributes"] == "a=b"
    app.close()
    (file,) = tmp_path.glob("shop/AllTraffic/*/*/*/*/*.jsonl")
    first, second = map(json.loads, file.read_text().splitlines())
    assert first["captureData"] == {
        "endpointInput": {"observedContentType": "text/csv", "mode": "INPUT", "data": "1,2,3\n", "encoding": "CSV"},
        "endpointOutput": {"observedContentType": JSON, "mode": "OUTPUT", "data": answer.text, "encoding": "JSON"},
    }
    assert first["eventMetadata"]["inferenceId"] == "id-1" and first["eventMetadata"]["customAttributes"] == ["a=b"]
    assert first["eventVersion"] == "0" and second["captureData"]["endpointOutput"]["encoding"] == "BASE64"
    import base64

    assert base64.b64decode(second["captureData"]["endpointOutput"]["data"]) == binary.content


def test_what_waits_to_be_written_down_has_a_limit_of_bytes(tmp_path: Path) -> None:
    shared = Shared()
    recorder = Recorder(serving.Capture(tmp_path, 100, max_waiting_bytes=100), "shop", "all", Metrics(shared))
    recorder._thread = threading.current_thread()  # nothing is written yet
    for _ in range(3):
        recorder.record((CSV, b"x" * 40), (JSON, b"y" * 5), None, None)
    recorder._waiting.put(None)
    recorder._write()
    recorder.record((CSV, b"x" * 100), (JSON, b""), None, None)
    recorder._waiting.put(None)
    recorder._write()
    assert sum(len(file.read_text().splitlines()) for file in tmp_path.rglob("*.jsonl")) == 3
    assert 'not_captured_total{EndpointName="e",VariantName="v"} 1\n' in Metrics(shared).text("e", "v")


def test_only_what_is_asked_for_is_written_down(tmp_path: Path) -> None:
    app = serving.app(KMEANS, serving.Settings(capture=serving.Capture(tmp_path, 30, output=False)))
    asked(app, *[post(ROW, CSV)] * 200)
    app.close()
    lines = [json.loads(line) for file in tmp_path.rglob("*.jsonl") for line in file.read_text().splitlines()]
    assert 30 <= len(lines) <= 95 and all(list(line["captureData"]) == ["endpointInput"] for line in lines)


# --------------------------------------------------------------------------------------------------------- new versions


def test_a_new_version_takes_over_and_no_request_is_lost(tmp_path: Path) -> None:
    shutil.copytree(SAVED / "XGBoostRegressionModel", tmp_path / "one")
    (tmp_path / "now").symlink_to(tmp_path / "one")
    app = serving.app({"m": tmp_path / "now"})

    async def ask() -> list:
        answers = []
        async with client(app) as one:
            for turn in range(30):
                if turn == 10:
                    shutil.copytree(SAVED / "XGBoostClassificationModel", tmp_path / "two")
                    (tmp_path / "new").symlink_to(tmp_path / "two")
                    (tmp_path / "new").rename(tmp_path / "now")
                    loading = asyncio.create_task(app.reload())
                answers += await asyncio.gather(*(one.post("/invocations", **post(ROW, CSV)) for _ in range(5)))
                await asyncio.sleep(0)
            await loading
            answers.append(await one.post("/invocations", **post(ROW, CSV)))
        return answers

    answers = run(ask())
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 2 and answers[0].text != answers[-1].text


def test_a_new_version_is_seen_and_one_that_is_broken_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "model"
    shutil.copytree(KMEANS, path)
    app = serving.app(path, serving.Settings(watch=0.02))
    (before,) = asked(app, post(ROW, CSV))

    async def watched(seconds: float) -> None:
        async with app.router.lifespan_context(app):
            await asyncio.sleep(seconds)

    shutil.rmtree(path)
    run(watched(0.2))
    (gone,) = asked(app, post(ROW, CSV))
    shutil.copytree(SAVED / "PCAModel", path)
    run(watched(0.6))
    (after,) = asked(app, post(ROW, CSV))
    (path / "data").rename(path / "elsewhere")
    next((path / "metadata").glob("part-*")).touch()
    run(watched(0.3))
    (still,) = asked(app, post(ROW, CSV))
    assert before.text == gone.text and "projections" in after.text and still.text == after.text


def test_models_come_and_go_under_a_folder(tmp_path: Path) -> None:
    shutil.copytree(KMEANS, tmp_path / "models" / "clusters")
    app = serving.app({"first": KMEANS}, serving.Settings(models_root=tmp_path / "models", max_models=2))
    load = {"url": "/models", "json": {"model_name": "second", "url": "clusters"}}
    assert [answer.status_code for answer in asked(app, load)] == [200]
    (answer,) = asked(app, {**post(ROW, CSV), "url": "/models/second/invoke"})
    assert answer.status_code == 200
    outside = {"url": "/models", "json": {"model_name": "x", "url": str(KMEANS)}}
    third = {"url": "/models", "json": {"model_name": "third", "url": "clusters"}}
    assert [answer.status_code for answer in asked(app, load)] == [409]
    assert [answer.status_code for answer in asked(app, third, outside, {"url": "/models", "content": b"{"})] == [507, 403, 400]
    large = {"url": "/models", "content": b" " * (app.settings.max_bytes + 1)}
    assert messages(asked(app, large)) == [(413, "the body has 6291457 bytes, at most 6291456 are allowed")]
    gone = {"method": "DELETE", "url": "/models/second"}
    assert [asked(app, gone)[0].status_code for _ in range(2)] == [200, 404]
    (fixed,) = asked(serving.app(KMEANS), load)
    assert fixed.status_code == 403


def test_a_model_that_cannot_be_loaded_is_no_model_that_there_is(tmp_path: Path) -> None:
    (tmp_path / "broken" / "metadata").mkdir(parents=True)
    (tmp_path / "broken" / "metadata" / "part-0").write_text("{}")
    app = serving.app({"first": KMEANS}, serving.Settings(models_root=tmp_path))
    ((code, said),) = messages(asked(app, {"url": "/models", "json": {"model_name": "x", "url": "broken"}}))
    assert code == 400 and said.startswith("broken cannot be loaded")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: serving.Settings(watch=-1), "watch must be at least 0"),
        (lambda: Hosting(port=70_000), "port must be from 0 to 65535"),
        (lambda: Hosting(drain=-1), "drain must be at least 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(made: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made()


def test_large_requests_are_answered_like_small_ones() -> None:
    rows = np.random.default_rng(0).normal(0, 5, (3000, 3)).astype(np.float32)
    body = b"".join(",".join(map(repr, row)).encode() + b"\n" for row in rows.tolist())
    (answer,) = asked(serving.app(KMEANS), post(body, CSV, CSV))
    found = np.array([line.split(",") for line in answer.text.splitlines()], float)
    expected = serving.load(KMEANS)(features=rows)
    np.testing.assert_array_equal(found[:, 0], expected["closest_cluster"])
    np.testing.assert_array_equal(found[:, 1], expected["distance_to_cluster"])

"""Fits and searches whose tracking server is away: they lose no time to speak of, and say so once."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from sparkml_algos import KMeans, XGBoostClassifier
from sparkml_algos.tracking import Run, autolog, presence, recorder
from sparkml_algos.tuning import running
from tests.tuning.test_driver import ETA, MARKED, Stand, tune

NEVER = "http://127.0.0.1:1"


class Refusing(BaseHTTPRequestHandler):
    """Answers, that there is nothing here."""

    def do_GET(self):
        self.send_error(404)

    def log_message(self, *_):
        """Nobody reads it."""


@pytest.fixture(autouse=True)
def times(monkeypatch):
    for name, seconds in {"OF_PATIENCE": 0.5, "FOR_AN_ANSWER": 0.5, "BETWEEN_QUESTIONS": 0.1, "THERE": 0.0}.items():
        monkeypatch.setattr(presence, f"SECONDS_{name}", seconds)
    monkeypatch.setattr(presence, "_known", {})


@pytest.fixture
def serve():
    """Starts a server on a port."""
    servers = []

    def start(port=0):
        servers.append(server := HTTPServer(("127.0.0.1", port), Refusing))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.name.startswith("sparkml_algos.tracking")]


def test_who_answers_anything_is_there(serve, caplog):
    assert presence.is_there(f"http://127.0.0.1:{serve().server_port}/")
    assert not warnings(caplog)


@pytest.mark.parametrize("uri", ["sqlite:////nowhere/runs.db", "/a/folder", "postgresql://nobody/runs", "databricks"])
def test_what_is_no_server_is_not_asked(uri, monkeypatch):
    monkeypatch.setattr(presence, "_answers", lambda uri: pytest.fail("asked"))
    assert presence.is_there(uri)


def test_one_that_goes_and_comes_back_is_told_of_once_each(serve, caplog, monkeypatch):
    monkeypatch.setattr(presence, "SECONDS_AWAY", 0.0)
    server = serve()
    uri = f"http://127.0.0.1:{server.server_port}"
    assert presence.is_there(uri)
    server.shutdown()
    server.server_close()
    assert [presence.is_there(uri) for _ in range(3)] == [False] * 3
    assert [said.partition(uri)[2][:17] for said in warnings(caplog)] == [" does not answer:"]
    serve(server.server_port)
    assert presence.is_there(uri) and warnings(caplog)[1:] == [f"the tracking server {uri} answers again"]


def test_one_that_starts_anew_is_waited_for(serve):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    threading.Timer(0.2, serve, [port]).start()
    assert presence.is_there(f"http://127.0.0.1:{port}")


def test_one_that_takes_connections_and_says_nothing_is_away():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        assert not presence.is_there(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert time.monotonic() - began < 5


def test_a_request_that_fails_is_asked_about_before_the_next(serve, caplog):
    calls = []

    def fails():
        calls.append(1)
        server.shutdown()
        server.server_close()
        raise ConnectionError("reset")

    server = serve()
    uri = f"http://127.0.0.1:{server.server_port}"
    assert [recorder.attempt(fails, at=uri) for _ in range(3)] == [None] * 3
    assert (len(calls), len(warnings(caplog))) == (1, 1)


def test_a_failure_that_is_not_the_servers_is_told(serve, caplog):
    assert recorder.attempt(lambda: 1 / 0, at=f"http://127.0.0.1:{serve().server_port}") is None
    assert warnings(caplog) == ["not recorded: ZeroDivisionError: division by zero"]


def test_fits_by_themselves_wait_for_no_server(caplog):
    autolog("away", tracking_uri=NEVER)
    try:
        began = time.monotonic()
        for _ in range(3):
            with recorder.RECORDER.fitting([KMeans(k=2)], None) as take:
                take(["the model"])
        assert time.monotonic() - began < 10
    finally:
        autolog(disable=True)
    assert len(warnings(caplog)) == 1 and NEVER in warnings(caplog)[0]


def test_nor_do_searches_and_they_keep_what_they_find(caplog, monkeypatch):
    pytest.importorskip("xgboost")
    monkeypatch.setattr(running, "Stand", Stand)
    autolog("away", tracking_uri=NEVER)
    try:
        began = time.monotonic()
        model, job = tune(XGBoostClassifier(**MARKED), ETA, lambda name, setting: setting["eta"], max_jobs=5)
        assert time.monotonic() - began < 10
    finally:
        autolog(disable=True)
    assert (job.status, model.artifact) == ("Completed", f"model {job.best.number}")
    assert len(warnings(caplog)) == 1


def test_a_block_that_cannot_be_ended_keeps_what_it_has_made(in_store, caplog, monkeypatch):
    with Run("ending", "without a store") as run:
        made = "the model"
        monkeypatch.setattr(type(run), "end", lambda *_, **__: 1 / 0)
    assert made and warnings(caplog) == ["not recorded: ZeroDivisionError: division by zero"]

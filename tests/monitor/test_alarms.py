"""What executions leave behind and whom they tell; no Spark here."""

from __future__ import annotations

import http.server
import json
import logging
import socketserver
import threading
from datetime import datetime, timezone
from email.message import EmailMessage
from typing import ClassVar

import pytest
from pyspark.sql.types import StringType, StructField, StructType

from sparkml_algos.html_pages import lines
from sparkml_algos.monitor import (
    Adwin,
    Alert,
    Baseline,
    Callback,
    Constraints,
    Email,
    Execution,
    FeatureConstraints,
    File,
    History,
    Log,
    Monitor,
    MonitoringConfig,
    MonitorReport,
    Statistics,
    Violation,
    Webhook,
)
from sparkml_algos.monitor.actions import tell
from sparkml_algos.monitor.history import alert_of, batch_key, window_key

WRONG = Violation("age", "baseline_drift_check", "The distance is 0.3.", 0.3, 0.0, 0.1)


class Rows:
    """What stands for a DataFrame: whether there are rows, and whether they are as they were."""

    def __init__(self, quiet: bool = True, empty: bool = False) -> None:
        self.quiet, self.empty = quiet, empty

    def isEmpty(self) -> bool:
        return self.empty


def report(rows: Rows) -> MonitorReport:
    if rows.quiet is None:
        raise RuntimeError("it cannot be read")
    return MonitorReport("DataQuality", () if rows.quiet else (WRONG,), {"feature_baseline_drift_age": 0.02 if rows.quiet else 0.3})


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=timezone.utc)


def looked(monitor: Monitor, days: list[Rows]) -> list[str]:
    return [monitor.look(rows, day(1 + i), day(2 + i)).alert for i, rows in enumerate(days)]


@pytest.fixture(params=["memory", "folder"])
def history(request, tmp_path) -> History:
    return History(tmp_path / "history" if request.param == "folder" else None)


def test_actions_are_taken_when_the_state_changes(history):
    told: list[Alert] = []
    monitor = Monitor("ages", report, actions=[told.append], history=history)
    assert looked(monitor, [Rows(), Rows(False), Rows(False), Rows(), Rows()]) == ["OK", "InAlert", "InAlert", "OK", "OK"]
    assert [(one.state, one.execution.start) for one in told] == [("InAlert", day(2)), ("OK", day(4))]
    assert monitor.state == "OK" and told[0].execution.violations == (WRONG,)
    # A window that is looked at again with the same result tells nobody; with another one it does.
    monitor.look(Rows(False), day(2), day(3))
    assert len(told) == 2 and len(monitor.executions()) == 5
    monitor.look(Rows(), day(2), day(3))
    assert len(told) == 2 and monitor.executions()[1].status == "Completed"


def test_so_many_of_the_last_executions_make_an_alert(history):
    always: list[str] = []
    monitor = Monitor(
        "ages",
        report,
        actions=[lambda alert: always.append(alert.state)],
        history=history,
        datapoints_to_alert=2,
        evaluation_period=3,
        notify="always",
    )
    quiet = [Rows(value) for value in (False, True, True, False, False, False, True, True)]
    assert looked(monitor, quiet) == ["OK"] * 4 + ["InAlert"] * 3 + ["OK"]
    assert always == ["InAlert"] * 3 + ["OK"]
    assert alert_of([], True, 1, 1) == "InAlert" and alert_of([], False, 1, 1) == "OK"


def test_what_fails_is_kept_told_and_raised_and_changes_no_state(history):
    told: list[Alert] = []
    monitor = Monitor("ages", report, actions=[told.append], history=history)
    monitor.look(Rows(False), day(1), day(2))
    with pytest.raises(RuntimeError, match="it cannot be read"):
        monitor.look(Rows(None), day(2), day(3))
    with pytest.raises(ValueError, match="there are no rows of 2026-01-03"):
        monitor.look(Rows(empty=True), day(3), day(4))
    failed = monitor.executions()[1]
    assert (failed.status, failed.alert, failed.failure_reason) == ("Failed", "InAlert", "RuntimeError: it cannot be read")
    assert [one.state for one in told] == ["InAlert", "Failed", "Failed"] and "cannot be read" in told[1].title
    monitor.look(Rows(), day(4), day(5))
    assert told[-1].state == "OK"


def test_the_history_is_read_as_it_was_written(tmp_path):
    history = History(tmp_path)
    monitor = Monitor("ages of/customers", report, history=history)
    looked(monitor, [Rows(), Rows(False)])
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("ages-of-customers-") and len(list(folder.iterdir())) == 2
    before = {path: path.read_text() for path in folder.iterdir()}
    looked(monitor, [Rows(), Rows(False)])
    assert {path: path.read_text() for path in folder.iterdir()} == before
    there = History(tmp_path).executions("ages of/customers")
    assert there == monitor.executions() and there[1].violations[0] == WRONG
    assert history.metrics("ages of/customers") == {"feature_baseline_drift_age": [0.02, 0.3]}
    (record,) = there[1].metric_records("my-endpoint")
    assert (
        record["MetricName"] == "feature_baseline_drift_age"
        and record["Value"] == 0.3
        and record["Timestamp"] == "2026-01-03T00:00:00+00:00"
    )
    assert {one["Name"] for one in record["Dimensions"]} == {"MonitoringSchedule", "Endpoint"}
    endless = Execution("m", batch_key(7), "ModelBias", None, None, "Completed", metrics={"a": float("inf"), "b": float("nan")})
    history.add(endless)
    assert history.executions("m")[0].metrics["a"] == float("inf") and endless.metric_records() == []
    history.delete("m")
    assert history.executions("m") == [] and len(history.executions()) == 2
    assert window_key(day(1), day(2)) < window_key(day(2), day(3)) and batch_key(9) < batch_key(10)


def test_each_monitor_has_a_folder_of_its_own_within_the_history(tmp_path):
    history = History(tmp_path / "history")
    names = ["a/b", "a-b", "a b", "..", ".", "/"]
    for i, name in enumerate(names):
        looked(Monitor(name, report, history=history), [Rows(i % 2 == 0)])
    assert {name: [one.alert for one in history.executions(name)] for name in names} == {
        name: ["OK" if i % 2 == 0 else "InAlert"] for i, name in enumerate(names)
    }
    assert [path.name for path in tmp_path.iterdir()] == ["history"] and not list((tmp_path / "history").glob("*.json"))
    assert len(list((tmp_path / "history").iterdir())) == len(names) and (tmp_path / "history" / "a-b").exists()


def test_a_run_of_experiments_is_told_the_metrics():
    class Run:
        def __init__(self) -> None:
            self.points = []

        def log_metric(self, name, value, timestamp=None, step=None):
            self.points.append((name, value, timestamp, step))

    run = Run()
    looked(Monitor("ages", report, history=History(run=run)), [Rows(), Rows(False)])
    assert run.points == [
        ("ages/feature_baseline_drift_age", 0.02, day(2), 0), ("ages/violations", 0.0, day(2), 0),
        ("ages/feature_baseline_drift_age", 0.3, day(3), 1), ("ages/violations", 1.0, day(3), 1),
    ]  # fmt: skip


def test_a_store_that_does_not_answer_keeps_no_alarm_from_being_told(caplog):
    class Run:
        def log_metric(self, name, value, timestamp=None, step=None):
            raise ConnectionError("the store is away")

    told: list[Alert] = []
    monitor = Monitor("ages", report, actions=[told.append], history=History(run=Run()))
    assert looked(monitor, [Rows(), Rows(False)]) == ["OK", "InAlert"] and len(told) == 1
    assert "the store is away" in caplog.text


def test_the_page_has_the_drift_of_each_feature_over_time():
    monitor = Monitor("ages", report)
    assert "There is no execution yet" in monitor.to_html()
    looked(monitor, [Rows(), Rows(False), Rows()])
    shown = monitor.to_html()
    assert "<h2>Drift of each feature</h2>" in shown and "<h3>age</h3><svg" in shown and "age (baseline_drift_check)" in shown
    assert "OK after 3 executions, 1 of them" in shown


def test_the_page_has_the_limit_of_the_distance_that_is_taken():
    config = MonitoringConfig(comparison_method="chi_square", p_value=0.01, categorical_drift_method="js", comparison_threshold=0.3)
    features = tuple(FeatureConstraints(name, type_, 1.0) for name, type_ in (("age", "Integral"), ("city", "String")))
    monitor = Monitor("ages", Baseline(Statistics(0, ()), Constraints(features, config)))
    metrics = {f"feature_baseline_drift_{one.name}": 0.5 for one in features}
    monitor.history.add(Execution("ages", "2026", "DataQuality", day(1), day(2), "Completed", metrics=metrics))
    of_age, of_city = (lines(["2026-01-02 00:00"], {name: [0.5]}, limit) for name, limit in (("age", 0.01), ("city", 0.3)))
    assert of_age in monitor.to_html() and of_city in monitor.to_html()


class Stream:
    """What stands for a stream of rows."""

    isStreaming = True
    schema = StructType([StructField("wrong", StringType()), StructField("at", StringType())])
    columns = schema.names


def test_detectors_watch_numbers_that_are_there():
    monitor = Monitor("ages", report)
    with pytest.raises(ValueError, match="column 'wrong' is string; detectors watch numbers and booleans"):
        monitor.on_stream(Stream(), detectors={"wrong": Adwin()}, order="at")
    with pytest.raises(ValueError, match="there is no column 'rong'"):
        monitor.on_stream(Stream(), detectors={"rong": Adwin()})


def alert(state: str = "InAlert") -> Alert:
    return Alert(Execution("ages", "2026", "DataQuality", day(1), day(2), "CompletedWithViolations", state, (WRONG,) * 22), state)


def test_log_file_and_callback(caplog, tmp_path):
    called = []
    with caplog.at_level(logging.INFO, "sparkml_algos.monitor"):
        wrong = tell([Log(), File(tmp_path / "sub" / "alarms.jsonl"), Callback(called.append), Callback(called.append, ["OK"])], alert())
    assert wrong == [] and [one.state for one in called] == ["InAlert"]
    assert (
        "ages is InAlert, 2026: 22 violations" in caplog.text and "and 2 more" in caplog.text and caplog.records[0].levelname == "WARNING"
    )
    (line,) = (tmp_path / "sub" / "alarms.jsonl").read_text().splitlines()
    assert json.loads(line)["execution"]["violations"][0]["feature_name"] == "age"


def test_an_action_that_fails_keeps_no_other_from_being_taken(caplog):
    called = []

    def fails(alert: Alert) -> None:
        raise OSError("no way")

    assert tell([fails, called.append], alert()) == ["function: no way"] and len(called) == 1
    assert "no way" in caplog.text


def test_a_webhook_does_not_show_what_may_be_its_secret():
    hook = Webhook("https://chat.example/hooks/secret?token=secret", {"X-Token": "secret"})
    assert repr(hook) == "Webhook(https://chat.example/…)"


def test_a_webhook_is_sent_the_alert():
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, self.headers["Content-Type"], self.headers["X-Token"], json.loads(body)))
            self.send_response(200 if self.path != "/refused" else 403)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        Webhook(url + "/hook", {"X-Token": "abc"})(alert())
        Webhook(url, body=lambda one: {"text": one.title})(alert())
        wrong = tell([Webhook(url + "/refused")], alert())
        server.shutdown()
    assert got[0][:3] == ("/hook", "application/json", "abc") and got[0][3]["execution"]["monitor"] == "ages"
    assert got[1][3] == {"text": "ages is InAlert, 2026: 22 violations"} and "403" in wrong[0]
    assert "abc" not in repr(Webhook(url, {"X-Token": "abc"}))
    with pytest.raises(ValueError, match="begins with http"):
        Webhook("file:///etc/passwd")


class Smtp(socketserver.StreamRequestHandler):
    """A server that takes one letter."""

    letters: ClassVar[list[str]] = []

    def handle(self) -> None:
        self.say("220 here")
        while True:
            line = self.rfile.readline().decode().strip()
            word = line[:4].upper()
            if word == "DATA":
                self.say("354 go on")
                lines = []
                while (text := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    lines.append(text)
                self.letters.append("\n".join(lines))
            elif word == "QUIT":
                self.say("221 bye")
                return
            self.say("250 ok")

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


def test_an_email_is_sent():
    Smtp.letters.clear()
    with socketserver.TCPServer(("127.0.0.1", 0), Smtp) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Email(["a@example.org", "b@example.org"], "monitor@example.org", "127.0.0.1", server.server_address[1], security="none")(alert())
        server.shutdown()
    (letter,) = Smtp.letters
    assert "Subject: ages is InAlert, 2026: 22 violations" in letter and "To: a@example.org, b@example.org" in letter
    assert "age (baseline_drift_check): The distance is 0.3." in letter and 'filename="alert.json"' in letter


def test_the_title_is_one_line_whatever_the_reason_of_a_failure_is():
    failed = Execution("ages", "2026", "DataQuality", day(1), day(2), "Failed", failure_reason="line one\r\nat two\x0b\u2028three")
    message = EmailMessage()
    message["Subject"] = Alert(failed, "Failed").title
    assert message["Subject"] == "ages is Failed, 2026: line one at two  three"


def test_a_password_is_neither_shown_nor_sent_in_plain_text():
    with pytest.raises(ValueError, match="in plain text"):
        Email("a@b.c", "d@e.f", "mail.example.org", user="me", password="secret", security="none")
    with pytest.raises(ValueError, match="security is one of starttls, tls, none"):
        Email("a@b.c", "d@e.f", "mail.example.org", security="ssl")
    assert "secret" not in repr(Email("a@b.c", "d@e.f", "mail.example.org", password="secret"))

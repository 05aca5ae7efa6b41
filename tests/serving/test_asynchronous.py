"""Requests that wait in a folder are answered once, in time or with a reason."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sparkml_algos.formats.content_types import ContentType
from sparkml_algos.serving.asynchronous import Queue, Worker
from sparkml_algos.serving.asynchronous.worker import EXPIRED, FAILED, INVALID, TOO_LATE
from sparkml_algos.serving.files.transform import answering
from sparkml_algos.serving.servable import load_servable
from tests.saved.expected import SAVED
from tests.serving.serving import body_of, saved_rows

JSON, CSV = "application/json", "text/csv"
BODY = body_of(saved_rows("KMeansModel"), CSV)


@pytest.fixture(scope="module")
def model() -> Any:
    return load_servable(SAVED / "KMeansModel")


def notifications(queue: Queue) -> list[dict]:
    return [json.loads(line) for line in (queue.folder / "notifications.jsonl").read_text().splitlines()]


def test_requests_are_answered_in_their_order_and_said_to_be(model: Any, tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    (tmp_path / "rows.csv").write_bytes(BODY)
    first = queue.submit(body=BODY, content_type=CSV, accept=JSON, inference_id="first", custom_attributes="from=test")
    second = queue.submit(location=(tmp_path / "rows.csv").as_uri(), content_type=CSV, accept=CSV)
    assert queue.backlog == 2 and first.output_location == str(tmp_path / "output" / "first.out")
    assert Worker(queue, model, include_response=True).run(once=True) == 2
    wanted = answering(model)(BODY, ContentType(CSV), ContentType(JSON))
    assert first.wait() == wanted and second.wait() == answering(model)(BODY, ContentType(CSV), ContentType(CSV))
    told = notifications(queue)
    assert [one["inferenceId"] for one in told] == ["first", second.inference_id]
    assert (
        told[0]["invocationStatus"] == "Completed" and told[0]["response"].encode() == wanted and told[0]["customAttributes"] == "from=test"
    )
    assert queue.backlog == 0 and list((tmp_path / "running").iterdir()) == [] == list((tmp_path / "inputs").iterdir())
    assert (tmp_path / "rows.csv").exists()


def test_what_cannot_be_answered_says_why(model: Any, tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    wrong = {
        "body": queue.submit(body=b"1,2\n", content_type=CSV),
        "nothing": queue.submit(location=tmp_path / "not there", content_type=CSV),
        "type": queue.submit(body=BODY, content_type="text/libsvm"),
        "accept": queue.submit(body=BODY, content_type=CSV, accept="image/png"),
    }
    Worker(queue, model).run(once=True)
    reasons = {name: json.loads(Path(one.failure_location).read_text()) for name, one in wrong.items()}
    assert {one["status"] for one in reasons.values()} == {INVALID}
    assert (
        "No such file" in reasons["nothing"]["error"]
        and "text/libsvm" in reasons["type"]["error"]
        and "image/png" in reasons["accept"]["error"]
    )
    with pytest.raises(RuntimeError, match="2"):
        wrong["body"].wait(1)
    assert {one["invocationStatus"] for one in notifications(queue)} == {"Failed"}


def test_an_answer_that_cannot_be_written_is_no_fault_of_the_request(model: Any, tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    one = queue.submit(body=BODY, content_type=CSV, inference_id="one")
    (tmp_path / "output").rmdir()
    (tmp_path / "output").write_bytes(b"")  # nothing can be put below it
    Worker(queue, model).run(once=True)
    failure = json.loads(Path(one.failure_location).read_text())
    assert failure["status"] == FAILED and "NotADirectoryError" in failure["error"]


class Slow:
    """A model that takes its time."""

    def __init__(self, model: Any, seconds: float) -> None:
        self._model, self._seconds = model, seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def score(self, *arguments: Any) -> Any:
        time.sleep(self._seconds)
        return self._model.score(*arguments)


def test_a_request_has_its_time_and_no_more(model: Any, tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    late = queue.submit(body=BODY, content_type=CSV, timeout_seconds=1)
    queue.submit(body=BODY, content_type=CSV, inference_id="old", ttl_seconds=60)
    path = queue.folder / "requests" / "old"
    path.write_text(json.dumps({**json.loads(path.read_text()), "submitted": time.time() - 61}))
    began = time.monotonic()
    Worker(queue, Slow(model, 30)).run(once=True)
    assert time.monotonic() - began < 20
    assert json.loads(Path(late.failure_location).read_text())["status"] == TOO_LATE
    assert json.loads(queue.failure("old").read_text())["status"] == EXPIRED


def test_a_process_that_dies_takes_no_other_request_with_it(model: Any, tmp_path: Path) -> None:
    class Dying(Slow):
        def score(self, *arguments: Any) -> Any:
            os._exit(7)

    queue = Queue(tmp_path)
    gone, after = (queue.submit(body=BODY, content_type=CSV) for _ in range(2))
    assert Worker(queue, Dying(model, 0)).run(once=True) == 2
    for one in (gone, after):
        assert json.loads(Path(one.failure_location).read_text())["error"] == "the process that computed it ended with code 7"


def test_several_workers_answer_each_request_once(model: Any, tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    given = [queue.submit(body=BODY, content_type=CSV) for _ in range(12)]
    done: list[int] = []
    threads = [threading.Thread(target=lambda: done.append(Worker(queue, model).run(once=True))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == len(given) == len(notifications(queue))
    assert {one["inferenceId"] for one in notifications(queue)} == {one.inference_id for one in given}


def test_what_a_dead_worker_had_taken_waits_again(model: Any, tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    one = queue.submit(body=BODY, content_type=CSV)
    program = f"import os; from sparkml_algos.serving.asynchronous import Queue; Queue({str(tmp_path)!r}).take(); os._exit(0)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert queue.backlog == 0
    assert queue.take() is None
    assert Worker(queue, model).run(once=True) == 1
    assert json.loads(one.wait(1))["predictions"]


def test_what_a_container_had_taken_before_it_started_again_waits_again(model: Any, tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    one, other = (queue.submit(body=BODY, content_type=CSV, inference_id=name) for name in ("one", "other"))
    # It has the name and the number of the process that was ended.
    os.rename(queue.folder / "requests" / "one", queue.folder / "running" / f"one@{socket.gethostname()}@{os.getpid()}")
    (queue.folder / "running" / "not ours").write_text("")
    _, mine = queue.take()
    assert queue.give_back() == ["one"]  # and not what this process works on
    Worker(queue, model).run(once=True)
    assert json.loads(one.wait(1))["predictions"] and mine.exists() and not Path(other.output_location).exists()


def test_what_another_machine_had_taken_waits_again_once_its_time_is_over(model: Any, tmp_path: Path, monkeypatch: Any) -> None:
    queue = Queue(tmp_path)
    one = queue.submit(body=BODY, content_type=CSV, inference_id="one", accept="*/*")
    os.rename(queue.folder / "requests" / "one", queue.folder / "running" / "one@elsewhere@1")
    assert queue.give_back() == [] and Worker(queue, model).run(once=True) == 0
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 4000)
    assert Worker(queue, model).run(once=True) == 1
    assert json.loads(one.wait(1))["predictions"]


def test_an_answer_that_is_there_already_is_no_failure(model: Any, tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    one = queue.submit(body=BODY, content_type=CSV, inference_id="one", ttl_seconds=60)
    path = queue.folder / "requests" / "one"
    path.write_text(json.dumps({**json.loads(path.read_text()), "submitted": time.time() - 61}))
    queue.output("one").write_bytes(b"by a worker that was lost then")
    assert Worker(queue, model).run(once=True) == 1
    assert one.wait(1) == b"by a worker that was lost then" and not queue.failure("one").exists()
    assert [line["invocationStatus"] for line in notifications(queue)] == ["Completed"]


@pytest.mark.parametrize(
    "written",
    [
        b"not json",
        b"[]",
        b"{}",
        b"[" * 60_000,
        {"inference_id": "../../outside"},
        {"timeout_seconds": 1 << 40},
        {"timeout_seconds": "1"},
        {"content_type": None},
        {"more": 1},
        {"custom_attributes": "x" * 100_000},
    ],
)
def test_what_is_no_request_fails_and_stops_no_worker(model: Any, tmp_path: Path, written: Any) -> None:
    queue = Queue(tmp_path / "queue")
    queue.submit(body=BODY, content_type=CSV, inference_id="wrong")
    path = queue.folder / "requests" / "wrong"
    path.write_bytes(written if isinstance(written, bytes) else json.dumps({**json.loads(path.read_text()), **written}).encode())
    (queue.folder / "requests" / "a folder").mkdir()
    after = queue.submit(body=BODY, content_type=CSV)
    assert Worker(queue, model).run(once=True) == 1
    assert json.loads(after.wait(1))["predictions"] and queue.backlog == 0
    failure = json.loads(queue.failure("wrong").read_text())
    assert failure["status"] == INVALID and "'wrong' is no request" in failure["error"]
    assert not list(tmp_path.glob("outside*")) and notifications(queue)[0]["inferenceId"] == "wrong"


def test_only_files_are_read(model: Any, tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    endless = queue.submit(location="/dev/zero", content_type=CSV, timeout_seconds=5)
    Worker(queue, model).run(once=True)
    with pytest.raises(RuntimeError, match="/dev/zero is no file"):
        endless.wait(1)


def test_who_cannot_be_told_stops_no_worker(model: Any, tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    given = [queue.submit(body=BODY, content_type=CSV) for _ in range(2)]
    with pytest.raises(ValueError, match="notify_url begins with"):
        Worker(queue, model, notify_url="localhost")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in given:
                with server.accept()[0] as connection:
                    connection.recv(1 << 16)
                    connection.sendall(b"what is no HTTP\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        assert Worker(queue, model, notify_url=f"http://127.0.0.1:{server.getsockname()[1]}").run(once=True) == 2
    assert all(json.loads(one.wait(1))["predictions"] for one in given)


def test_wrong_requests_are_refused_at_once(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    with pytest.raises(ValueError, match=r"one of body and location.*inference_id must be.*ttl_seconds must be.*timeout_seconds must be"):
        queue.submit(inference_id="../x", ttl_seconds=5, timeout_seconds=3601)
    with pytest.raises(ValueError, match="128000 bytes at most"):
        queue.submit(body=b"x" * 128_001)
    with pytest.raises(ValueError, match="file: URI"):
        queue.submit(location="s3://bucket/rows.csv")
    queue.submit(body=b"", inference_id="a")
    with pytest.raises(FileExistsError):
        queue.submit(body=b"", inference_id="a")


def test_of_many_who_give_a_request_one_name_one_has_it(model: Any, tmp_path: Path) -> None:
    queue = Queue(tmp_path / "queue")
    (tmp_path / "rows.csv").write_bytes(BODY)
    together, had, refused = threading.Barrier(8), [], []

    def submit(place: int) -> None:
        source: dict[str, Any] = {"location": tmp_path / "rows.csv"} if place % 2 else {"body": BODY + b"7,8,9\n" * place}
        for number in range(40):
            together.wait()
            try:
                queue.submit(**source, content_type=CSV, accept=CSV, inference_id=f"name-{number}")
                had.append((number, place))
            except FileExistsError:
                refused.append(number)

    threads = [threading.Thread(target=submit, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    answered = 0
    while any(thread.is_alive() for thread in threads):  # names come free for nobody while they are answered
        answered += Worker(queue, model).run(once=True)
    answered += Worker(queue, model).run(once=True)
    assert sorted(number for number, _ in had) == list(range(40)) and len(refused) == 40 * 7 and answered == 40
    rows = len(BODY.splitlines())
    lines = {number: len(queue.output(f"name-{number}").read_bytes().splitlines()) for number, _ in had}
    assert lines == {number: rows if place % 2 else rows + place for number, place in had}
    assert list((queue.folder / "inputs").iterdir()) == []


def test_a_name_is_free_again_where_a_request_was_refused(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    queue.failure("a").write_text("{}")
    with pytest.raises(FileExistsError, match="there is a request 'a' already, or its answer"):
        queue.submit(body=BODY, inference_id="a")
    queue.failure("a").unlink()
    queue.submit(body=BODY, inference_id="a")
    assert queue.backlog == 1 and [path.name for path in (tmp_path / "inputs").iterdir()] == ["a"]


def test_the_command_answers_what_waits(tmp_path: Path) -> None:
    one = Queue(tmp_path).submit(body=BODY, content_type=CSV)
    command = [sys.executable, "-m", "sparkml_algos.serve_async", str(SAVED / "KMeansModel"), str(tmp_path), "--once"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "answered 1 requests" in done.stdout and json.loads(one.wait(1))["predictions"]

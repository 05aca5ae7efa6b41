"""Endpoints in processes of their own: without Spark, with workers that die, with TLS, until a signal.

``SPARKML_ALGOS_LOAD_SECONDS`` says how long the slow test asks, a minute by default.
"""

from __future__ import annotations

import collections
import http.client
import io
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("uvicorn")

from sparkml_algos import serving
from sparkml_algos.serving import local
from tests.saved.expected import SAVED

TOKEN = "a token of some length"
KMEANS = SAVED / "KMeansModel"
# A new version every so many seconds, and with every so many of them a killed worker.
LOAD_SECONDS, RELOAD_SECONDS, KILL_EVERY = float(os.environ.get("SPARKML_ALGOS_LOAD_SECONDS", "60")), 5, 4
CLIENTS, PAUSE_SECONDS = 2, 0.01


def test_a_model_is_deployed_and_asked_in_every_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # that of this machine's network, which does not lead back
    rows = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    with serving.deploy({"clusters": KMEANS, "trees": SAVED / "XGBoostRegressionModel"}, token=TOKEN) as predictor:
        assert predictor.ping()
        expected = [list(one.values()) for one in predictor.predict(rows, target_model="clusters")["predictions"]]
        for serializer in (local.CSVSerializer(), local.JSONLinesSerializer(), local.RecordSerializer(), local.NumpySerializer()):
            predictor.serializer, predictor.deserializer = serializer, local.CSVDeserializer()
            found = predictor.predict(rows, target_model="clusters")
            assert [[float(cell) for cell in row] for row in found] == expected, serializer
        predictor.serializer, predictor.deserializer = local.LibSVMSerializer(), local.RecordDeserializer()
        assert predictor.predict(rows, target_model="trees")["score"].shape == (2, 1)
        with pytest.raises(local.PredictionError, match="404: no model 'none'"):
            predictor.predict(rows, target_model="none")
        with pytest.raises(local.PredictionError, match="401"):
            local.Predictor(predictor.url).predict(rows)
        assert "sparkml_algos_invocations_total" in predictor.metrics()
    assert not predictor.ping()


def test_rows_of_numpy_and_pandas_become_bodies() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.5, 4.0]})
    assert local.CSVSerializer().serialize(frame) == b"1.0,3.5\n2.0,4.0\n" == local.CSVSerializer().serialize(frame.to_numpy())
    assert local.CSVSerializer().serialize(io.StringIO("1,2\n")) == b"1,2\n"
    assert local.JSONLinesSerializer().serialize(list(np.array([1, 2], np.float32))) == b'{"features": [1.0, 2.0]}\n'
    assert local.JSONLinesSerializer().serialize(frame.to_dict("records")).startswith(b'{"a": 1.0, "b": 3.5}\n')
    with pytest.raises(TypeError, match="to_dict"):
        local.JSONSerializer().serialize(frame)


def test_an_endpoint_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"did not start: .*holds no saved instance"):
        serving.deploy(tmp_path)


def test_an_endpoint_goes_on_that_says_more_than_a_pipe_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = "def more(*said, print=builtins.print, **how):\n    print(*said, **how)\n    print('and more' * 100_000, flush=True)\n"
    (tmp_path / "sitecustomize.py").write_text(f"import builtins\n{more}builtins.print = more\n")
    monkeypatch.syspath_prepend(tmp_path)
    with serving.deploy(KMEANS) as predictor:
        assert predictor.ping()


def test_workers_that_die_are_replaced_and_a_new_version_loses_no_request(tmp_path: Path) -> None:
    path = tmp_path / "model"
    shutil.copytree(SAVED / "XGBoostRegressionModel", path)
    with serving.deploy(path, workers=2, serializer=local.CSVSerializer(), deserializer=local.BytesDeserializer()) as predictor:
        supervisor = predictor._process._process.pid
        answers: list[object] = []
        ends = threading.Event()

        def ask() -> None:
            while not ends.is_set():
                try:
                    answers.append(predictor.predict([1, 2, 3]))
                except Exception as error:
                    answers.append(error)

        askers = [threading.Thread(target=ask) for _ in range(3)]
        for asker in askers:
            asker.start()
        time.sleep(0.3)
        before = answers[-1]
        shutil.rmtree(path)
        shutil.copytree(SAVED / "XGBoostClassificationModel", path)
        os.kill(supervisor, signal.SIGHUP)
        until = time.monotonic() + 30
        while answers[-1] == before and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.5)
        ends.set()
        for asker in askers:
            asker.join()
        assert {type(answer) for answer in answers} == {bytes} and len(set(answers)) == 2 and answers[-1] != before
        # A worker is killed: another takes its place.
        while len(workers := children(supervisor)) > 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        os.kill(workers[0], signal.SIGKILL)
        while (now := children(supervisor)) == workers or len(now) < 2:
            assert time.monotonic() < until + 30
            time.sleep(0.05)
        assert predictor.predict([1, 2, 3]) == answers[-1]


@pytest.mark.slow
def test_minutes_of_load_with_new_versions_and_killed_workers_give_right_answers_alone(tmp_path: Path) -> None:
    """What is lost was being answered by a worker when it was killed."""
    names, path = ["XGBoostRegressionModel", "XGBoostClassificationModel"], tmp_path / "model"
    shutil.copytree(SAVED / names[0], path)
    right = set()
    for name in names:
        outputs = serving.load(SAVED / name)(features=np.array([[1, 2, 3]], np.float32))
        right.add(float(outputs["probability"][0, 1] if "probability" in outputs else outputs["prediction"][0]))
    with serving.deploy(path, workers=2, serializer=local.CSVSerializer(), deserializer=local.CSVDeserializer()) as predictor:
        supervisor, ends = predictor._process._process.pid, time.monotonic() + LOAD_SECONDS
        wrong: list[object] = []
        lost: list[tuple[float, float]] = []
        kills: list[tuple[float, float]] = []
        counts: collections.Counter[float] = collections.Counter()

        def ask() -> None:
            while time.monotonic() < ends:
                asked = time.monotonic()
                try:
                    answer = float(predictor.predict([1, 2, 3])[0][0])
                    counts[answer] += 1
                    if answer not in right:
                        wrong.append(answer)
                except local.PredictionError as error:
                    wrong.append(error)
                except (OSError, http.client.HTTPException):
                    lost.append((asked, time.monotonic()))
                time.sleep(PAUSE_SECONDS)

        def kill() -> None:
            victim, began = children(supervisor)[-1], time.monotonic()
            os.kill(victim, signal.SIGKILL)
            while runs(victim):
                time.sleep(0.001)
            kills.append((began, time.monotonic()))

        askers = [threading.Thread(target=ask) for _ in range(CLIENTS)]
        for asker in askers:
            asker.start()
        turn, memory = 0, []
        while time.monotonic() + RELOAD_SECONDS < ends:
            time.sleep(RELOAD_SECONDS)
            turn += 1
            shutil.copytree(SAVED / names[turn % 2], tmp_path / f"new-{turn}")
            path.rename(tmp_path / f"old-{turn}")
            (tmp_path / f"new-{turn}").rename(path)
            os.kill(supervisor, signal.SIGHUP)
            if turn % KILL_EVERY == 0:
                kill()
                memory.append(resident_mebibytes(supervisor))
        for asker in askers:
            asker.join()
        reloads = re.search(r"^sparkml_algos_reloads_total{.*} (\d+)$", predictor.metrics(), re.MULTILINE)
    print(
        f"{LOAD_SECONDS:.0f} s, {CLIENTS} clients: {counts.total()} answers, {turn} new versions, {reloads and reloads[1]} loaded, "
        f"{len(kills)} workers killed, {len(lost)} requests lost; the process that loads had {memory} MiB"
    )
    assert wrong == [] and len(kills) == turn // KILL_EVERY and set(counts) == right
    outside = [(asked, failed) for asked, failed in lost if not any(asked <= gone and failed >= began for began, gone in kills)]
    assert outside == []


def runs(pid: int) -> bool:
    """Whether a process is there, and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def resident_mebibytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(part) for part in text.split()]


def test_nothing_of_spark_is_imported_and_requests_in_flight_are_answered_at_the_end(tmp_path: Path) -> None:
    """The process itself says which modules it has, once it has answered."""
    program = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pyspark", "py4j", "torch"):
            raise ModuleNotFoundError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
import pickle
def refuse(*_, **__): raise RuntimeError("something was unpickled")
pickle.load = pickle.loads = pickle.Unpickler = refuse
from sparkml_algos.serve import main
main(sys.argv[1:])
"""
    arguments = [str(KMEANS), str(SAVED / "PipelineModel"), "--port", "0", "--drain", "1.5"]
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().split()[-1]
        predictor = local.Predictor(url, local.CSVSerializer())
        assert predictor.predict([1, 2, 3], target_model="KMeansModel")["predictions"]
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        # It drains: it is not ready any more, and answers.
        assert (
            not predictor.ping()
            and predictor.predict([1, 2, 3], {"Accept": "application/json"}, target_model="PipelineModel")["predictions"]
        )
        assert process.wait(20) == 0
    finally:
        process.kill()


def test_workers_say_that_they_are_to_end() -> None:
    arguments = [str(KMEANS), "--port", "0", "--workers", "2", "--drain", "2.5"]
    process = subprocess.Popen([sys.executable, "-m", "sparkml_algos.serve", *arguments], stdout=subprocess.PIPE, text=True)
    try:
        predictor = local.Predictor(process.stdout.readline().split()[-1], local.CSVSerializer())
        assert predictor.ping()
        process.send_signal(signal.SIGTERM)
        time.sleep(0.4)
        assert not predictor.ping() and predictor.predict([1, 2, 3])["predictions"]
        assert process.wait(20) == 0
    finally:
        process.kill()


def test_tls_is_spoken_where_there_is_a_certificate(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    with serving.deploy(KMEANS, arguments=["--certificate", str(certificate), "--key", str(key)]) as predictor:
        assert re.match("https://127.0.0.1:", predictor.url)
        trusting = local.Predictor(predictor.url, context=ssl.create_default_context(cafile=str(certificate)))
        assert trusting.predict([1, 2, 3])["predictions"]
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            predictor.predict([1, 2, 3])

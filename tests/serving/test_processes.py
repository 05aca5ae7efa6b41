"""Endpoints in processes of their own: without Spark, with workers that die, with TLS, until a signal."""

from __future__ import annotations

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
    names, path = ["XGBoostRegressionModel", "XGBoostClassificationModel"], tmp_path / "model"
    shutil.copytree(SAVED / names[0], path)
    right = set()
    for name in names:
        outputs = serving.load(SAVED / name)(features=np.array([[1, 2, 3]], np.float32))
        right.add(float(outputs["probability"][0, 1] if "probability" in outputs else outputs["prediction"][0]))
    with serving.deploy(path, workers=2, serializer=local.CSVSerializer(), deserializer=local.CSVDeserializer()) as predictor:
        supervisor, ends = predictor._process._process.pid, time.monotonic() + 600
        wrong: list[object] = []
        lost: list[float] = []
        kills: list[float] = []

        def ask() -> None:
            while time.monotonic() < ends:
                asked = time.monotonic()
                try:
                    if float(predictor.predict([1, 2, 3])[0][0]) not in right:
                        wrong.append(asked)
                except local.PredictionError as error:
                    wrong.append(error)
                except (OSError, http.client.HTTPException):
                    lost.append(asked)

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        turn = 0
        while time.monotonic() < ends:
            time.sleep(5)
            turn += 1
            shutil.copytree(SAVED / names[turn % 2], tmp_path / f"new-{turn}")
            path.rename(tmp_path / f"old-{turn}")
            (tmp_path / f"new-{turn}").rename(path)
            os.kill(supervisor, signal.SIGHUP)
            if turn % 4 == 0:
                kills.append(time.monotonic())
                os.kill(children(supervisor)[-1], signal.SIGKILL)
        for asker in askers:
            asker.join()
        assert wrong == [] and len(kills) > 20
        assert [asked for asked in lost if not any(abs(asked - kill) < 2 for kill in kills)] == []


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
    arguments = [str(KMEANS), str(SAVED / "PipelineModel"), "--port", "0", "--drain", "0.3"]
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
    arguments = [str(KMEANS), "--port", "0", "--workers", "2", "--drain", "1"]
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

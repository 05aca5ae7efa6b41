"""Packages for devices: signed, looked at, run by what needs onnxruntime alone."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import http.server
import json
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparkml_algos import serving
from sparkml_algos.export import package, verify
from sparkml_algos.export.__main__ import main
from sparkml_algos.export.graph import TEXT, Graph, Input
from tests.saved.expected import SAVED

KEY = b"k" * 32
# What the runner may not need: all but NumPy and onnxruntime, and what they bring.
BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pyspark", "pyarrow", "torch", "xgboost", "scipy", "pandas", "onnx", "sparkml_algos"):
            raise ModuleNotFoundError(f"No module named {name!r} (blocked)")
sys.meta_path.insert(0, Blocked())
import runpy
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[str]:
    """A runner in a process that has no more than a device has; its URL."""
    command = [sys.executable, "-c", BLOCKED, *arguments, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        line = process.stdout.readline()
        if "http://" not in line:
            raise RuntimeError(line + process.stdout.read())
        yield line.strip().rpartition(" ")[2]
    finally:
        process.kill()
        process.wait()


def asked(url: str, body: Any = None, content_type: str = "application/json", method: str | None = None) -> Any:
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": content_type}, method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def test_a_package_says_what_it_is_and_every_change_is_seen(tmp_path: Path) -> None:
    found = package(SAVED / "KMeansModel", tmp_path / "clusters", name="clusters", version="3", key=KEY)
    assert sorted(file.name for file in found.path.iterdir()) == ["example.json", "manifest.json", "model.onnx", "runner.py", "signature"]
    manifest = verify(found.path, KEY)
    assert manifest == found.manifest and manifest["model"] == "KMeansModel" and manifest["compared"]["rows_with_other_choices"] == 0
    assert manifest["inputs"] == [{"name": "features", "type": "tensor(float)", "shape": ["rows", 3]}]
    with pytest.raises(ValueError, match="signed: give its key"):
        verify(found.path)
    with pytest.raises(ValueError, match="the signature is not that"):
        verify(found.path, b"x" * 32)
    for file in ("model.onnx", "manifest.json", "runner.py", "example.json"):
        content = (found.path / file).read_bytes()
        (found.path / file).write_bytes(content.replace(b"e", b"f", 1))
        with pytest.raises(ValueError, match=r"signature|not the one|delimiter|Expecting"):
            verify(found.path, KEY)
        (found.path / file).write_bytes(content)
    assert verify(found.path, KEY) == manifest
    # Beside a program, it is what the program imports.
    (found.path / "numpy.py").write_text("print('not ours')")
    with pytest.raises(ValueError, match=r"does not name numpy\.py"):
        verify(found.path, KEY)


def test_an_archive_is_the_same_package(tmp_path: Path) -> None:
    found = package(SAVED / "PCAModel", tmp_path / "pca.tar.gz", name="pca", version="1")
    assert verify(found.path) == found.manifest and not found.manifest["signed"]
    with pytest.raises(ValueError, match="not signed, and a key was given"):
        verify(found.path, KEY)
    with pytest.raises(FileExistsError):
        package(SAVED / "PCAModel", tmp_path / "pca.tar.gz", name="pca", version="1")


@pytest.mark.parametrize("more", ["pca/numpy.py", "other/model.onnx", "../model.onnx", "pca/deep/model.onnx", "link"])
def test_an_archive_has_no_more_than_the_package(more: str, tmp_path: Path) -> None:
    found = package(SAVED / "PCAModel", tmp_path / "pca", name="pca", version="1")
    with tarfile.open(tmp_path / "pca.tar.gz", "w:gz") as archive:
        archive.add(found.path, "pca")
        entry = tarfile.TarInfo("pca/link" if more == "link" else more)
        if more == "link":
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(entry, None)
    with pytest.raises(ValueError, match=r"does not name|is in it, and a package is one folder"):
        verify(tmp_path / "pca.tar.gz")


def test_what_is_no_package_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not an archive")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "manifest.json").write_text("[]")
    for name in ("file", "folder"):
        with pytest.raises(ValueError, match=f"{name} is no package"):
            verify(tmp_path / name)


def test_wrong_names_and_short_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name must be of letters"):
        package(SAVED / "PCAModel", tmp_path / "a", name="../a", version="1")
    with pytest.raises(ValueError, match="32 bytes or more"):
        package(SAVED / "PCAModel", tmp_path / "a", name="a", version="1", key=b"short")


def test_the_runner_answers_captures_and_uploads(tmp_path: Path) -> None:
    package(SAVED / "KMeansModel", tmp_path / "clusters", name="clusters", version="3", key=KEY, precision="float64")
    package(SAVED / "XGBoostClassificationModel", tmp_path / "trees", name="trees", version="1", key=KEY)
    (tmp_path / "key").write_bytes(KEY)
    received: dict[str, bytes] = {}

    class Store(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            received[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    store = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=store.serve_forever, daemon=True).start()
    rows = np.random.default_rng(0).normal(5, 3, size=(8, 3)).astype(np.float32)
    ours = serving.load(SAVED / "KMeansModel")(features=rows)
    capture = [
        "--capture",
        str(tmp_path / "captured"),
        "--percentage",
        "100",
        "--upload",
        f"http://127.0.0.1:{store.server_port}/in",
        "--every",
        "0.3",
    ]
    with running(
        str(tmp_path / "clusters" / "runner.py"), str(tmp_path / "clusters"), "--key-file", str(tmp_path / "key"), *capture
    ) as url:
        assert asked(f"{url}/ping") is None
        answer = asked(f"{url}/invocations", {"instances": [{"features": row} for row in rows.tolist()]})["predictions"]
        assert [one["closest_cluster"] for one in answer] == ours["closest_cluster"].tolist()
        np.testing.assert_allclose([one["distance_to_cluster"] for one in answer], ours["distance_to_cluster"], rtol=1e-6)
        lines = "\n".join(",".join(map(repr, row)) for row in rows.tolist()).encode()
        assert asked(f"{url}/models/clusters/invoke", lines, "text/csv")["predictions"] == answer
        assert asked(f"{url}/models", {"url": str(tmp_path / "trees")})["name"] == "trees"
        assert asked(f"{url}/models") == {"models": ["clusters", "trees"]}
        holes = {"instances": [{"features": [1.0, None, 2.0]}]}
        trees = serving.load(SAVED / "XGBoostClassificationModel")(features=np.array([[1.0, np.nan, 2.0]], np.float32))
        found = asked(f"{url}/models/trees/invoke", holes)["predictions"][0]
        np.testing.assert_allclose(found["probability"], trees["probability"][0], rtol=1e-5)
        assert asked(f"{url}/models/trees", method="DELETE") == {}
        for path, body, code in (("/models/trees/invoke", holes, 404), ("/invocations", {"rows": []}, 400), ("/invocations", b"{", 400)):
            with pytest.raises(urllib.error.HTTPError) as error:
                asked(url + path, body)
            assert error.value.code == code
        ends = time.monotonic() + 20
        while sum(len(body.splitlines()) for body in received.values()) < 3 and time.monotonic() < ends:
            time.sleep(0.1)
    store.shutdown()
    events = [json.loads(line) for body in received.values() for line in body.splitlines()]
    assert len(events) == 3 and all(path.startswith("/in/") for path in received)
    first = next(event for event in events if event["captureData"]["endpointInput"]["encoding"] == "CSV")
    assert first["captureData"]["endpointInput"]["data"].encode() == lines and first["eventVersion"] == "0"
    assert json.loads(first["captureData"]["endpointOutput"]["data"])["predictions"] == answer


def packed(folder: Path, graph: Graph, example: dict[str, Any], name: str) -> Path:
    """A package of any graph, not signed."""
    files = {"model.onnx": graph.model("any", {}).SerializeToString(), "example.json": json.dumps(example).encode()}
    manifest = {"name": name, "signed": False, "files": {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}}
    folder.mkdir()
    for file, data in {**files, "manifest.json": json.dumps(manifest).encode()}.items():
        (folder / file).write_bytes(data)
    return folder


def texts(folder: Path, name: str = "texts") -> Path:
    """A package that answers a text by itself, and by numbers that JSON does not have."""
    graph = Graph()
    text = graph.input(Input("text", TEXT, ("rows",)))
    graph.output("same", text, TEXT, ("rows",))
    length = graph.cast(graph.size(text), np.float64)
    graph.output("numbers", graph("Div", graph.reals([[0.0, 1.0, 2.0]]), graph("Sub", length, length)), np.float64, (1, 3))
    example = {"instances": [{"text": "a"}], "predictions": [{"same": "a", "numbers": [None, None, None]}]}
    return packed(folder, graph, example, name)


RUNNER = str(Path(verify.__code__.co_filename).with_name("runner.py"))


def test_texts_are_answered_as_they_are_and_what_is_no_number_as_null(tmp_path: Path) -> None:
    with running(RUNNER, str(texts(tmp_path / "texts"))) as url:
        for body, kind in (({"instances": [{"text": "a, NaN Infinity"}]}, "application/json"), (b'"a, NaN Infinity"\n', "text/csv")):
            assert asked(f"{url}/invocations", body, kind) == {"predictions": [{"same": "a, NaN Infinity", "numbers": [None] * 3}]}


def test_the_runner_reads_no_more_than_a_request_may_have(tmp_path: Path) -> None:
    with running(RUNNER, str(texts(tmp_path / "texts"))) as url:
        for length, status in (("-1", 400), ("many", 400), (str(1 << 40), 413)):
            connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
            connection.putrequest("POST", "/invocations")
            connection.putheader("Content-Length", length)
            connection.endheaders()
            assert connection.getresponse().status == status
            connection.close()
        assert asked(f"{url}/ping") is None


def test_a_name_that_is_a_path_is_none(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a name that is none"), running(RUNNER, str(texts(tmp_path / "texts", "../texts"))):
        pass


def test_images_are_packed_as_pixels(tmp_path: Path) -> None:
    found = package(SAVED / "ImageClassifierModel", tmp_path / "images", name="images", version="1")
    example = json.loads((found.path / "example.json").read_text())
    with running(str(found.path / "runner.py"), str(found.path)) as url:
        answer = asked(f"{url}/invocations", {"instances": example["instances"]})["predictions"]
    assert [one["predicted_label"] for one in answer] == [one["predicted_label"] for one in example["predictions"]]


@pytest.mark.parametrize("wrong", ["key", "model", "answers"])
def test_the_runner_refuses_what_is_not_right(wrong: str, tmp_path: Path) -> None:
    folder = tmp_path / "clusters"
    package(SAVED / "KMeansModel", folder, name="clusters", version="3", key=KEY if wrong == "key" else None)
    arguments = []
    if wrong == "key":
        (tmp_path / "key").write_bytes(b"x" * 32)
        arguments = ["--key-file", str(tmp_path / "key")]
    elif wrong == "model":
        (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes() + b" ")
    else:
        example = json.loads((folder / "example.json").read_text())
        example["predictions"][0]["distance_to_cluster"] += 1
        text = json.dumps(example).encode()
        (folder / "example.json").write_bytes(text)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["files"]["example.json"] = hashlib.sha256(text).hexdigest()
        (folder / "manifest.json").write_text(json.dumps(manifest))
    reason = {"key": "the signature is not", "model": "not the one that was packed", "answers": "on this device, expected"}[wrong]
    with pytest.raises(RuntimeError, match=r"Traceback|ValueError") as error, running(str(folder / "runner.py"), str(folder), *arguments):
        pass
    assert reason in str(error.value)


def test_the_command_exports_packs_and_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_bytes(KEY)
    main([str(SAVED / "KMeansModel"), str(tmp_path / "model.onnx")])
    assert "closest_cluster: others in 0 rows" in capsys.readouterr().out
    main([str(SAVED / "KMeansModel"), str(tmp_path / "packed"), "--package", "clusters=2", "--key-file", str(tmp_path / "key")])
    capsys.readouterr()
    main([str(tmp_path / "packed"), "--verify", "--key-file", str(tmp_path / "key")])
    assert json.loads(capsys.readouterr().out)["version"] == "2"
    with pytest.raises(SystemExit) as ended:
        main([str(SAVED / "DeepARModel"), str(tmp_path / "other.onnx")])
    assert ended.value.code == 1 and "at random" in capsys.readouterr().err

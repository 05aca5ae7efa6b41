"""Commands of the pages about saved models, as they are printed: those of a page one after the other, what serves beside the rest.

Only where they run differs: in a folder of their own, with its models in place of ``/models``, and at ports that are free.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs.pages import DOCS, fences
from tests.saved.expected import SAVED

#: What stands at the paths that pages name: models of three features.
MODELS = {"customers": "KMeansModel", "k10": "KMeansModel", "trees": "XGBoostRegressionModel"}
SERVES = re.compile(r"-m sparkml_algos\.serve |runner\.py ")
WORKS = re.compile(r"-m sparkml_algos\.serve_async ")
ADDRESS = "127.0.0.1:8080"
PATIENCE = 60.0


@dataclass
class Terminal:
    """Where the commands of a page are typed.

    Parameters
    ----------
    folder : Path
    running : ExitStack
        Ends what was started and goes on.

    Attributes
    ----------
    ports : list of int
        Of what serves, in the order in which it was started.
    """

    folder: Path
    running: ExitStack

    def __post_init__(self) -> None:
        self.ports: list[int] = []
        # The environment's Python, and no detour to this machine.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1"}

    def type(self, line: str) -> str:
        """Run a command; what it prints. One that serves is left running, once it answers."""
        command = line.replace("/models/", f"{self.folder}/models/").replace("/shared/", f"{self.folder}/shared/")
        if WORKS.search(command):
            self._start(command)
            return ""
        if SERVES.search(command):
            self.ports.append(_free_port())
            self._start(f"{command} --port {self.ports[-1]}")
            _wait_for(f"http://127.0.0.1:{self.ports[-1]}/ping")
            return ""
        if self.ports:
            command = command.replace(ADDRESS, f"127.0.0.1:{self.ports[0]}")
        shell = ["bash", "-euo", "pipefail", "-c", command]
        done = subprocess.run(shell, cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def _start(self, command: str) -> None:
        self.running.enter_context(_going_on(command, self.folder, self._environment))


@contextmanager
def _going_on(command: str, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """A command that does not end by itself, and has not done so when it is ended."""
    with (folder / "log").open("ab") as log:
        started = subprocess.Popen(
            ["bash", "-c", command], cwd=folder, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        yield
        assert started.poll() is None, f"{command}\n{(folder / 'log').read_text()[-2000:]}"
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        started.wait(PATIENCE)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _wait_for(url: str) -> None:
    opener, deadline = urllib.request.build_opener(urllib.request.ProxyHandler({})), time.monotonic() + PATIENCE
    while True:
        try:
            opener.open(url, timeout=5).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    for name, saved in MODELS.items():
        shutil.copytree(SAVED / saved, tmp_path / "models" / name)
    (tmp_path / "shared").mkdir()
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "part-0.csv").write_text("anna,41,2300.5,3\nbert,5,1,2\n")
    with ExitStack() as running:
        yield Terminal(tmp_path, running)


def commands(page: str) -> list[str]:
    """Without the comments behind them."""
    printed = [line for fence in fences(DOCS / page) if fence.language == "bash" for line in fence.code.splitlines()]
    return [re.sub(r"\s+#.*$", "", line) for line in printed]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page asks by curl")
@pytest.mark.skipif(find_spec("uvicorn") is None, reason="endpoints need the extra serving")
def test_an_endpoint_answers_what_the_page_asks(terminal: Terminal) -> None:
    said = {line: terminal.type(line) for line in commands("endpoint.md")}
    asked = [line for line in said if line.startswith("curl ")]
    assert len(terminal.ports) == 2 and len(asked) == 1 and '"closest_cluster"' in said[asked[0]], said


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page asks by curl")
@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="graphs need the extra onnx")
def test_a_model_becomes_a_graph_and_a_package_that_a_device_serves(terminal: Terminal) -> None:
    said = {line: terminal.type(line) for line in commands("export.md")}
    asked = [line for line in said if line.startswith("curl ")]
    assert (terminal.folder / "customers.onnx").is_file() and (terminal.folder / "customers.tar.gz").is_file()
    assert len(asked) == 1 and '"closest_cluster"' in said[asked[0]], said


def test_files_are_scored_beside_what_they_hold(terminal: Terminal) -> None:
    for line in commands("serving.md"):
        terminal.type(line)
    lines = (terminal.folder / "answers" / "part-0.csv.out").read_text().splitlines()
    assert [re.fullmatch(r"(anna|bert),[012](\.0)?", line) is not None for line in lines] == [True, True], lines

"""What runs the notes of the examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.notebooks.livy import LivyServer

# Only the environment of the newest Spark has what runs notes.
collect_ignore_glob = [] if find_spec("nbclient") else ["test_*.py"]


@pytest.fixture(autouse=True)
def kernels_of_this_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels that know nothing of the user who runs the tests."""
    for variable in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "SPARKMAGIC_CONF_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # a kernel shows pictures in the notebook unless it is told otherwise
    (tmp_path / "sparkmagic_conf_dir").mkdir()
    # Deleting a session waits for the thread of its heartbeat, which sleeps for half a minute.
    settings = {"livy_server_heartbeat_timeout_seconds": 0}
    (tmp_path / "sparkmagic_conf_dir" / "config.json").write_text(json.dumps(settings))


@pytest.fixture(scope="module")
def livy() -> Iterator[LivyServer]:
    server = LivyServer(Path(__file__).parents[2] / "examples" / "sparkmagic")
    yield server
    server.stop()

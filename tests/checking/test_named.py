"""Every error about what `check` looks at ends with the call of it; errors here are raised where the package raises them."""

from __future__ import annotations

import ast
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pyspark
import pytest
from pyspark.sql import SparkSession

from sparkml_algos.cluster import shipping
from sparkml_algos.cluster.errors import _CHECKED, Failure, training_error
from sparkml_algos.cluster.gpus import check_gpus, claim_gpu
from sparkml_algos.cluster.interpreters import Interpreter, NoInterpreter
from sparkml_algos.cluster.launcher import _own_address
from sparkml_algos.cluster.rendezvous import Meeting, MeetingPlace, Rendezvous
from sparkml_algos.cluster.resources import Resources, choose_launch, choose_num_workers
from sparkml_algos.collectives.communicator import CommunicationError
from sparkml_algos.collectives.horovod import import_horovod
from sparkml_algos.collectives.mesh import _call
from sparkml_algos.core.bridge import _impossible
from sparkml_algos.core.joining import OFF, SETTING
from sparkml_algos.jvm.jars import _java
from sparkml_algos.sources.files import list_files
from sparkml_algos.training.checkpoint import CheckpointStore
from tests.conftest import ROOT

HOST = "127.0.0.1"


def cluster(slots: int = 4, dynamic: bool = False, speculation: bool = False) -> Resources:
    return Resources(slots, slots, dynamic, speculation, HOST)


def closed_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> None:
    """This thread is a Spark task, which was assigned no GPU."""
    monkeypatch.setattr(pyspark.TaskContext, "get", lambda: SimpleNamespace(partitionId=lambda: 1, resources=dict))


# ------------------------------------------------------------------------------------------------------------------- on the driver


def no_free_port() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        Meeting(1, HOST, "gang", 1.0, ports=range(port, port + 1))


@pytest.mark.parametrize(
    ("item", "arguments", "act"),
    [
        ("workers", "num_workers=5", lambda: choose_num_workers(5, cluster())),
        ("dynamic allocation", "launch='barrier'", lambda: choose_launch("barrier", cluster(dynamic=True))),
        ("speculation", "launch='gang'", lambda: choose_launch("gang", cluster(speculation=True))),
        ("GPUs of a local session", "use_gpu=True", lambda: check_gpus(True, 1, 1, has_profiles=True)),
        ("GPUs of executors", "use_gpu=True", lambda: check_gpus(False, 0, 0, has_profiles=True)),
        ("GPUs of tasks", "use_gpu=True", lambda: check_gpus(False, 1, 0, has_profiles=False)),
        ("driver reached, by its name", "", lambda: _own_address("driver.invalid")),
        ("driver reached, at its ports", "", no_free_port),
        ("JVM bridge, tables", "", lambda: list_files([])),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_of_the_driver_names_the_check_and_what_to_give_it(item: str, arguments: str, act: Callable[[], object]) -> None:
    given = f", {arguments}" if arguments else ""
    with pytest.raises((ValueError, OSError), match=re.escape(f"; sparkml_algos.check(spark{given}) says more") + "$"):
        act()


@pytest.mark.parametrize(
    ("item", "found", "arguments"),
    [
        ("Python that does not start", NoInterpreter("python3 does not run"), ""),
        ("Python of another version", Interpreter("/usr/bin/python3", [], None, "2.7"), ""),
        ("a library", Interpreter("/usr/bin/python3", ["scipy"], None), ""),
        ("a library of a communicator", Interpreter("/usr/bin/python3", ["horovod"], None), ", communicator='horovod'"),
        ("sparkml_algos", Interpreter("/usr/bin/python3", [], "0.0.1"), ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_with_the_python_of_executors_names_the_check(
    item: str, found: Interpreter | Exception, arguments: str, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: object) -> Interpreter:
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(shipping, "ask_an_executor", ask)
    monkeypatch.setattr(shipping, "is_here", lambda session: False)
    monkeypatch.setattr(shipping, "_known", {})
    with pytest.raises(RuntimeError, match=re.escape(f"; sparkml_algos.check(spark{arguments}) says more") + "$"):
        shipping.ensure_importable(spark)


def test_a_partitioned_folder_names_the_check_of_the_bridge(tmp_path: Path) -> None:
    (tmp_path / "day=1").mkdir()
    (tmp_path / "day=1" / "part-0").touch()
    with pytest.raises(ValueError, match=r"is partitioned \(day=1\), .*; sparkml_algos\.check\(spark\) says more$"):
        list_files([str(tmp_path)])


def test_what_the_bridge_is_needed_for_names_the_check_only_where_there_is_none(spark: SparkSession) -> None:
    spark.conf.set(SETTING, OFF)
    try:
        assert str(_impossible("not possible", spark)) == "not possible; sparkml_algos.check(spark) says more"
    finally:
        spark.conf.unset(SETTING)


def test_no_java_names_the_command_for_there_is_no_session_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"no Java: .*; python -m sparkml_algos\.check says more$"):
        _java()


# ---------------------------------------------------------------------------------------------------------------------- on workers


def unwritable(directory: Path) -> None:
    (directory / "file").touch()
    CheckpointStore(str(directory / "file" / "checkpoints"), "name").check()


def without_horovod(_: Path) -> None:
    import_horovod()


def unreachable_driver(_: Path) -> None:
    Rendezvous(MeetingPlace(HOST, closed_port(), "secret"), 2, "gang")


def unreachable_worker(_: Path) -> None:
    _call(1, (HOST, closed_port()), 0, "secret", 2.0)


def too_few_workers(_: Path) -> None:
    with Meeting(2, HOST, "gang", 0.1) as meeting:
        Rendezvous(meeting.place, 2, "gang").all_gather("alone")


def no_memory(_: Path) -> None:
    import numpy as np

    np.empty(1 << 58, np.uint8)


@pytest.mark.usefixtures("task")
@pytest.mark.parametrize(
    ("act", "arguments"),
    [
        (unwritable, ", checkpoint_dir='{directory}/file/checkpoints'"),
        (without_horovod, ", communicator='horovod'"),
        (unreachable_driver, ""),
        (unreachable_worker, ""),
        (too_few_workers, ""),
        (no_memory, ""),
        (lambda _: claim_gpu(), ", use_gpu=True"),
    ],
    ids=["checkpoint_dir", "horovod", "driver reached", "executors reached", "workers", "free memory", "GPUs"],
)
def test_what_a_worker_fails_by_becomes_an_error_that_names_the_check(
    act: Callable[[Path], object], arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "horovod.torch", None)
    with pytest.raises(Exception) as raised:
        act(tmp_path)
    # As a worker tells it.
    peer, message = isinstance(raised.value, CommunicationError), f"{type(raised.value).__name__}: {raised.value}"
    error = training_error(None, [Failure(1, "host", "train", message, peer=peer)], {})
    assert str(error).endswith(f"; sparkml_algos.check(spark{arguments.format(directory=tmp_path)}) says more"), error


@pytest.mark.parametrize(
    "message",
    ["std::bad_alloc", "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried", "OSError: [Errno 12] Cannot allocate memory"],
)
def test_memory_that_ran_out_in_a_library_names_the_check(message: str) -> None:
    assert "; sparkml_algos.check(spark) says more" in str(training_error(None, [Failure(0, "host", "train", message)], {}))


# ------------------------------------------------------------------------------------------------------- and none has been forgotten

# What messages speak of that a check looks at.
SUBJECTS = re.compile(
    r"PYSPARK_PYTHON|JAVA_HOME|spark\.(?:speculation|dynamicAllocation|driver\.host|executor\.|task\.|python\.|sql\.execution\.arrow)"
    r"|SPARK-24942|num_workers=|scorer='jvm'|JVM bridge|cannot (?:call|reach)|usable GPU|communicator='"
)
NAMES_IT = {"with_check", "_refused", "_impossible"}
# Functions that raise and speak of it, and whose errors do not end with the call.
SAY_IT_ALL = {
    "algorithms.semantic_segmentation.prediction._tensors": "a session's settings are as they should be; this batch is too large",
    "core.joining.why_no_bridge": "the setting itself is no word that it takes",
    "core.joining._join_classic": "is caught, and logged in a line",
    "jvm.jars.find_jar": "is how to build the jar, which is all that a check would say",
    "jvm.jars._compile": "is what the compiler said",
    "jvm.jars._java": "names the command, for there is no session yet",
}


def test_no_error_about_what_a_check_looks_at_keeps_silent_about_it() -> None:
    silent, package = set(), ROOT / "sparkml_algos"
    for path in package.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef) and "checking" not in path.parts and _keeps_silent(function):
                silent.add(".".join([*path.relative_to(package).with_suffix("").parts, function.name]))
    assert silent == set(SAY_IT_ALL)


def _keeps_silent(function: ast.FunctionDef) -> bool:
    nodes, documented = list(ast.walk(function)), ast.get_docstring(function, clean=False)
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value != documented]
    if not any(isinstance(node, ast.Raise) for node in nodes) or not any(map(SUBJECTS.search, texts)):
        return False
    if any(isinstance(node, ast.Name) and node.id in NAMES_IT for node in nodes):
        return False
    return not any(re.search(pattern, text) for pattern, _ in _CHECKED for text in texts)

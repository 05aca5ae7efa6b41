"""How much a worker may hold, and the peak of one whose rows are far more than that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.rows import memory
from sparkml_algos.rows.memory import container_memory, default_shard_bytes, machine_memory
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.run import Alone, TrainingPlan, train
from tests.decoding import decoder_of, record_batches

ALLOWED = 400 << 20  # bytes the process may have resident, interpreter and libraries included
DATA = 4 * ALLOWED

WORKER = f"""
import json, sys
import numpy as np, pyarrow as pa
from sparkml_algos import KMeans
from sparkml_algos.algorithms.kmeans.training import KMEANS
from sparkml_algos.training.run import Alone, TrainingPlan, train
from tests.decoding import decoder_of, record_batches

ROWS, FEATURES = 10_000, 100
centers = 20 * np.random.default_rng(0).random((5, FEATURES), np.float32)
count = {DATA} // (4 * ROWS * FEATURES)

def batches():
    random = np.random.default_rng(1)
    for _ in range(count):
        rows = centers[random.integers(0, 5, ROWS)] + random.random((ROWS, FEATURES), np.float32)
        yield from record_batches(rows)

hyperparameters = KMeans(k=5, epochs=2, extra_center_factor=4).hyperparameters()
plan = TrainingPlan(KMEANS, [hyperparameters], decoder_of(["features"]), input_mode=sys.argv[1], max_shard_bytes={ALLOWED} // 4)
results = dict(train(plan, Alone(), batches()))
found = results["model/0"].arrays["centers"]
error = max(float(np.abs(found - center - 0.5).max(axis=1).min()) for center in centers)
# Not ru_maxrss, which a process inherits from the one that started it.
peak = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({{"peak": peak, "rows": results["report/0"].values["rows"], "error": error}}))
"""


@pytest.mark.parametrize("input_mode", ["Pipe", "File"])
def test_rows_beyond_the_budget_do_not_stay_in_memory(input_mode: str, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    answer = subprocess.run([sys.executable, "-c", WORKER, input_mode], env=environment, capture_output=True, text=True, check=True)
    found = json.loads(answer.stdout.splitlines()[-1])
    assert found["rows"] * 400 == DATA // 4_000_000 * 4_000_000
    assert found["peak"] < ALLOWED
    assert found["error"] < 0.01  # of the true means of the five blobs: the quality of a fit that holds everything
    assert list(tmp_path.iterdir()) == []


MIB = 1 << 20
UNLIMITED = (1 << 63) - 4096


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 9,000 MiB available, of which 1,000 are free; the process is in the control group /jobs/one of either version."""
    for name, directory in (("PROC", "proc"), ("CGROUPS", "cgroup")):
        monkeypatch.setattr(memory, name, tmp_path / directory)
    write(tmp_path / "proc/meminfo", f"MemFree: {1000 * 1024} kB\nMemAvailable: {9000 * 1024} kB\nHugePages_Total: 0\n")
    write(tmp_path / "proc/self/cgroup", "9:cpu,cpuacct:/elsewhere\n4:memory:/jobs/one\n0::/jobs/one\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def group_of_version_2(directory: Path, limit: object, used: int, cached: int = 0) -> None:
    write(directory / "memory.max", str(limit))
    write(directory / "memory.current", str(used))
    write(directory / "memory.stat", f"anon 5\ninactive_file {cached}\n")


def group_of_version_1(directory: Path, limit: int, used: int, cached: int = 0) -> None:
    write(directory / "memory.limit_in_bytes", str(limit))
    write(directory / "memory.usage_in_bytes", str(used))
    write(directory / "memory.stat", f"inactive_file 1\ntotal_inactive_file {cached}\n")


def test_what_the_system_would_give_back_counts_as_free(machine: Path) -> None:
    assert machine_memory() == 9000 * MIB
    assert default_shard_bytes() == 4500 * MIB


def test_a_system_that_does_not_say_what_is_available_is_asked_for_free_pages(machine: Path) -> None:
    write(machine / "proc/meminfo", "MemFree: 5 kB\n")
    assert machine_memory() == pytest.approx(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), rel=0.2)


@pytest.mark.parametrize("group", [group_of_version_1, group_of_version_2])
def test_a_container_leaves_what_it_does_not_use(machine: Path, group) -> None:
    root = machine / "cgroup" / ("memory" if group is group_of_version_1 else "")
    group(root / "jobs/one", 4000 * MIB, used=2500 * MIB, cached=500 * MIB)
    assert list(container_memory()) == [2000 * MIB]
    assert default_shard_bytes() == 1000 * MIB


@pytest.mark.parametrize("group", [group_of_version_1, group_of_version_2])
def test_a_group_around_the_own_one_limits_too(machine: Path, group) -> None:
    root = machine / "cgroup" / ("memory" if group is group_of_version_1 else "")
    group(root / "jobs/one", UNLIMITED if group is group_of_version_1 else "max", used=1)
    group(root / "jobs", 3000 * MIB, used=1000 * MIB)
    assert min(container_memory()) == 2000 * MIB


def test_a_container_that_sees_its_own_group_as_the_root_is_found_there(machine: Path) -> None:
    group_of_version_2(machine / "cgroup", 100 * MIB, used=60 * MIB)
    assert list(container_memory()) == [40 * MIB]


def test_a_container_beyond_its_limit_leaves_nothing(machine: Path) -> None:
    group_of_version_2(machine / "cgroup/jobs/one", 100 * MIB, used=101 * MIB)
    assert default_shard_bytes() == 0


def test_workers_of_a_host_share_its_memory(machine: Path) -> None:
    assert default_shard_bytes(workers_on_host=3) == 1500 * MIB
    group_of_version_2(machine / "cgroup/jobs/one", 600 * MIB, used=0)
    assert default_shard_bytes(workers_on_host=3) == 100 * MIB


LIMITED = """
import resource
from sparkml_algos.rows import memory
resource.setrlimit(resource.RLIMIT_AS, (64 << 30, resource.RLIM_INFINITY))
memory.machine_memory = lambda: 1 << 50
memory.container_memory = lambda: iter(())
size = lambda: int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmSize"))) * 1024
print(memory.default_shard_bytes(workers_on_host=8) / (((64 << 30) - size()) / 2))
"""


def test_what_is_left_of_the_address_space_is_each_worker_s_own() -> None:
    answer = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True)
    assert float(answer.stdout) == pytest.approx(1, abs=0.001)


def _spilled(hyperparameters, shard, communicator, job) -> Artifact:
    """Whether an anonymous file is open where spilled rows rest."""
    rows = sum(map(len, shard.minibatches(0, iter([1000]))))
    targets = (os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink())
    return Artifact(values={"rows": rows, "spilled": any(target.startswith(f"{hyperparameters.directory}/") for target in targets)})


@pytest.mark.parametrize(("workers_on_host", "spills"), [(1, False), (2, True)])
def test_a_worker_holds_half_as_many_rows_where_two_share_its_host(machine: Path, workers_on_host: int, spills: bool) -> None:
    rows = np.zeros((100, 100), np.float32)
    write(machine / "proc/meminfo", f"MemAvailable: {3 * rows.nbytes // 1024} kB\n")  # half of it holds the rows, a quarter does not
    spill_dir = machine / "spill"
    spill_dir.mkdir()
    algorithm = Algorithm(name="spilled", fields=(), train=_spilled, load=None)
    plan = TrainingPlan(algorithm, [{"directory": str(spill_dir)}], decoder_of(["features"]))
    worker = Alone(workers_on_host=workers_on_host, spill_dir=str(spill_dir))
    found = dict(train(plan, worker, record_batches(rows, rows=10)))["model/0"].values
    assert (found["rows"], found["spilled"]) == (100, spills)

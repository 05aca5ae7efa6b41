"""What settings come to, without a session."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sparkml_algos.checking import settings
from sparkml_algos.cluster.resources import Resources


def resources(slots: int | None = 4, running: int = 4, dynamic: bool = False, speculation: bool = False) -> Resources:
    return Resources(slots, running, dynamic, speculation, "127.0.0.1")


def getting(**values: str) -> Callable[[str, str], str]:
    return lambda key, default: values.get(key, default)


class TestWorkers:
    def test_more_workers_than_slots_are_wrong_and_both_ways_out_are_named(self) -> None:
        found = settings.slots(resources(slots=1, running=1), 2)
        assert (found.status, found.found) == ("wrong", "the session runs 1 task at a time, num_workers is 2")
        assert "lower num_workers" in found.remedy and "spark.executor.cores" in found.remedy

    def test_a_single_slot_trains_but_alone(self) -> None:
        assert settings.slots(resources(slots=1, running=1), "auto").status == "advice"

    def test_as_many_as_there_are_slots_are_right(self) -> None:
        assert settings.slots(resources(), 4).status == "right"
        assert settings.slots(resources(slots=None), 100).status == "right"


@pytest.mark.parametrize(
    ("cluster", "launch", "statuses"),
    [
        (resources(), "auto", ["right", "right"]),
        (resources(dynamic=True), "auto", ["right", "right"]),
        (resources(dynamic=True), "barrier", ["wrong", "right"]),
        (resources(slots=None, dynamic=True), "auto", ["advice", "right"]),
        (resources(speculation=True), "auto", ["right", "advice"]),
        (resources(speculation=True), "gang", ["right", "wrong"]),
        (resources(dynamic=True, speculation=True), "auto", ["right", "wrong"]),
    ],
)
def test_dynamic_allocation_and_speculation_against_the_launch(cluster: Resources, launch: str, statuses: list[str]) -> None:
    found = list(settings.launch(cluster, launch))
    assert [finding.status for finding in found] == statuses
    assert all(finding.remedy for finding in found if finding.status != "right")


class TestMemory:
    def test_containers_of_yarn_leave_little_for_python_by_default(self) -> None:
        """A tenth of the heap, and 384 MiB at least: 409 MiB for four workers."""
        found = settings.memory(getting(**{"spark.executor.memory": "4g", "spark.executor.cores": "4"}), "yarn")
        assert found.status == "wrong" and "409m" in found.found and "102m for each of 4 Python workers" in found.found
        assert found.remedy.startswith("set spark.executor.memoryOverhead to 4096m")

    def test_what_the_remedy_says_is_right(self) -> None:
        given = {"spark.executor.memory": "4g", "spark.executor.cores": "4", "spark.executor.memoryOverhead": "4096m"}
        assert settings.memory(getting(**given), "yarn").status == "right"

    def test_fewer_workers_have_more_each(self) -> None:
        given = {"spark.executor.memory": "8g", "spark.executor.cores": "4", "spark.task.cpus": "4"}
        assert settings.memory(getting(**given), "yarn").status == "right"

    def test_kubernetes_leaves_python_more(self) -> None:
        """Four tenths of the heap, where the program is Python's."""
        given = {"spark.executor.memory": "4g", "spark.executor.cores": "2"}
        assert settings.memory(getting(**given), "k8s://https://host").status == "right"
        assert settings.memory(getting(**given), "yarn").status == "wrong"

    def test_address_space_is_each_core_s_share(self) -> None:
        given = {"spark.executor.pyspark.memory": "2g", "spark.executor.cores": "4"}
        found = settings.memory(getting(**given), "spark://host:7077")
        assert found.status == "wrong" and "512m" in found.found

    def test_nothing_bounds_it_elsewhere(self) -> None:
        assert settings.memory(getting(), "local[2]").status == "right"


@pytest.mark.parametrize(
    ("records", "nbytes", "version", "status"),
    [
        ("10000", "67108864", "4.3.0", "right"),
        ("1000000", "67108864", "4.3.0", "right"),  # bytes bound them
        ("1000000", "1900m", "4.3.0", "wrong"),
        ("10000", "1900m", "4.3.0", "right"),
        ("0", "67108864", "4.3.0", "right"),
        ("0", "1900m", "4.3.0", "wrong"),
        ("0", "67108864", "3.5.9", "wrong"),  # which does not know the second
        ("1000000", "67108864", "3.5.9", "wrong"),
    ],
)
def test_record_batches_are_bounded_by_rows_or_bytes(records: str, nbytes: str, version: str, status: str) -> None:
    found, _ = settings.arrow(getting(**{settings.RECORDS: records, settings.BATCH_BYTES: nbytes}), version)
    assert found.status == status and bool(found.remedy) == (status == "wrong")


def test_gpus_that_nobody_finds_are_wrong() -> None:
    given = {"spark.executor.resource.gpu.amount": "1"}
    found = settings.gpus(getting(**given), "yarn")
    assert found.status == "wrong" and "spark.executor.resource.gpu.discoveryScript" in found.remedy
    assert settings.gpus(getting(**given, **{"spark.executor.resource.gpu.discoveryScript": "/find-gpus.sh"}), "yarn") is None
    assert settings.gpus(getting(**given), "spark://host:7077") is None  # its workers find them
    assert settings.gpus(getting(), "yarn") is None

"""What the cluster allows, decided before anything starts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sparkml_algos.cluster.rendezvous import DRIVER_PORTS
from sparkml_algos.cluster.resources import (
    Resources,
    choose_lanes,
    choose_launch,
    choose_num_workers,
    driver_ports,
    max_result_bytes,
    task_cpus,
    tasks_at_once,
)


def cluster(slots: int | None = 4, running: int = 4, dynamic: bool = False, speculation: bool = False) -> Resources:
    return Resources(slots, running, dynamic, speculation, "127.0.0.1")


def test_auto_is_barrier_on_fixed_executors_and_gang_under_dynamic_allocation() -> None:
    assert choose_launch("auto", cluster()) == "barrier"
    assert choose_launch("auto", cluster(dynamic=True)) == "gang"


def test_auto_says_why(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        choose_launch("auto", cluster(dynamic=True))
    assert "chose gang: Spark refuses barrier stages under dynamic allocation" in caplog.text


def test_barrier_under_dynamic_allocation_is_refused() -> None:
    with pytest.raises(ValueError, match="SPARK-24942"):
        choose_launch("barrier", cluster(dynamic=True))


def test_gang_with_speculation_is_refused_and_barrier_is_not() -> None:
    with pytest.raises(ValueError, match=r"spark\.speculation"):
        choose_launch("gang", cluster(speculation=True))
    assert choose_launch("auto", cluster(speculation=True)) == "barrier"


def test_workers_default_to_slots_or_to_what_runs_where_the_cluster_has_no_bound() -> None:
    assert choose_num_workers("auto", cluster(slots=4)) == 4
    assert choose_num_workers("auto", cluster(slots=None, running=6, dynamic=True)) == 6


@pytest.mark.parametrize(
    ("wanted", "lanes", "resources", "found"),
    [
        (1, 2, {"slots": 4}, (1, 2)),
        (2, 4, {"slots": 5}, (2, 2)),
        (3, 2, {"slots": 3}, (3, 1)),
        ("auto", 2, {"slots": 5}, (2, 2)),
        (2, 3, {"slots": None, "running": 0, "dynamic": True}, (2, 3)),  # executors come when tasks ask for them
        (2, 3, {"slots": None, "running": 4, "dynamic": False}, (2, 2)),
    ],
)
def test_lanes_are_as_many_as_there_are_slots_for(wanted: int | str, lanes: int, resources: dict, found: tuple[int, int]) -> None:
    assert choose_lanes(wanted, lanes, cluster(**resources)) == found


def test_a_local_master_with_one_core_takes_one_worker_only() -> None:
    assert choose_num_workers("auto", cluster(slots=1)) == 1
    with pytest.raises(ValueError, match=r"num_workers=2 but the cluster runs 1 task\(s\) at a time"):
        choose_num_workers(2, cluster(slots=1))


@pytest.mark.parametrize(("size", "expected"), [("1g", 1 << 30), ("512m", 512 << 20), ("2048", 2048), ("100KB", 100 << 10), ("0", None)])
def test_the_result_that_the_driver_takes_is_read_from_spark_s_setting(size: str, expected: int | None) -> None:
    session = SimpleNamespace(conf=SimpleNamespace(get=lambda key, default: size))
    assert max_result_bytes(session) == expected


@pytest.mark.parametrize(("cores", "cpus", "tasks"), [(8, "1.0", 8), (2, "0.5", 4), (8, "3", 2), (1, "0.1", 10), (3, "1.5", 2)])
def test_tasks_may_take_a_part_of_a_cpu(cores: int, cpus: str, tasks: int) -> None:
    # Spark 4.3 takes fractions, also of whole numbers, for spark.task.cpus.
    assert tasks_at_once(cores, task_cpus(lambda key, default: {"spark.task.cpus": cpus}[key])) == tasks
    assert task_cpus(lambda key, default: default) == 1


@pytest.mark.parametrize(("given", "ports"), [("", [0]), ("40000-40002", [40000, 40001, 40002]), (" 1024 - 1025 ", [1024, 1025])])
def test_the_system_chooses_the_driver_s_ports_where_no_setting_names_them(given: str, ports: list[int]) -> None:
    assert list(driver_ports(lambda key, default: given)) == ports


@pytest.mark.parametrize("given", ["40000", "40001-40000", "40000-40000", "80-90", "60000-70000", "some"])
def test_what_names_no_ports_is_refused_with_an_example(given: str) -> None:
    with pytest.raises(ValueError, match=f"{DRIVER_PORTS} must be the first and the last .* 40000-40063; got '{given}'"):
        driver_ports(lambda key, default: given)

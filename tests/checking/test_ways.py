"""What tasks of a check do on executors, here as threads, and what is made of it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparkml_algos.checking import ways
from sparkml_algos.checking.report import Finding
from sparkml_algos.checking.visit import DRIVER, Plan, Trial, visit
from sparkml_algos.cluster.launcher import _own_address
from sparkml_algos.cluster.rendezvous import ANY_PORT, DRIVER_PORTS, Meeting, MeetingPlace

HOST = "127.0.0.1"
PLACE = MeetingPlace(HOST, 4000, "secret")


def visits(size: int, directory: Path | None = None, **changes: Any) -> list[dict[str, Any]]:
    """What so many tasks see, whose plan may differ."""
    with Meeting(size, HOST, "gang", 2.0) as arrival, Meeting(size, HOST, "gang", 2.0) as departure, ThreadPoolExecutor(size) as pool:
        plan = Plan(size, HOST, arrival.place, departure.place, directory and str(directory), "token", driver_writes=False)
        return list(pool.map(lambda number: visit(number, replace(plan, **changes)), range(size)))


def test_tasks_reach_the_driver_each_other_and_the_store(tmp_path: Path) -> None:
    seen = visits(3, tmp_path)
    assert [one["number"] for one in seen] == [0, 1, 2]
    assert all(one["met"] and one["driver"] is one["store"] is None and one["unreached"] == {} and one["unseen"] == [] for one in seen)
    assert list(tmp_path.iterdir()) == []
    network = [ways.driver_reached(seen, PLACE), ways.executors_reached(seen)]
    assert [finding.status for finding in [ways.memory(seen), *network, ways.checkpoints(seen, "here", None)]] == ["right"] * 4


def test_a_driver_that_does_not_answer_is_wrong_and_the_rest_unknown() -> None:
    with socket.create_server((HOST, 0)) as closed:
        port = closed.getsockname()[1]
    seen = visits(2, arrival=MeetingPlace(HOST, port, "secret"))
    finding = ways.driver_reached(seen, PLACE)
    assert finding.status == "wrong" and f"the driver cannot be reached from executors on {HOST} at {HOST}:4000: " in finding.found
    assert "Connection refused" in finding.found and "net.ipv4.ip_local_port_range" in finding.remedy
    assert ways.executors_reached(seen).status == "unknown"


def test_what_is_to_be_opened_are_the_ports_that_are_named() -> None:
    finding = ways.driver_reached([seen_of(1, driver="timed out")], PLACE, range(4000, 4003))
    assert finding.remedy.startswith(f"open its ports 4000-4002, which {DRIVER_PORTS} names, to executors, or set spark.driver.host to")
    assert "net.ipv4" not in finding.remedy


def test_where_the_system_does_not_say_what_it_chooses_a_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "CHOSEN_PORTS", tmp_path / "nothing")
    finding = ways.driver_reached([seen_of(1, driver="timed out")], PLACE)
    assert finding.remedy.startswith(f"open its ports, of which the system chooses, to executors, or set {DRIVER_PORTS} to ports that are")


def opened(host: str, ports: Sequence[int]) -> tuple[MeetingPlace, MeetingPlace] | Finding:
    with ExitStack() as stack:
        return ways._open(stack, 1, host, ports)


def test_why_the_driver_cannot_be_called_at_all_is_said() -> None:
    arrival, departure = opened(HOST, ANY_PORT)
    assert arrival.host == departure.host == HOST and arrival.port != departure.port
    unknown = opened("driver.invalid", ANY_PORT)
    assert unknown.status == "wrong" and "which the driver itself does not find" in unknown.found
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        full = opened(HOST, range(port, port + 1))
    assert full.status == "wrong" and full.found.startswith(f"all of the driver's ports {port}-{port} are taken")
    assert full.remedy == f"name more in {DRIVER_PORTS}; a check takes two"


def test_a_stranger_in_the_driver_s_place_is_not_taken_for_it() -> None:
    with Meeting(1, HOST, "gang", 2.0) as other:
        (seen,) = visits(1, arrival=replace(other.place, secret="another"))
    assert ways.driver_reached([seen], PLACE).status == "wrong"


def test_one_task_that_does_not_come_leaves_the_others_not_knowing() -> None:
    with Meeting(3, HOST, "gang", 0.5) as arrival, ThreadPoolExecutor(2) as pool:
        plan = Plan(3, HOST, arrival.place, arrival.place, None, "token", driver_writes=False)
        seen = list(pool.map(lambda number: visit(number, plan), range(2)))
    assert ways.driver_reached(seen, PLACE).status == "right" and ways.executors_reached(seen).status == "unknown"


def seen_of(number: int, **fields: Any) -> dict[str, Any]:
    plain = {"number": number, "host": f"10.0.0.{number}", "memory": 8 << 30, "address_space": None, "driver": None, "met": True}
    return {**plain, "unreached": {}, "store": None, "unseen": [], **fields}


def test_executors_that_cannot_call_each_other_are_named() -> None:
    finding = ways.executors_reached([seen_of(1), seen_of(2, unreached={"10.0.0.1:4000": "timed out"})])
    assert (finding.status, finding.found) == ("wrong", "1 of 4 ways are closed, such as from 10.0.0.2 to 10.0.0.1:4000: timed out")


@pytest.mark.parametrize(
    ("seen", "driver", "status", "found"),
    [
        ([seen_of(1), seen_of(2, store="OSError: read-only")], None, "wrong", "executors on 10.0.0.2 cannot write to /mnt: OSError"),
        ([seen_of(1, unseen=[1]), seen_of(2)], None, "wrong", "/mnt is another one on each host: what others write"),
        ([seen_of(1), seen_of(2)], "OSError: no such host", "advice", "executors write to /mnt; the driver cannot (OSError: no such host)"),
        ([seen_of(1, unseen=[DRIVER]), seen_of(2)], None, "advice", "executors write to /mnt; the driver sees another one of that name"),
        ([seen_of(1, met=False), seen_of(2)], None, "unknown", "executors write to /mnt; whether all see the same is not known"),
        ([seen_of(1, store="ModuleNotFoundError: No module named 'numpy'")], None, "unknown", "executors on 10.0.0.1 cannot try"),
    ],
)  # fmt: skip
def test_a_store_is_one_that_all_write_to_and_see(seen: list[dict], driver: str | None, status: str, found: str) -> None:
    finding = ways.checkpoints(seen, "/mnt", driver)
    assert finding.status == status and finding.found.startswith(found) and finding.remedy


@pytest.mark.parametrize(
    ("memory", "address_space", "status"), [(8 << 30, None, "right"), (1 << 29, None, "wrong"), (8 << 30, 100 << 20, "wrong")]
)
def test_memory_is_shared_by_the_workers_of_a_host(memory: int, address_space: int | None, status: str) -> None:
    seen = [seen_of(1, host="one", memory=memory, address_space=address_space), seen_of(2, host="one", memory=memory)]
    finding = ways.memory(seen)
    assert finding.status == status and f"{memory // 2 >> 20} MiB" in finding.found and bool(finding.remedy) == (status == "wrong")


def test_trial_checkpoints_are_found_where_they_were_left(tmp_path: Path) -> None:
    here, elsewhere = Trial(str(tmp_path / "here"), "token"), Trial(str(tmp_path / "elsewhere"), "token")
    here.leave(0)
    assert here.is_seen(0) and not here.is_seen(1) and not elsewhere.is_seen(0)
    here.remove(0)
    assert not here.is_seen(0)


def test_a_training_whose_driver_does_not_find_itself_says_what_to_set() -> None:
    with pytest.raises(ConnectionError, match=r"spark\.driver\.host is driver\.invalid, .*; set it to a name .*check\(spark\) says more$"):
        _own_address("driver.invalid")

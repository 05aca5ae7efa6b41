"""The ways of a training, tried: from executors to the driver, to each other, to the checkpoints; and the memory that they have."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from sparkml_algos.checking.report import ADVICE, RIGHT, UNKNOWN, WRONG, Finding
from sparkml_algos.checking.settings import LEAST_WORKER_BYTES
from sparkml_algos.checking.tasks import ask_all
from sparkml_algos.checking.visit import DRIVER, Plan, Trial, trouble
from sparkml_algos.cluster.rendezvous import ANY_PORT, DRIVER_PORTS, Meeting, MeetingPlace, NoFreePort
from sparkml_algos.collectives.addresses import address_towards, endpoint

# All tasks have come together by so many seconds after the first, or some cannot.
MEETING_SECONDS = 10.0

# Where Linux says of which ports it chooses.
CHOSEN_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_NAME_OF_DRIVER = "a name or address of the driver that it and the executors know"

DRIVER_REACHED, EXECUTORS_REACHED, STORE = "driver reached", "executors reached", "checkpoint_dir"


def try_ways(
    spark: SparkSession, size: int, driver_host: str, checkpoint_dir: str | None, ports: Sequence[int] = ANY_PORT
) -> Iterator[Finding]:
    """Send `size` tasks all the ways that their training would take.

    Parameters
    ----------
    spark : SparkSession
    size : int
    driver_host : str
        As executors know it.
    checkpoint_dir : str or None
    ports : sequence of int, optional
        Of the driver, at which workers may meet; by default the system chooses.
    """
    token = uuid.uuid4().hex[:12]
    store = Trial(checkpoint_dir, token) if checkpoint_dir else None
    unwritten = store and trouble(lambda: store.leave(DRIVER))
    try:
        with ExitStack() as stack:
            opened = _open(stack, size, driver_host, ports)
            arrival, departure = (None, None) if isinstance(opened, Finding) else opened
            driver_writes = store is not None and unwritten is None
            seen = _visits(spark, size, Plan(size, driver_host, arrival, departure, checkpoint_dir, token, driver_writes))
    finally:
        if store:
            trouble(lambda: store.remove(DRIVER))
    yield memory(seen)
    yield opened if isinstance(opened, Finding) else driver_reached(seen, opened[0], ports)
    yield executors_reached(seen)
    if checkpoint_dir:
        yield checkpoints(seen, checkpoint_dir, unwritten)


def _open(stack: ExitStack, size: int, driver_host: str, ports: Sequence[int]) -> tuple[MeetingPlace, MeetingPlace] | Finding:
    """Where tasks meet when they come and when they go; where this process cannot be called at all, why that is."""
    try:
        own = address_towards(driver_host)
        arrival, departure = (stack.enter_context(Meeting(size, own, "gang", MEETING_SECONDS, ports=ports)) for _ in range(2))
    except NoFreePort as error:
        found, _, remedy = str(error).partition("; sparkml_algos.check")[0].partition(": ")
        return Finding(DRIVER_REACHED, WRONG, found, f"{remedy}; a check takes two")
    except OSError as error:
        found = f"spark.driver.host is {driver_host}, which the driver itself does not find: {error}"
        return Finding(DRIVER_REACHED, WRONG, found, f"set spark.driver.host to {_NAME_OF_DRIVER}")
    return arrival.place, departure.place


def _visits(spark: SparkSession, size: int, plan: Plan) -> list[dict[str, Any]]:
    """What the tasks have seen."""

    def question(number):  # noqa: ANN001, ANN202 - sent as code
        from sparkml_algos.checking.visit import visit

        return visit(number, plan)

    return ask_all(spark, size, question, "try the ways between driver, executors and checkpoints")


def memory(seen: Sequence[Mapping[str, Any]]) -> Finding:
    """What there is for each Python worker, on the host where that is least."""
    tasks_on = {host: sum(one["host"] == host for one in seen) for host in {one["host"] for one in seen}}
    least = min(seen, key=lambda one: one["memory"] / tasks_on[one["host"]])
    each = least["memory"] // tasks_on[least["host"]]
    found = f"{each >> 20} MiB can still be taken by each worker on {least['host']}"
    if bounds := [one["address_space"] for one in seen if one["address_space"] is not None]:
        found += f"; the address space of each may grow by {min(bounds) >> 20} MiB"
    least_bytes = LEAST_WORKER_BYTES >> 20
    if bounds and min(bounds) < LEAST_WORKER_BYTES:
        remedy = "raise spark.executor.pyspark.memory, which each core has its share of, or leave it unset"
        return Finding("free memory", WRONG, f"{found}: a worker takes {least_bytes} MiB and its rows", remedy)
    if each < LEAST_WORKER_BYTES:
        remedy = "fewer workers on a host (raise spark.task.cpus), a smaller heap (spark.executor.memory), or hosts with more memory"
        return Finding("free memory", WRONG, f"{found}: a worker takes {least_bytes} MiB and its rows", remedy)
    return Finding("free memory", RIGHT, found)


def driver_reached(seen: Sequence[Mapping[str, Any]], place: MeetingPlace, ports: Sequence[int] = ANY_PORT) -> Finding:
    """Whether executors can call the driver, where workers of a training meet.

    Parameters
    ----------
    seen : sequence of dict
    place : MeetingPlace
        Which they have called.
    ports : sequence of int, optional
        Of which its port is the first that was free; by default the system has chosen it.
    """
    if cut := [one for one in seen if one["driver"] is not None]:
        hosts = ", ".join(sorted({one["host"] for one in cut}))
        found = f"the driver cannot be reached from executors on {hosts} at {endpoint(place.host, place.port)}: {cut[0]['driver']}"
        remedy = (
            f"{_how_to_open(ports)}, or set spark.driver.host to {_NAME_OF_DRIVER}, or run the driver on the cluster (--deploy-mode "
            "cluster); launch='barrier' trains without, launch='gang' does not"
        )
        return Finding(DRIVER_REACHED, WRONG, found, remedy)
    return Finding(DRIVER_REACHED, RIGHT, f"all of {len(seen)} tasks have called {endpoint(place.host, place.port)}")


def _how_to_open(ports: Sequence[int]) -> str:
    """What lets executors call the driver where something stands between them."""
    if ports != ANY_PORT:
        return f"open its ports {ports[0]}-{ports[-1]}, which {DRIVER_PORTS} names, to executors"
    try:
        first, last = CHOSEN_PORTS.read_text().split()
    except (OSError, ValueError):
        chosen = "its ports"
    else:
        chosen = f"its ports {first}-{last} (net.ipv4.ip_local_port_range)"
    return f"open {chosen}, of which the system chooses, to executors, or set {DRIVER_PORTS} to ports that are open, such as 40000-40063"


def executors_reached(seen: Sequence[Mapping[str, Any]]) -> Finding:
    """Whether executors can call each other, as workers of a training do."""
    if not all(one["met"] for one in seen):
        return Finding(EXECUTORS_REACHED, UNKNOWN, "tasks hear of each other at the driver, where not all have come", "mend that first")
    ways = [(one["host"], other, why) for one in seen for other, why in one["unreached"].items()]
    if ways:
        here, there, why = ways[0]
        found = f"{len(ways)} of {len(seen) ** 2} ways are closed, such as from {here} to {there}: {why}"
        return Finding(EXECUTORS_REACHED, WRONG, found, "let executors call each other's ports (sysctl net.ipv4.ip_local_port_range)")
    tasks, hosts = len(seen), len({one["host"] for one in seen})
    found = f"{tasks} task{'s' * (tasks > 1)} on {hosts} host{'s' * (hosts > 1)}: each has called all"
    return Finding(EXECUTORS_REACHED, RIGHT, found)


def checkpoints(seen: Sequence[Mapping[str, Any]], directory: str, driver: str | None) -> Finding:
    """Whether every executor writes to the directory, and all see the same.

    Parameters
    ----------
    seen : sequence of dict
    directory : str
    driver : str or None
        Why the driver cannot write there.
    """
    shared = "name storage that all hosts share: a path mounted on each, hdfs://, s3://, gs://"
    if cut := [one for one in seen if one["store"] is not None]:
        hosts = ", ".join(sorted({one["host"] for one in cut}))
        if cut[0]["store"].startswith(("ImportError", "ModuleNotFoundError")):
            return Finding(STORE, UNKNOWN, f"executors on {hosts} cannot try: {cut[0]['store']}", "mend that first")
        remedy = f"give the user that runs executors the right to write there, or {shared}"
        return Finding(STORE, WRONG, f"executors on {hosts} cannot write to {directory}: {cut[0]['store']}", remedy)
    by_others = sorted({one["host"] for one in seen if any(other != DRIVER for other in one["unseen"])})
    if by_others:
        found = f"{directory} is another one on each host: what others write is not to be seen on {', '.join(by_others)}"
        return Finding(STORE, WRONG, found, shared)
    if driver is not None or any(one["unseen"] for one in seen):
        found = f"executors write to {directory}; the driver {f'cannot ({driver})' if driver else 'sees another one of that name'}"
        return Finding(STORE, ADVICE, f"{found}: an executor removes checkpoints that have served", f"for the driver to do so, {shared}")
    if len(seen) > 1 and not all(one["met"] for one in seen):
        return Finding(STORE, UNKNOWN, f"executors write to {directory}; whether all see the same is not known", "let them call the driver")
    return Finding(STORE, RIGHT, f"executors and driver write to {directory}, and see what the others write")

"""What a task of a check does on its executor: the ways that a training takes, to the driver, to the others, to the checkpoints, tried."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sparkml_algos.checking.report import in_a_line
from sparkml_algos.cluster.rendezvous import Line, MeetingPlace
from sparkml_algos.collectives.addresses import address_towards, endpoint, listen
from sparkml_algos.rows import memory

# Who does not answer within so many seconds, on the network of one cluster, does not let anybody call.
CONNECT_TIMEOUT = 3.0
#: What the driver's own trial checkpoint is called, in place of a number of a task.
DRIVER = "driver"


@dataclass(frozen=True)
class Plan:
    """What the tasks of a check are told.

    Parameters
    ----------
    size : int
        Tasks.
    driver_host : str
        As executors know it.
    arrival, departure : MeetingPlace or None
        On the driver: where tasks meet when they are ready to be called, and again when they have called each other. None where the driver
        cannot open any.
    checkpoint_dir : str or None
    token : str
        Names the trial checkpoints of this check.
    driver_writes : bool
        Whether the driver has left a trial checkpoint.
    """

    size: int
    driver_host: str
    arrival: MeetingPlace | None
    departure: MeetingPlace | None
    checkpoint_dir: str | None
    token: str
    driver_writes: bool


def visit(number: int, plan: Plan) -> dict[str, Any]:
    """Look around from an executor.

    Parameters
    ----------
    number : int
        Of the task.
    plan : Plan

    Returns
    -------
    dict
        ``number``; ``host``; ``memory``: bytes that programs here can still take, ``address_space``: by which this process may grow, None
        without limit; ``driver``: why the driver cannot be reached, None if it can; ``met``: whether all tasks met there; ``unreached``:
        addresses of those that could not be called, with the reason; ``store``: why checkpoints cannot be written, None if they can;
        ``unseen``: numbers of the tasks whose checkpoints are not to be seen from here.
    """
    seen: dict[str, Any] = {"number": number, "host": socket.gethostname(), "met": False, "unreached": {}, "unseen": []}
    seen["memory"] = min([memory.machine_memory(), *memory.container_memory()])
    seen["address_space"] = next(memory.address_space(), None)
    store = Trial(plan.checkpoint_dir, plan.token) if plan.checkpoint_dir else None
    seen["store"] = store and trouble(lambda: store.leave(number))
    try:
        seen["host"] = own = address_towards(plan.driver_host)
        with listen(own) as listener:
            others = _meet(plan.arrival, number, endpoint(own, listener.getsockname()[1])) if plan.arrival else None
            seen["driver"], seen["met"] = None, others is not None
            if others:
                seen["unreached"] = {other: why for other in others if (why := _why_unreached(other)) is not None}
                near = [(number + 1) % len(others), *([DRIVER] if plan.driver_writes else [])]
                seen["unseen"] = [other for other in near if store and seen["store"] is None and not store.is_seen(other)]
                trouble(lambda: _meet(plan.departure, number, ""))  # what is called stays, as do trial checkpoints, until all are done
    except OSError as error:
        seen["driver"] = str(error)
    if store:
        trouble(lambda: store.remove(number))
    return seen


class Trial:
    """Trial checkpoints in a directory, written, read and removed as a training does it.

    Parameters
    ----------
    directory : str
    token : str
        Of the check.
    """

    def __init__(self, directory: str, token: str) -> None:
        self._directory, self._token = directory, token

    def leave(self, number: int | str) -> None:
        """Write one."""
        from sparkml_algos.arrays.artifact import Artifact

        self._of(number).save(1, Artifact(values={"number": number}))

    def is_seen(self, number: int | str) -> bool:
        """Whether there is the one of a task, and it can be read."""
        try:
            return self._of(number).load() is not None
        except Exception:
            return False

    def remove(self, number: int | str) -> None:
        self._of(number).clear()

    def _of(self, number: int | str) -> Any:
        # It needs NumPy and Arrow, which are among what is looked for.
        from sparkml_algos.training.checkpoint import CheckpointStore

        return CheckpointStore(self._directory, f"check-{self._token}-{number}")


def trouble(action: Callable[[], object]) -> str | None:
    """What an action ends with, in a line; None where it succeeds."""
    try:
        action()
    except Exception as error:
        return in_a_line(error)
    return None


def _meet(place: MeetingPlace, number: int, message: str) -> list[str] | None:
    """The messages of all tasks; None where not all have come."""
    line = Line(place, number)
    try:
        line.send({"join": message})
        return line.receive().get("messages")
    finally:
        line.close()


def _why_unreached(other: str) -> str | None:
    host, _, port = other.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT).close()
    except OSError as error:
        return str(error)
    return None

"""The folder in which requests wait.

    inputs/ID        bodies that were given with the request; empty where it names a file: who makes it has the ID
    requests/ID      requests that wait, JSON
    running/ID@HOST@PID   requests that a worker has taken
    output/ID.out    answers
    failures/ID.json why there is none
    notifications.jsonl   a line for each request that is done

A request is taken by renaming it, which one worker alone can do. Any file system will do on which a rename is one step, and a new file one
caller's alone, shared by those who ask and those who answer.
"""

from __future__ import annotations

import json
import os
import re
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from sparkml_algos.formats.content_types import JSON, ContentType
from sparkml_algos.formats.errors import FormatError

#: Limits of the service.
MAX_INLINE_BYTES, MAX_PAYLOAD_BYTES = 128_000, 1 << 30
TTL_SECONDS, TTL_RANGE = 21_600, (60, 21_600)
TIMEOUT_SECONDS, TIMEOUT_RANGE = 900, (1, 3600)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FOLDERS = ("inputs", "requests", "running", "output", "failures")
_BETWEEN = "@"
# For clocks that differ, and whatever a worker does beside the work.
_GRACE_SECONDS = 300
# What a failure is, in the numbers of HTTP.
NO_REQUEST = 400
# Of a file that says what is asked for, which has texts of bounded length and a path.
_MOST_BYTES = 1 << 16
# Files of requests that this process works on, and what its threads change them under.
_taken: set[Path] = set()
_lock = threading.Lock()


@dataclass(frozen=True)
class Invocation:
    """What was asked for, as the service answers it at once.

    Attributes
    ----------
    inference_id, output_location, failure_location : str
        The file in which the answer will be, or the one that says why there is none.
    """

    inference_id: str
    output_location: str
    failure_location: str

    def wait(self, timeout: float = TIMEOUT_SECONDS, every: float = 0.1) -> bytes:
        """The answer, once it is there.

        Raises
        ------
        RuntimeError
            With what the failure says.
        TimeoutError
        """
        ends = time.monotonic() + timeout
        while time.monotonic() < ends:
            if os.path.exists(self.output_location):
                return Path(self.output_location).read_bytes()
            if os.path.exists(self.failure_location):
                raise RuntimeError(json.loads(Path(self.failure_location).read_text())["error"])
            time.sleep(every)
        raise TimeoutError(f"no answer to {self.inference_id} within {timeout:g} s; the queue's workers may be busy, or there is none")


@dataclass(frozen=True)
class Waiting:
    """A request as it rests in the folder.

    Attributes
    ----------
    inference_id, input_location, content_type : str
    accept : str or None
    custom_attributes : str or None
    submitted : float
        Seconds since 1970.
    ttl_seconds, timeout_seconds : int
        How long it may wait, and be worked on.
    """

    inference_id: str
    input_location: str
    content_type: str
    accept: str | None
    custom_attributes: str | None
    submitted: float
    ttl_seconds: int
    timeout_seconds: int


class Queue:
    """A folder of requests.

    Parameters
    ----------
    folder : path
        Of the local file system; made where it is not there.

    Examples
    --------
    >>> from sparkml_algos.serving.asynchronous import Queue
    >>> invocation = Queue("/shared/queue").submit(location="/shared/rows.csv", content_type="text/csv")  # doctest: +SKIP
    >>> invocation.wait()  # doctest: +SKIP
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).absolute()
        for name in _FOLDERS:
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def submit(
        self,
        *,
        body: bytes | None = None,
        location: str | os.PathLike[str] | None = None,
        content_type: str = JSON,
        accept: str | None = None,
        inference_id: str | None = None,
        custom_attributes: str | None = None,
        ttl_seconds: int = TTL_SECONDS,
        timeout_seconds: int = TIMEOUT_SECONDS,
    ) -> Invocation:
        """Let a request wait.

        Parameters
        ----------
        body : bytes, optional
            128,000 at most.
        location : path or ``file:`` URI, optional
            Where the body lies instead, of 1 GiB at most; it must stay there until the answer has come.
        content_type : str
        accept : str, optional
            By default what the model answers by default.
        inference_id : str, optional
            Of 64 letters, digits, ``.``, ``_`` and ``-`` at most; made up by default.
        custom_attributes : str, optional
            Goes into the notification; 1024 characters at most.
        ttl_seconds : int
            How long it may wait, from 60 to 21600.
        timeout_seconds : int
            How long it may be worked on, to 3600.

        Raises
        ------
        ValueError
            Naming what is wrong.
        FileExistsError
            If there is a request of this name, or its answer.
        """
        problems = []
        if (body is None) == (location is None):
            problems.append("one of body and location must be given")
        if body is not None and len(body) > MAX_INLINE_BYTES:
            problems.append(f"a body has {MAX_INLINE_BYTES} bytes at most, this one {len(body)}: write it to a file, and give its location")
        name = inference_id or uuid.uuid4().hex
        if not _ID.fullmatch(name):
            problems.append(f"inference_id must be of 1 to 64 letters, digits, '.', '_' and '-', got {name!r}")
        if custom_attributes is not None and len(custom_attributes) > 1024:
            problems.append("custom_attributes has more than 1024 characters")
        for what, value, (least, most) in (("ttl_seconds", ttl_seconds, TTL_RANGE), ("timeout_seconds", timeout_seconds, TIMEOUT_RANGE)):
            if not isinstance(value, int) or not least <= value <= most:
                problems.append(f"{what} must be a whole number from {least} to {most}, got {value!r}")
        for what, given in (("content_type", content_type), ("accept", accept or JSON)):
            try:
                ContentType.parse(given)
            except FormatError as error:
                problems.append(f"{what}: {error}")
        if problems:
            raise ValueError("; ".join(problems))
        reserved = self.folder / "inputs" / name
        path = reserved if location is None else _local(location)
        known = FileExistsError(f"there is a request {name!r} already, or its answer")
        try:
            file = open(reserved, "xb")
        except FileExistsError:
            raise known from None
        try:
            # The name is this caller's, unless what had it before has been answered by now.
            if self._is_known(name):
                raise known
            with file:
                file.write(body or b"")
            waiting = Waiting(name, str(path), content_type, accept, custom_attributes, time.time(), ttl_seconds, timeout_seconds)
            put(self.folder / "requests" / name, json.dumps(asdict(waiting)).encode())
        except BaseException:
            file.close()
            reserved.unlink(missing_ok=True)
            raise
        return Invocation(name, str(self.output(name)), str(self.failure(name)))

    @property
    def backlog(self) -> int:
        """Requests that wait: what the number of workers may follow."""
        return sum(1 for _ in self._waiting())

    def take(self) -> tuple[Waiting, Path] | None:
        """The request that has waited longest, which is now this process's, and its file; None where none waits.

        What is no request, for others may write here too, fails at once.
        """
        for path in sorted(self._waiting(), key=_age):
            mine = self.folder / "running" / _BETWEEN.join([path.name, socket.gethostname(), str(os.getpid())])
            with _lock:
                try:
                    os.rename(path, mine)
                except FileNotFoundError:  # another worker was quicker
                    continue
                _taken.add(mine)
            try:
                return _read(mine, path.name), mine
            except (ValueError, TypeError, RecursionError, PermissionError) as error:
                self._refuse(path.name, f"{path.name!r} is no request: {error}")
                self.done(mine)
        return None

    def done(self, mine: Path) -> None:
        """A request that was taken is answered, or has failed."""
        mine.unlink()
        _taken.discard(mine)
        (self.folder / "inputs" / mine.name.partition(_BETWEEN)[0]).unlink(missing_ok=True)

    def give_back(self) -> list[str]:
        """Let requests wait again that were taken by processes of this machine which are no more, or by others so long ago that their time
        is over; their names."""
        found = []
        for path in (self.folder / "running").iterdir():
            name, _, taker = path.name.partition(_BETWEEN)
            host, _, process = taker.rpartition(_BETWEEN)
            if not process.isdecimal():
                continue
            with _lock:
                if self._is_worked_on(path, host, int(process)):
                    continue
                try:
                    os.rename(path, self.folder / "requests" / name)
                except FileNotFoundError:  # another worker was quicker
                    continue
            found.append(name)
        return found

    @staticmethod
    def _is_worked_on(path: Path, host: str, process: int) -> bool:
        if host != socket.gethostname():
            try:
                taken = path.stat().st_ctime  # when it was renamed
            except FileNotFoundError:  # it is answered by now
                return True
            return time.time() - taken < TIMEOUT_RANGE[1] + _GRACE_SECONDS
        # In a container that has started again, this process has the number of the one that is no more.
        return path in _taken if process == os.getpid() else _runs(process)

    def output(self, name: str) -> Path:
        """Where the answer to a request comes."""
        return self.folder / "output" / f"{name}.out"

    def failure(self, name: str) -> Path:
        """Where it is said why there is no answer."""
        return self.folder / "failures" / f"{name}.json"

    def notify(self, line: Mapping[str, Any]) -> None:
        """Say that a request is done."""
        with open(self.folder / "notifications.jsonl", "ab", buffering=0) as file:
            file.write(json.dumps(line).encode() + b"\n")

    def _refuse(self, name: str, reason: str) -> None:
        put(self.failure(name), json.dumps({"inferenceId": name, "status": NO_REQUEST, "error": reason}).encode())
        location = {"failureLocation": str(self.failure(name))}
        self.notify({"inferenceId": name, "invocationStatus": "Failed", "failureReason": reason, "responseParameters": location})

    def _waiting(self) -> Iterator[Path]:
        with os.scandir(self.folder / "requests") as entries:
            yield from (Path(entry.path) for entry in entries if _ID.fullmatch(entry.name) and entry.is_file())

    def _is_known(self, name: str) -> bool:
        there = [self.folder / "requests" / name, self.output(name), self.failure(name)]
        return any(path.exists() for path in there) or any((self.folder / "running").glob(f"{name}{_BETWEEN}*"))


def _read(path: Path, name: str) -> Waiting:
    """A request out of its file."""
    with open(path, "rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES} bytes")
    read = json.loads(content)
    if not isinstance(read, dict):
        raise ValueError("it is no object of JSON")
    found = Waiting(**read)
    for one in fields(Waiting):
        value, wanted = getattr(found, one.name), _WANTED.get(one.name, str)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise ValueError(f"{one.name} is {value!r}")
    if found.inference_id != name or not _ID.fullmatch(name):
        raise ValueError(f"inference_id is {found.inference_id!r}, which must be the name of the file")
    if not TIMEOUT_RANGE[0] <= found.timeout_seconds <= TIMEOUT_RANGE[1]:
        raise ValueError(f"timeout_seconds is {found.timeout_seconds!r}")
    return found


# Types of what a request says, where it is not a text.
_WANTED: Mapping[str, Any] = {
    "accept": (str, type(None)),
    "custom_attributes": (str, type(None)),
    "submitted": (int, float),
    "ttl_seconds": int,
    "timeout_seconds": int,
}


def put(path: Path, content: bytes) -> None:
    """A file that is there whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        file.write(content)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def _age(path: Path) -> tuple[float, str]:
    try:
        return path.stat().st_mtime, path.name
    except FileNotFoundError:
        return 0.0, path.name


def _local(location: str | os.PathLike[str]) -> Path:
    text = os.fspath(location)
    parsed = urlparse(text)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    if len(parsed.scheme) > 1:
        raise ValueError(f"location must be a path or a file: URI, got {text!r}")
    return Path(text).absolute()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

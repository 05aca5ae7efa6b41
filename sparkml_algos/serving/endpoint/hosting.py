"""An endpoint in processes of its own: sockets, workers, signals.

With one worker the endpoint runs in this process. With several this process loads the models, and then forks the workers, which share its
memory and its socket; it starts anew what dies. A new version of a model is loaded here too, and served by new workers: those before answer
what has come to them, ask their clients to connect anew, and end.

Signals: SIGTERM and SIGINT end it, once what has come is answered; SIGHUP loads the models anew. A worker is told by SIGUSR1 that it is to
end soon.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sparkml_algos.serving.endpoint.application import Endpoint, app
from sparkml_algos.serving.endpoint.connections import protocol
from sparkml_algos.serving.endpoint.metrics import Metrics, Shared
from sparkml_algos.serving.endpoint.registry import Loaded, Models, Registry, version_of
from sparkml_algos.serving.endpoint.settings import Settings

try:
    import uvicorn
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("an endpoint needs uvicorn; pip install 'sparkml-algos[serving]'") from error

logger = logging.getLogger("sparkml_algos.serving")

# What an idle connection is kept for, in seconds.
KEEP_ALIVE = 65
# At most so long the clients of a worker that ends are waited for to connect anew.
LEAVING_SECONDS = 5.0
# After SIGTERM the service kills a container in so many seconds.
STOPPING_SECONDS = 30.0
POLL_SECONDS = 0.05
DRAIN = signal.SIGUSR1


@dataclass(frozen=True)
class Hosting:
    """Where and how an endpoint runs.

    Parameters
    ----------
    host : str
    port : int
        0: one that is free.
    workers : int
        Processes that answer.
    certificate, key : str, optional
        Files of a TLS certificate and its key.
    drain : float
        Seconds for which it takes new connections still, after SIGTERM, while ``/ping`` says 503: as long as whoever sends it requests may
        need to see that.
    backlog : int
        Connections that may wait to be taken.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    certificate: str | None = None
    key: str | None = None
    drain: float = 0.0
    backlog: int = 2048

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, got {self.workers}")
        if not 0 <= self.port < 1 << 16:
            raise ValueError(f"port must be from 0 to 65535, got {self.port}")
        if not self.drain >= 0:
            raise ValueError(f"drain must be at least 0, got {self.drain}")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("TLS needs a certificate and its key")


def serve(models: Models, settings: Settings, hosting: Hosting, started: Callable[[str], None] = lambda url: None) -> None:
    """Run an endpoint until it is told to end.

    Parameters
    ----------
    models : Models
    settings : Settings
    hosting : Hosting
    started : callable
        Called with the endpoint's address once it answers.
    """
    if hosting.workers > 1 and settings.models_root is not None:
        raise ValueError("models that come and go need one worker: with several, name all models at the start")
    listening = bound(hosting)
    scheme = "https" if hosting.certificate else "http"
    host, port = listening.getsockname()[:2]
    url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    if hosting.workers == 1:
        _run(app(models, settings), listening, hosting, lambda: started(url))
    else:
        _Supervisor(models, settings, hosting, listening).run(lambda: started(url))


def bound(hosting: Hosting) -> socket.socket:
    """A socket that listens there."""
    family = socket.AF_INET6 if ":" in hosting.host else socket.AF_INET
    listening = socket.create_server((hosting.host, hosting.port), family=family, backlog=hosting.backlog)
    listening.set_inheritable(True)
    return listening


class Server(uvicorn.Server):
    """Answers on sockets until a signal comes.

    Parameters
    ----------
    endpoint : Endpoint
    hosting : Hosting
    ready : callable
        Called when it answers.
    parent : int, optional
        Process that it ends with.
    """

    def __init__(self, endpoint: Endpoint, hosting: Hosting, ready: Callable[[], None], parent: int | None = None) -> None:
        self._endpoint, self._hosting, self._ready, self._parent = endpoint, hosting, ready, parent
        self._leaving: asyncio.Task[None] | None = None
        self._reloading: set[asyncio.Task[list[str]]] = set()
        super().__init__(
            uvicorn.Config(
                endpoint,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=int(STOPPING_SECONDS),
                ssl_certfile=hosting.certificate,
                ssl_keyfile=hosting.key,
                backlog=hosting.backlog,
                http=protocol(),
                lifespan="on",
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The loop has handlers of its own."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # in another thread than the main one: no signals
            loop.add_signal_handler(signal.SIGTERM, self.leave)
            loop.add_signal_handler(signal.SIGINT, self.leave)
            if self._parent is None:
                loop.add_signal_handler(signal.SIGHUP, self.reload)
            else:
                loop.add_signal_handler(DRAIN, self.drain)
        self._ready()

    def reload(self) -> None:
        """Load the models anew."""
        task = asyncio.get_running_loop().create_task(self._endpoint.reload())
        self._reloading.add(task)  # the loop by itself would let it go
        task.add_done_callback(self._reloading.discard)

    def drain(self) -> None:
        """Tell that it is to end soon."""
        self._endpoint.draining = True

    def leave(self) -> None:
        """Answer what has come, and end."""
        if self._leaving is None:
            self._leaving = asyncio.get_running_loop().create_task(self._leave())

    async def _leave(self) -> None:
        self._endpoint.draining = True
        if self._parent is None:
            await asyncio.sleep(self._hosting.drain)
        for server in self.servers:
            server.close()
        until = time.monotonic() + LEAVING_SECONDS
        while self.server_state.connections and time.monotonic() < until:
            await asyncio.sleep(POLL_SECONDS)
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        if self._parent is not None and os.getppid() != self._parent:
            self.leave()
        return await super().on_tick(counter)


def _run(endpoint: Endpoint, listening: socket.socket, hosting: Hosting, ready: Callable[[], None], parent: int | None = None) -> None:
    Server(endpoint, hosting, ready, parent).run([listening])


@dataclass
class _Worker:
    row: int
    generation: int
    started: float
    ready: bool
    pipe: int


class _Supervisor:
    """Has workers of its own models."""

    def __init__(self, models: Models, settings: Settings, hosting: Hosting, listening: socket.socket) -> None:
        self._settings, self._hosting, self._listening = settings, hosting, listening
        # Two generations may be there at a time.
        self._shared = Shared(2 * hosting.workers + 1)
        self._metrics = Metrics(self._shared, 2 * hosting.workers)
        self._free = list(range(2 * hosting.workers))
        self._registry = Registry(models, replace(settings, watch=0.0), self._metrics)
        self._metrics.set("models", 0)
        self._workers: dict[int, _Worker] = {}
        self._generation = 0
        self._failures = 0
        self._not_before = 0.0
        self._ends = self._reloads = False

    def run(self, started: Callable[[], None]) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, self._reload)
        announced, looked = False, time.monotonic()
        seen: dict[str, str] = {}
        while not self._ends:
            self._bury()
            self._listen()
            self._fill()
            if not announced and self._all_ready():
                started()
                announced = True
            if self._settings.watch and time.monotonic() - looked > self._settings.watch:
                looked = time.monotonic()
                seen = self._look(seen)
            if self._reloads and self._all_ready():
                self._reloads = False
                self._renew(list(self._registry.entries))
            self._dismiss()
            time.sleep(POLL_SECONDS)
        self._stop()

    def _end(self, *_: Any) -> None:
        self._ends = True

    def _reload(self, *_: Any) -> None:
        self._reloads = True

    def _all_ready(self) -> bool:
        current = [worker for worker in self._workers.values() if worker.generation == self._generation]
        return len(current) == self._hosting.workers == len(self._workers) and all(worker.ready for worker in current)

    def _look(self, seen: Mapping[str, str]) -> dict[str, str]:
        """Renew what has changed and stayed so since the last look."""
        now = {entry.name: version_of(entry.path) for entry in self._registry.changed() if entry.path is not None}
        stayed = [name for name, version in now.items() if seen.get(name) == version]
        if stayed and self._all_ready():
            self._renew(stayed)
        return now

    def _renew(self, names: list[str]) -> None:
        loaded = [self._registry.reload(entry) for name in names if (entry := self._registry.entries.get(name)) is not None]
        if any(loaded):
            self._generation += 1
            # What of the versions before refers to itself was frozen with all else, and would stay for ever.
            gc.unfreeze()

    def _fill(self) -> None:
        """Fork what is missing."""
        there = sum(worker.generation == self._generation for worker in self._workers.values())
        if time.monotonic() < self._not_before:
            return
        for _ in range(min(self._hosting.workers - there, len(self._free))):
            self._fork()

    def _fork(self) -> None:
        row = self._free.pop(0)
        loaded = {entry.name: Loaded(entry.path, entry.model) for entry in self._registry.entries.values()}
        gc.collect()
        gc.freeze()  # the collector would write to, and so copy, what workers share
        reading, writing = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid:
            os.close(writing)
            self._workers[pid] = _Worker(row, self._generation, time.monotonic(), False, reading)
            return
        code = 1
        try:
            os.close(reading)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else signal.SIG_DFL)
            signal.signal(DRAIN, signal.SIG_IGN)
            endpoint = app(loaded, replace(self._settings, watch=0.0), metrics=Metrics(self._shared, row))
            _run(endpoint, self._listening, self._hosting, lambda: _tell(writing), parent)
            code = 0
        except BaseException:
            logger.exception("a worker failed")
        finally:
            os._exit(code)

    def _listen(self) -> None:
        """Which workers have started."""
        waiting = {worker.pipe: worker for worker in self._workers.values() if not worker.ready and worker.pipe >= 0}
        for pipe in select.select(list(waiting), [], [], 0)[0] if waiting else []:
            worker = waiting[pipe]
            worker.ready = bool(os.read(pipe, 1))
            os.close(pipe)
            worker.pipe = -1
            if worker.ready:
                self._failures = 0

    def _dismiss(self) -> None:
        """Let workers of earlier generations go once those of this one are there."""
        current = [worker for worker in self._workers.values() if worker.generation == self._generation]
        if len(current) < self._hosting.workers or not all(worker.ready for worker in current):
            return
        for pid, worker in self._workers.items():
            if worker.generation != self._generation and worker.started:
                worker.started = 0.0
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)

    def _bury(self) -> None:
        """Take back the rows of workers that have ended; where they end before they start, wait a while before the next."""
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            worker = self._workers.pop(pid, None)
            if worker is None:
                continue
            if worker.pipe >= 0:
                os.close(worker.pipe)
            for name in ("in_flight", "waiting_rows", "models", "resident_bytes"):
                self._shared.set(worker.row, name, 0.0)
            self._free.append(worker.row)
            if worker.generation == self._generation and not self._ends:
                logger.warning("a worker has ended with %s; another takes its place", os.waitstatus_to_exitcode(status))
                if not worker.ready:
                    self._failures += 1
                    self._not_before = time.monotonic() + min(0.1 * 2**self._failures, 5.0)

    def _stop(self) -> None:
        self._tell(DRAIN)
        time.sleep(self._hosting.drain)
        self._listening.close()
        self._tell(signal.SIGTERM)
        until = time.monotonic() + STOPPING_SECONDS
        while self._workers and time.monotonic() < until:
            self._bury()
            time.sleep(POLL_SECONDS)
        self._tell(signal.SIGKILL)

    def _tell(self, number: signal.Signals) -> None:
        for pid in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _tell(pipe: int) -> None:
    os.write(pipe, b".")
    os.close(pipe)


def token_of(file: str | Path | None) -> str | None:
    """The bearer token that a file holds, or the environment's ``SPARKML_ALGOS_SERVING_TOKEN``."""
    if file is not None:
        return Path(file).read_text().strip()
    return os.environ.get("SPARKML_ALGOS_SERVING_TOKEN") or None

"""The endpoint as an ASGI application.

FastAPI has the routes that are asked now and then. Requests for answers do not go through it, which would cost more than most models:
`Endpoint.__call__` takes them by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from sparkml_algos.formats.content_types import ContentType
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.serving.bodies import UNREADABLE, Request, TooLarge
from sparkml_algos.serving.contract import Servable
from sparkml_algos.serving.endpoint.batching import Overloaded
from sparkml_algos.serving.endpoint.capture import Recorder
from sparkml_algos.serving.endpoint.metrics import Metrics
from sparkml_algos.serving.endpoint.negotiation import Refused, content_type_of, response_type_of
from sparkml_algos.serving.endpoint.registry import Entry, Models, Registry, Taken, version_of
from sparkml_algos.serving.endpoint.settings import Settings

try:
    import fastapi
    from fastapi.responses import JSONResponse, PlainTextResponse, Response
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("an endpoint needs FastAPI; pip install 'sparkml-algos[serving]'") from error

logger = logging.getLogger("sparkml_algos.serving")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Bodies and answers beyond this are read and written by a thread, so that others do not wait.
LARGE_BODY, LARGE_ROWS = 1 << 16, 500
HEADER = b"x-amzn-sagemaker-"
MAX_ATTRIBUTES, MAX_INFERENCE_ID = 1024, 64


def app(models: Models, settings: Settings | None = None, *, metrics: Metrics | None = None) -> Endpoint:
    """An endpoint of saved models, an ASGI application for uvicorn or any other server.

    Parameters
    ----------
    models : path, sequence of paths, mapping of str to path, or SavedModel
        By name, which is the last part of the path unless it is given.
    settings : Settings, optional
    metrics : Metrics, optional
        Counters to count in; own ones by default.

    Returns
    -------
    Endpoint

    Examples
    --------
    >>> from sparkml_algos import serving
    >>> app = serving.app({"customers": "/models/customers"})  # doctest: +SKIP
    """
    return Endpoint(models, settings or Settings(), metrics or Metrics())


class Endpoint(fastapi.FastAPI):
    """Answers requests.

    Parameters
    ----------
    models : Models
    settings : Settings
    metrics : Metrics

    Attributes
    ----------
    registry : Registry
    draining : bool
        Whether it is to be stopped: it answers on, tells ``/ping`` so, and lets connections go.
    held_bytes : int
        Of the bodies of requests that are being read or answered.
    """

    def __init__(self, models: Models, settings: Settings, metrics: Metrics) -> None:
        super().__init__(title=settings.name, docs_url=None, redoc_url=None, openapi_url=None, lifespan=_lifespan)
        self.settings, self.metrics = settings, metrics
        self.registry = Registry(models, settings, metrics)
        self.draining = False
        self.held_bytes = 0
        self._recorder = Recorder(settings.capture, settings.name, settings.variant, metrics) if settings.capture else None
        self._authorization = f"Bearer {settings.token}".encode() if settings.token else None
        _add_routes(self)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        path = scope["path"]
        if path == "/invocations" or path.startswith("/models/") and path.endswith("/invoke"):
            with _Held(self) as held:
                await self._answer(scope, receive, send, held)
        elif path != "/ping" and not self._may(dict(scope["headers"])):
            await _send(send, 401, b'{"message":"a bearer token is needed"}', [(b"www-authenticate", b"Bearer")])
        else:
            await super().__call__(scope, receive, send)

    async def reload(self, name: str | None = None) -> list[str]:
        """Load the models anew that are saved there now; what comes meanwhile is answered by those before.

        Parameters
        ----------
        name : str, optional
            Of the only one to load; all by default.

        Returns
        -------
        list of str
            Those that were loaded.
        """
        entries = [entry for entry in list(self.registry.entries.values()) if name in (None, entry.name)]
        loop = asyncio.get_running_loop()
        return [entry.name for entry in entries if await loop.run_in_executor(None, self.registry.reload, entry)]

    def close(self) -> None:
        """Write down what is to be, and let threads go."""
        if self._recorder is not None:
            self._recorder.close()
        for entry in self.registry.entries.values():
            entry.batcher.close()

    def _may(self, headers: dict[bytes, bytes]) -> bool:
        return self._authorization is None or hmac.compare_digest(headers.get(b"authorization", b""), self._authorization)

    async def _answer(self, scope: Message, receive: Receive, send: Send, held: _Held) -> None:
        """Answer one request for answers."""
        started = time.perf_counter()
        headers = dict(scope["headers"])
        self.metrics.add("in_flight")
        code, rows, model_seconds = 500, 0, 0.0
        extra: list[tuple[bytes, bytes]] = []
        try:
            if scope["method"] != "POST":
                raise Refused(405, "requests for answers are posted")
            if not self._may(headers):
                extra.append((b"www-authenticate", b"Bearer"))
                raise Refused(401, "a bearer token is needed")
            attributes, inference_id = self._named_in(headers)
            if attributes is not None:
                extra.append((HEADER + b"custom-attributes", attributes.encode("latin-1")))
            entry = self._entry(scope["path"], headers)
            model = entry.model
            content_type = content_type_of(model, headers.get(b"content-type", b"").decode("latin-1"))
            accept = response_type_of(model, content_type, headers.get(b"accept", b"").decode("latin-1"))
            body = await self.body(receive, headers, held)
            request = await self._decoded(model, body, content_type)
            rows = request.rows
            if rows > self.settings.max_rows:
                raise Refused(413, f"the request has {rows} rows, at most {self.settings.max_rows} are allowed")
            before = time.perf_counter()
            found = await self._scored(entry, model, request, accept)
            model_seconds = time.perf_counter() - before
            if rows > LARGE_ROWS:
                answer = await asyncio.get_running_loop().run_in_executor(None, model.respond, request, found, accept)
            else:
                answer = model.respond(request, found, accept)
            code = 200
            if self._recorder is not None and self._recorder.draws():
                self._recorder.record((_text(headers), body), (accept.name, answer), inference_id, attributes)
            extra.append((b"content-type", accept.name.encode()))
        except Refused as refused:
            code, answer = refused.code, _message(refused)
        except (Overloaded, TooLarge) as error:
            code, answer = 413 if isinstance(error, TooLarge) else 503, _message(error)
        except (FormatError, InvalidRows) as error:
            code, answer = 400, _message(error)
        except Disconnected:
            self.metrics.add("in_flight", -1)
            return
        except Exception as error:
            logger.exception("the model failed")
            answer = json.dumps({"message": f"the model failed: {type(error).__name__}"}).encode()
        if code == 503:
            extra.append((b"retry-after", b"1"))
        if code != 200:
            extra.append((b"content-type", b"application/json"))
        if self.draining:
            extra.append((b"connection", b"close"))
        try:
            await _send(send, code, answer, extra)
        finally:
            self.metrics.add("in_flight", -1)
            self.metrics.request(code, time.perf_counter() - started, model_seconds, rows)

    def _named_in(self, headers: dict[bytes, bytes]) -> tuple[str | None, str | None]:
        attributes, inference_id = headers.get(HEADER + b"custom-attributes"), headers.get(HEADER + b"inference-id")
        for name, value, most in (("custom-attributes", attributes, MAX_ATTRIBUTES), ("inference-id", inference_id, MAX_INFERENCE_ID)):
            if value is not None and len(value) > most:
                raise Refused(400, f"{(HEADER.decode() + name)} has {len(value)} characters, at most {most} are allowed")
        return (
            None if attributes is None else attributes.decode("latin-1"),
            None if inference_id is None else inference_id.decode("latin-1"),
        )

    def _entry(self, path: str, headers: dict[bytes, bytes]) -> Entry:
        entries = self.registry.entries
        if path != "/invocations":
            name = path[len("/models/") : -len("/invoke")]
        elif (target := headers.get(HEADER + b"target-model")) is not None:
            name = target.decode("latin-1")
        elif len(entries) == 1:
            return next(iter(entries.values()))
        else:
            raise Refused(400, f"name one of the models {', '.join(entries)} in the header X-Amzn-SageMaker-Target-Model")
        if name not in entries:
            raise Refused(404, f"no model {name!r} is loaded; there are {', '.join(entries)}")
        return entries[name]

    async def body(self, receive: Receive, headers: dict[bytes, bytes], held: _Held) -> bytes:
        """The body of a request, within the limits of bytes and seconds.

        Raises
        ------
        Refused
        Overloaded
        Disconnected
        """
        most = self.settings.max_bytes
        length = headers.get(b"content-length")
        if length is not None and length.isdigit() and int(length) > most:
            raise Refused(413, f"the body has {int(length)} bytes, at most {most} are allowed")
        parts: list[bytes] = []
        total, more = 0, True
        clock = _Clock(self.settings.timeout)
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                part = message.get("body", b"")
                total += len(part)
                if total > most:
                    raise Refused(413, f"the body has more than {most} bytes")
                held.take(len(part))
                parts.append(part)
                more = message.get("more_body", False)
        except asyncio.CancelledError:
            if not clock.expired:
                raise
            raise Refused(408, f"the body did not come within {self.settings.timeout:g} seconds") from None
        finally:
            clock.stop()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _decoded(self, model: Servable, body: bytes, content_type: ContentType) -> Request:
        try:
            if len(body) > LARGE_BODY:
                return await asyncio.get_running_loop().run_in_executor(None, model.decode, body, content_type)
            return model.decode(body, content_type)
        except (FormatError, InvalidRows, TooLarge):
            raise
        except UNREADABLE as error:
            raise Refused(400, f"the body cannot be read: {error}") from error

    async def _scored(self, entry: Entry, model: Servable, request: Request, accept: ContentType) -> list[Any]:
        loop = asyncio.get_running_loop()
        waiting: list[asyncio.Future[Any]] = []
        timer = loop.call_later(self.settings.timeout, _give_up, waiting, self.settings.timeout)
        try:
            for work in model.work(request, accept):
                waiting.append(entry.batcher.submit(model, work))
            return [await future for future in waiting]
        finally:
            timer.cancel()
            for future in waiting:
                # Nobody asks for what is left where one part has failed.
                if not future.cancel() and not future.cancelled():
                    future.exception()


class _Held:
    """The bytes of a request's body, as long as it is there."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint, self._bytes = endpoint, 0

    def take(self, size: int) -> None:
        endpoint = self._endpoint
        # One request alone always has room.
        if endpoint.held_bytes > self._bytes and endpoint.held_bytes + size > endpoint.settings.max_waiting_bytes:
            raise Overloaded(f"requests of {endpoint.held_bytes} bytes are being answered")
        self._bytes += size
        endpoint.held_bytes += size

    def __enter__(self) -> _Held:
        return self

    def __exit__(self, *_: object) -> None:
        self._endpoint.held_bytes -= self._bytes


class Disconnected(Exception):
    """Nobody waits for the answer."""


def _give_up(waiting: list[asyncio.Future[Any]], seconds: float) -> None:
    for future in waiting:
        if not future.done():
            future.set_exception(Overloaded(f"no answer within {seconds:g} seconds"))


class _Clock:
    """Cancels this task in so many seconds, unless it is stopped before."""

    def __init__(self, seconds: float) -> None:
        self.expired, self._task = False, asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def stop(self) -> None:
        self._timer.cancel()

    def _expire(self) -> None:
        self.expired = True
        if self._task is not None:
            self._task.cancel()


def _text(headers: dict[bytes, bytes]) -> str:
    return headers.get(b"content-type", b"").decode("latin-1")


def _message(error: Exception) -> bytes:
    return json.dumps({"message": str(error)}).encode()


async def _send(send: Send, code: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def _lifespan(endpoint: fastapi.FastAPI) -> AsyncIterator[None]:
    assert isinstance(endpoint, Endpoint)
    watching = asyncio.create_task(_watch(endpoint)) if endpoint.settings.watch else None
    yield
    if watching is not None:
        watching.cancel()
    endpoint.close()


async def _watch(endpoint: Endpoint) -> None:
    """Load what has changed, look after look. A version is loaded once it has stayed as it is from one look to the next."""
    loop = asyncio.get_running_loop()
    seen: set[str] = set()
    while True:
        await asyncio.sleep(endpoint.settings.watch)
        changed = await loop.run_in_executor(None, _versions, endpoint)
        for entry, version in changed:
            if version in seen:
                await loop.run_in_executor(None, endpoint.registry.reload, entry)
        seen = {version for _, version in changed}


def _versions(endpoint: Endpoint) -> list[tuple[Entry, str]]:
    return [(entry, version_of(entry.path)) for entry in endpoint.registry.changed() if entry.path is not None]


def _add_routes(endpoint: Endpoint) -> None:
    """The routes that FastAPI has."""
    settings, registry, metrics = endpoint.settings, endpoint.registry, endpoint.metrics

    @endpoint.get("/ping")
    async def ping() -> Response:
        return Response(status_code=503 if endpoint.draining else 200)

    @endpoint.get("/execution-parameters")
    async def execution_parameters() -> JSONResponse:
        megabytes = max(1, settings.max_bytes >> 20)
        return JSONResponse({"MaxConcurrentTransforms": 1, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": megabytes})

    @endpoint.get("/metrics")
    async def metrics_text() -> PlainTextResponse:
        text = metrics.text(settings.name, settings.variant)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    @endpoint.get("/models")
    async def models(next_page_token: str = "") -> JSONResponse:
        return _page(list(registry.entries.values()), next_page_token)

    @endpoint.get("/models/{name}")
    async def model(name: str) -> JSONResponse:
        if name not in registry.entries:
            return JSONResponse({"message": f"no model {name!r} is loaded"}, 404)
        entry = registry.entries[name]
        served = entry.model
        return JSONResponse({**_listed(entry), "class": served.name, "requests": served.requests, "responses": served.responses})

    @endpoint.post("/models")
    async def load(request: fastapi.Request) -> JSONResponse:
        if settings.models_root is None:
            return JSONResponse({"message": "the models of this endpoint are fixed; start it with a models_root"}, 403)
        try:
            with _Held(endpoint) as held:
                body = await endpoint.body(request.receive, dict(request.scope["headers"]), held)
        except Refused as refused:
            return JSONResponse({"message": str(refused)}, refused.code)
        except Overloaded as error:
            return JSONResponse({"message": str(error)}, 503)
        except Disconnected:
            return JSONResponse({"message": "the body is cut off"}, 400)
        return await _load(endpoint, Path(settings.models_root).resolve(), body)

    @endpoint.delete("/models/{name}")
    async def unload(name: str) -> JSONResponse:
        if settings.models_root is None:
            return JSONResponse({"message": "the models of this endpoint are fixed"}, 403)
        if name not in registry.entries:
            return JSONResponse({"message": f"no model {name!r} is loaded"}, 404)
        registry.remove(name)
        return JSONResponse({})


PAGE = 100


def _page(entries: list[Entry], token: str) -> JSONResponse:
    if token and not token.isdecimal():
        return JSONResponse({"message": "next_page_token is none of ours"}, 400)
    start = int(token[:9] or 0)
    found: dict[str, Any] = {"models": [_listed(entry) for entry in entries[start : start + PAGE]]}
    if len(entries) > start + PAGE:
        found["nextPageToken"] = str(start + PAGE)
    return JSONResponse(found)


def _listed(entry: Entry) -> dict[str, str]:
    return {"modelName": entry.name, "modelUrl": str(entry.path or "")}


async def _load(endpoint: Endpoint, root: Path, body: bytes) -> JSONResponse:
    settings, registry = endpoint.settings, endpoint.registry
    try:
        given = json.loads(body)
        name, url = given["model_name"], given["url"]
        if not isinstance(name, str) or not isinstance(url, str) or not name or "/" in name:
            raise ValueError("model_name and url must be texts, the name without '/'")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return JSONResponse({"message": f'expected {{"model_name": …, "url": …}}: {error}'}, 400)
    try:
        path = (root / url.removeprefix("file://")).resolve()
        if not path.is_relative_to(root):
            return JSONResponse({"message": f"{url} is not under the folder of this endpoint's models"}, 403)
        if name in registry.entries:
            return JSONResponse({"message": f"a model {name!r} is loaded already"}, 409)
        if len(registry.entries) >= settings.max_models:
            return JSONResponse({"message": f"{settings.max_models} models are loaded, more have no room"}, 507)
        await asyncio.get_running_loop().run_in_executor(None, registry.add, name, path)
    except Taken as error:
        return JSONResponse({"message": str(error)}, 409)
    except MemoryError:
        return JSONResponse({"message": "the memory has no room for it"}, 507)
    except (ValueError, OSError, ImportError) as error:
        return JSONResponse({"message": f"{url} cannot be loaded: {error}"}, 400)
    except Exception as error:  # what is saved there may be broken in any way
        logger.exception("model %s: %s cannot be loaded", name, url)
        return JSONResponse({"message": f"{url} cannot be loaded: {type(error).__name__}: {error}"}, 400)
    return JSONResponse({})

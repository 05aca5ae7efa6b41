"""An endpoint in the background of a notebook or a program, and what asks it for predictions, as users of the service know them."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from sparkml_algos.formats import RecordBatch, libsvm, recordio_protobuf
from sparkml_algos.formats.content_types import CSV, JSON, JSON_LINES, LIBSVM, RECORDIO_PROTOBUF
from sparkml_algos.formats.lines import Rows
from sparkml_algos.serving.answers import NPY

#: The service lets a container take four minutes to start.
START_SECONDS = 240.0
# How an endpoint's standard output says where it is, and how often that is looked for.
_SERVING, _LOOK_EVERY = "serving at ", 0.02
#: Hosts that no proxy is asked for, whatever the environment says.
THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


class Serializer(Protocol):
    """Makes the body of a request."""

    CONTENT_TYPE: str

    def serialize(self, data: Any) -> bytes:
        """The body."""


class Deserializer(Protocol):
    """Reads the body of an answer."""

    ACCEPT: str

    def deserialize(self, body: bytes) -> Any:
        """What it holds."""


class CSVSerializer:
    """Rows of numbers or texts as CSV: a row, or several, a frame of pandas, or CSV as it is, also in a file."""

    CONTENT_TYPE = CSV

    def serialize(self, data: Any) -> bytes:
        if isinstance(data, str | bytes):
            return data.encode() if isinstance(data, str) else data
        if hasattr(data, "read"):
            return self.serialize(data.read())
        if hasattr(data, "to_numpy"):
            data = data.to_numpy()
        rows = data.tolist() if isinstance(data, np.ndarray) else list(data)
        if rows and not isinstance(rows[0], list | tuple | np.ndarray):
            rows = [rows]
        sink = io.StringIO()
        csv.writer(sink, lineterminator="\n").writerows(rows)
        return sink.getvalue().encode()


class JSONSerializer:
    """What `json` writes; arrays, and lists of instances, become ``{"instances": […]}``."""

    CONTENT_TYPE = JSON

    def serialize(self, data: Any) -> bytes:
        if isinstance(data, bytes):
            return data
        if isinstance(data, str):
            return data.encode()
        if not isinstance(data, Mapping):
            data = {"instances": _instances(data)}
        return json.dumps(data, default=_jsonable).encode()


class JSONLinesSerializer:
    """An instance a line."""

    CONTENT_TYPE = JSON_LINES

    def serialize(self, data: Any) -> bytes:
        if isinstance(data, str | bytes):
            return data.encode() if isinstance(data, str) else data
        return b"".join(json.dumps(item, default=_jsonable).encode() + b"\n" for item in _instances(data))


class RecordSerializer:
    """Rows of numbers, dense or sparse, as RecordIO-protobuf."""

    CONTENT_TYPE = RECORDIO_PROTOBUF

    def serialize(self, data: Any) -> bytes:
        return recordio_protobuf.encode(RecordBatch.of(_matrix(data)))


class LibSVMSerializer:
    """Rows of numbers, dense or sparse, as libsvm with indices from 0."""

    CONTENT_TYPE = LIBSVM

    def serialize(self, data: Any) -> bytes:
        return libsvm.encode(Rows(sp.csr_matrix(_matrix(data))))


class NumpySerializer:
    """Rows of numbers in NumPy's own format."""

    CONTENT_TYPE = NPY

    def serialize(self, data: Any) -> bytes:
        sink = io.BytesIO()
        np.save(sink, np.asarray(data), allow_pickle=False)
        return sink.getvalue()


class JSONDeserializer:
    """What `json` reads."""

    ACCEPT = JSON

    def deserialize(self, body: bytes) -> Any:
        return json.loads(body)


class JSONLinesDeserializer:
    """A list of the objects of all lines."""

    ACCEPT = JSON_LINES

    def deserialize(self, body: bytes) -> list[Any]:
        return [json.loads(line) for line in body.splitlines() if line.strip()]


class CSVDeserializer:
    """A list of the cells of each line, as texts."""

    ACCEPT = CSV

    def deserialize(self, body: bytes) -> list[list[str]]:
        return list(csv.reader(io.StringIO(body.decode(), newline="")))


class RecordDeserializer:
    """Fields of the answers by name, an array each."""

    ACCEPT = RECORDIO_PROTOBUF

    def deserialize(self, body: bytes) -> dict[str, np.ndarray]:
        found = recordio_protobuf.decode(body)
        return {name: np.asarray(column.values) for name, column in found.labels.items()}


class BytesDeserializer:
    """The body as it is."""

    ACCEPT = "*/*"

    def deserialize(self, body: bytes) -> bytes:
        return body


class PredictionError(Exception):
    """An answer that is none.

    Attributes
    ----------
    code : int
        HTTP's.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Predictor:
    """Asks an endpoint for predictions.

    Parameters
    ----------
    url : str
        Of the endpoint.
    serializer : Serializer, optional
        JSON by default.
    deserializer : Deserializer, optional
        JSON by default.
    token : str, optional
        Bearer token of the endpoint.
    timeout : float
        Seconds that an answer may take.
    context : ssl.SSLContext, optional
        Whom to trust, where the address is one of TLS.

    Attributes
    ----------
    url : str
    serializer, deserializer
        May be set.
    """

    def __init__(
        self,
        url: str,
        serializer: Serializer | None = None,
        deserializer: Deserializer | None = None,
        *,
        token: str | None = None,
        timeout: float = 60.0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.serializer: Serializer = serializer or JSONSerializer()
        self.deserializer: Deserializer = deserializer or JSONDeserializer()
        self._token, self._timeout = token, timeout
        handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
        if urllib.parse.urlsplit(self.url).hostname in THIS_MACHINE:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)
        self._process: _Process | None = None

    def predict(
        self,
        data: Any,
        initial_args: Mapping[str, str] | None = None,
        *,
        target_model: str | None = None,
        inference_id: str | None = None,
        custom_attributes: str | None = None,
    ) -> Any:
        """What the model answers.

        Parameters
        ----------
        data
            What the serializer takes.
        initial_args : mapping of str to str, optional
            ``ContentType`` and ``Accept`` in place of those of the serializers.
        target_model : str, optional
            Name of the model, where the endpoint has several.
        inference_id, custom_attributes : str, optional
            For what the endpoint writes down.

        Raises
        ------
        PredictionError
            With the code and the endpoint's words.
        """
        given = dict(initial_args or {})
        headers = {
            "Content-Type": given.get("ContentType", self.serializer.CONTENT_TYPE),
            "Accept": given.get("Accept", self.deserializer.ACCEPT),
        }
        for name, value in (("Target-Model", target_model), ("Inference-Id", inference_id), ("Custom-Attributes", custom_attributes)):
            if value is not None:
                headers[f"X-Amzn-SageMaker-{name}"] = value
        return self.deserializer.deserialize(self._ask("/invocations", headers, self.serializer.serialize(data)))

    def ping(self) -> bool:
        """Whether the endpoint answers and is ready."""
        try:
            self._ask("/ping", {})
        except (PredictionError, OSError):
            return False
        return True

    def metrics(self) -> str:
        """The endpoint's counters, in Prometheus' text format."""
        return self._ask("/metrics", {}).decode()

    def delete_endpoint(self) -> None:
        """End an endpoint that `deploy` started; of others nothing is known here."""
        if self._process is None:
            raise ValueError(f"{self.url} was not started by deploy")
        self._process.stop()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.stop()

    def __repr__(self) -> str:
        return f"Predictor({self.url!r})"

    def _ask(self, path: str, headers: Mapping[str, str], body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.url + path, body, dict(headers))
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            said = error.read()
            with contextlib.suppress(ValueError, KeyError, TypeError):
                said = json.loads(said)["message"].encode()
            raise PredictionError(error.code, said.decode(errors="replace")) from None


def deploy(
    model: Any,
    *,
    local: bool = True,
    serializer: Serializer | None = None,
    deserializer: Deserializer | None = None,
    port: int = 0,
    workers: int = 1,
    token: str | None = None,
    arguments: Sequence[str] = (),
    start_timeout: float = START_SECONDS,
) -> Predictor:
    """Start an endpoint in a process of its own, and give what asks it. It ends with `Predictor.delete_endpoint`, or with this program.

    Parameters
    ----------
    model : Model, PipelineModel, path, or mapping of str to any of these
        A fitted model is saved for it into a folder of its own, which a session with local files can write; a path is of a local directory.
    local : bool
        That it runs on this machine, which is all there is: on a cluster it is the image that ``examples/endpoint/`` of the repository
        builds.
    serializer, deserializer
        Of the `Predictor`.
    port : int
        0: one that is free.
    workers : int
        Processes that answer.
    token : str, optional
        Bearer token to ask for.
    arguments : sequence of str
        Further arguments of ``python -m sparkml_algos.serve``.
    start_timeout : float
        Seconds that it may take to start.

    Returns
    -------
    Predictor

    Raises
    ------
    RuntimeError
        If it does not start, with what it said.

    Examples
    --------
    >>> from sparkml_algos import serving
    >>> with serving.deploy(model) as predictor:  # doctest: +SKIP
    ...     predictor.predict([[1.0, 2.5]])
    """
    if not local:
        raise ValueError("deploy starts endpoints on this machine alone; for a cluster see examples/endpoint/ of the repository")
    folder = tempfile.mkdtemp(prefix="sparkml-algos-endpoint-")
    try:
        models = model if isinstance(model, Mapping) else {"model": model}
        paths = [f"{name}={saved(one, Path(folder) / f'model-{place}')}" for place, (name, one) in enumerate(models.items())]
        process = _Process([*paths, "--port", str(port), "--workers", str(workers), *arguments], folder, token, start_timeout)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    predictor = Predictor(process.url, serializer, deserializer, token=token)
    predictor._process = process
    return predictor


class _Process:
    """The process of an endpoint."""

    def __init__(self, arguments: Sequence[str], folder: str, token: str | None, seconds: float) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [*map(str, sys.path)]))}
        if token:
            environment["SPARKML_ALGOS_SERVING_TOKEN"] = token
        self._said = Path(folder) / "log"
        with open(self._said, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sparkml_algos.serve", *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
            )  # fmt: skip
        self._end = weakref.finalize(self, _ended, self._process, folder)
        self.url = self._started(seconds)

    def stop(self) -> None:
        """End it once it has answered what it was asked."""
        self._end()

    def _started(self, seconds: float) -> str:
        """Where it serves, which is what it says first of all on its standard output; a pipe would have to be emptied for good."""
        until = time.monotonic() + seconds
        with open(self._said, encoding="utf-8", errors="replace") as log:
            said = ""
            while time.monotonic() < until:
                ended = self._process.poll() is not None
                said += log.read()
                for line in said.splitlines(keepends=True):
                    if line.startswith(_SERVING) and line.endswith("\n"):
                        return line.split()[-1]
                if ended:
                    break
                time.sleep(_LOOK_EVERY)
        self._end()
        raise RuntimeError(f"the endpoint did not start: {said.strip()[-4000:] or f'it said nothing for {seconds:g} seconds'}")


def _ended(process: subprocess.Popen[bytes], folder: str) -> None:
    process.terminate()
    try:
        process.wait(35)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def saved(model: Any, path: Path) -> str:
    """Where a model is saved, which is done if it is not."""
    if isinstance(model, str | os.PathLike):
        return str(Path(model).resolve())
    model.write().save(path.as_uri())
    if not (path / "metadata").is_dir():
        raise RuntimeError(f"{path} was not written on this machine: save the model where it can be read, and deploy the path")
    return str(path)


def _instances(data: Any) -> list[Any]:
    """Rows of numbers as ``{"features": […]}``, other instances as they are."""
    if isinstance(data, np.ndarray):
        data = data.tolist() if data.ndim > 1 else [data.tolist()]
    if hasattr(data, "columns"):
        raise TypeError("a DataFrame goes as its to_numpy(), or, by the names of its columns, as its to_dict('records')")
    items = list(data)
    if items and isinstance(items[0], int | float | np.number):
        items = [items]
    return [{"features": list(item)} if isinstance(item, list | tuple | np.ndarray) else item for item in items]


def _jsonable(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON")


def _matrix(data: Any) -> np.ndarray | sp.csr_matrix:
    return sp.csr_matrix(data, dtype=np.float32) if sp.issparse(data) else np.atleast_2d(np.asarray(data, np.float32))

"""An artifact on its way from the driver to functions on the executors.

A small one travels inside the function. A larger one is sent once for each application and artifact, to a private file on each
executor, which the Python workers there map into memory: they share its pages, and no task reads more of it than it uses.

In a classic session the file is a broadcast variable's. Spark removes it from the executors once neither the model nor a DataFrame made
with it is left, from the driver at the end of the application. Through Spark Connect it is a file artifact of the session, and goes with
the session. With ``spark.io.encryption.enabled`` nothing may lie readable on a disk: every worker then has a copy in memory.

    0     80 05 8e, 8 bytes   so that the file is the pickle of a bytes object, which is what Spark takes a broadcast for
    11    8 bytes             length of the JSON that follows: values, and of each array name, dtype, shape and place
    …     the arrays, each at a multiple of 64 bytes
"""

from __future__ import annotations

import hashlib
import json
import struct
import tempfile
import uuid
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Generic, Protocol, TypeVar

import numpy as np
from pyspark import Broadcast, SparkContext, SparkFiles
from pyspark.sql import SparkSession

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.cluster.imported import spare_imported
from sparkml_algos.cluster.resources import is_connect

# Above this size PySpark itself sends a function by a broadcast (spark.broadcast.UDFCompressionThreshold), which each task unpickles.
CARRIED_BYTES = 1 << 20

ALIGNMENT = 64
PIECE_BYTES = 1 << 20

T = TypeVar("T")

# Opcodes of Python's pickle protocol 5: PROTO 5, BINBYTES8 with the length behind it; STOP.
_PICKLE, _STOP = b"\x80\x05\x8e", b"."
_START = len(_PICKLE) + 8


class Shipment(Protocol):
    """An artifact that a function on an executor opens."""

    def open(self) -> Artifact:
        """The artifact; its arrays may be read-only."""


def ship(artifact: Artifact, spark: SparkSession) -> Shipment:
    """Send an artifact to the executors of a session, unless it is there already.

    Parameters
    ----------
    artifact : Artifact
    spark : SparkSession

    Returns
    -------
    Shipment
        To be used in functions of this session.
    """
    if sum(array.nbytes for array in artifact.arrays.values()) <= CARRIED_BYTES:
        return Carried(artifact)
    if is_connect(spark):
        return Uploaded(uploaded(artifact, spark))
    return _SHIPPED(artifact, spark.sparkContext, lambda: Broadcasted(_ArtifactBroadcast.of(artifact, spark.sparkContext)))


def uploaded(artifact: Artifact, spark: SparkSession) -> str:
    """Name of the file artifact that an artifact is in a session of Spark Connect; it goes there once."""
    return _SHIPPED(artifact, spark.session_id, lambda: _upload(artifact, spark))


class Opened(Generic[T]):
    """What functions on executors make of an artifact when they first need it, once in the life of a task.

    Parameters
    ----------
    shipment : Shipment
    make : callable
        Of the artifact; travels to the executors.
    """

    def __init__(self, shipment: Shipment, make: Callable[[Artifact], T]) -> None:
        self._shipment, self._make = shipment, make
        self._made: T | None = None

    def get(self) -> T:
        """It; the same every time."""
        if self._made is None:
            spare_imported()
            self._made = self._make(self._shipment.open())
        return self._made


class ShippedArtifact:
    """An artifact among the settings of a training; as a text it is what it is and a number of its content, which tell trainings apart.

    Parameters
    ----------
    artifact : Artifact
    spark : SparkSession
    what : str
        It is.
    """

    def __init__(self, artifact: Artifact, spark: SparkSession, what: str = "weights") -> None:
        self._text, self._shipment = f"{what} {digest_of(artifact)}", ship(artifact, spark)

    def __repr__(self) -> str:
        return self._text

    def open(self) -> Artifact:
        """The artifact, where a worker is."""
        return self._shipment.open()


def digest_of(artifact: Artifact) -> str:
    """A number of the names and arrays of an artifact, as a text of 16 characters."""
    digest = hashlib.sha256()
    for name, array in sorted(artifact.arrays.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()[:16]


class Carried:
    """An artifact within the function."""

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact

    def open(self) -> Artifact:
        return self._artifact


class _Mapped:
    """An artifact in a file that is mapped once in the life of a function, which is that of a task."""

    _artifact: Artifact | None = None

    def open(self) -> Artifact:
        if self._artifact is None:
            self._artifact = self._read()
        return self._artifact

    def _read(self) -> Artifact:
        raise NotImplementedError


class Broadcasted(_Mapped):
    """An artifact in the file of a broadcast variable."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast

    def __getstate__(self) -> dict[str, Any]:
        return {"_broadcast": self._broadcast}

    def _read(self) -> Artifact:
        path = getattr(self._broadcast, "_path", None)
        if path is not None:
            return read(path)
        # Encrypted: Spark has handed over the bytes, without the opcodes before them.
        return _parse(np.frombuffer(bytes(_START) + self._broadcast.value, np.uint8))


class Uploaded(_Mapped):
    """An artifact in a file of a Spark Connect session."""

    def __init__(self, name: str) -> None:
        self._name = name

    def _read(self) -> Artifact:
        return read(SparkFiles.get(self._name))


class _ArtifactBroadcast(Broadcast):
    """A broadcast variable whose file can be mapped."""

    @classmethod
    def of(cls, artifact: Artifact, context: SparkContext) -> _ArtifactBroadcast:
        return cls(context, artifact, context._pickled_broadcast_vars)

    def dump(self, value: Artifact, f: BinaryIO) -> None:
        for piece in pieces(value):
            f.write(piece)
        f.close()


def _upload(artifact: Artifact, spark: SparkSession) -> str:
    name = f"sparkml-algos-{uuid.uuid4().hex}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        with open(path, "wb") as file:
            file.writelines(pieces(artifact))
        spark.addArtifacts(str(path), file=True)
    return name


def pieces(artifact: Artifact) -> Iterator[bytes]:
    """The file of an artifact, in pieces of at most about a mebibyte."""
    arrays = {name: np.ascontiguousarray(array) for name, array in artifact.arrays.items()}
    places, end = [], 0
    for name, array in arrays.items():
        places.append([name, array.dtype.str, list(np.shape(artifact.arrays[name])), end])
        end += _padded(array.nbytes)
    header = json.dumps({"values": artifact.values, "arrays": places}).encode()
    first = _padded(_START + 8 + len(header))
    yield _PICKLE + struct.pack("<Q", first - _START + end)
    yield (struct.pack("<Q", len(header)) + header).ljust(first - _START, b"\0")
    for array in arrays.values():
        data = memoryview(array.reshape(-1).view(np.uint8))
        for start in range(0, len(data), PIECE_BYTES):
            yield bytes(data[start : start + PIECE_BYTES])
        yield bytes(_padded(len(data)) - len(data))
    yield _STOP


def read(path: str) -> Artifact:
    """The artifact of a file that `pieces` made, its arrays mapped into memory, read-only."""
    return _parse(np.memmap(path, np.uint8, "r").view(np.ndarray))


def _parse(data: np.ndarray) -> Artifact:
    length = int(data[_START : _START + 8].view("<u8")[0])
    header = json.loads(data[_START + 8 : _START + 8 + length].tobytes())
    first = _padded(_START + 8 + length)
    artifact = Artifact(values=header["values"])
    for name, dtype, shape, place in header["arrays"]:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        artifact.arrays[name] = data[first + place : first + place + size].view(dtype).reshape(shape)
    return artifact


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


class OncePerArtifact:
    """What is made of artifacts for a session, made once while the artifact lives and the session stays the same."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[weakref.ref[Artifact], Any, Any]] = {}

    def __call__(self, artifact: Artifact, session: Any, make: Callable[[], T]) -> T:
        key = id(artifact)
        known = self._made.get(key)
        if known and known[0]() is artifact and known[1] == session:
            return known[2]
        made = make()
        self._made[key] = (weakref.ref(artifact, lambda _: self._made.pop(key, None)), session, made)
        return made


_SHIPPED = OncePerArtifact()

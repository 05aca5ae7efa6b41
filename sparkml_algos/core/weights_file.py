"""Weights that a training starts from, on their way from a file or a model to the workers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.core.shared_artifacts import ship

#: Array and value of the artifact of a file.
WEIGHTS, NAME = "weights", "name"
# Spark keeps the bytes of a file in an array, which has room for less than this.
_MOST_BYTES = (1 << 31) - (1 << 10)


class ShippedArtifact:
    """An artifact among the settings of a training; as a text it is a number of its content, which tells trainings apart.

    Parameters
    ----------
    artifact : Artifact
    spark : SparkSession
    """

    def __init__(self, artifact: Artifact, spark: SparkSession) -> None:
        digest = hashlib.sha256()
        for name, array in sorted(artifact.arrays.items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(array))
        self._digest, self._shipment = digest.hexdigest()[:16], ship(artifact, spark)

    def __repr__(self) -> str:
        return f"weights {self._digest}"

    def open(self) -> Artifact:
        """The artifact, where a worker is."""
        return self._shipment.open()


def read_weights_file(spark: SparkSession, path: str) -> Artifact:
    """The bytes of a file of weights, ``weights``, and its name.

    Parameters
    ----------
    spark : SparkSession
    path : str
        On the driver's disk, or on any storage of the session.

    Raises
    ------
    ValueError
        If there is no such file, or it is larger than Spark can read a file.
    """
    local = Path(path)
    if "://" not in path and local.is_file():
        return Artifact({WEIGHTS: np.fromfile(local, np.uint8)}, {NAME: local.name})
    try:
        files = spark.read.format("binaryFile").load(path).select("path", "length")
        found = files.limit(2).collect()
    except Exception as error:  # of many kinds, by the storage
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"pretrained_weights={path!r} cannot be read: {first}") from error
    if len(found) != 1:
        raise ValueError(f"pretrained_weights={path!r} must be one file, found {len(found) or 'none'}")
    if found[0].length > _MOST_BYTES:
        raise ValueError(
            f"pretrained_weights={path!r} has {found[0].length} bytes, Spark reads files of {_MOST_BYTES}; copy it to the driver's disk"
        )
    content = spark.read.format("binaryFile").load(path).select(F.col("content")).collect()[0].content
    return Artifact({WEIGHTS: np.frombuffer(content, np.uint8)}, {NAME: path.rpartition("/")[2]})

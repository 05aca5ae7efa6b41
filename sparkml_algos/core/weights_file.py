"""Weights that a training starts from, as the bytes of a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkml_algos.arrays.artifact import Artifact

#: Array and value of the artifact of a file.
WEIGHTS, NAME = "weights", "name"
# Spark keeps the bytes of a file in an array, which has room for less than this.
_MOST_BYTES = (1 << 31) - (1 << 10)


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

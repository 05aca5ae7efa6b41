"""Estimators and Models save and load themselves, by DataFrame readers and writers alone: so every file system of the session serves, in
classic sessions and in Connect. What is in the files, `core.persistence` says."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pyspark.ml.util import MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import SparkSession

from sparkml_algos.arrays.artifact import SPARK_SCHEMA, Artifact
from sparkml_algos.core.persistence import OURS, metadata_of, restored

T = TypeVar("T", bound="Persistable")


class Persistable(MLWritable, MLReadable):
    """An instance of declared Params, with arrays and facts if it is a model, that can be saved and loaded."""

    def _state(self) -> tuple[Artifact | None, dict[str, Any]]:
        """Arrays and JSON facts to be saved besides the Params."""
        return None, {}

    def _restore(self, artifact: Artifact | None, facts: dict[str, Any]) -> None:
        """Take back what `_state` gave."""

    def write(self) -> Writer:
        """A writer: ``write().overwrite().save(path)``."""
        return Writer(self)

    @classmethod
    def read(cls: type[T]) -> Reader[T]:
        """A reader: ``read().load(path)``."""
        return Reader(cls)

    def save(self, path: str) -> None:
        """Save to `path`, which must not exist; shortcut of ``write().save(path)``."""
        self.write().save(path)

    @classmethod
    def load(cls: type[T], path: str) -> T:
        """Load from `path`; shortcut of ``read().load(path)``."""
        return cls.read().load(path)


class Writer(MLWriter):
    """Writes one instance.

    Raises
    ------
    FileExistsError
        If there is something at the path and `overwrite` was not asked for, or it is no saved instance, which alone is overwritten.
    """

    def __init__(self, instance: Persistable) -> None:
        super().__init__()
        self._instance = instance

    def save(self, path: str) -> None:
        spark, path = self.sparkSession, str(path)
        occupied = _is_there(spark, path)
        if occupied and not self.shouldOverwrite:
            raise FileExistsError(f"{path} exists; use write().overwrite().save(path) to replace it")
        if occupied and not _is_saved_instance(spark, path):
            raise FileExistsError(f"{path} holds something else than a saved instance, which overwrite() does not replace; save elsewhere")
        if occupied:
            clear(spark, path)
        artifact, _ = self._instance._state()
        metadata = json.dumps(metadata_of(self._instance, spark.version))
        spark.createDataFrame([(metadata,)], "value string").coalesce(1).write.text(f"{path}/metadata")
        if artifact is not None:
            rows = [tuple(row.values()) for row in artifact.rows()]
            spark.createDataFrame(rows, SPARK_SCHEMA).coalesce(1).write.parquet(f"{path}/data")


class Reader(MLReader[T]):
    """Reads an instance of a class.

    Raises
    ------
    ValueError
        If the path holds something else, or a newer format.
    """

    def __init__(self, cls: type[T]) -> None:
        super().__init__()
        self._cls = cls

    def load(self, path: str) -> T:
        spark, path = self.sparkSession, str(path)
        first = spark.read.text(f"{path}/metadata").first()
        if first is None:
            raise ValueError(f"{path} holds no saved instance: its metadata is empty")
        metadata = json.loads(first["value"])
        artifact = None
        if metadata.get(OURS, {}).get("has_data"):
            artifact = Artifact.from_rows(row.asDict() for row in spark.read.parquet(f"{path}/data").collect())
        return restored(self._cls, metadata, artifact, path)


def clear(spark: SparkSession, path: str) -> None:
    """Empty a directory: an overwriting write of nothing does it on any file system, without the JVM's help."""
    spark.createDataFrame([], "value string").write.mode("overwrite").text(path)


def _is_there(spark: SparkSession, path: str) -> bool:
    """Whether there is anything at a path, in a way that every file system of a session knows, in Connect too."""
    try:
        # Its schema is known when the path has been looked at, before any file is read. The path is given twice: of one alone Spark asks
        # whether a stream has written it, and where nothing is there logs a page about that.
        _ = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load([path, path]).schema
    except Exception as error:
        if "PATH_NOT_FOUND" in str(error):
            return False
        raise
    return True


def _is_saved_instance(spark: SparkSession, path: str) -> bool:
    """Whether a path holds what Spark ML calls saved, or nothing but folders."""
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(path)
    if files.select("length").limit(1).count() == 0:
        return True
    try:
        first = spark.read.text(f"{path}/metadata").first()
        return first is not None and {"class", "uid"} <= set(json.loads(first["value"]))
    except Exception:  # no such folder, no text, no JSON: whatever it is, it is no saved instance
        return False

"""Where a training came from: which rows, which code, which machine."""

from __future__ import annotations

import getpass
import hashlib
import json
import platform
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pyspark
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, MapType, StructType

from sparkml_algos.cluster.jobs import described, is_connect
from sparkml_algos.version import __version__

# Of a dataset of many files, so many are named; their folders where there are more.
MOST_SOURCES = 20
_GIT_SECONDS = 5
_LENGTH = 32


@dataclass(frozen=True)
class Fingerprint:
    """What tells a dataset from others, whatever it is called.

    Attributes
    ----------
    schema : str
        Hash of names and types of the columns, in their order.
    rows : int
    content : str
        Sum of the hashes of all rows: the same in any order, another one where a row is.
    """

    schema: str
    rows: int
    content: str

    @property
    def digest(self) -> str:
        """All of it in 32 characters."""
        return hashlib.sha256(f"{self.schema}/{self.rows}/{self.content}".encode()).hexdigest()[:_LENGTH]


def fingerprint(dataset: DataFrame) -> Fingerprint:
    """The fingerprint of a dataset; reads all of its rows once, on the JVM.

    Parameters
    ----------
    dataset : DataFrame

    Returns
    -------
    Fingerprint

    Examples
    --------
    >>> fingerprint(dataframe).digest == fingerprint(dataframe.orderBy("age")).digest  # doctest: +SKIP
    True
    """
    schema = dataset.schema
    renamed = dataset.toDF(*[f"c{place}" for place in range(len(schema.fields))])
    hashed = F.xxhash64(*[part for place, field in enumerate(schema.fields) for part in _hashable(f"c{place}", field.dataType)])
    with described(dataset.sparkSession, "sparkml_algos: fingerprint of a dataset"):
        rows = renamed.select(hashed.cast("decimal(20,0)").alias("hash")).agg(F.count(F.lit(1)).alias("rows"), F.sum("hash").alias("sum"))
        (found,) = rows.collect()
    return Fingerprint(_schema_hash(schema), int(found["rows"]), str(found["sum"] or 0))


def _hashable(name: str, of_type: DataType) -> list[Column]:
    """What is hashed of a column. Spark's hash passes over nulls, as if neither they nor an empty array were there."""
    column = F.col(name)
    parts = [F.to_json(F.struct(column)) if _has_no_hash(of_type) else column, F.isnull(column)]
    return [*parts, F.coalesce(F.size(column), F.lit(-1))] if isinstance(of_type, ArrayType) else parts


def _has_no_hash(of_type: DataType) -> bool:
    if isinstance(of_type, StructType):
        return any(_has_no_hash(field.dataType) for field in of_type.fields)
    if isinstance(of_type, ArrayType):
        return _has_no_hash(of_type.elementType)
    return isinstance(of_type, MapType) or of_type.typeName() == "variant"


def schema_hash(dataset: DataFrame) -> str:
    """Of names and types of the columns, in their order."""
    return _schema_hash(dataset.schema)


def _schema_hash(schema: StructType) -> str:
    told = [[field.name, field.dataType.simpleString()] for field in schema.fields]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:_LENGTH]


def sources_of(dataset: DataFrame) -> list[str]:
    """Files that a dataset is read from, or their folders if they are many; none of a dataset that is not read from files."""
    files = sorted(dataset.inputFiles())
    return files if len(files) <= MOST_SOURCES else sorted({file.rpartition("/")[0] for file in files})[:MOST_SOURCES]


def schema_json(dataset: DataFrame) -> str:
    """Names and types of its columns, for MLflow."""
    columns = [{"name": field.name, "type": field.dataType.simpleString()} for field in dataset.schema.fields]
    return json.dumps({"columns": columns})


@cache
def code_version() -> dict[str, str]:
    """Tags, under MLflow's names, for what program runs: file, user, and the commit of the repository that it lies in, if it does."""
    script = Path(sys.argv[0] or ".") if sys.argv else Path(".")
    folder = script.resolve().parent if script.is_file() else Path.cwd()
    tags = {"mlflow.source.name": str(script.resolve()) if script.is_file() else "interactive", "mlflow.source.type": "LOCAL"}
    try:
        tags["mlflow.user"] = getpass.getuser()
    except (KeyError, OSError):
        pass  # a user without a name
    commit = _git(folder, "rev-parse", "HEAD")
    if commit:
        tags["mlflow.source.git.commit"] = commit
        if _git(folder, "status", "--porcelain", "--untracked-files=no"):
            tags["sparkml_algos.code"] = "changed since the commit"
        if origin := _git(folder, "config", "--get", "remote.origin.url"):
            parsed = urlparse(origin)
            tags["mlflow.source.git.repoURL"] = parsed._replace(netloc=parsed.hostname or "").geturl() if parsed.username else origin
    return tags


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def versions(spark: SparkSession) -> dict[str, str]:
    """Of libraries and of Spark, and what cluster it is."""
    found: dict[str, Any] = {
        "version": __version__,
        "python": platform.python_version(),
        "spark": spark.version,
        "pyspark": pyspark.__version__,
        "session": "connect" if is_connect(spark) else "classic",
        "master": spark.conf.get("spark.master", None),
        "slots": None if is_connect(spark) else spark.sparkContext.defaultParallelism,
        "application": spark.conf.get("spark.app.id", None),
    }
    return {f"sparkml_algos.{name}": str(value) for name, value in found.items() if value is not None}

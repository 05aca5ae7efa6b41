"""A saved instance, read from its directory without Spark."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sparkml_algos.arrays.artifact import Artifact


def read_local(path: str | Path) -> tuple[dict[str, Any], Artifact | None]:
    """Metadata and arrays of a saved instance from a local directory, without Spark.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    (dict, Artifact or None)
        Metadata as saved; arrays by name, if it is a model.

    Raises
    ------
    FileNotFoundError
        If nothing was saved there.
    """
    path = Path(path)
    metadata = read_metadata(path)
    return metadata, Artifact.from_table(read_table(path / "data")) if (path / "data").is_dir() else None


def read_table(folder: str | Path) -> pa.Table:
    """The rows of all Parquet files in a local folder, without pyarrow's datasets, which take a while to import.

    Parameters
    ----------
    folder : str or Path

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    files = sorted(file for file in Path(folder).glob("*.parquet") if file.stat().st_size)
    if not files:
        raise FileNotFoundError(f"{folder} holds no Parquet file")
    return pa.concat_tables([pq.ParquetFile(file).read() for file in files], promote_options="default")


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Metadata of a saved instance, or of one of Spark's, from a local directory.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    FileNotFoundError
        If nothing was saved there.
    """
    lines = [part.read_text() for part in sorted((Path(path) / "metadata").glob("part-*")) if part.stat().st_size]
    if not lines:
        raise FileNotFoundError(f"{path} holds no saved instance: it has no metadata/part-…")
    return json.loads(lines[0])


def write_local(path: str | Path, metadata: Mapping[str, Any], artifact: Artifact | None) -> None:
    """Save an instance into a local directory without Spark, as Spark would.

    Parameters
    ----------
    path : str or Path
        A folder that is not there yet.
    metadata : mapping
        What is saved beside the arrays.
    artifact : Artifact, optional

    Raises
    ------
    FileExistsError
        If there is something at the path.
    """
    path = Path(path)
    for name, there in {"metadata": True, "data": artifact is not None}.items():
        if there:
            (path / name).mkdir(parents=True)
    (path / "metadata" / "part-00000").write_text(json.dumps(metadata) + "\n")
    if artifact is not None:
        pq.write_table(artifact.to_table(), path / "data" / "part-00000.parquet")

"""Files behind the paths that Spark gives a data source."""

from __future__ import annotations

import posixpath

import pyarrow as pa
import pyarrow.fs as fs

from sparkml_algos.arrays.storage import resolve
from sparkml_algos.cluster.errors import with_check

STREAM_BUFFER = 1 << 20


def list_files(paths: list[str]) -> list[str]:
    """The data files at the paths, folders with all below them; names that start with ``_`` or ``.`` are passed over.

    Raises
    ------
    ValueError
        If there are no paths; for a folder written in partitions, whose columns only the JVM's data source can tell.
    FileNotFoundError
        If there is nothing at a path.
    """
    if not paths:
        raise ValueError(with_check("no path to read: give one to load(...); tables of the catalog need the JVM bridge"))
    return [file for path in paths for file in _files(path)]


def _files(path: str) -> list[str]:
    filesystem, root = resolve(path)
    info = filesystem.get_file_info(root)
    if info.type == fs.FileType.NotFound:
        raise FileNotFoundError(f"{path} does not exist")
    if info.is_file:
        return [path]
    found = []
    for info in filesystem.get_file_info(fs.FileSelector(root, recursive=True)):
        relative = posixpath.relpath(info.path, root).split("/")
        if not info.is_file or any(part.startswith(("_", ".")) for part in relative):
            continue
        if any("=" in part for part in relative[:-1]):
            partitioned = f"{path} is partitioned ({relative[0]}), which needs the JVM bridge; or read one of its folders"
            raise ValueError(with_check(partitioned))
        found.append(f"{path.rstrip('/')}/{'/'.join(relative)}")
    return sorted(found)


def open_file(file: str) -> pa.NativeFile:
    filesystem, path = resolve(file)
    return filesystem.open_input_stream(path, buffer_size=STREAM_BUFFER)

"""A file, or all of a folder, through a model, on storage of any kind."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs

from sparkml_algos.arrays.storage import resolve
from sparkml_algos.serving.contract import Servable
from sparkml_algos.serving.files.transform import Transform, transform_bytes, types_of

SUFFIX = ".out"
_HIDDEN = (".", "_")


def file_system(uri: str | Path) -> tuple[pafs.FileSystem, str]:
    """The file system of a path or URI, and the whole path there."""
    system, path = resolve(str(uri))
    return system, os.path.abspath(path) if isinstance(system, pafs.LocalFileSystem) else path


def local_copy(uri: str, folder: str) -> str:
    """A local folder with what is under a path or URI: the folder itself, or a copy in this one."""
    system, path = file_system(uri)
    if isinstance(system, pafs.LocalFileSystem):
        return path
    pafs.copy_files(path, folder, source_filesystem=system, destination_filesystem=pafs.LocalFileSystem())
    return folder


def inputs_of(folder: str | Path) -> list[str]:
    """Files in a folder and those below, by their paths in it, in order; a file is itself. Hidden ones (``.``, ``_``) are left out.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    system, path = file_system(folder)
    info = system.get_file_info(path)
    if info.type == pafs.FileType.File:
        return [""]
    if info.type == pafs.FileType.NotFound:
        raise FileNotFoundError(f"{folder} is not there")
    root = path.rstrip("/")
    found = [one.path[len(root) + 1 :] for one in system.get_file_info(pafs.FileSelector(path, recursive=True)) if one.is_file]
    found = sorted(name for name in found if not any(part.startswith(_HIDDEN) for part in name.split("/")))
    if not found:
        raise FileNotFoundError(f"{folder} has no files")
    return found


def check_apart(source: str | Path, target: str | Path) -> None:
    """Refuse outputs among the inputs: they would be inputs the next time."""
    (system, inputs), (other, outputs) = file_system(source), file_system(target)
    within = system == other and Path(inputs) in (Path(outputs), *Path(outputs).parents)
    if within and system.get_file_info(inputs).type == pafs.FileType.Directory:
        raise ValueError(f"outputs in {target} would be among the inputs in {source}")


def transform_file(source: str | Path, target: str | Path, model: Servable, transform: Transform) -> int:
    """Transform a file. The output is there whole, or not at all.

    Parameters
    ----------
    source, target : str or Path
        A path, or a URI of a file system that pyarrow knows.
    model : Servable
    transform : Transform

    Returns
    -------
    int
        Bytes of the output.
    """
    from_system, from_path = file_system(source)
    to_system, to_path = file_system(target)
    to_system.create_dir(os.path.dirname(to_path), recursive=True)
    beside = f"{os.path.dirname(to_path)}/.{os.path.basename(to_path)}.{uuid.uuid4().hex}"
    size = 0
    try:
        with (
            from_system.open_input_stream(from_path, compression=None) as stream,
            to_system.open_output_stream(beside, compression=None) as sink,
        ):
            for piece in transform_bytes(stream, model, transform):
                size += sink.write(piece) or len(piece)
        to_system.move(beside, to_path)
    except BaseException:
        if to_system.get_file_info(beside).is_file:
            to_system.delete_file(beside)
        raise
    return size


@dataclass(frozen=True)
class Result:
    """What became of a file.

    Attributes
    ----------
    source, target : str
    error : str or None
    bytes : int
    """

    source: str
    target: str
    error: str | None
    bytes: int


def names_of(source: str | Path, target: str | Path, name: str) -> tuple[str, str]:
    """Where a file of a folder is read, and where its output goes."""
    inside = name or os.path.basename(str(source).rstrip("/"))
    return (f"{str(source).rstrip('/')}/{name}" if name else str(source)), f"{str(target).rstrip('/')}/{inside}{SUFFIX}"


def transform_folder(
    source: str | Path, target: str | Path, model: Servable, transform: Transform, names: Iterable[str] | None = None
) -> list[Result]:
    """Transform the files of a folder: each has an output of its name with ``.out`` behind it. One that cannot be read spoils no other.

    Parameters
    ----------
    source, target : str or Path
    model : Servable
    transform : Transform
    names : iterable of str, optional
        Files in the folder; all by default.

    Returns
    -------
    list of Result
    """
    types_of(model, transform)
    check_apart(source, target)
    found = []
    for name in inputs_of(source) if names is None else names:
        where, to = names_of(source, target, name)
        try:
            found.append(Result(where, to, None, transform_file(where, to, model, transform)))
        except (ValueError, OSError) as error:
            found.append(Result(where, to, f"{where}: {error or type(error).__name__}", 0))
    return found

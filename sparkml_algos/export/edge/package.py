"""Packages for devices.

A package is a folder, or an archive of one, with ``model.onnx``, ``manifest.json``, ``signature``, ``runner.py``, which needs onnxruntime
alone, and ``example.json``, a request and its answer, which the runner asks itself before it serves.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from sparkml_algos.export import comparison
from sparkml_algos.export.exporting import compared, local_folder, subject_of
from sparkml_algos.export.graph import FLOAT32
from sparkml_algos.export.report import Report
from sparkml_algos.version import __version__

MODEL, MANIFEST, SIGNATURE, RUNNER, EXAMPLE = "model.onnx", "manifest.json", "signature", "runner.py", "example.json"
#: What a package may run on: those for which onnxruntime has builds. Others are not claimed.
PLATFORMS = ("linux-x86_64", "linux-aarch64", "darwin-arm64", "win-amd64")
# A key with fewer bytes than the digest weakens it.
KEY_BYTES = 32
_EXAMPLES = 3
_MANIFEST_VERSION = 1


@dataclass(frozen=True)
class Package:
    """A package that was written.

    Attributes
    ----------
    path : Path
    manifest : dict
    report : Report
        How its graph compares with the model.
    """

    path: Path
    manifest: dict[str, Any]
    report: Report


def package(
    model: Any,
    target: str | os.PathLike[str],
    *,
    name: str,
    version: str,
    key: bytes | None = None,
    precision: str = FLOAT32,
    rows: Any = None,
    widths: Mapping[str, int] | None = None,
) -> Package:
    """Write a package for devices.

    Parameters
    ----------
    model : Model, PipelineModel or path
        See `export`, as ``precision``, ``rows`` and ``widths``.
    target : path
        A folder that does not exist; or, with the suffix ``.tar.gz``, an archive with the folder ``name`` in it.
    name, version : str
        What devices call the model.
    key : bytes, optional
        Shared with the devices, 32 bytes or more: it signs the manifest, which has the digests of all other files (HMAC, SHA-256).
        Without it the package is not signed.

    Returns
    -------
    Package

    Raises
    ------
    CannotExport
        See `export`.
    FileExistsError
        If there is something at the target.
    """
    target = Path(target)
    if target.exists():
        raise FileExistsError(f"{target} exists; name a place where nothing is")
    if not name or not set(name) <= _LETTERS or name.startswith(("-", ".")):
        raise ValueError(f"name must be of letters, digits, '-', '_' and '.', got {name!r}")
    if key is not None and len(key) < KEY_BYTES:
        raise ValueError(f"a key must have {KEY_BYTES} bytes or more, this one has {len(key)}")
    with local_folder(model) as path:
        subject = subject_of(path, widths)
        content, report = compared(subject, target, precision, rows)
        example = subject.rows(np.random.default_rng(1), _EXAMPLES) if rows is None else _first(rows)
        feeds, _ = subject.asked(example)
    files = {
        MODEL: content,
        RUNNER: Path(__file__).with_name("runner.py").read_bytes(),
        EXAMPLE: json.dumps(_example(content, feeds)).encode(),
    }
    running = comparison.session(content)
    manifest = {
        "manifest_version": _MANIFEST_VERSION,
        "name": name,
        "version": version,
        "model": report.model,
        "precision": precision,
        "created": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "made_by": f"sparkml-algos {__version__}",
        "inputs": [{"name": one.name, "type": one.type, "shape": one.shape} for one in running.get_inputs()],
        "outputs": [{"name": one.name, "type": one.type, "shape": one.shape} for one in running.get_outputs()],
        "compared": {"rows": report.rows, "largest_difference": report.largest, "rows_with_other_choices": report.differing},
        "platforms": list(PLATFORMS),
        "signed": key is not None,
        "files": {file: hashlib.sha256(data).hexdigest() for file, data in files.items()},
    }
    files[MANIFEST] = json.dumps(manifest, indent=1).encode() + b"\n"
    if key is not None:
        files[SIGNATURE] = hmac.new(key, files[MANIFEST], "sha256").hexdigest().encode() + b"\n"
    _write(target, name, files)
    return Package(target, manifest, report)


_LETTERS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def verify(path: str | os.PathLike[str], key: bytes | None = None) -> dict[str, Any]:
    """Make sure that a package is what was written.

    Parameters
    ----------
    path : path
        Its folder, or its archive.
    key : bytes, optional
        The one that it was signed with.

    Returns
    -------
    dict
        Its manifest.

    Raises
    ------
    ValueError
        If a file is not what the manifest says, or one that it does not name; if the manifest is not what was signed; if it is signed and
        there is no key, or the reverse; if an archive is not one folder of files.
    """
    files = _read(Path(path))
    if missing := {MANIFEST} - set(files):
        raise ValueError(f"{path} is no package: it has no {', '.join(missing)}")
    manifest = json.loads(files[MANIFEST])
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict) or "signed" not in manifest:
        raise ValueError(f"{path} is no package: its manifest does not say what is in it")
    if manifest["signed"] != (key is not None):
        raise ValueError(f"{path} is {'signed: give its key' if manifest['signed'] else 'not signed, and a key was given'}")
    if key is not None:
        expected = hmac.new(key, files[MANIFEST], "sha256").hexdigest()
        if not hmac.compare_digest(expected, files.get(SIGNATURE, b"").decode(errors="replace").strip()):
            raise ValueError(f"{path}: the signature is not that of the manifest with this key")
    if more := sorted(set(files) - {MANIFEST, SIGNATURE, *manifest["files"]}):
        raise ValueError(f"{path}: the manifest does not name {', '.join(more)}")
    for file, digest in manifest["files"].items():
        if file not in files or hashlib.sha256(files[file]).hexdigest() != digest:
            raise ValueError(f"{path}: {file} is missing, or not the one that the manifest names")
    return manifest


def _first(rows: Any) -> dict[str, Any]:
    columns = dict(rows) if isinstance(rows, Mapping) else {"features": rows}
    columns.pop("label", None)
    return {name: column[:_EXAMPLES] for name, column in columns.items()}


def _example(content: bytes, feeds: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """A request as the runner takes it, and its answer."""
    found = comparison.answers(comparison.session(content), feeds)
    instances = [{name: _plain(array[row]) for name, array in feeds.items()} for row in range(len(next(iter(feeds.values()))))]
    predictions = [{name: _plain(array[row]) for name, array in found.items()} for row in range(len(instances))]
    return {"instances": instances, "predictions": predictions}


def _plain(value: Any) -> Any:
    """As JSON has it: what is no number is null."""
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _write(target: Path, name: str, files: Mapping[str, bytes]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.name.endswith(".tar.gz"):
        with (
            tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as sink,
            tarfile.open(fileobj=sink, mode="w:gz") as archive,
        ):
            for file, data in files.items():
                entry = tarfile.TarInfo(f"{name}/{file}")
                entry.size, entry.mode = len(data), 0o644
                archive.addfile(entry, io.BytesIO(data))
        os.chmod(sink.name, 0o644)
        os.replace(sink.name, target)
        return
    folder = Path(tempfile.mkdtemp(dir=target.parent, prefix="."))
    try:
        for file, data in files.items():
            (folder / file).write_bytes(data)
        folder.chmod(0o755)
        os.rename(folder, target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _read(path: Path) -> dict[str, bytes]:
    if path.is_dir():
        return {file.name: file.read_bytes() if file.is_file() else b"" for file in path.iterdir()}
    files: dict[str, bytes] = {}
    folders: set[str] = set()
    try:
        opened = tarfile.open(path)
    except tarfile.TarError as error:
        raise ValueError(f"{path} is no package: {error}") from None
    with opened as archive:
        for entry in archive:
            folder, _, file = entry.name.removeprefix("./").partition("/")
            if entry.isdir() and not file.strip("/"):
                continue
            content = archive.extractfile(entry) if entry.isreg() else None
            folders.add(folder)
            if content is None or not set(folder) <= _LETTERS or folder.startswith(".") or "/" in file or file in files or len(folders) > 1:
                raise ValueError(f"{path}: {entry.name!r} is in it, and a package is one folder of files, each there once")
            files[file] = content.read()
    return files

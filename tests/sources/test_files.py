"""Paths and URIs are what Spark takes them for: no character in them stands for another."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from sparkml_algos.sources import files
from sparkml_algos.sources.files import list_files, open_file, resolve

NAMES = ["my dog, 100%25 #1?.img", "ä&b=c+d.img", "plain.img"]


@pytest.mark.parametrize("scheme", ["", "file:", "file://"])
def test_files_are_found_by_their_names(tmp_path: Path, scheme: str) -> None:
    folder = tmp_path / "to be #1 (of 50%)"
    folder.mkdir()
    for name in [*NAMES, "_passed over", ".and this"]:
        (folder / name).write_text(name)
    found = list_files([f"{scheme}{folder}"])
    assert found == sorted(f"{scheme}{folder}/{name}" for name in NAMES)
    for file in found:
        with open_file(file) as stream:
            assert stream.read().decode() == Path(file).name


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("s3a://bucket/my dog 100%.jpg#1", "s3://bucket/my%20dog%20100%25.jpg%231"),
        ("s3n://bucket/ä", "s3://bucket/%C3%A4"),
        ("s3://bucket/a?endpoint_override=http://host:9000&scheme=http", "s3://bucket/a?endpoint_override=http://host:9000&scheme=http"),
        ("hdfs://host:8020/day=1/a b", "hdfs://host:8020/day=1/a%20b"),
    ],
)
def test_names_on_other_storage_are_written_as_pyarrow_reads_them(monkeypatch: pytest.MonkeyPatch, path: str, uri: str) -> None:
    monkeypatch.setattr(files, "fs", SimpleNamespace(FileSystem=SimpleNamespace(from_uri=lambda given: given)))
    assert resolve(path) == uri

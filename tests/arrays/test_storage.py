"""Paths and URIs of all that reads and writes files without Spark are what Spark takes them for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from sparkml_algos.arrays import storage
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.storage import resolve
from sparkml_algos.serving.files.folder import inputs_of, local_copy
from sparkml_algos.training.checkpoint import CheckpointStore

NAME = "to be #1 (of 50%25)?"


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("s3a://bucket/my dog 100%.jpg#1", "s3://bucket/my%20dog%20100%25.jpg%231"),
        ("s3n://bucket/ä", "s3://bucket/%C3%A4"),
        ("s3://bucket/a?endpoint_override=http://host:9000&scheme=http", "s3://bucket/a?endpoint_override=http://host:9000&scheme=http"),
        ("abfss://container@account.dfs.core.windows.net/a b", "abfss://container@account.dfs.core.windows.net/a%20b"),
        ("hdfs://host:8020/day=1/a b", "hdfs://host:8020/day=1/a%20b"),
    ],
)
def test_names_on_other_storage_are_written_as_pyarrow_reads_them(monkeypatch: pytest.MonkeyPatch, path: str, uri: str) -> None:
    monkeypatch.setattr(storage, "fs", SimpleNamespace(FileSystem=SimpleNamespace(from_uri=lambda given: given)))
    assert resolve(path) == uri


@pytest.mark.parametrize("scheme", ["", "file:", "file://"])
def test_checkpoints_are_kept_where_the_name_says(tmp_path: Path, scheme: str) -> None:
    store = CheckpointStore(f"{scheme}{tmp_path}/{NAME}", "fit")
    store.check()
    store.save(3, Artifact({}, {"epochs": 3}))
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert store.load()[0] == 3


@pytest.mark.parametrize("scheme", ["", "file:", "file://"])
def test_files_to_answer_are_those_the_name_says(tmp_path: Path, scheme: str) -> None:
    folder = tmp_path / NAME
    folder.mkdir()
    (folder / "rows.csv").write_text("1")
    assert inputs_of(f"{scheme}{folder}") == ["rows.csv"]
    assert local_copy(f"{scheme}{folder}", "unused") == str(folder)

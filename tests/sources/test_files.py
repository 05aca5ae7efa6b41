"""Paths and URIs are what Spark takes them for: no character in them stands for another."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkml_algos.sources.files import list_files, open_file

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

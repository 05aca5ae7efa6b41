"""A store gives back the newest state of its own training and of no other."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.training.checkpoint import CheckpointStore

IDENTITY = {"algorithm": "kmeans", "settings": [{"k": 3}], "seed": 0}


def state(number: float) -> Artifact:
    return Artifact({"centers": np.full((2, 3), number)}, {"number": number})


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*") if path.is_file())


def test_a_new_store_has_nothing_to_load(tmp_path):
    assert CheckpointStore.of(str(tmp_path / "not yet there"), IDENTITY).load() is None


def test_what_was_saved_is_loaded_by_another_process_of_the_same_training(tmp_path):
    CheckpointStore.of(str(tmp_path), IDENTITY).save(3, state(3.5))
    epochs, loaded = CheckpointStore.of(str(tmp_path), dict(reversed(IDENTITY.items()))).load()
    assert (epochs, loaded.values) == (3, {"number": 3.5})
    np.testing.assert_array_equal(loaded.arrays["centers"], np.full((2, 3), 3.5))


def test_the_newest_is_loaded(tmp_path):
    store = CheckpointStore.of(str(tmp_path), IDENTITY)
    for epoch in (8, 9, 10, 11):
        store.save(epoch, state(epoch))
    epochs, loaded = store.load()
    assert (epochs, loaded.values["number"]) == (11, 11)


def test_only_the_newest_is_kept(tmp_path):
    store = CheckpointStore.of(str(tmp_path), IDENTITY)
    for epoch in (1, 2, 3):
        store.save(epoch, state(epoch))
    assert files(tmp_path) == ["epoch-000003.parquet"]


@pytest.mark.parametrize("change", [{"seed": 1}, {"settings": [{"k": 4}]}, {"algorithm": "pca"}], ids=["seed", "settings", "algorithm"])
def test_another_training_does_not_see_it(tmp_path, change):
    CheckpointStore.of(str(tmp_path), IDENTITY).save(1, state(1))
    assert CheckpointStore.of(str(tmp_path), {**IDENTITY, **change}).load() is None


def test_clearing_removes_what_this_training_wrote_and_nothing_else(tmp_path):
    ours, other = CheckpointStore.of(str(tmp_path), IDENTITY), CheckpointStore.of(str(tmp_path), {**IDENTITY, "seed": 1})
    ours.save(1, state(1))
    other.save(2, state(2))
    ours.clear()
    assert ours.load() is None
    assert other.load()[0] == 2


def test_clearing_a_store_that_was_never_written_does_nothing(tmp_path):
    CheckpointStore.of(str(tmp_path), IDENTITY).clear()
    assert list(tmp_path.iterdir()) == []


def test_a_save_that_was_cut_off_leaves_the_one_before(tmp_path):
    class CutOff(Artifact):
        def to_table(self):
            raise OSError("the machine is gone")

    store = CheckpointStore.of(str(tmp_path), IDENTITY)
    store.save(1, state(1))
    with pytest.raises(OSError, match="gone"):
        store.save(2, CutOff())
    assert store.load()[0] == 1


class HalfWritten:
    """Something happens when half of a file is written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, then: Callable[[], None]) -> None:
        self._then, self._write_table = then, pq.write_table
        monkeypatch.setattr(pq, "write_table", self)

    def __call__(self, table: pa.Table, stream: pa.NativeFile) -> None:
        whole = pa.BufferOutputStream()
        self._write_table(table, whole)
        content = whole.getvalue().to_pybytes()
        stream.write(content[: len(content) // 2])
        stream.flush()
        self._then()
        stream.write(content[len(content) // 2 :])


def test_who_reads_while_another_writes_sees_whole_files_only(tmp_path, monkeypatch):
    reader, writer, seen = CheckpointStore.of(str(tmp_path), IDENTITY), CheckpointStore.of(str(tmp_path), IDENTITY), []
    writer.save(1, state(1))
    HalfWritten(monkeypatch, then=lambda: seen.append(reader.load()[0]))
    writer.save(2, state(2))
    assert (seen, reader.load()[0]) == ([1], 2)


def test_a_process_that_is_killed_while_it_writes_leaves_the_one_before(tmp_path, monkeypatch):
    store = CheckpointStore.of(str(tmp_path), IDENTITY)
    store.save(1, state(1))

    def die() -> None:
        HalfWritten(monkeypatch, then=lambda: os._exit(7))
        store.save(2, state(2))

    process = multiprocessing.get_context("fork").Process(target=die)
    process.start()
    process.join(20)
    assert process.exitcode == 7
    assert store.load()[0] == 1
    store.save(2, state(2))
    assert store.load()[0] == 2
    store.clear()
    assert files(tmp_path) == []


def test_a_directory_may_be_given_as_uri(tmp_path):
    CheckpointStore.of(tmp_path.as_uri(), IDENTITY).save(1, state(1))
    assert CheckpointStore.of(str(tmp_path), IDENTITY).load()[0] == 1


def test_a_directory_that_can_be_written_is_left_as_it_was(tmp_path):
    CheckpointStore.of(str(tmp_path), IDENTITY).check()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=f"checkpoint_dir {tmp_path}/file cannot be written"):
        CheckpointStore.of(str(tmp_path / "file"), IDENTITY).check()

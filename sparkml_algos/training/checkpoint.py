"""Training state on storage every executor can reach, so that a fit that was cut off goes on where it was."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any

import pyarrow.fs as fs
import pyarrow.parquet as pq

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.storage import resolve


class CheckpointStore:
    """The checkpoints of one fit, a Parquet file per epoch; only the newest is kept.

    Parameters
    ----------
    directory : str
        A path or URI as `resolve` takes it; the same storage on every executor.
    name : str
        Of the fit, within the directory.
    """

    def __init__(self, directory: str, name: str) -> None:
        filesystem, path = resolve(directory)
        self.name = name
        self._given, self._directory = directory, path.rstrip("/")
        self._fs, self._path = filesystem, f"{self._directory}/{name}"

    @classmethod
    def of(cls, directory: str, identity: dict[str, Any]) -> CheckpointStore:
        """The checkpoints of the fit that is what it is by algorithm, hyperparameters, seed and dimensions; fits that differ in any do not
        see each other's."""
        return cls(directory, hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:16])

    def check(self) -> None:
        """Find out before training whether the directory can be written.

        Raises
        ------
        OSError
            If not.
        """
        trial = f"{self._directory}/.{self.name}.trial"
        try:
            self._fs.create_dir(self._directory, recursive=True)
            with self._fs.open_output_stream(trial) as stream:
                stream.write(b"trial")
            self._fs.delete_file(trial)
        except OSError as error:
            raise OSError(f"checkpoint_dir {self._given} cannot be written: {error}") from error

    def load(self) -> tuple[int, Artifact] | None:
        """Epochs done and the state after them, from the newest checkpoint; None where there is none."""
        files = self._files()
        if not files:
            return None
        with self._fs.open_input_file(f"{self._path}/{files[-1]}") as file:
            return _epoch(files[-1]), Artifact.from_table(pq.read_table(file))

    def save(self, epochs_done: int, state: Artifact) -> None:
        """Write under a temporary name, rename, then drop the older ones: a reader never meets half a file."""
        self._fs.create_dir(self._path, recursive=True)
        name = f"epoch-{epochs_done:06d}.parquet"
        temporary = f"{self._path}/.{name}.tmp"
        try:
            with self._fs.open_output_stream(temporary) as stream:
                pq.write_table(state.to_table(), stream)
            self._fs.move(temporary, f"{self._path}/{name}")
        except OSError:
            with contextlib.suppress(OSError):
                self._fs.delete_file(temporary)
            raise
        for older in self._files()[:-1]:
            self._fs.delete_file(f"{self._path}/{older}")

    def clear(self) -> bool:
        """Remove everything this fit has written; whether there was anything."""
        if self._fs.get_file_info(self._path).type != fs.FileType.Directory:
            return False
        self._fs.delete_dir(self._path)
        return True

    def _files(self) -> list[str]:
        selector = fs.FileSelector(self._path, allow_not_found=True)
        names = (info.base_name for info in self._fs.get_file_info(selector) if info.is_file)
        return sorted(name for name in names if name.startswith("epoch-"))


def _epoch(file_name: str) -> int:
    return int(file_name.removeprefix("epoch-").removesuffix(".parquet"))

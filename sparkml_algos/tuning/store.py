"""What is kept of a search while it runs: a line of JSON for everything that happens, so that a driver that is lost loses nothing else."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What begins with a scheme, which a letter of a drive is not.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


class Store:
    """A file that is only appended to.

    Parameters
    ----------
    directory : str or Path
        On storage that outlives the driver.
    name : str
        Of the job.

    Raises
    ------
    ValueError
        If the directory is the address of something that is no directory of this machine.
    """

    def __init__(self, directory: str | Path, name: str) -> None:
        if _ADDRESS.match(str(directory)):
            raise ValueError(f"a store is a directory that the driver can open, such as a mounted one, not the address {directory!r}")
        self.path = Path(directory) / f"{name}.jsonl"

    def exists(self) -> bool:
        """Whether anything was kept."""
        return self.path.exists() and self.path.stat().st_size > 0

    def append(self, event: dict[str, Any]) -> None:
        """Keep an event; it is on the disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a+b") as file:
            if file.tell() and not self._ends_well():
                file.write(b"\n")
            file.write(json.dumps(event).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def events(self) -> Iterator[dict[str, Any]]:
        """All events, in order; a line that was not finished when the driver ended is none.

        Raises
        ------
        FileNotFoundError
        """
        with open(self.path, encoding="utf-8") as file:
            for line in file:
                try:
                    yield json.loads(line)
                except ValueError:
                    continue

    def _ends_well(self) -> bool:
        with open(self.path, "rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

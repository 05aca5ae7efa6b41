"""The models of an endpoint by name, each of which may be replaced by a new version while requests come."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparkml_algos.serving.contract import Servable
from sparkml_algos.serving.endpoint.batching import Batcher
from sparkml_algos.serving.endpoint.metrics import Metrics
from sparkml_algos.serving.endpoint.settings import Settings
from sparkml_algos.serving.models import SavedModel
from sparkml_algos.serving.servable import ServedModel, load_servable

logger = logging.getLogger("sparkml_algos.serving")


@dataclass(frozen=True)
class Loaded:
    """A model that was loaded from a path before."""

    path: Path | None
    model: Servable


#: What a model may be given as.
Given = str | Path | SavedModel | Servable | Loaded
#: Models as they may be given: a path, several, by name, or loaded already.
Models = Given | Sequence[str | Path] | Mapping[str, Given]


@dataclass
class Entry:
    """A model by its name.

    Attributes
    ----------
    name : str
    path : Path or None
        Where it was saved; None of one that was given as such.
    model : Servable
    batcher : Batcher
    version : str
        Tells what is saved there from what was saved there before.
    """

    name: str
    path: Path | None
    model: Servable
    batcher: Batcher
    version: str


class Taken(Exception):
    """A model has this name already."""


class Registry:
    """The models of an endpoint.

    Parameters
    ----------
    models : Models
    settings : Settings
    metrics : Metrics
    """

    def __init__(self, models: Models, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._lock = threading.Lock()
        self.entries: dict[str, Entry] = {}
        for name, model in named(models).items():
            self.add(name, model)

    def add(self, name: str, model: Given) -> Entry:
        """Load a model under a name that is free.

        Raises
        ------
        Taken
        """
        path = Path(model) if isinstance(model, str | Path) else None
        version = version_of(path) if path is not None else ""
        served: Servable
        if isinstance(model, str | Path):
            served = load_servable(model, self._settings.options)
        elif isinstance(model, Loaded):
            path, served = model.path, model.model
        else:
            served = ServedModel(model, self._settings.options) if isinstance(model, SavedModel) else model
        batcher = Batcher(self._settings.max_batch_rows, self._settings.max_waiting_rows, self._metrics)
        entry = Entry(name, path, served, batcher, version)
        with self._lock:
            if name in self.entries:
                raise Taken(f"a model {name!r} is loaded already")
            self.entries[name] = entry
        self._metrics.set("models", len(self.entries))
        logger.info("model %s: %s from %s", name, served.name, path)
        return entry

    def remove(self, name: str) -> None:
        """Forget a model; what is being scored by it is finished."""
        with self._lock:
            entry = self.entries.pop(name)
        self._metrics.set("models", len(self.entries))
        entry.batcher.close()

    def changed(self) -> list[Entry]:
        """Models of which another version is saved by now."""
        return [
            entry for entry in list(self.entries.values()) if entry.path is not None and version_of(entry.path) not in ("", entry.version)
        ]

    def reload(self, entry: Entry) -> bool:
        """Load what is saved there now, and then let it answer in the place of what was there before; that stays where it cannot be loaded.

        Returns
        -------
        bool
            Whether it could.
        """
        if entry.path is None:
            return False
        version = version_of(entry.path)
        try:
            model = load_servable(entry.path, self._settings.options)
        except Exception:
            logger.exception("model %s: what is saved in %s cannot be loaded; the version before answers on", entry.name, entry.path)
            self._metrics.add("failed_reloads")
            # It is looked at again when it has changed again.
            entry.version = version
            return False
        entry.model, entry.version = model, version
        self._metrics.add("reloads")
        logger.info("model %s: a new version of %s", entry.name, entry.path)
        return True


def named(models: Models) -> dict[str, Given]:
    """Models by name: the one given, or the last part of its path, of the folder itself where the path is a link.

    Raises
    ------
    ValueError
        If there is none, or two have one name.
    """
    if isinstance(models, Mapping):
        found = dict(models)
    elif isinstance(models, str | Path):
        found = {_name(models): models}
    elif isinstance(models, Sequence):
        found = {_name(path): path for path in models}
        if len(found) < len(models):
            raise ValueError(f"two of the models have one name ({', '.join(map(_name, models))}): give names, as {{'name': path}}")
    else:
        found = {"model": models}
    if not found:
        raise ValueError("there is no model to serve")
    return found


def _name(path: str | Path) -> str:
    return Path(path).name or Path(path).resolve().name


def version_of(path: Path) -> str:
    """What tells apart what is saved in a folder from what was saved there before; "" while nothing is, or not all of it."""
    try:
        folder = path.resolve(strict=True)
        files = sorted([*folder.glob("metadata/part-*"), *folder.glob("data/*.parquet"), *folder.glob("stages/*/metadata/part-*")])
        if not any((folder / "metadata").glob("part-*")):
            return ""
        return f"{folder} " + " ".join(f"{file.name}:{(stat := file.stat()).st_mtime_ns}:{stat.st_size}" for file in files)
    except OSError:
        return ""

"""What Spark saves of a stage, read without Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sparkml_algos.arrays.saved import read_metadata, read_table

#: What a pipeline is saved as, by the JVM and by Python.
PIPELINES = ("org.apache.spark.ml.PipelineModel", "pyspark.ml.pipeline.PipelineModel")

_DENSE = 1


class CannotServe(ValueError):
    """A stage, or a setting of it, that has no translation."""


@dataclass(frozen=True)
class SavedStage:
    """A stage of a saved pipeline.

    Attributes
    ----------
    path : Path
    metadata : dict
    """

    path: Path
    metadata: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> SavedStage:
        return cls(path, read_metadata(path))

    @property
    def cls(self) -> str:
        """Name of its class."""
        return self.metadata["class"]

    @property
    def uid(self) -> str:
        return self.metadata["uid"]

    def param(self, name: str, default: Any = None) -> Any:
        """A Param as it is set, or its default."""
        params = self.metadata["paramMap"]
        return params[name] if name in params else self.metadata.get("defaultParamMap", {}).get(name, default)

    def columns(self, one: str, several: str) -> list[str]:
        """What is in one of two Params, of which one names a column and the other several."""
        many = self.metadata["paramMap"].get(several)
        if many:
            return list(many)
        single = self.param(one)
        if single is None:
            raise self.cannot(f"it has neither {one} nor {several}")
        return [single]

    @cached_property
    def table(self) -> pa.Table:
        """What is saved beside the Params."""
        return read_table(self.path / "data")

    def value(self, name: str) -> Any:
        """Of a saved table with one row the value in a column, as Python has it."""
        table = self.table
        if name not in table.column_names or len(table) != 1:
            raise self.cannot(f"its data has no single {name!r}: columns {', '.join(table.column_names)}, {len(table)} rows")
        return table.column(name)[0].as_py()

    def vector(self, name: str) -> np.ndarray:
        """A saved vector."""
        return vector(self.value(name))

    def matrix(self, name: str) -> np.ndarray:
        """A saved dense matrix."""
        saved = self.value(name)
        if saved["type"] != _DENSE:
            raise self.cannot(f"{name} is a sparse matrix")
        rows, columns, values = int(saved["numRows"]), int(saved["numCols"]), np.array(saved["values"], np.float64)
        return values.reshape(rows, columns) if saved["isTransposed"] else values.reshape(columns, rows).T

    def cannot(self, why: str) -> CannotServe:
        """What to raise where it has no translation."""
        return CannotServe(f"stage {self.uid} ({self.cls.rpartition('.')[2]}) cannot be served without Spark: {why}")


def stages_of(path: str | Path) -> list[SavedStage]:
    """The stages of a saved pipeline in their order, those of pipelines within among them."""
    saved = SavedStage.read(Path(path))
    folders = {folder.name.partition("_")[2]: folder for folder in (Path(path) / "stages").iterdir()}
    stages = [SavedStage.read(folders[uid]) for uid in saved.metadata["paramMap"]["stageUids"]]
    return [one for stage in stages for one in (stages_of(stage.path) if stage.cls in PIPELINES else [stage])]


def vector(saved: Mapping[str, Any]) -> np.ndarray:
    """A vector as Spark saves it."""
    if saved["type"] == _DENSE:
        return np.array(saved["values"], np.float64)
    found = np.zeros(saved["size"])
    found[saved["indices"]] = saved["values"]
    return found


def chosen(stage: SavedStage, name: str, allowed: Sequence[str]) -> str:
    """A Param that must be one of these to be translated."""
    value = stage.param(name)
    if value not in allowed:
        reason = ": rows that it leaves out would have no answer" if value == "skip" else ""
        raise stage.cannot(f"{name}={value!r}{reason}; it must be one of {', '.join(allowed)}")
    return value

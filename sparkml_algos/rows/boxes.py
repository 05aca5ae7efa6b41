"""The objects in images, a list of them each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.rows.kinds import Facts, InvalidValue, Kind, Reader
from sparkml_algos.rows.lists import ListReader

#: Numbers of a box, in this order: its class, its upper left corner, and how large it is.
BOX_PARTS = ("class_id", "left", "top", "width", "height")
# What rounding may add to the edge of a box that ends where its image does, of which the edges are 0 and 1.
_SLACK = 1e-4


@dataclass(frozen=True)
class Boxes(Kind):
    """The objects in an image, as a `Ragged` of float32 rows of `BOX_PARTS`; an image may have none.

    Parameters
    ----------
    classes : int, optional
        Classes are numbers from 0 below this.
    most : int, optional
        Boxes of an image at most.
    hint : str
        What says so; follows the message about more of them.
    of_fractions : bool
        Whether edges are fractions of the image's width and height, and so from 0 to 1; else they are in its pixels.
    """

    parts: ClassVar[Mapping[str, pa.DataType]] = {"": pa.list_(pa.struct([(part, pa.float32()) for part in BOX_PARTS]))}

    classes: int | None = None
    most: int | None = None
    hint: str = ""
    of_fractions: bool = False
    row_bytes: ClassVar[int] = 256

    def reader(self, role: str, names: Sequence[str]) -> Reader:
        return _BoxesReader(self, role, names)

    def arrays(self, values: Ragged | Sequence[np.ndarray]) -> dict[str, pa.Array]:
        rows = [np.asarray(row, np.float32).reshape(-1, len(BOX_PARTS)) for row in values]
        flat = np.concatenate(rows) if rows else np.empty((0, len(BOX_PARTS)), np.float32)
        boxes = pa.StructArray.from_arrays([pa.array(column) for column in flat.T.copy()], names=list(BOX_PARTS))
        return {"": pa.ListArray.from_arrays(np.cumsum([0, *map(len, rows)]).astype(np.int32), boxes)}

    def from_json(self, values: Sequence[Sequence[Mapping[str, float]]]) -> list[np.ndarray]:
        return [np.array([[box[part] for part in BOX_PARTS] for box in row], np.float32) for row in values]

    def merge(self, facts: Sequence[Facts]) -> Facts:
        return {"largest": max((fact["largest"] for fact in facts if fact), default=-1)}


class _BoxesReader(ListReader):
    element = "box"

    def __init__(self, kind: Boxes, role: str, names: Sequence[str]) -> None:
        super().__init__(role, names)
        self._kind, self._classes, self._largest = kind, kind.classes, -1

    def read(self, parts: Mapping[str, pa.Array]) -> Ragged:
        boxes, offsets = self.lists(parts[""])
        self.refuse_null_elements(boxes, offsets)
        numbers, most = np.diff(offsets), self._kind.most
        if most is not None and len(numbers) and numbers.max() > most:
            hint = f" ({self._kind.hint})" if self._kind.hint else ""
            raise InvalidValue(f"{self.column} has {numbers.max()} boxes, expected {most} at most{hint},", int(numbers.argmax()))
        values = np.empty((len(boxes), len(BOX_PARTS)), np.float32)
        for place, (name, column) in enumerate(zip(BOX_PARTS, boxes.flatten(), strict=True)):
            values[:, place] = column.to_numpy(zero_copy_only=False)
            self._check(values[:, place], name, offsets)
        if self._kind.of_fractions:
            self._check_fractions(values, offsets)
        return Ragged(values, offsets)

    def _check_fractions(self, values: np.ndarray, offsets: np.ndarray) -> None:
        """Refuse edges that are beyond the image's."""
        edges = np.concatenate([values[:, 1:3], values[:, 1:3] + values[:, 3:5]], axis=1)
        wrong = (edges < -_SLACK) | (edges > 1 + _SLACK)
        if wrong.any():
            position, edge = np.argwhere(wrong)[0].tolist()
            name = ("left", "top", "right", "bottom")[edge]
            what = f"has its {name} edge at {edges[position, edge]:g}, expected a fraction of the image from 0 to 1,"
            raise self.invalid(what, position, offsets)

    def note(self, column: Ragged) -> None:
        self._largest = max(self._largest, int(column.values[:, 0].max(initial=-1)))

    def _check(self, values: np.ndarray, name: str, offsets: np.ndarray) -> None:
        wrong, expected = ~np.isfinite(values), "a number"
        if name == "class_id":
            most = np.inf if self._classes is None else self._classes
            wrong, expected = wrong | (values < 0) | (values >= most) | (values != np.floor(values)), "a whole number from 0"
            expected += "" if self._classes is None else f" to {self._classes - 1}"
        if name in ("width", "height"):
            wrong, expected = wrong | (values <= 0), "a number > 0"
        if wrong.any():
            position = int(np.flatnonzero(wrong)[0])
            raise self.invalid(f"has {name} {values[position]:g}, expected {expected},", position, offsets)

    def empty(self) -> Ragged:
        return Ragged(np.empty((0, len(BOX_PARTS)), np.float32), np.zeros(1, np.int64))

    @property
    def facts(self) -> Facts:
        return {"largest": self._largest}

    def learn(self, facts: Facts) -> None:
        self._largest = max(self._largest, facts.get("largest", -1))

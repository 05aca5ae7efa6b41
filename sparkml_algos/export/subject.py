"""What is exported: a model, or a pipeline of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from sparkml_algos.export.graph import Graph, Input
from sparkml_algos.export.translation import Translation


class Subject(Protocol):
    """What can become a graph.

    Attributes
    ----------
    name : str
        Of its class.
    decisions : sequence of str
    tolerance : float
    compared_rows : int
    precisions : sequence of str
    shapes : mapping of str to tuple
        See `Translation`.
    """

    name: str
    decisions: Sequence[str]
    tolerance: float
    compared_rows: int
    precisions: Sequence[str]
    shapes: Mapping[str, tuple[int | str, ...]]

    def inputs(self) -> list[Input]:
        """What its graph takes."""

    def build(self, graph: Graph) -> dict[str, tuple[str, Any]]:
        """Append its inputs and nodes; tensors and their types by the names of its outputs."""

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        """Rows to compare by."""

    def asked(self, columns: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], Mapping[str, Any]]:
        """What the graph is given for rows, and what we answer."""

    def settled(self, found: Mapping[str, np.ndarray], ours: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `Translation`."""

    def quality(self, ours: Mapping[str, Any], found: Mapping[str, np.ndarray], label: Any) -> dict[str, tuple[float, float]]:
        """See `Translation`."""


class OneModel:
    """A model of this package.

    Parameters
    ----------
    translation : Translation
    """

    def __init__(self, translation: Translation) -> None:
        self._translation, self._model = translation, translation.trained.model
        self.name = translation.trained.name
        self.decisions: Sequence[str] = translation.decisions
        self.precisions: Sequence[str] = translation.precisions
        self.shapes = translation.shapes
        self.tolerance = translation.tolerance
        self.compared_rows = translation.compared_rows

    def inputs(self) -> list[Input]:
        return self._translation.inputs()

    def build(self, graph: Graph) -> dict[str, tuple[str, Any]]:
        outputs = self._translation.outputs(graph, {one.name: graph.input(one) for one in self.inputs()})
        return {name: (tensor, self._translation.types.get(name, graph.number)) for name, tensor in outputs.items()}

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        return self._translation.rows(random, count)

    def asked(self, columns: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], Mapping[str, Any]]:
        batch = self._model.batch(**columns)
        return self._translation.feed(batch), self._translation.ours(batch)

    def settled(self, found: Mapping[str, np.ndarray], ours: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._translation.settled(found, ours)

    def quality(self, ours: Mapping[str, Any], found: Mapping[str, np.ndarray], label: Any) -> dict[str, tuple[float, float]]:
        return self._translation.quality(ours, found, label)

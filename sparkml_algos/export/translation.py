"""What an algorithm says of itself, so that its models can become graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.arrays.saved import read_local
from sparkml_algos.export.comparison import both_qualities
from sparkml_algos.export.graph import PRECISIONS, ROWS, TEXT, CannotExport, Graph, Input
from sparkml_algos.rows.batch import Batch
from sparkml_algos.serving.models import SavedModel, restored

#: How far an output may be from ours, in relation to what it is or to 1: where a graph computes as our predictor does, with 64 bits, and
#: where either has 32.
EXACT, SINGLE = 1e-6, 1e-4
#: What fills lists of token ids up to the longest of a call.
PADDING = -1


@dataclass(frozen=True)
class Trained:
    """A model, as what it was saved as and as what scores with it.

    Attributes
    ----------
    model : SavedModel
    artifact : Artifact
    """

    model: SavedModel
    artifact: Artifact

    @classmethod
    def read(cls, path: str | Path) -> Trained:
        """From a saved directory.

        Raises
        ------
        CannotExport
            If it holds no fitted model.
        """
        metadata, artifact = read_local(path)
        if artifact is None:
            raise CannotExport(f"{path} holds a {metadata['class']}, which is no fitted model")
        return cls(restored(metadata, artifact, str(path)), artifact)

    @property
    def name(self) -> str:
        """Of its class, such as ``KMeansModel``."""
        return self.model.name.rpartition(".")[2]

    @property
    def hyperparameters(self) -> Hyperparameters:
        return self.model.hyperparameters


class Translation:
    """A model on its way to a graph.

    Parameters
    ----------
    trained : Trained

    Attributes
    ----------
    decisions : tuple of str
        Outputs that are choices, such as the number of a class: they are the same or not.
    tolerance : float
        How far other outputs may be from ours where a graph has 64 bits.
    precisions : tuple of str
        What the numbers of its graph may be.
    compared_rows : int
        That are generated to compare by, and that a graph is given at once at most.
    types : mapping of str to dtype
        Of outputs that are no numbers of the graph's precision.
    shapes : mapping of str to tuple
        Of outputs whose rows differ in their shape from call to call: their axes but the first, lengths that differ by name.
    """

    decisions: tuple[str, ...] = ()
    tolerance: float = EXACT
    precisions: tuple[str, ...] = PRECISIONS
    types: ClassVar[Mapping[str, Any]] = {}
    shapes: Mapping[str, tuple[int | str, ...]] = {}
    compared_rows: ClassVar[int] = 1000

    def __init__(self, trained: Trained) -> None:
        self.trained, self.artifact, self.hyperparameters = trained, trained.artifact, trained.hyperparameters

    def inputs(self) -> list[Input]:
        """What the graph takes, by the roles of the fields of a batch."""
        raise NotImplementedError

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        """Build the graph.

        Parameters
        ----------
        graph : Graph
        inputs : mapping of str to str
            Tensors by the names of `inputs`.

        Returns
        -------
        dict of str to str
            Tensors by the names of the predictor's outputs.

        Raises
        ------
        CannotExport
            If a setting of the model has no such graph.
        """
        raise NotImplementedError

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        """Rows to compare by, as `SavedModel` takes them: such as the model may meet, and such as are on the edge of a decision."""
        raise NotImplementedError

    def feed(self, batch: Batch) -> dict[str, np.ndarray]:
        """What the graph is given for rows: numbers as they are, sparse rows with their zeros, lists filled up to the longest."""
        return {one.name: _filled(getattr(batch, one.name), one) for one in self.inputs()}

    def ours(self, batch: Batch) -> Mapping[str, Any]:
        """What the model answers to rows, as a graph has it."""
        return self.trained.model.of_batch(batch)

    def settled(self, found: Mapping[str, np.ndarray], ours: Mapping[str, Any]) -> Mapping[str, Any]:
        """Our answers, of which choices are those that a graph should have made of numbers that are equal to ours but for rounding; by
        default as they are.

        Parameters
        ----------
        found : mapping of str to ndarray
            What a graph answers.
        ours : mapping of str to array
        """
        return ours

    def quality(self, ours: Mapping[str, Any], found: Mapping[str, np.ndarray], label: Any) -> dict[str, tuple[float, float]]:
        """By name, how good our answers are, and those of a graph.

        Parameters
        ----------
        ours, found : mapping of str to array
        label : array, sequence or None
            The truth, if it is known.
        """
        return both_qualities(ours, found, self.decisions, label)


class OfFeatures(Translation):
    """A model that reads vectors of numbers."""

    def num_features(self) -> int:
        """How many there are."""
        return int(self.trained.model.facts["features"]["num_features"])

    def inputs(self) -> list[Input]:
        return [Input("features", np.float32, (ROWS, self.num_features()))]


def _filled(column: Any, wanted: Input) -> np.ndarray:
    if isinstance(column, Ragged):
        longest = int(column.lengths.max(initial=0))
        is_there = np.arange(longest) < column.lengths[:, None]
        if np.dtype(wanted.dtype) == TEXT:
            found = np.full(is_there.shape, "", object)
            found[is_there] = pa.array(column.values).to_pylist()
            return found
        found = np.full(is_there.shape, PADDING, np.int64)
        found[is_there] = column.values[column.offsets[0] : column.offsets[-1]]
        return found
    if sp.issparse(column):
        return column.toarray().astype(wanted.dtype)
    if np.dtype(wanted.dtype) == TEXT:
        return np.array(column.to_pylist(), object)
    return np.ascontiguousarray(column, wanted.dtype)

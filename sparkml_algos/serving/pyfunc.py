"""The predictor of MLflow models of this package: what its ``python_function`` flavour loads, in a process that needs no Spark, and no
MLflow either."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.arrays.saved import read_metadata
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.serving.contract import Options
from sparkml_algos.serving.pipelines.columns import NUMBER, NUMBER_OR_VECTOR, VECTOR, Frame
from sparkml_algos.serving.pipelines.own import settle
from sparkml_algos.serving.pipelines.pipeline import ServedPipeline
from sparkml_algos.serving.responses import plain
from sparkml_algos.serving.values import values_of


class PythonFunction:
    """A saved model or pipeline that takes and gives pandas frames.

    Parameters
    ----------
    path : str or Path
        Of what was saved, in a local directory.

    Attributes
    ----------
    inputs : dict of str to str
        Columns that it reads, and what each is.
    answers : list of str
        Columns that it gives: those that `transform` appends by its last model and by the stages behind it.
    """

    def __init__(self, path: str | Path) -> None:
        self._pipeline = ServedPipeline.load(path, Options())
        self.inputs, self.answers = self._pipeline.inputs, self._pipeline.answers
        facts = read_metadata(path).get("sparkml_algos", {}).get("facts", {})
        self._feature_names: list[str] | None = facts.get("feature_names")

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Score rows.

        Parameters
        ----------
        model_input : pandas.DataFrame, array or csr_matrix (rows, features), mapping of str to column, or list of mappings
            Columns by their names, as `transform` reads them. A model of vectors takes a matrix, too, and a frame of numbers that has no
            column of its vector's name: a column a feature, in the order of training, by the names of the features where these are known.
        params : mapping, optional
            None is known.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ValueError
            If a column is missing, or there are params.
        InvalidRows
            If a row is not what the model takes.
        """
        import pandas as pd

        if params:
            raise ValueError(f"the model takes no params, got {', '.join(params)}")
        columns = self._columns(model_input)
        rows = next((len(column) if isinstance(column, list) else column.shape[0] for column in columns.values()), 0)
        if not rows:
            return pd.DataFrame({name: pd.Series([], dtype=object) for name in self.answers})
        frame = self._pipeline.transform(columns)
        for name in self.answers:
            settle(frame, name)
        return pd.DataFrame({name: _series(frame[name]) for name in self.answers})

    def _columns(self, given: Any) -> Frame:
        import pandas as pd

        if isinstance(given, np.ndarray) or sp.issparse(given):
            return {self._only_vector(): _matrix(given)}
        if isinstance(given, list):
            given = pd.DataFrame(given)
        elif isinstance(given, Mapping):
            given = pd.DataFrame({name: list(values) for name, values in given.items()})
        if not isinstance(given, pd.DataFrame):
            raise ValueError(
                f"rows must be a pandas frame, an array, a mapping of columns or a list of mappings, got {type(given).__name__}"
            )
        names = [str(name) for name in given.columns]
        given = given.set_axis(names, axis=1)
        missing = [name for name in self.inputs if name not in names]
        if missing and names == [str(place) for place in range(len(self.inputs))] and len(set(names) & set(self.inputs)) == 0:
            given, missing = given.set_axis(list(self.inputs), axis=1), []  # Spark's functions name columns by their places
        if missing and len(self.inputs) == 1 and self._reads_vector():
            return {self._only_vector(): self._matrix_of(given)}
        if missing:
            raise ValueError(
                f"there is no column {', '.join(map(repr, missing))}; the model reads {', '.join(self.inputs)}, got {', '.join(names)}"
            )
        return {name: _column(given[name].tolist(), name, kind) for name, kind in self.inputs.items()}

    def _reads_vector(self) -> bool:
        return list(self.inputs.values()) in ([VECTOR], [NUMBER_OR_VECTOR])

    def _only_vector(self) -> str:
        if not self._reads_vector():
            raise ValueError(f"a matrix is for models of a single vector; this one reads {', '.join(self.inputs)}: give a frame")
        return next(iter(self.inputs))

    def _matrix_of(self, frame: Any) -> np.ndarray:
        """The features, a column each."""
        names = self._feature_names
        if names and set(names) <= set(frame.columns):
            frame = frame[names]
        try:
            return _matrix(frame.to_numpy(np.float64, na_value=np.nan))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"there is no column {self._only_vector()!r}, and the columns that there are, are not all numbers: {error}"
            ) from error


def _load_pyfunc(path: str) -> PythonFunction:
    """What MLflow calls."""
    return PythonFunction(path)


def _matrix(given: Any) -> Any:
    if sp.issparse(given):
        return sp.csr_matrix(given, dtype=np.float64)
    found = np.asarray(given, np.float64)
    return found[None, :] if found.ndim == 1 else found


def _column(values: list[Any], name: str, kind: str) -> Any:
    """A column of a frame as stages read it."""
    if kind == NUMBER_OR_VECTOR:
        kind = VECTOR if values and _is_list(values[0]) else NUMBER
    if kind == NUMBER:
        try:
            return np.array([np.nan if value is None else value for value in values], np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidRows(f"column {name!r} must be numbers: {error}") from error
    if kind == VECTOR:
        return _vectors(values, name)
    return [_plain(value) for value in values]


def _vectors(values: Sequence[Any], name: str) -> np.ndarray:
    wrong = next((row for row, value in enumerate(values) if not _is_list(value)), None)
    if wrong is not None:
        raise InvalidRows(f"column {name!r} must be lists of numbers in row {wrong}, got {str(values[wrong])[:60]!r}")
    lengths = [len(value) for value in values]
    if other := next((row for row, length in enumerate(lengths) if length != lengths[0]), None):
        raise InvalidRows(f"column {name!r} has {lengths[other]} values in row {other}, where the first has {lengths[0]}")
    try:
        return np.array([[np.nan if one is None else one for one in value] for value in values], np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidRows(f"column {name!r} must be lists of numbers: {error}") from error


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, np.ndarray))


def _plain(value: Any) -> Any:
    """A cell of pandas as JSON would have it."""
    if isinstance(value, np.ndarray | tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, float) and value != value:
        return None
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    return value if isinstance(value, str | int | float | bool | dict) else str(value)


def _series(column: Any) -> Any:
    """A column of answers as pandas has it: a list where a row has several values."""
    column = plain(column)
    if isinstance(column, np.ndarray):
        return column if column.ndim == 1 else list(column.astype(np.float64))
    return values_of(column) if isinstance(column, Ragged | pa.Array) else list(column)

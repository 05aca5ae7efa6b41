"""A model's predictor as a vectorised function of Spark SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from pyspark.ml.functions import array_to_vector
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    MapType,
    NumericType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.core.inputs import Inputs
from sparkml_algos.core.shared_artifacts import Opened, Shipment
from sparkml_algos.rows.decoder import Decoder
from sparkml_algos.rows.predictor import Load, Predictor


@dataclass(frozen=True)
class Output:
    """An output column of a Model.

    Parameters
    ----------
    field : str
        Name in what the predictor gives.
    type : str
        Spark type of the column, or ``vector`` for Spark ML's vectors, of which the predictor gives an array (rows, length).
    param : str
        Param that names the column.
    on_jvm : bool
        Whether a model of the JVM bridge has it too, if there is one.
    """

    field: str
    type: str
    param: str
    on_jvm: bool = True

    def column(self, scored: Column) -> Column:
        """The output as users see it, out of the struct that `scored` gives."""
        part = scored[self.field]
        return array_to_vector(part) if self.type == "vector" else part.cast(self.type)


class Loads(Protocol):
    """What has the functions of an algorithm, of which scoring takes one."""

    load: Load


class Scoring:
    """What a task does with the columns of its rows. The predictor is made once in the life of the task.

    Parameters
    ----------
    algorithm : Loads
    shipment : Shipment
        Of the model's artifact.
    hyperparameters : dict
    decoder : Decoder
    names : sequence of str
        Of the columns, as the decoder knows them.
    fields : sequence of str
        Outputs of the predictor that are wanted.
    """

    def __init__(
        self,
        algorithm: Loads,
        shipment: Shipment,
        hyperparameters: dict[str, Any],
        decoder: Decoder,
        names: Sequence[str],
        fields: Sequence[str],
    ) -> None:
        settings = Hyperparameters(**hyperparameters)
        self._predictor: Opened[Predictor] = Opened(shipment, lambda artifact: algorithm.load(artifact, settings, "cpu"))
        self._decoder, self._names, self._fields = decoder, list(names), list(fields)

    def __call__(self, columns: Sequence[pa.Array]) -> list[pa.Array]:
        """The outputs, one after the other."""
        batch = self._decoder(pa.RecordBatch.from_arrays(list(columns), names=self._names))
        with self._decoder.naming_rows():
            predicted = self._predictor.get()(batch)
        return [as_arrow(predicted[field]) for field in self._fields]


def scored(
    algorithm: Loads,
    shipment: Shipment,
    hyperparameters: dict[str, Any],
    found: Inputs,
    decoder: Decoder,
    outputs: Sequence[Output],
) -> Column:
    """All outputs for the rows of the inputs, as a struct."""
    fields = [output.field for output in outputs]
    scoring = Scoring(algorithm, shipment, hyperparameters, decoder, found.read_names, fields)
    schema = ", ".join(f"{output.field} {_arrow_type(output.type)}" for output in outputs)

    if hasattr(F, "arrow_udf"):  # Spark 4.1 and later

        def score_arrow(*columns):  # noqa: ANN002, ANN202 - annotated below, for Spark looks them up at run time
            return pa.StructArray.from_arrays(scoring(columns), names=fields)

        score_arrow.__annotations__ = {"columns": pa.Array, "return": pa.Array}
        return F.arrow_udf(score_arrow, schema)(*found.read)

    import pandas as pd

    types = found.read_types

    def score_pandas(*columns):  # noqa: ANN002, ANN202 - annotated below
        parts = scoring([_from_pandas(column, type_) for column, type_ in zip(columns, types, strict=True)])
        return pd.DataFrame({field: part.to_pandas() for field, part in zip(fields, parts, strict=True)})

    score_pandas.__annotations__ = {"columns": pd.Series, "return": pd.DataFrame}
    return F.pandas_udf(score_pandas, schema)(*found.read)


def rowwise(dataset: DataFrame) -> DataFrame:
    """The same rows, kept away from a path of Spark 4.3 that cannot pass columns of all types by.

    There, an Arrow function over a columnar source (a Parquet scan) hands the other columns on in columnar form, which fails with
    UNSUPPORTED_DATATYPE for user-defined types, nulls without a type, and strings with a collation. A filter that is always true, and that
    the optimiser cannot know to be, makes the source row-based.
    """
    if all(_passes_by(field.dataType) for field in dataset.schema.fields) or not _columnar_input(dataset):
        return dataset
    return dataset.where(F.spark_partition_id() >= 0)


_COLUMNAR = (NumericType, BooleanType, BinaryType, DateType, TimestampType, TimestampNTZType)


def _passes_by(type_: DataType) -> bool:
    """Whether a type is known to have a columnar form, and all in it."""
    if isinstance(type_, StructType):
        return all(_passes_by(field.dataType) for field in type_.fields)
    if isinstance(type_, MapType):
        return _passes_by(type_.keyType) and _passes_by(type_.valueType)
    if isinstance(type_, ArrayType):
        return _passes_by(type_.elementType)
    return isinstance(type_, _COLUMNAR) or type_ == StringType()


def _columnar_input(dataset: DataFrame) -> bool:
    try:
        return dataset.sparkSession.conf.get("spark.sql.execution.arrow.pythonUDF.columnarInput.enabled") == "true"
    except Exception:  # Spark before 4.3 does not know the setting
        return False


def _arrow_type(spark_type: str) -> str:
    """Integers come out of Arrow functions as long, vectors as arrays."""
    return {"int": "long", "array<int>": "array<long>", "vector": "array<double>"}.get(spark_type, spark_type)


def as_arrow(part: np.ndarray | Ragged | pa.Array) -> pa.Array:
    """An output as Arrow has it: numbers, lists, or whatever a predictor gives in Arrow's own form."""
    if isinstance(part, pa.Array):
        return part
    if isinstance(part, Ragged):
        values = part.values if isinstance(part.values, pa.Array) else as_arrow(part.values)
        return pa.ListArray.from_arrays(part.offsets.astype(np.int32), values)
    if part.ndim == 1:
        return pa.array(part)
    offsets = np.arange(0, part.size + 1, part.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, np.ascontiguousarray(part).ravel())


def _from_pandas(column: Any, type_: pa.DataType) -> pa.Array:
    """A pandas column, as Spark 3.5 hands it to a function, as the Arrow array it was."""
    if pa.types.is_list(type_) and pa.types.is_primitive(type_.value_type):
        return _lists(column, type_)
    return pa.array(column, None if pa.types.is_timestamp(type_) else type_, from_pandas=not pa.types.is_floating(type_))


def _lists(column: Any, type_: pa.DataType) -> pa.ListArray:
    valid = column.notna().to_numpy()
    parts = column.to_numpy()[valid]
    lengths = np.zeros(len(column), np.int64)
    lengths[valid] = [len(part) for part in parts]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    values = pa.array(np.concatenate(parts)) if len(parts) else pa.array([], type_.value_type)
    return pa.ListArray.from_arrays(offsets, values, mask=pa.array(~valid) if not valid.all() else None)

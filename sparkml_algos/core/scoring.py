"""A model's `predict` as a vectorised function of Spark SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.ml.functions import array_to_vector
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import UserDefinedType

from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.core.shared_artifacts import Shipment
from sparkml_algos.rows.batch import BASE_MARGIN, INDICES, SIZE, VALUES, Decoder
from sparkml_algos.training.algorithm import Algorithm, Predictor


@dataclass(frozen=True)
class Output:
    """An output column of a Model.

    Parameters
    ----------
    field : str
        Name in what `predict` returns.
    type : str
        Spark type of the column, or ``vector`` for Spark ML's vectors, of which `predict` returns an array (rows, length).
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
        """The output as users see it, out of the struct that `scorer` gives."""
        part = scored[self.field]
        return array_to_vector(part) if self.type == "vector" else part.cast(self.type)


class Scoring:
    """What a task does with the columns of its rows: outputs, one after the other. The predictor is made once in the life of the task."""

    def __init__(
        self,
        algorithm: Algorithm,
        shipment: Shipment,
        hyperparameters: dict[str, Any],
        decoder: Decoder,
        outputs: Sequence[Output],
    ) -> None:
        self._algorithm, self._shipment, self._hyperparameters = algorithm, shipment, hyperparameters
        self._decoder, self._fields = decoder, [output.field for output in outputs]
        self._predictor: Predictor | None = None

    def __call__(self, columns: Sequence[pa.Array]) -> list[np.ndarray]:
        if self._predictor is None:
            self._predictor = self._algorithm.load(self._shipment.open(), Hyperparameters(**self._hyperparameters), "cpu")
        beside = [BASE_MARGIN] if self._decoder.base_margin else []
        names = [*[VALUES, INDICES, SIZE][: len(columns) - len(beside)], *beside]
        predicted = self._predictor(self._decoder(pa.RecordBatch.from_arrays(list(columns), names=names)))
        return [predicted[field] for field in self._fields]


def scorer(
    algorithm: Algorithm,
    shipment: Shipment,
    hyperparameters: dict[str, Any],
    decoder: Decoder,
    outputs: Sequence[Output],
) -> Callable[..., Column]:
    """A function of the feature columns (``values`` and, for vectors, ``indices`` and ``size``) and, where the decoder reads base margins,
    of theirs, to a struct of all outputs."""
    scoring = Scoring(algorithm, shipment, hyperparameters, decoder, outputs)
    fields = [output.field for output in outputs]
    schema = ", ".join(f"{output.field} {_arrow_type(output.type)}" for output in outputs)

    if hasattr(F, "arrow_udf"):  # Spark 4.1 and later

        def score_arrow(*columns):  # noqa: ANN002, ANN202 - annotated below, for Spark looks them up at run time
            return pa.StructArray.from_arrays([_arrow(part) for part in scoring(columns)], names=fields)

        score_arrow.__annotations__ = {"columns": pa.Array, "return": pa.Array}
        return F.arrow_udf(score_arrow, schema)

    import pandas as pd

    def score_pandas(*columns):  # noqa: ANN002, ANN202 - annotated below
        parts = scoring([_lists(column) if column.dtype == object else pa.array(column) for column in columns])
        return pd.DataFrame({field: list(part) if part.ndim > 1 else part for field, part in zip(fields, parts, strict=True)})

    score_pandas.__annotations__ = {"columns": pd.Series, "return": pd.DataFrame}
    return F.pandas_udf(score_pandas, schema)


def rowwise(dataset: DataFrame) -> DataFrame:
    """The same rows, kept away from a path of Spark 4.3 that cannot pass Vector columns by.

    There, an Arrow function over a columnar source (a Parquet scan) hands the other columns on in columnar form, which fails with
    UNSUPPORTED_DATATYPE for a user-defined type. A filter that is always true, and that the optimiser cannot know to be, makes the source
    row-based.
    """
    has_udt = any(isinstance(field.dataType, UserDefinedType) for field in dataset.schema.fields)
    return dataset.where(F.spark_partition_id() >= 0) if has_udt and _columnar_input(dataset) else dataset


def _columnar_input(dataset: DataFrame) -> bool:
    try:
        return dataset.sparkSession.conf.get("spark.sql.execution.arrow.pythonUDF.columnarInput.enabled") == "true"
    except Exception:  # Spark before 4.3 does not know the setting
        return False


def _arrow_type(spark_type: str) -> str:
    """Integers come out of Arrow functions as long, vectors as arrays."""
    return {"int": "long", "vector": "array<double>"}.get(spark_type, spark_type)


def _arrow(part: np.ndarray) -> pa.Array:
    """Numbers, or lists of equal length, a row each."""
    if part.ndim == 1:
        return pa.array(part)
    offsets = np.arange(0, part.size + 1, part.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, np.ascontiguousarray(part).ravel())


def _lists(column: Any) -> pa.ListArray:
    """A pandas column of arrays, as Spark 3.5 hands it to a function, as the Arrow list it was."""
    valid = column.notna().to_numpy()
    parts = column.to_numpy()[valid]
    lengths = np.zeros(len(column), np.int64)
    lengths[valid] = [len(part) for part in parts]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    values = pa.array(np.concatenate(parts) if len(parts) else np.empty(0, np.float32))
    return pa.ListArray.from_arrays(offsets, values, mask=pa.array(~valid) if not valid.all() else None)

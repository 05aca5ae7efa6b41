"""What `evaluate` needs of the rows of a DataFrame: sums, computed with NumPy where the rows are, or outputs beside labels."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
from pyspark import TaskContext
from pyspark.ml import Transformer
from pyspark.sql import DataFrame

from sparkml_algos.arrays.artifact import ITEM_SPARK_SCHEMA, Artifact
from sparkml_algos.arrays.hyperparameters import InvalidParams
from sparkml_algos.cluster.shipping import ALWAYS, ensure_importable
from sparkml_algos.core.bridge import packed_vectors
from sparkml_algos.core.columns import column
from sparkml_algos.core.inputs import Inputs, input_problems, read_inputs
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.decoder import Decoder
from sparkml_algos.rows.fields import Field
from sparkml_algos.rows.kinds import Facts

Sums = dict[str, np.ndarray]


class Evaluated(Protocol):
    """What is asked of a model whose metrics are sums over rows."""

    facts: dict[str, Facts]

    def fields(self) -> list[Field]:
        """What it reads."""

    def only(self, field: str, name: str) -> Transformer:
        """A copy that appends a single output, in a column of this name."""


def sum_over_batches(dataset: DataFrame, model: Evaluated, summands: Callable[[Batch], Sums]) -> Sums:
    """Add up what `summands` says of each batch of rows.

    Parameters
    ----------
    dataset : DataFrame
    model : AlgorithmModel
        Its fields for evaluating are read.
    summands : callable
        Of a batch; travels to the executors.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    ValueError
        If columns do not fit, or no row is left.
    """
    found = _read(dataset, model, [field for field in model.fields() if field.evaluating])
    found = found.packing(functools.partial(packed_vectors, dataset))
    ensure_importable(dataset.sparkSession, [*ALWAYS, *model.algorithm().libraries])
    decoder = found.decoder(model.facts)
    decoder.where = " of its partition"
    rows = dataset.select(*found.read).mapInArrow(functools.partial(_sum_partition, decoder, summands), ITEM_SPARK_SCHEMA).collect()
    totals: Sums = {}
    for part in Artifact.items(rows).values():
        _add(totals, part.arrays)
    if not totals:
        raise ValueError("the dataset to evaluate on is empty")
    return totals


def scored_rows(dataset: DataFrame, model: Evaluated, output: str) -> DataFrame:
    """An output of a model beside the columns that are read by `evaluate` only, for functions of Spark that take them by name.

    Parameters
    ----------
    dataset : DataFrame
    model : AlgorithmModel
    output : str
        Field of the output.

    Returns
    -------
    DataFrame
        ``score``, the output, and for each field that only `evaluate` reads, and that has a column, one of the name of its role: ``label``,
        ``weight`` … Whatever the columns of the dataset are called, these are names that nothing mistakes for others.

    Raises
    ------
    ValueError
        If columns do not fit.
    """
    found = _read(dataset, model, [field for field in model.fields() if field.evaluating and not field.scoring])
    return model.only(output, _SCORE).transform(dataset).select(column(_SCORE).alias(SCORE), *found.read)


SCORE = "score"
_SCORE = "_sparkml_algos_score"


def _read(dataset: DataFrame, model: Evaluated, fields: Sequence[Field]) -> Inputs:
    problems = input_problems(dataset, model, fields)
    if problems:
        raise InvalidParams(type(model).__name__, problems)
    return read_inputs(dataset, model, fields)


def _sum_partition(decoder: Decoder, summands: Callable[[Batch], Sums], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The sums of a partition as the table of an artifact, marked with the number of the partition."""
    totals: Sums = {}
    for record_batch in batches:
        batch = decoder(record_batch)
        if len(batch):
            with decoder.naming_rows():
                _add(totals, summands(batch))
    if totals:
        part = Artifact({name: np.asarray(array) for name, array in totals.items()})
        yield from part.to_item(str(TaskContext.get().partitionId())).to_batches()


def _add(totals: Sums, part: Sums) -> None:
    for name, array in part.items():
        totals[name] = totals.get(name, 0) + array

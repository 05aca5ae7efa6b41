"""What `evaluate` needs of the rows of a DataFrame: sums or arrays, computed with NumPy where the rows are, or outputs beside labels."""

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
    totals: Sums = {}
    for part in _parts_of(dataset, model, functools.partial(_sums_of, summands)):
        _add(totals, part)
    return totals


def joined_over_batches(dataset: DataFrame, model: Evaluated, parts: Callable[[Batch], Sums]) -> Sums:
    """Put together what `parts` says of each batch of rows, array after array along the first axis; order and refusals are those of
    `sum_over_batches`, so what is said of a row must be small.

    Parameters
    ----------
    dataset : DataFrame
    model : AlgorithmModel
    parts : callable
        Of a batch; travels to the executors.

    Returns
    -------
    dict of str to ndarray
    """
    return _joined(list(_parts_of(dataset, model, functools.partial(_joined_of, parts))))


def _parts_of(dataset: DataFrame, model: Evaluated, of_batches: Callable[[Iterator[Batch]], Sums]) -> Iterator[Sums]:
    """What is made of the rows for evaluating of each partition that has some, in the order of the partitions."""
    found = _read(dataset, model, [field for field in model.fields() if field.evaluating])
    found = found.packing(functools.partial(packed_vectors, dataset))
    ensure_importable(dataset.sparkSession, [*ALWAYS, *model.algorithm().libraries])
    decoder = found.decoder(model.facts)
    decoder.where = " of its partition"
    rows = dataset.select(*found.read).mapInArrow(functools.partial(_of_partition, decoder, of_batches), ITEM_SPARK_SCHEMA).collect()
    items = Artifact.items(rows)
    if not items:
        raise ValueError("the dataset to evaluate on is empty")
    return (items[name].arrays for name in sorted(items, key=int))


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


def _of_partition(
    decoder: Decoder, of_batches: Callable[[Iterator[Batch]], Sums], record_batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """What is made of the rows of a partition as the table of an artifact, marked with the number of the partition."""
    with decoder.naming_rows():
        found = of_batches(batch for batch in map(decoder, record_batches) if len(batch))
    if found:
        part = Artifact({name: np.asarray(array) for name, array in found.items()})
        yield from part.to_item(str(TaskContext.get().partitionId())).to_batches()


def _sums_of(summands: Callable[[Batch], Sums], batches: Iterator[Batch]) -> Sums:
    totals: Sums = {}
    for batch in batches:
        _add(totals, summands(batch))
    return totals


def _joined_of(parts: Callable[[Batch], Sums], batches: Iterator[Batch]) -> Sums:
    return _joined([parts(batch) for batch in batches])


def _joined(parts: Sequence[Sums]) -> Sums:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _add(totals: Sums, part: Sums) -> None:
    for name, array in part.items():
        totals[name] = totals.get(name, 0) + array

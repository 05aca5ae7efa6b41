"""Sums over the rows of a DataFrame, computed with NumPy where the rows are."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame

from sparkml_algos.arrays.artifact import ITEM_SPARK_SCHEMA, Artifact
from sparkml_algos.arrays.hyperparameters import InvalidParams
from sparkml_algos.cluster.shipping import ALWAYS, ensure_importable
from sparkml_algos.core.bridge import packed_vectors
from sparkml_algos.core.inputs import input_problems, read_inputs
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
    fields = [field for field in model.fields() if field.evaluating]
    problems = input_problems(dataset, model, fields)
    if problems:
        raise InvalidParams(type(model).__name__, problems)
    found = read_inputs(dataset, model, fields).packing(functools.partial(packed_vectors, dataset))
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


def _sum_partition(decoder: Decoder, summands: Callable[[Batch], Sums], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The sums of a partition as the table of an artifact, marked with the number of the partition."""
    totals: Sums = {}
    for record_batch in batches:
        batch = decoder(record_batch)
        if len(batch):
            _add(totals, summands(batch))
    if totals:
        part = Artifact({name: np.asarray(array) for name, array in totals.items()})
        yield from part.to_item(str(TaskContext.get().partitionId())).to_batches()


def _add(totals: Sums, part: Sums) -> None:
    for name, array in part.items():
        totals[name] = totals.get(name, 0) + array

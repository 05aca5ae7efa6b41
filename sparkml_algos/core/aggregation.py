"""Sums over the rows of a DataFrame, computed with NumPy where the rows are."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame

from sparkml_algos.arrays.artifact import ITEM_SPARK_SCHEMA, Artifact
from sparkml_algos.arrays.hyperparameters import InvalidParams
from sparkml_algos.cluster.shipping import ensure_importable
from sparkml_algos.core.inputs import column_problems, read_input
from sparkml_algos.rows.batch import Batch, Decoder

if TYPE_CHECKING:
    from sparkml_algos.core.estimator import AlgorithmModel

Sums = dict[str, np.ndarray]


def sum_over_batches(dataset: DataFrame, params: AlgorithmModel, summands: Callable[[Batch], Sums], classes: int | None = None) -> Sums:
    """Add up what `summands` says of each batch of rows.

    Parameters
    ----------
    dataset : DataFrame
    params : AlgorithmModel
        Names the columns: features, label, weight.
    summands : callable
        Of a batch; travels to the executors.
    classes : int, optional
        Labels are checked to be integers below this.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    ValueError
        If columns do not fit, or no row is left.
    """
    problems = column_problems(dataset, params, with_scalars=True)
    if problems:
        raise InvalidParams(type(params).__name__, problems)
    found = read_input(dataset, params, with_scalars=True)
    ensure_importable(dataset.sparkSession)
    task = functools.partial(_sum_partition, found.decoder(params.algorithm(), classes), summands)
    rows = dataset.select(*found.features, *found.scalars).mapInArrow(task, ITEM_SPARK_SCHEMA).collect()
    totals: Sums = {}
    for part in Artifact.items(rows).values():
        _add(totals, part.arrays)
    if not totals:
        raise ValueError("the dataset to evaluate on is empty")
    return totals


def _sum_partition(decoder: Decoder, summands: Callable[[Batch], Sums], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The sums of a partition as the table of an artifact, marked with the number of the partition."""
    totals: Sums = {}
    decoder.where = " of its partition"
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

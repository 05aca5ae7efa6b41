"""Checkpoints of trainings whose models have arrived."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyspark.sql import SparkSession

from sparkml_algos.training.checkpoint import CheckpointStore

logger = logging.getLogger(__name__)


def remove_checkpoints(spark: SparkSession, directory: str | None, names: Sequence[str]) -> None:
    """Remove what has served: here or, where the driver does not see the storage, by a task on an executor.

    Parameters
    ----------
    spark : SparkSession
    directory : str or None
        ``checkpoint_dir``.
    names : sequence of str
        Of the fits within it.
    """
    left = [name for name in names if not _removed(directory, name)]
    if not left:
        return

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            found = [_removed(directory, name) for name in left]
            yield pa.RecordBatch.from_pydict({"removed": [str(sum(found))]})

    try:
        spark.range(0, 1, 1, 1).mapInArrow(task, "removed string").collect()
    except Exception as error:
        logger.warning("checkpoints %s in %s could not be removed: %s", ", ".join(left), directory, error)


def _removed(directory: str, name: str) -> bool:
    """Whether there were such checkpoints, and are no more."""
    try:
        return CheckpointStore(directory, name).clear()
    except OSError as error:
        logger.info("checkpoints %s in %s are not removed from here: %s", name, directory, error)
        return False

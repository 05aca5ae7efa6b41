"""Rows of a stream by the windows that their own times are in, kept in files until a window is over."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from sparkml_algos.core.columns import column

logger = logging.getLogger("sparkml_algos.monitor")

#: Its start and its end.
Window = tuple[datetime, datetime]
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=timezone.utc), timedelta(microseconds=1)
_START = "_sparkml_algos_window"


class OpenWindows:
    """Windows that rows still come for.

    One is over when a row has come whose time is its end and the delay, or later. Rows of a window that has been looked at are told, and
    left out.

    Parameters
    ----------
    folder : str
        That executors write: a folder for each window, and in it one for each micro-batch, so that a micro-batch that comes again takes its
        own place. Of windows that were looked at a file without rows stays.
    schema : StructType
        Of the rows.
    time : str
        Column of their times.
    length, delay : timedelta
        Windows begin at multiples of their length since 1970, in UTC.
    is_done : callable
        Whether a window has been looked at.
    """

    def __init__(
        self, folder: str, schema: StructType, time: str, length: timedelta, delay: timedelta, is_done: Callable[[Window], bool]
    ) -> None:
        self._folder, self._schema, self._time, self._is_done = folder, schema, time, is_done
        self._length, self._delay = length // _MICROSECOND, delay // _MICROSECOND
        # By their starts, in microseconds since 1970, like the latest time.
        self._open: set[int] = set()
        self._latest = 0
        self._spark: SparkSession | None = None

    def add(self, batch: DataFrame, number: int) -> list[Window]:
        """Keep the rows of a micro-batch; the windows that are over now, in their order."""
        if self._spark is None:
            self._restore(batch.sparkSession)
        kept = batch.withColumn(_START, self._start).persist()
        left_out = 0
        try:
            for start, latest, rows in self._counted(kept):
                if start is None or self._is_done(self._window(start)):
                    left_out += rows
                    continue
                of_window = kept.where(F.col(_START) == start).drop(_START)
                of_window.write.mode("overwrite").parquet(f"{self._folder}/{start}/batch-{number}")
                self._has(start, latest)
        finally:
            kept.unpersist()
        if left_out:
            logger.warning("%d rows of micro-batch %d have no time, or that of a window that has been looked at", left_out, number)
        return [self._window(start) for start in sorted(self._open) if start + self._length + self._delay <= self._latest]

    def rows(self, window: Window) -> DataFrame:
        """All rows of a window."""
        return self._read(f"{self._folder}/{_number(window)}")

    def forget(self, window: Window) -> None:
        """Let the rows of a window go."""
        self._empty(f"{self._folder}/{_number(window)}")
        self._open.discard(_number(window))

    def _restore(self, spark: SparkSession) -> None:
        """Know what an earlier run has kept."""
        self._spark = spark
        self._empty(f"{self._folder}/none")  # that there is a folder to read
        for start, latest, _ in self._counted(self._read(self._folder).withColumn(_START, self._start)):
            if start is not None:
                self._has(start, latest)

    def _has(self, start: int, latest: int) -> None:
        self._open.add(start)
        self._latest = max(self._latest, latest)

    def _counted(self, rows: DataFrame) -> list[tuple[int | None, int, int]]:
        """Starts of windows, the latest time of each, and its rows; the start is None of those without a time."""
        found = rows.groupBy(_START).agg(F.max(self._micros).alias("latest"), F.count(F.lit(1)).alias("rows")).collect()
        return [(row[_START], row["latest"], row["rows"]) for row in found]

    @property
    def _micros(self) -> Column:
        return F.unix_micros(column(self._time).cast("timestamp"))

    @property
    def _start(self) -> Column:
        return self._micros - F.pmod(self._micros, F.lit(self._length))

    def _window(self, start: int) -> Window:
        return _EPOCH + start * _MICROSECOND, _EPOCH + (start + self._length) * _MICROSECOND

    def _read(self, path: str) -> DataFrame:
        assert self._spark is not None
        return self._spark.read.schema(self._schema).option("recursiveFileLookup", "true").parquet(path)

    def _empty(self, path: str) -> None:
        assert self._spark is not None
        self._spark.createDataFrame([], self._schema).write.mode("overwrite").parquet(path)


def _number(window: Window) -> int:
    return (window[0] - _EPOCH) // _MICROSECOND

"""Spark jobs by name: what Spark's UI calls those of a thread, and how they are cancelled together."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pyspark
from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)

T = TypeVar("T")

DESCRIPTION = "spark.job.description"
# An interrupted job is cancelled so often and so long, for it may be between two stages, when there is nothing to cancel yet; and so long
# is its driver held up, if Spark does not answer.
SECONDS_BETWEEN_CANCELS, SECONDS_OF_CANCELLING, SECONDS_HELD_UP = 0.5, 10.0, 3.0


def is_connect(spark: SparkSession) -> bool:
    """Whether the session is a Spark Connect client."""
    return "connect" in type(spark).__module__


@contextmanager
def described(spark: SparkSession, what: str) -> Iterator[None]:
    """Spark's UI calls the jobs that this thread starts inside `what`. Spark Connect describes jobs by their plans; there `what` is one of
    the tags of the operation, with semicolons for commas, which tags cannot have."""
    if is_connect(spark):
        tag = what.replace(",", ";")
        spark.addTag(tag)
        try:
            yield
        finally:
            quietly(spark.removeTag, tag)
    else:
        context = spark.sparkContext
        before = context.getLocalProperty(DESCRIPTION)
        context.setLocalProperty(DESCRIPTION, what)
        try:
            yield
        finally:
            quietly(context.setLocalProperty, DESCRIPTION, before)


class Jobs:
    """The jobs that this thread starts from `begin` to `end`; the same in classic sessions and in Spark Connect, under other names.

    Attributes
    ----------
    cancelled : bool
        Whether they have been cancelled here.
    """

    def __init__(self, spark: SparkSession) -> None:
        self.cancelled, self._tag = False, f"sparkml-algos-{uuid.uuid4()}"
        if is_connect(spark):
            self._add, self._remove, self._cancel = spark.addTag, spark.removeTag, spark.interruptTag
        else:
            context = spark.sparkContext
            self._add, self._remove, self._cancel = context.addJobTag, context.removeJobTag, context.cancelJobsWithTag

    def begin(self) -> None:
        self._add(self._tag)

    def end(self) -> None:
        quietly(self._remove, self._tag)

    def cancel(self) -> None:
        """Cancel those that run now."""
        self.cancelled = True
        quietly(self._cancel, self._tag)

    def abandon(self) -> None:
        """See to it that they end, after an interruption: in a thread of its own, for this one's connection may be broken, and whoever
        interrupts does not want to wait."""
        asked = threading.Event()

        def cancel() -> None:
            end = time.monotonic() + SECONDS_OF_CANCELLING
            while time.monotonic() < end:
                self.cancel()
                asked.set()
                time.sleep(SECONDS_BETWEEN_CANCELS)

        threading.Thread(target=cancel, daemon=True).start()
        asked.wait(SECONDS_HELD_UP)


def inheriting(spark: SparkSession, function: Callable[..., T]) -> Callable[..., T]:
    """A function for another thread, whose jobs are called, and cancelled, like those of this one."""
    if int(pyspark.__version__.partition(".")[0]) >= 4:
        return pyspark.inheritable_thread_target(spark)(function)
    return function if is_connect(spark) else pyspark.inheritable_thread_target(function)


def quietly(clean_up: Callable[..., object], *arguments: object) -> None:
    """Clean up in a session that may be gone; the error that it went with, if any, is the one to be seen."""
    try:
        clean_up(*arguments)
    except Exception:
        logger.debug("could not clean up after a job", exc_info=True)

"""Ends the Spark job of a gang that cannot succeed any more.

Spark aborts a barrier stage when one of its tasks fails. Of ordinary tasks it starts the one that failed again, up to four times, while the
others hold their slots; it does not know that a gang which has lost a worker is lost as a whole. The driver knows from the worker itself.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from sparkml_algos.cluster.rendezvous import Meeting
from sparkml_algos.cluster.resources import is_connect

# From the first complaint until the job is cancelled: the true cause may still be on its way. Of a barrier stage Spark itself says why
# a process died, if it is given the time; of ordinary tasks it says nothing before the last attempt.
PATIENCE = {"barrier": 10.0, "gang": 2.0}
POLL_SECONDS = 0.2
# A job may be between two stages when it is cancelled.
SECONDS_BETWEEN_CANCELS = 2.0


@contextmanager
def ended_if_failed(spark: SparkSession, meeting: Meeting, launch: str) -> Iterator[None]:
    """Jobs started inside are cancelled once a worker has failed, which makes them raise."""
    jobs, tag, over = _Jobs(spark), f"sparkml-algos-{uuid.uuid4()}", threading.Event()

    def watch() -> None:
        while not meeting.failed.wait(POLL_SECONDS):
            if over.is_set():
                return
        over.wait(PATIENCE[launch])
        while not over.is_set():
            jobs.cancel(tag)
            over.wait(SECONDS_BETWEEN_CANCELS)

    jobs.add(tag)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        jobs.remove(tag)


class _Jobs:
    """Tags of the jobs that this thread starts; the same in classic sessions and Spark Connect, under other names."""

    def __init__(self, spark: SparkSession) -> None:
        if is_connect(spark):
            self.add, self.remove, self.cancel = spark.addTag, spark.removeTag, spark.interruptTag
        else:
            context = spark.sparkContext
            self.add, self.remove, self.cancel = context.addJobTag, context.removeJobTag, context.cancelJobsWithTag

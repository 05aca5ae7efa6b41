"""Ends the Spark job of a gang that cannot succeed any more, or that nobody wants any more.

Spark aborts a barrier stage when one of its tasks fails. Of ordinary tasks it starts the one that failed again, up to four times, while the
others hold their slots; it does not know that a gang which has lost a worker is lost as a whole. The driver knows from the worker itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from sparkml_algos.cluster.jobs import Jobs
from sparkml_algos.cluster.rendezvous import Meeting

# From the first complaint until the job is cancelled: the true cause may still be on its way. Of a barrier stage Spark itself says why
# a process died, if it is given the time; of ordinary tasks it says nothing before the last attempt.
PATIENCE = {"barrier": 10.0, "gang": 2.0}
# Workers that were asked to end by themselves do so with their next rows or their next message.
PATIENCE_WITH_LEAVING = 10.0
POLL_SECONDS = 0.2
# A job may be between two stages when it is cancelled.
SECONDS_BETWEEN_CANCELS = 2.0


@contextmanager
def ended_if_failed(spark: SparkSession, meeting: Meeting, launch: str) -> Iterator[Jobs]:
    """Jobs started inside are cancelled once a worker has failed, which makes them raise, and when this thread is interrupted."""
    jobs, over = Jobs(spark), threading.Event()

    def watch() -> None:
        while not meeting.failed.wait(POLL_SECONDS):
            if over.is_set():
                return
        over.wait(PATIENCE_WITH_LEAVING if meeting.dismissed else PATIENCE[launch])
        while not over.is_set():
            jobs.cancel()
            over.wait(SECONDS_BETWEEN_CANCELS)

    jobs.begin()
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield jobs
    except Exception:
        raise
    except BaseException:
        jobs.abandon()
        raise
    finally:
        over.set()
        jobs.end()

"""Asking many executors at once, by functions of plain Python: those of Arrow would not run where Arrow is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkml_algos.cluster.jobs import described

# No more tasks than this ask at once: each calls all others.
MOST_TASKS = 32
# Tasks that each take a moment spread over all slots, instead of one slot taking several.
SECONDS_PER_TASK = 0.5


def ask_all(spark: SparkSession, size: int, question: Callable[[int], dict[str, Any]], title: str) -> list[dict[str, Any]]:
    """What a function answers in each of `size` tasks.

    Parameters
    ----------
    spark : SparkSession
        Classic or Connect.
    size : int
    question : callable
        Is given the number of the task. A nested function, which is sent as code and not by the name of its module.
    title : str
        Of the job, in Spark's UI.
    """

    def answer(number):  # noqa: ANN001, ANN202 - sent as code
        import json
        import time

        began = time.monotonic()
        answered = json.dumps(question(number))
        time.sleep(max(0.0, began + SECONDS_PER_TASK - time.monotonic()))
        return answered

    with described(spark, f"sparkml_algos: {title}"):
        rows = spark.range(0, size, 1, size).select(F.udf(answer, "string", useArrow=False)("id").alias("answer")).collect()
    return [json.loads(row["answer"]) for row in rows]

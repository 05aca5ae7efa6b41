"""GPUs, asked of the tasks that are to train on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from sparkml_algos.checking.report import RIGHT, WRONG, Finding
from sparkml_algos.checking.tasks import MOST_TASKS
from sparkml_algos.cluster.jobs import described
from sparkml_algos.cluster.resources import inspect_cluster


def assigned(spark: SparkSession) -> Iterator[Finding]:
    """Whether Spark can assign a GPU to each worker, and whether each worker then finds it."""
    try:
        resources = inspect_cluster(spark, use_gpu=True)
    except ValueError as error:
        complaint = str(error).partition("; sparkml_algos.check")[0]  # which this is
        yield Finding("GPUs", WRONG, *complaint.partition(": ")[::2])
        return
    size = max(1, min(resources.running_slots, MOST_TASKS))

    def claim(batches):  # noqa: ANN001, ANN202 - sent as code
        from sparkml_algos.checking.visit import trouble
        from sparkml_algos.cluster.gpus import claim_gpu

        for _ in batches:
            pass
        yield pa.RecordBatch.from_pydict({"trouble": [trouble(claim_gpu) or ""]})

    asked: dict[str, Any] = {"profile": resources.profile} if resources.profile else {}  # Spark 3.5 does not know the argument
    with described(spark, "sparkml_algos: see what GPUs tasks are assigned"):
        said = [row["trouble"] for row in spark.range(0, size, 1, size).mapInArrow(claim, "trouble string", **asked).collect()]
    if lacking := [one for one in said if one]:
        found = f"{len(lacking)} of {len(said)} tasks have no GPU to train on: {lacking[0]}"
        yield Finding("GPUs", WRONG, found, "install 'sparkml-algos[torch]' with CUDA there; nvidia-smi lists the GPUs that a host has")
    else:
        yield Finding("GPUs", RIGHT, f"a GPU for each of {len(said)} tasks")

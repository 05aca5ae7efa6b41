"""A session whose driver and executors have addresses of version 6 only."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT, SESSION
from tests.gang import needs_version_6

# What of it is this package's, other tests have, over ::1.
pytestmark = [needs_version_6, pytest.mark.slow, pytest.mark.skipif(SESSION != "local", reason="a session of its own")]

FIT = """
from pyspark.sql import SparkSession, functions as F
from sparkml_algos import KMeans
builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
builder = builder.config("spark.driver.host", "[::1]").config("spark.driver.bindAddress", "[::1]")
spark = builder.config("spark.driver.extraJavaOptions", "-Djava.net.preferIPv6Addresses=true").getOrCreate()
rows = spark.range(0, 400, 1, 2).select(F.array(F.randn(1), F.randn(2)).alias("features"))
for launch in ("barrier", "gang"):
    model = KMeans(k=2, num_workers=2, launch=launch).fit(rows)
    print("DONE", launch, model.training_summary.num_workers, model.transform(rows).count())
spark.stop()
"""


def test_a_gang_trains_there() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SPARK_LOCAL_IP": "::1", "SPARK_PREFER_IPV6": "true"}
    answer = subprocess.run([sys.executable, "-c", FIT], env=environment, capture_output=True, text=True, timeout=240)
    done = [line for line in answer.stdout.splitlines() if line.startswith("DONE")]
    assert done == ["DONE barrier 2 400", "DONE gang 2 400"], answer.stderr[-3000:]

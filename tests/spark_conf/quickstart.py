"""The quickstart's pipeline without its picture, as a job in whatever session it is started in; prints what came out, as JSON.

Its argument is a directory for the rows, which executors see too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from examples import quickstart
from sparkml_algos.cluster.jobs import is_connect


def main() -> None:
    spark = SparkSession.builder.getOrCreate()
    quickstart.OUTPUT = Path(sys.argv[1])
    digits = quickstart.read_digits(spark)
    model = quickstart.fit(digits)
    summary = model.stages[-1].training_summary
    found = {
        "connect": is_connect(spark),
        "rows": summary.rows,
        "workers": summary.num_workers,
        "launch": summary.launch,
        "purity": quickstart.purity(model.transform(digits)),
        "speculation": spark.conf.get("spark.speculation"),
    }
    print("FOUND", json.dumps(found), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()

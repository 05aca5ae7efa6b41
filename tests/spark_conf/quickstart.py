"""The quickstart's pipeline without its picture, as a job in whatever session it is started in; prints what came out, as JSON."""

from __future__ import annotations

import json

from pyspark.sql import SparkSession

from examples.quickstart import fit, purity, read_digits
from sparkml_algos.cluster.jobs import is_connect


def main() -> None:
    spark = SparkSession.builder.getOrCreate()
    digits = read_digits(spark)
    model = fit(digits)
    summary = model.stages[-1].training_summary
    found = {
        "connect": is_connect(spark),
        "rows": summary.rows,
        "workers": summary.num_workers,
        "launch": summary.launch,
        "purity": purity(model.transform(digits)),
        "speculation": spark.conf.get("spark.speculation"),
    }
    print("FOUND", json.dumps(found), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()

"""A driver that is killed in mid-search: ``python killed_driver.py STORE TRIALS``, by the signal that no one can catch."""

from __future__ import annotations

import os
import signal
import sys

import numpy as np


def rows_of(spark):
    """A table of two classes."""
    from pyspark.sql import functions as F

    random = np.random.default_rng(0)
    x = random.normal(size=(200, 2))
    data = [(float(a), float(b), float(a > b), place % 3 == 0) for place, (a, b) in enumerate(x)]
    frame = spark.createDataFrame(data, "a double, b double, label double, held_out boolean")
    return frame.withColumn("features", F.array("a", "b"))


def tuner_of(store, **options):
    """A search of eight trials."""
    from sparkml_algos import XGBoostClassifier
    from sparkml_algos.tuning import ContinuousParameter, HyperparameterTuner

    estimator = XGBoostClassifier(num_round=2, num_workers=1, seed=1, validationIndicatorCol="held_out", progress="off")
    ranges = {"eta": ContinuousParameter(0.01, 1.0)}
    return HyperparameterTuner(
        estimator, "validation:logloss", ranges, "Minimize", max_jobs=8, random_seed=1, engine="tpe", store=store, **options
    )


def main(store, trials):
    from pyspark.sql import SparkSession

    from sparkml_algos.tuning import TuningListener

    class Killer(TuningListener):
        def on_trial_end(self, job, trial):
            if len(job.finished) >= trials:
                os.kill(os.getpid(), signal.SIGKILL)

    session = (
        SparkSession.builder.master("local[2]").config("spark.driver.host", "127.0.0.1").config("spark.ui.enabled", "false").getOrCreate()
    )
    tuner_of(store, listeners=[Killer()]).fit(rows_of(session))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

"""Cross-validation beside Spark's own, over the same Estimators, folds and maps; and trials of a search beside as many fits.

Named so, and not after the folder, because this folder is on the path of the workers.
"""

from __future__ import annotations

from typing import Any

from data import Data
from harness import Options, Report, Table, cached, local_session, measure, median, ratio, timed

FOLDS, SEED, TRIALS = 3, 7, 30
LANES = 2
# Scores that are as many bins as there are scores: the same area on both sides.
EXACT = 0


def cross_validation(data: Data, options: Options) -> Report:
    """Three folds of eight settings: Spark's `CrossValidator` and ours, `LANES` trainings side by side where that is possible."""
    columns = ["search", "Spark's s", "ours s", "times quicker", "largest difference of a metric"]
    table, values = Table(f"{FOLDS} folds, 8 settings, {LANES} cores", columns), {}
    for name, dataset in (("linear learner", "adult table"), ("xgboost", "bank")):
        path = data.get(dataset).path
        found = {
            whose: [measure(search, path=path, learner=name, whose=whose) for _ in range(options.sessions)] for whose in ("spark", "ours")
        }
        seconds = {whose: median([one["seconds"] for one in sessions]) for whose, sessions in found.items()}
        metrics = zip(found["spark"][0]["metrics"], found["ours"][0]["metrics"], strict=True)
        difference = max(abs(theirs - ours) for theirs, ours in metrics)
        quicker = ratio(seconds["spark"], seconds["ours"])
        table.rows.append([f"{name}, {data.get(dataset).title}", seconds["spark"], seconds["ours"], quicker, f"{difference:.1e}"])
        values[name] = {**seconds, "ratio": quicker, "difference": difference, "sessions": found}
    return Report(
        [table], values, ["A session of its own for each; one fit of some rows before. The model of the best setting is included."]
    )


def search(path: str, learner: str, whose: str) -> dict[str, Any]:
    """Seconds and mean metrics of a search."""
    import pyspark.ml.tuning as theirs
    from pyspark.ml.evaluation import BinaryClassificationEvaluator
    from pyspark.ml.tuning import ParamGridBuilder

    import sparkml_algos
    from sparkml_algos import tuning as ours

    frame = cached(local_session(), path)
    if learner == "xgboost":
        estimator = sparkml_algos.XGBoostClassifier(num_workers=1, num_round=50, seed=SEED)
        grid = ParamGridBuilder().addGrid(estimator.eta, [0.05, 0.1, 0.2, 0.3]).addGrid(estimator.max_depth, [4, 6])
    else:
        estimator = sparkml_algos.LinearLearnerBinaryClassifier(num_workers=1, seed=SEED)
        grid = ParamGridBuilder().addGrid(estimator.learning_rate, [0.003, 0.01, 0.03, 0.1]).addGrid(estimator.wd, [0.0, 0.01])
    estimator.fit(frame.limit(1000))
    validator = (theirs if whose == "spark" else ours).CrossValidator(
        estimator=estimator,
        estimatorParamMaps=grid.build(),
        evaluator=BinaryClassificationEvaluator(numBins=EXACT),
        numFolds=FOLDS,
        seed=SEED,
        parallelism=LANES,
    )
    seconds, found = timed(lambda: validator.fit(frame))
    return {"seconds": seconds, "metrics": [float(metric) for metric in found.avgMetrics]}


def trials(data: Data, options: Options) -> Report:
    """Thirty random trials of a tuning job, and the same settings as separate fits, one after the other."""
    path = data.get("bank").path
    sessions = [measure(trials_and_fits, path=path) for _ in range(options.sessions)]
    seconds = {key: median([one[key] for one in sessions]) for key in ("job", "fits")}
    table = Table(f"{TRIALS} trials of XGBoost, {data.get('bank').title}", ["separate fits s", "tuning job s", "times quicker"])
    table.rows.append([seconds["fits"], seconds["job"], ratio(seconds["fits"], seconds["job"])])
    return Report([table], {**seconds, "sessions": sessions})


def trials_and_fits(path: str) -> dict[str, float]:
    """Seconds of both."""
    from pyspark.sql import functions as F

    from sparkml_algos import XGBoostClassifier
    from sparkml_algos.tuning import ContinuousParameter, HyperparameterTuner, IntegerParameter

    frame = cached(local_session(), path).withColumn("held_out", F.xxhash64("features") % 5 == 0)
    estimator = XGBoostClassifier(num_workers=1, num_round=50, seed=SEED, validationIndicatorCol="held_out", eval_metric="auc")
    ranges = {"eta": ContinuousParameter(0.02, 0.5), "max_depth": IntegerParameter(3, 8)}
    estimator.fit(frame.limit(1000))
    options = {"strategy": "Random", "max_jobs": TRIALS, "max_parallel_jobs": LANES, "random_seed": SEED}
    tuner = HyperparameterTuner(estimator, "validation:auc", ranges, **options)
    job, _ = timed(lambda: tuner.fit(frame))
    settings = [trial.setting for trial in tuner.latest_tuning_job.trials]

    def fit_each() -> None:
        for setting in settings:
            estimator.fit(frame, {estimator.getParam(name): value for name, value in setting.items()})

    return {"job": job, "fits": timed(fit_each)[0]}


CASES = {"cross_validation": cross_validation, "trials": trials}

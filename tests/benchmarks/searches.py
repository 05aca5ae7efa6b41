"""Cross-validation beside Spark's own, over the same Estimators, folds and maps; trials of a search beside as many fits; and what searches
find that learn. ``python tests/benchmarks/searches.py docs/benchmarks/tuning.json docs/benchmarks/tuning.svg`` draws the last.

Named so, and not after the folder, because this folder is on the path of the workers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from data import Data, read_vectors
from harness import Options, Report, Table, cached, local_session, measure, median, ratio, timed

FOLDS, SEED, TRIALS = 3, 7, 30
LANES = 2
# Scores that are as many bins as there are scores: the same area on both sides.
EXACT = 0
# Of searches that learn: rows of each table, half of them for validation, so that a trial takes a fraction of a second.
SAMPLE, SEEDS = 4000, 5
ROUNDS, LEAST_ROUNDS = 81, 3
# Trials that Hyperband has at most; it is done once it is as good as Random was, or has trained as many rounds.
HYPERBAND_TRIALS = 300


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


def learning(data: Data, options: Options) -> Report:
    """What a search finds that learns, and one that stops trials early, beside one that draws; medians over seeds."""
    found = {}
    for name, dataset in (("adult", "census"), ("california_housing", "housing")):
        found[name] = measure(searches_of_seeds, threads=1, path=data.get(dataset).path, classes=name == "adult")
    best = Table(
        f"The best of {TRIALS} trials of XGBoost, {ROUNDS} rounds, median of {SEEDS} seeds",
        ["rows", "objective", "Random", "Bayesian", "seeds in which Bayesian is better"],
    )
    epochs = Table(
        f"Rounds until Hyperband is as good as {TRIALS} trials of Random, median of {SEEDS} seeds",
        ["rows", "Random's rounds", "Hyperband's rounds", "share", "seeds that came as far"],
    )
    values: dict[str, Any] = {}
    for name, one in found.items():
        sign = 1 if one["larger_is_better"] else -1
        last = {strategy: [curve[-1] for curve in curves] for strategy, curves in one["curves"].items()}
        better = sum(sign * ours > sign * theirs for ours, theirs in zip(last["Bayesian"], last["Random"], strict=True))
        shown = [f"{median(last[strategy]):.5f}" for strategy in ("Random", "Bayesian")]
        best.rows.append([f"{name}, {SAMPLE:,} of them", one["metric"], *shown, f"{better} of {SEEDS}"])
        reached = [rounds for rounds in one["rounds"] if rounds is not None]
        needed = median([float("inf") if rounds is None else rounds for rounds in one["rounds"]])
        shown = [str(int(needed)), f"{needed / (TRIALS * ROUNDS):.2f}"] if needed < float("inf") else ["more than it had", None]
        epochs.rows.append([f"{name}, {SAMPLE:,} of them", TRIALS * ROUNDS, *shown, f"{len(reached)} of {SEEDS}"])
        share = needed / (TRIALS * ROUNDS) if needed < float("inf") else None
        values[name] = {**one, "medians": {strategy: median(ends) for strategy, ends in last.items()}, "share": share}
    notes = [
        f"Objective of {SAMPLE // 2:,} rows that were not trained on; on arrays, without Spark, by the search and the worker that a tuning "
        "job has, one trial at a time.",
        f"Hyperband: from {LEAST_ROUNDS} rounds on, until it is as good as Random's best or has trained as many rounds; its first trials "
        "have the settings that Random tries. All rounds count that were trained; a trial that goes on does so from where it waited.",
    ]
    return Report([best, epochs], values, notes)


def searches_of_seeds(path: str, classes: bool) -> dict[str, Any]:
    """The best so far of each strategy and seed, trial by trial, and the rounds after which Hyperband was as good as the draws."""
    from sparkml_algos.tuning.rules import Hyperband
    from sparkml_algos.tuning.strategies import Bayesian, Random

    features, label = sample(path)
    metric, larger = ("validation:auc", True) if classes else ("validation:rmse", False)
    ranges = ranges_of_trees()
    curves: dict[str, list[list[float]]] = {"Random": [], "Bayesian": []}
    rounds: list[int | None] = []
    for seed in range(SEEDS):
        for strategy in (Random, Bayesian):
            job = searched(features, label, metric, larger, strategy(ranges, seed), ranges, TRIALS)
            curves[strategy.__name__].append(bests([trial.objective for trial in job.trials], larger))
        course = Course(curves["Random"][-1][-1], larger, TRIALS * ROUNDS)
        options = {"hyperband": Hyperband(LEAST_ROUNDS, ROUNDS), "watch": course}
        searched(features, label, metric, larger, Random(ranges, seed), ranges, HYPERBAND_TRIALS, **options)
        rounds.append(course.reached)
    return {"metric": metric, "larger_is_better": larger, "curves": curves, "rounds": rounds}


def searched(
    features: np.ndarray,
    label: np.ndarray,
    metric: str,
    larger: bool,
    strategy: Any,
    ranges: Any,
    trials: int,
    hyperband: Any = None,
    watch: Callable[[Any], None] = lambda job: None,
) -> Any:
    """A tuning job on arrays: its search hands out trials to the body of a worker, which holds the rows. `watch` sees the job as each
    training ends or waits."""
    from sparkml_algos import XGBoostClassifier, XGBoostRegressor
    from sparkml_algos.algorithms.xgboost.training import XGBOOST
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.core.trials import _Desk
    from sparkml_algos.rows.decoder import Decoder, record_batches
    from sparkml_algos.rows.fields import Source
    from sparkml_algos.training.run import Alone, TrainingPlan
    from sparkml_algos.training.trials import TrialsPlan, run_trials
    from sparkml_algos.tuning.job import TuningJob
    from sparkml_algos.tuning.ranges import ranges_to_json
    from sparkml_algos.tuning.rules import CompletionCriteria
    from sparkml_algos.tuning.search import Limits, Search
    from sparkml_algos.tuning.trial import Objective

    objective = Objective(metric, larger).to_json()
    job = TuningJob("benchmark", {"HyperParameterTuningJobObjective": objective, "ParameterRanges": ranges_to_json(ranges)}, {})
    search = Search(job, ranges, strategy, Limits(trials, None, CompletionCriteria()), dict, hyperband=hyperband)
    estimator = XGBoostClassifier(objective="binary:logistic") if larger else XGBoostRegressor(objective="reg:squarederror")
    given = {"num_round": ROUNDS, "nthread": 1, "tree_method": "hist", "eval_metric": metric.partition(":")[2]}
    settings = {**estimator.hyperparameters(), **given}
    columns = {"features": features, "label": label, "validation": np.arange(len(label)) % 2 == 0}
    fields = [field for field in XGBOOST.fields_for(Hyperparameters(**settings)) if field.role in columns]
    training = TrainingPlan(XGBOOST, [settings], Decoder([Source(field, [field.role]) for field in fields]), seed=SEED)
    desk = _Desk(search)

    def ask(answer: Any) -> dict[str, Any]:
        task = desk.ask(0, answer)
        watch(job)
        return task

    worker = Alone(on_ask=ask)
    for _ in run_trials(TrialsPlan(training, series=metric, survives=True), worker, record_batches(fields, columns)):
        pass
    return job


def ranges_of_trees() -> dict[str, Any]:
    """What is worth tuning of boosted trees, from much too little to much too much."""
    from sparkml_algos.tuning import ContinuousParameter, IntegerParameter

    return {
        "eta": ContinuousParameter(0.005, 0.8),
        "max_depth": IntegerParameter(1, 12),
        "min_child_weight": ContinuousParameter(0.1, 60.0),
        "subsample": ContinuousParameter(0.3, 1.0),
        "colsample_bytree": ContinuousParameter(0.2, 1.0),
        "lambda": ContinuousParameter(0.01, 100.0),
    }


def sample(path: str) -> tuple[np.ndarray, np.ndarray]:
    """`SAMPLE` rows of a Parquet folder, drawn by `SEED`: features as float32, and label."""
    files = sorted(Path(path).glob("*.parquet"))
    label = np.concatenate([pq.read_table(file, columns=["label"])["label"].to_numpy() for file in files])
    chosen = np.random.default_rng(SEED).permutation(len(label))[:SAMPLE]
    return read_vectors(path)[chosen].astype(np.float32), label[chosen]


def bests(values: list[float | None], larger: bool) -> list[float]:
    """The best so far."""
    known = np.array([np.nan if value is None else value for value in values])
    return (np.fmax if larger else np.fmin).accumulate(known).tolist()


class Course:
    """How many rounds a job trains until a trial is as good as wanted; it is stopped then, or when it has trained as many as it may.

    Parameters
    ----------
    wanted : float
    larger : bool
        Whether more is better.
    most : int

    Attributes
    ----------
    reached : int or None
        Rounds that all trials together had been trained by then, also those that were given up or begun anew.
    """

    def __init__(self, wanted: float, larger: bool, most: int) -> None:
        self._wanted, self._larger, self._most = wanted, larger, most
        self.reached: int | None = None

    def __call__(self, job: Any) -> None:
        rounds = sum(trial.epochs for trial in job.trials)
        good = [trial for trial in job.trials if trial.objective is not None and self._is_good(trial.objective)]
        if good and self.reached is None:
            self.reached = rounds
        if good or rounds >= self._most:
            job.stop()

    def _is_good(self, objective: float) -> bool:
        return objective >= self._wanted if self._larger else objective <= self._wanted


def draw(measured: str, picture: str) -> None:
    """How far the best so far is from the best of all, by trial: medians over seeds, and their quartiles."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "searches"
    from matplotlib import pyplot as plt

    values = json.loads(Path(measured).read_text())["learning"]["values"]
    figure, axes = plt.subplots(1, len(values), figsize=(4.5 * len(values), 3.2), constrained_layout=True, squeeze=False)
    for ax, (name, one) in zip(axes[0], values.items(), strict=True):
        curves = {strategy: np.array(found) for strategy, found in one["curves"].items()}
        best = (np.max if one["larger_is_better"] else np.min)([found[:, -1] for found in curves.values()])
        for (strategy, found), colour in zip(curves.items(), ("grey", "tab:orange"), strict=True):
            regret = np.abs(found - best)
            regret = np.maximum(regret, regret[regret > 0].min())  # of the best itself there is no logarithm
            trials = np.arange(1, found.shape[1] + 1)
            ax.plot(trials, np.median(regret, axis=0), label=strategy, color=colour)
            ax.fill_between(trials, *np.quantile(regret, [0.25, 0.75], axis=0), color=colour, alpha=0.2, linewidth=0)
        ax.set(title=name, xlabel="trial", ylabel=f"{one['metric']} away from the best", yscale="log")
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False)
    figure.savefig(picture, metadata={"Date": None})


CASES = {"cross_validation": cross_validation, "trials": trials, "learning": learning}

if __name__ == "__main__":
    draw(*sys.argv[1:])

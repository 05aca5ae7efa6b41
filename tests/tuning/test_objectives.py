"""Several objectives of one search."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sparkml_algos.tuning.importances import importances
from sparkml_algos.tuning.job import TuningJob
from sparkml_algos.tuning.ranges import ContinuousParameter
from sparkml_algos.tuning.rules import CompletionCriteria
from sparkml_algos.tuning.search import Limits, Search
from sparkml_algos.tuning.store import Store
from sparkml_algos.tuning.strategies import Bayesian, Random
from sparkml_algos.tuning.trial import Objective, Trial, pareto_front
from tests.tuning.searching import RANGES, job_of, work

OBJECTIVES = [{"MetricName": "validation:auc", "Type": "Maximize"}, {"MetricName": "size", "Type": "Minimize"}]
TWO = [Objective.from_json(one) for one in OBJECTIVES]


def trials_of(values):
    return [
        Trial(number, f"job-{number}", {}, {}, "Completed", auc, objectives={"validation:auc": auc, "size": size})
        for number, (auc, size) in enumerate(values)
    ]


def new_job(ranges=RANGES):
    return job_of(OBJECTIVES[0], ranges, {"algorithm": "A", "static": {}, "objectives": OBJECTIVES})


def search_of(job, strategy, max_jobs, ranges=RANGES, **options):
    return Search(job, ranges, strategy, Limits(max_jobs, None, CompletionCriteria()), dict, **options)


def test_the_front_is_of_those_that_no_other_is_better_than():
    trials = trials_of([(0.9, 9), (0.8, 5), (0.8, 6), (0.7, 5), (0.6, 1), (0.8, 5), (0.5, 1)])
    assert [trial.number for trial in pareto_front(trials, TWO)] == [0, 1, 4]


def test_the_front_is_that_of_comparing_each_with_each():
    values = np.random.default_rng(0).integers(0, 20, (200, 2)).astype(float)
    trials = trials_of(values.tolist())
    wanted = {
        (auc, size)
        for auc, size in values.tolist()
        if not any(a >= auc and s <= size and (a > auc or s < size) for a, s in values.tolist())
    }
    found = [tuple(trial.objectives.values()) for trial in pareto_front(trials, TWO)]
    assert sorted(found) == sorted(wanted)
    assert found == sorted(found, reverse=True)


def test_a_single_objective_has_the_best_trial_as_its_front():
    job = job_of()
    work(search_of(job, Random(RANGES, 1), 6), lambda setting, number: {"validation:error": abs(number - 3.5)})
    assert job.pareto_front == [job.best]
    assert job.best.number == 3


def test_all_objectives_of_a_trial_are_kept_and_shown(tmp_path):
    job, store = new_job(), Store(tmp_path, "job")
    store.append({"job": {"name": job.name, "config": job.config, "facts": job.facts, "created": job.created}})
    values = [(0.7, 3.0), (0.9, 9.0), (0.9, 8.0)]
    work(
        search_of(job, Random(RANGES, 1), 3, store=store),
        lambda setting, number: dict(zip(("validation:auc", "size"), values[number], strict=True)),
    )
    assert [trial.number for trial in job.pareto_front] == [2, 0]
    assert job.best.number == 2  # of two with the largest area the smaller
    assert [row["size"] for row in job.rows()] == [3.0, 9.0, 8.0]
    assert [trial.objectives for trial in TuningJob.attach(store).trials] == [trial.objectives for trial in job.trials]
    assert job.summary(job.best)["FinalHyperParameterTuningJobObjectiveMetric"] == {**OBJECTIVES[0], "Value": 0.9}


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [({"validation:auc": 0.5}, "'size' was not emitted"), ({"validation:auc": 0.5, "size": math.inf}, "the objective size is inf")],
)
def test_a_trial_without_one_of_them_has_failed(metrics, reason):
    job = new_job()
    work(search_of(job, Random(RANGES, 1), 1), lambda setting, number: metrics)
    assert (job.trials[0].status, reason in job.trials[0].reason) == ("Failed", True)
    assert job.pareto_front == []


def volume(front):
    """The area of what is worse than the front and better than (0, 1), of points whose first number is to be large, the second small."""
    points = sorted(front)
    edges = [0.0, *(max(0.0, gain) for gain, _ in points)]
    return sum((edges[place + 1] - edges[place]) * max(0.0, 1.0 - min(cost for _, cost in points[place:])) for place in range(len(points)))


@pytest.mark.parametrize("engine", ["tpe", pytest.param("gp", marks=pytest.mark.slow)])
def test_a_search_that_learns_finds_a_larger_front_than_draws(engine):
    pytest.importorskip("optuna")
    ranges = {name: ContinuousParameter(0, 1) for name in "abcd"}

    def metrics(setting, number):
        rest = sum((setting[name] - 0.5) ** 2 for name in "bcd")
        return {"validation:auc": setting["a"] - rest, "size": setting["a"] ** 2 + rest}

    def found(strategy):
        job = new_job(ranges)
        work(search_of(job, strategy, 20, ranges), metrics)
        return volume([tuple(trial.objectives.values()) for trial in job.pareto_front])

    learned = np.median([found(Bayesian(ranges, seed, engine=engine)) for seed in range(3)])
    drawn = np.median([found(Random(ranges, seed)) for seed in range(3)])
    assert learned > drawn


def test_importances_are_of_the_objective_that_is_asked_for():
    pytest.importorskip("optuna")
    ranges = {"good": ContinuousParameter(0, 1), "big": ContinuousParameter(0, 1)}
    job = new_job(ranges)
    work(search_of(job, Random(ranges, 1), 40, ranges), lambda setting, number: {"validation:auc": setting["good"], "size": setting["big"]})
    assert next(iter(job.importances())) == "good"
    assert next(iter(job.importances(metric="size"))) == "big"
    assert job.importances() == importances([(trial.units, trial.objective) for trial in job.trials], 0)
    with pytest.raises(ValueError, match="'time' is no objective; 'validation:auc', 'size' are"):
        job.importances(metric="time")

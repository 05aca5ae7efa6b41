"""What is tried next."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sparkml_algos.tuning.importances import importances
from sparkml_algos.tuning.ranges import CategoricalParameter, ContinuousParameter, IntegerParameter, setting_at
from sparkml_algos.tuning.strategies import Bayesian, Grid, Observation, Random

BRANIN = {"x": ContinuousParameter(-5, 10), "y": ContinuousParameter(0, 15)}


def branin(x, y):
    return (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def best_of(strategy, trials, ranges=BRANIN, objective=branin):
    known = []
    for number in range(trials):
        units = strategy.propose(number, known)
        known.append(Observation(units, objective(**setting_at(ranges, units))))
    return min(one.value for one in known)


def test_a_grid_is_every_combination_and_the_first_varies_slowest():
    ranges = {"a": CategoricalParameter([1, 2]), "b": CategoricalParameter(["x", "y", "z"])}
    grid = Grid(ranges, None)
    found = [tuple(setting_at(ranges, grid.propose(number, [])).values()) for number in range(grid.combinations)]
    assert found == [(1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z")]
    assert Grid(ranges, 6).combinations == 6
    many = Grid({str(i): CategoricalParameter(range(30)) for i in range(9)}, None)  # not as a list
    assert many.combinations == 30**9 and many.propose(30**9 - 1, [])["0"] == 29.5 / 30
    with pytest.raises(ValueError, match="6 combinations"):
        Grid(ranges, 5)
    with pytest.raises(ValueError, match="categorical ranges only"):
        Grid({"a": ContinuousParameter(0, 1)}, None)


def test_random_draws_are_those_of_the_seed_whatever_is_known():
    ranges = {"a": IntegerParameter(1, 100), "b": CategoricalParameter(["x", "y"])}
    known = [Observation({"a": 0.5, "b": 0.5}, 1.0)]
    assert [Random(ranges, 3).propose(i, []) for i in range(9)] == [Random(ranges, 3).propose(i, known) for i in range(9)]
    assert Random(ranges, 3).propose(0, []) != Random(ranges, 4).propose(0, [])


@pytest.mark.parametrize("strategy", [Random, Bayesian])
def test_draws_are_the_same_in_whatever_order_ranges_are(strategy):
    pytest.importorskip("optuna")
    turned = dict(reversed(BRANIN.items()))
    assert strategy(BRANIN, 3).propose(2, []) == strategy(turned, 3).propose(2, [])


@pytest.mark.parametrize("engine", ["tpe", "gp"])
def test_proposals_are_those_of_the_seed_and_what_is_known(engine):
    pytest.importorskip("optuna")
    ranges = {**BRANIN, "kind": CategoricalParameter(["a", "b"])}
    draws = np.random.default_rng(0).random((8, 3))
    known = [Observation(dict(zip(ranges, row, strict=True)), float(row.sum())) for row in draws]
    known.append(Observation({"x": 0.1, "y": 0.1, "kind": 0.25}, None))
    proposed = [Bayesian(ranges, 1, engine=engine).propose(9, known) for _ in range(2)]
    assert proposed[0] == proposed[1]
    assert all(0 <= place <= 1 for place in proposed[0].values())
    assert Bayesian(ranges, 1, engine=engine).propose(10, known) != proposed[0]


def test_first_trials_are_spread():
    pytest.importorskip("optuna")
    found = np.array([list(Bayesian(BRANIN, 5, parallel=4).propose(number, []).values()) for number in range(8)])
    assert sorted((found[:, 0] * 8).astype(int)) == list(range(8))


def test_searches_that_learn_beat_draws():
    pytest.importorskip("optuna")
    seeds = range(6)
    learned = np.median([best_of(Bayesian(BRANIN, seed, engine="tpe"), 30) for seed in seeds])
    drawn = np.median([best_of(Random(BRANIN, seed), 30) for seed in seeds])
    assert learned < drawn


@pytest.mark.slow
def test_a_gaussian_process_beats_draws_on_branin():
    pytest.importorskip("optuna")
    learned = np.median([best_of(Bayesian(BRANIN, seed, engine="gp"), 30) for seed in range(20)])
    drawn = np.median([best_of(Random(BRANIN, seed), 30) for seed in range(20)])
    assert learned < drawn


def test_what_matters_is_told_from_the_trials():
    pytest.importorskip("optuna")
    draws = np.random.default_rng(0).random((40, 2))
    found = importances([({"idle": idle, "matters": matters}, matters**2) for idle, matters in draws], 0)
    assert list(found) == ["matters", "idle"]
    assert found["matters"] > 0.8
    with pytest.raises(ValueError, match="two trials"):
        importances([], 0)

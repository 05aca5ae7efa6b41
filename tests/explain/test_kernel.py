"""Attributions are Shapley values: exact where all coalitions are seen, of linear models always, and they add up."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from sparkml_algos.explain import explain
from sparkml_algos.explain.kernel import coalitions, num_samples


def shapley(value, features):
    """By the definition."""
    found = np.zeros(features)
    for j in range(features):
        others = [i for i in range(features) if i != j]
        for size in range(features):
            share = math.factorial(size) * math.factorial(features - size - 1) / math.factorial(features)
            for members in itertools.combinations(others, size):
                mask = np.zeros(features, bool)
                mask[list(members)] = True
                with_j = mask.copy()
                with_j[j] = True
                found[j] += share * (value(with_j) - value(mask))
    return found


def explained(function, row, baseline, **options):
    chosen = coalitions(len(row), **options)
    outputs = np.array([np.mean([function(np.where(mask, row, base)) for base in baseline]) for mask in chosen.left_in])
    return chosen.attributions(outputs, np.mean([function(base) for base in baseline]), function(row))


def test_the_number_of_samples_is_the_services():
    assert (num_samples(10), num_samples(20), num_samples(3, 100), num_samples(20, 500)) == (1022, 2088, 6, 500)
    with pytest.raises(ValueError, match="40 or more"):
        num_samples(20, 30)


@pytest.mark.parametrize("features", [1, 2, 3, 6, 8])
def test_all_coalitions_give_the_values_of_the_definition(features):
    random = np.random.default_rng(features)
    row, baseline = random.normal(size=features), random.normal(size=(3, features))
    function = lambda x: float(np.prod(np.sin(x + 1)) + x[0] * x[-1] + (x > 0).sum())  # noqa: E731
    value = lambda mask: np.mean([function(np.where(mask, row, base)) for base in baseline])  # noqa: E731
    assert explained(function, row, baseline) == pytest.approx(shapley(value, features), abs=1e-9)


def test_linear_models_are_exact_and_all_add_up_and_seeds_repeat():
    random = np.random.default_rng(0)
    row, baseline, weights = random.normal(size=16), random.normal(size=(5, 16)), random.normal(size=16)
    found = explained(lambda x: weights @ x + 3, row, baseline[:1], samples=200, seed=4)
    assert found == pytest.approx(weights * (row - baseline[0]), abs=1e-9)
    curved = explained(lambda x: float(np.tanh(weights @ x)), row, baseline, samples=300, seed=4)
    difference = np.tanh(weights @ row) - np.mean(np.tanh(baseline @ weights))
    assert curved.sum() == pytest.approx(difference, abs=1e-9)
    assert (curved == explained(lambda x: float(np.tanh(weights @ x)), row, baseline, samples=300, seed=4)).all()


@pytest.mark.parametrize("features", [5, 8, 15, 20, 60])
def test_the_fewest_samples_tell_all_features_apart(features):
    weights = np.arange(1.0, features + 1)
    for seed in range(10):
        chosen = coalitions(features, 2 * features, seed)
        assert len(chosen.left_in) <= 2 * features
        assert chosen.attributions(chosen.left_in @ weights, 0.0, weights.sum()) == pytest.approx(weights, abs=1e-8)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"engine": "tree", "baseline": "zero"}, "the engine 'tree' has no use for baseline"),
        ({"engine": "linear", "use_logit": True, "num_samples": 9}, "the engine 'linear' has no use for num_samples, use_logit"),
        ({"features": []}, r"features names one column or more, each once; got \[\]"),
        ({"features": ["a", "a"]}, r"each once; got \['a', 'a'\]"),
        ({"engine": "fast"}, "engine is 'auto', 'kernel', 'linear' or 'tree', not 'fast'"),
    ],
)
def test_what_would_have_no_effect_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        explain(object(), None, **given)

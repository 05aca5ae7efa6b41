"""A sketch keeps quantiles within its bound, in bounded memory, however a stream is cut into parts."""

from __future__ import annotations

import numpy as np
import pytest

from sparkml_algos.monitor import Kll


def largest_error(sketch: Kll, values: np.ndarray) -> float:
    at = np.quantile(values, np.linspace(0, 1, 1001))
    return float(np.abs(sketch.cdf(at) - np.searchsorted(np.sort(values), at, side="right") / len(values)).max())


def test_few_values_are_all_kept():
    values = np.random.default_rng(0).normal(size=2000)
    sketch = Kll()
    sketch.update(values)
    assert sketch.data() == [values.tolist()]
    assert largest_error(sketch, values) == 0
    assert sketch.quantile(np.array([0.0, 0.5, 1.0])).tolist() == [min(values), np.sort(values)[999], max(values)]


@pytest.mark.parametrize("order", ["random", "sorted"])
def test_many_values_keep_the_bound_in_little_memory(order):
    values = np.random.default_rng(1).lognormal(size=1_000_000)
    values = np.sort(values) if order == "sorted" else values
    whole, merged = Kll(), Kll(seed=99)
    whole.update(values)
    for i, part in enumerate(np.array_split(values, 37)):
        one = Kll(seed=i)
        for batch in np.array_split(part, 5):
            one.update(batch)
        merged.merge(one)
    for sketch in (whole, merged):
        kept, weights = sketch.points()
        assert sketch.count == weights.sum() == 1_000_000
        assert len(kept) < 8000
        assert largest_error(sketch, values) < sketch.error()


def test_what_is_written_is_read():
    sketch = Kll()
    sketch.update(np.random.default_rng(2).random(50_000))
    read = Kll.from_data(sketch.data())
    assert read.count == sketch.count and read.data() == sketch.data()
    with pytest.raises(ValueError, match="do not merge"):
        read.merge(Kll(k=100))
    assert np.isnan(Kll().quantile(np.array([0.5]))).all()

"""Ranges of hyperparameters, and where their values lie between 0 and 1."""

from __future__ import annotations

import numpy as np
import pytest

from sparkml_algos.tuning.ranges import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    check_ranges,
    ranges_from_json,
    ranges_to_json,
    setting_at,
    units_of,
)

DRAWS = np.random.default_rng(0).random(100_000)


@pytest.mark.parametrize(("scaling", "share", "within"), [("Logarithmic", 0.75, 0.02), ("Linear", 0.10, 0.01)])
def test_a_scaling_says_where_draws_are_dense(scaling, share, within):
    drawn = [ContinuousParameter(1e-4, 1.0, scaling).value(unit) for unit in DRAWS]
    assert np.mean(np.array(drawn) < 0.1) == pytest.approx(share, abs=within)


def test_the_reverse_of_logarithms_is_dense_near_one():
    drawn = [ContinuousParameter(0.9, 0.999, "ReverseLogarithmic").value(unit) for unit in DRAWS]
    assert np.median(drawn) == pytest.approx(0.99, abs=0.0005)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: IntegerParameter(1, 5, "ReverseLogarithmic"), "for continuous ranges"),
        (lambda: ContinuousParameter(0.5, 1.0, "ReverseLogarithmic"), "max_value < 1"),
        (lambda: ContinuousParameter(0.0, 1.0, "Logarithmic"), "min_value > 0"),
        (lambda: IntegerParameter(0, 9, "Logarithmic"), "min_value > 0"),
        (lambda: IntegerParameter(5, 1), "is larger than"),
        (lambda: IntegerParameter(1.5, 2), "a whole number"),
        (lambda: ContinuousParameter("a", 2), "a number"),
        (lambda: ContinuousParameter(0, 1, "log"), "must be one of"),
        (lambda: CategoricalParameter([]), "from 1 to 30"),
        (lambda: CategoricalParameter(list(range(31))), "from 1 to 30"),
        (lambda: CategoricalParameter([1, 1]), "different values"),
        (lambda: check_ranges({"a": IntegerParameter(1, 2, when={"b": [1]})}), "depends on 'b'"),
        (lambda: check_ranges({"a": (1, 2)}), "must be a CategoricalParameter"),
    ],
)
def test_what_is_no_range_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize(
    ("one", "scaling"),
    [
        (ContinuousParameter(1e-4, 1e-2), "Logarithmic"),
        (ContinuousParameter(0.0, 0.999), "ReverseLogarithmic"),
        (ContinuousParameter(0.0, 0.9), "Linear"),
        (IntegerParameter(1, 100), "Logarithmic"),
        (IntegerParameter(2, 10), "Linear"),
    ],
)
def test_auto_infers_a_scaling_from_the_ends(one, scaling):
    assert one.scaling == scaling


@pytest.mark.parametrize("scaling", ["Linear", "Logarithmic"])
def test_every_integer_is_drawn_and_none_beyond(scaling):
    drawn = [IntegerParameter(1, 6, scaling).value(unit) for unit in [0.0, *DRAWS[:10_000], 1.0]]
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [1, 2, 3, 4, 5, 6]
    assert scaling == "Logarithmic" or counts.max() < 1.1 * counts.min()


@pytest.mark.parametrize(
    "one",
    [
        ContinuousParameter(1e-4, 1.0, "Logarithmic"),
        ContinuousParameter(0.9, 0.999, "ReverseLogarithmic"),
        ContinuousParameter(-3, 3),
        IntegerParameter(1, 1000),
        IntegerParameter(-4, 7),
        CategoricalParameter(["a", "b", 3]),
    ],
)
def test_a_value_has_its_place(one):
    for unit in DRAWS[:200]:
        value = one.value(unit)
        assert one.value(one.unit(value)) == pytest.approx(value) if not isinstance(value, str) else one.value(one.unit(value)) == value


def test_what_does_not_matter_is_left_out():
    ranges = {"booster": CategoricalParameter(["tree", "dart"]), "drop": ContinuousParameter(0, 1, when={"booster": ["dart"]})}
    assert setting_at(ranges, {"booster": 0.1, "drop": 0.5}) == {"booster": "tree"}
    assert setting_at(ranges, {"booster": 0.9, "drop": 0.5}) == {"booster": "dart", "drop": 0.5}
    assert units_of(ranges, {"booster": "tree"}) == {"booster": 0.25, "drop": 0.5}
    assert units_of(ranges, {"booster": "dart", "drop": 2.0}) is None


def test_the_services_json_goes_in_and_out():
    described = {
        "CategoricalParameterRanges": [{"Name": "booster", "Values": ["gbtree", "dart"]}],
        "ContinuousParameterRanges": [{"Name": "eta", "MinValue": "0.01", "MaxValue": "0.5", "ScalingType": "Logarithmic"}],
        "IntegerParameterRanges": [{"Name": "max_depth", "MinValue": "1", "MaxValue": "10", "ScalingType": "Auto"}],
    }
    assert ranges_to_json(ranges_from_json(described)) == described


def test_what_is_no_number_has_no_place_among_numbers():
    assert [one.unit(value) for one in (ContinuousParameter(0, 1), IntegerParameter(0, 3)) for value in ("auto", None, [1])] == [None] * 6
    with pytest.raises(ValueError, match="max_value of a IntegerParameter must be a whole number, got inf"):
        IntegerParameter(1, float("inf"))


def test_values_of_numpy_become_those_of_python():
    assert [type(value) for value in CategoricalParameter(np.arange(2)).values] == [int, int]


@pytest.mark.parametrize("when", ["dart", ["darts"]])
def test_a_condition_that_is_never_met_is_refused(when):
    ranges = {"booster": CategoricalParameter(["tree", "dart"]), "drop": ContinuousParameter(0, 1, when={"booster": when})}
    with pytest.raises(ValueError, match="which is not in its range"):
        check_ranges(ranges)

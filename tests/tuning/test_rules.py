"""When trials are stopped and searches are over, on tables made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sparkml_algos.training.trials import Stop
from sparkml_algos.tuning.rules import CompletionCriteria, Hyperband, median_bounds, place_of_best

# Errors by epoch of earlier trials; their running means are [4, 3, 2.67], [6, 5, 4.67], [8, 7, 6].
EARLIER = [[4.0, 2.0, 2.0], [6.0, 4.0, 4.0], [8.0, 6.0, 4.0]]


@pytest.mark.parametrize(
    ("metrics", "smallest", "largest"),
    [([0.2, 0.1, 0.3], 1, 2), ([math.nan, 0.2, 0.1, math.nan], 2, 1), ([math.nan, math.inf], 1, 1), ([math.nan, -math.inf], 1, 1)],
)
def test_no_number_is_worse_than_any(metrics, smallest, largest):
    assert place_of_best(np.array(metrics), larger_is_better=False) == smallest
    assert place_of_best(np.array(metrics), larger_is_better=True) == largest


def test_of_none_but_such_the_first_is_taken():
    assert [place_of_best(np.full(3, math.nan), larger) for larger in (False, True)] == [0, 0]


class TestMedianRule:
    def test_bounds_are_medians_of_running_means(self):
        assert median_bounds(EARLIER) == pytest.approx({1: 6.0, 2: 5.0, 3: 14 / 3})

    def test_there_are_none_before_three_trials_came_as_far(self):
        assert median_bounds(EARLIER[:2]) == {}
        assert set(median_bounds([*EARLIER[:2], [8.0]])) == {1}

    @pytest.mark.parametrize(("series", "stopped_after"), [([6.0, 5.0, 5.0], 3), ([6.0, 5.1], 2), ([6.0, 5.0, 4.0], None)])
    def test_a_trial_is_stopped_where_it_is_strictly_worse(self, series, stopped_after):
        stop = Stop("error", median_bounds(EARLIER), larger_is_better=False)
        told = [stop([{"error": value} for value in series[:epochs]]) for epochs in range(1, len(series) + 1)]
        assert (told.index(True) + 1 if True in told else None) == stopped_after

    def test_the_larger_may_be_the_better(self):
        stop = Stop("auc", {1: 0.7}, larger_is_better=True)
        assert [stop([{"auc": value}]) for value in (0.6, 0.7, 0.8, math.nan)] == [True, False, False, True]


class TestHyperband:
    def test_brackets(self):
        hyperband = Hyperband(1, 27)
        assert hyperband.brackets == [3, 2, 1, 0]
        assert [hyperband.size(bracket) for bracket in hyperband.brackets] == [27, 12, 6, 4]
        assert [hyperband.rungs(bracket) for bracket in hyperband.brackets] == [[1, 3, 9], [3, 9], [9], []]
        assert [hyperband.bracket(number) for number in (0, 26, 27, 39, 45, 48, 49)] == [3, 3, 2, 1, 0, 0, 3]

    def test_none_is_stopped_before_its_least_resource(self):
        assert Hyperband(4, 20).rungs(1) == [7]
        assert min(rung for bracket in (3, 2, 1) for rung in Hyperband(2, 27).rungs(bracket)) >= 2

    def test_trials_wait_at_each_rung(self):
        assert [Hyperband(1, 27).next_rung(3, epochs) for epochs in (0, 1, 2, 3, 9)] == [1, 3, 3, 9, None]
        assert Hyperband(1, 27).next_rung(0, 0) is None

    @pytest.mark.parametrize(("larger", "best"), [(False, [0, 1]), (True, [6, 5])])
    def test_a_third_of_those_that_came_as_far_goes_on(self, larger, best):
        series = {number: [float(number)] for number in range(7)}
        assert Hyperband(1, 9).promotable(2, series, larger, spares_one=False) == best

    def test_who_has_gone_on_has_taken_one_of_the_places(self):
        series = {0: [0.0, 0.0, 0.0], 1: [1.0], 2: [2.0], 3: [3.0], 4: [4.0], 5: [5.0]}
        assert Hyperband(1, 9).promotable(2, series, False, spares_one=False) == [1]

    def test_those_who_have_come_furthest_go_first(self):
        series = {number: [float(number)] * (3 if number < 3 else 1) for number in range(12)}
        assert Hyperband(1, 9).promotable(2, series, False, spares_one=False) == [0, 3]

    def test_of_too_few_the_best_goes_on_at_the_end(self):
        series = {0: [2.0], 1: [1.0]}
        assert [Hyperband(1, 9).promotable(2, series, False, spares_one=last) for last in (False, True)] == [[], [1]]

    def test_what_is_no_number_does_not_go_on(self):
        series = {0: [math.nan], 1: [None], 2: [math.inf], 3: [5.0], 4: [6.0], 5: [7.0]}
        assert Hyperband(1, 9).promotable(2, series, False, spares_one=False) == [3, 4]

    def test_all_are_stopped_at_the_most_resource(self):
        assert [Hyperband(1, 9).ending(larger) for larger in (False, True)] == [{9: -math.inf}, {9: math.inf}]

    @pytest.mark.parametrize(("least", "most"), [(0, 5), (6, 5), (1, 20_001)])
    def test_resources_out_of_range_are_refused(self, least, most):
        with pytest.raises(ValueError, match="MinResource"):
            Hyperband(least, most)


class TestCompletionCriteria:
    @pytest.mark.parametrize(
        ("values", "larger", "reason"),
        [([0.5, 0.8], True, None), ([0.5, 0.9], True, "TargetObjectiveMetricValue"), ([1.0, 0.9], False, "TargetObjectiveMetricValue")],
    )
    def test_target(self, values, larger, reason):
        assert CompletionCriteria(target_objective_metric_value=0.9).reason(values, larger, 1) == reason

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            ([1.0, 0.995, 1.2, None], "BestObjectiveNotImproving"),  # better by less than 1 %, worse, failed
            ([1.0, 0.98, 0.99, 0.99], None),
            ([1.0, 0.98, 0.99, 0.99, 0.985], "BestObjectiveNotImproving"),
        ],
    )
    def test_not_improving(self, values, reason):
        criteria = CompletionCriteria(max_number_of_training_jobs_not_improving=3)
        assert criteria.reason(values, False, 1) == reason

    @pytest.mark.parametrize(
        ("values", "dimensions", "reason"),
        [
            ([1.0] * 20, 2, "ConvergenceDetected"),
            ([1.0] * 19, 2, None),
            ([1.0] * 20, 7, None),
            ([1.0] * 15 + [0.5] * 5, 2, None),
        ],
    )
    def test_convergence(self, values, dimensions, reason):
        assert CompletionCriteria(complete_on_convergence=True).reason(values, False, dimensions) == reason

    def test_the_first_that_is_met_wins(self):
        both = CompletionCriteria(0.5, 3)
        assert both.reason([1.0, 0.4], False, 1) == "TargetObjectiveMetricValue"
        assert both.reason([1.0, 1.0, 1.0, 1.0], False, 1) == "BestObjectiveNotImproving"

    def test_fewer_than_three_are_refused(self):
        with pytest.raises(ValueError, match=">= 3"):
            CompletionCriteria(max_number_of_training_jobs_not_improving=2)

    def test_the_services_json_goes_in_and_out(self):
        criteria = CompletionCriteria(0.5, 4, True)
        assert CompletionCriteria.from_json(criteria.to_json()) == criteria

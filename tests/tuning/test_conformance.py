"""The conformance tests at the end of the specification of tuning, as far as no other file has them.

1. A grid: `test_strategies`, `test_search`. 2. Logarithmic scaling, 3. its reverse: `test_ranges`. 4. Random by seed: `test_strategies`.
5. The median rule: `test_rules`. 6. Hyperband: here, `test_rules`. 7. Completion criteria: here, `test_rules`. 8. Warm start: here,
`test_search`. 9. A trial that raises: `test_search`, `test_on_spark`. 10. Bayesian beats Random: on Branin in `test_strategies`, on boosted
trees here.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sparkml_algos import LinearLearnerRegressor, XGBoostClassifier
from sparkml_algos.tuning import (
    CategoricalParameter,
    CompletionCriteria,
    ContinuousParameter,
    HyperparameterTuner,
    IntegerParameter,
    WarmStartConfig,
    search,
)
from sparkml_algos.tuning.ranges import setting_at
from sparkml_algos.tuning.search import Limits, Search
from sparkml_algos.tuning.strategies import Bayesian, Observation, Random
from tests.tuning.searching import RANGES, job_of, work


class TestHyperband:
    """6: without MaxResource and without a known name of epochs it is refused; with epochs=27 it has the brackets 3 to 0."""

    RATE = {"learning_rate": ContinuousParameter(0.001, 0.1)}  # noqa: RUF012 - it is not changed

    def tuner(self, estimator, ranges, **options):
        return HyperparameterTuner(estimator, "train:objective_loss", ranges, "Minimize", strategy="Hyperband", **options)

    def test_epochs_of_the_estimator_are_the_most_resource(self):
        tuner = self.tuner(LinearLearnerRegressor(epochs=27), self.RATE)
        assert tuner.to_config()["HyperParameterTuningJobConfig"]["StrategyConfig"]["HyperbandStrategyConfig"]["MaxResource"] == 27
        assert tuner._hyperband(tuner._definitions()[0]).brackets == [3, 2, 1, 0]

    def test_epochs_that_are_tuned_are_none(self):
        with pytest.raises(ValueError, match="Hyperband needs MaxResource"):
            self.tuner(LinearLearnerRegressor(), {"epochs": IntegerParameter(1, 27)})

    def test_an_estimator_without_epochs_needs_a_most_resource(self):
        with pytest.raises(ValueError, match="Hyperband needs MaxResource"):
            self.tuner(XGBoostClassifier(), {"eta": ContinuousParameter(0.1, 0.5)})

    def test_what_the_strategy_does_not_know_is_refused(self):
        with pytest.raises(ValueError, match="strategy_config has Eta"):
            self.tuner(LinearLearnerRegressor(epochs=27), self.RATE, strategy_config={"Eta": 4})


class TestCriteria:
    """7: each criterion alone, then two together, of which the first that is met wins."""

    def ended(self, criteria=CompletionCriteria(), max_jobs=100, deadline=None, value=lambda number: 1.0):  # noqa: B008 - it is frozen
        job = job_of()
        trials = Search(job, RANGES, Random(RANGES, 1), Limits(max_jobs, deadline, criteria), dict)
        work(trials, lambda setting, number: {"validation:error": value(number)})
        return job.completion, len(job.trials)

    def test_the_number_of_trials(self):
        assert self.ended(max_jobs=7) == ("MaxNumberOfTrainingJobs", 7)

    def test_the_time(self, monkeypatch):
        clock = [1000.0]
        monkeypatch.setattr(search, "time", SimpleNamespace(time=lambda: clock[0]))

        def slow(number):
            clock[0] += 10.0
            return 1.0

        assert self.ended(deadline=1035.0, value=slow) == ("MaxRuntimeInSeconds", 4)  # the last one begins in time and ends later
        assert self.ended(deadline=clock[0]) == ("MaxRuntimeInSeconds", 0)

    def test_the_target(self):
        criteria = CompletionCriteria(target_objective_metric_value=0.5)
        assert self.ended(criteria, value=lambda number: 1.0 - number / 10) == ("TargetObjectiveMetricValue", 6)

    def test_no_improvement(self):
        criteria = CompletionCriteria(max_number_of_training_jobs_not_improving=4)
        assert self.ended(criteria, value=lambda number: 1.0 - 0.001 * number) == ("BestObjectiveNotImproving", 5)
        assert self.ended(criteria, 20, value=lambda number: 0.9**number) == ("MaxNumberOfTrainingJobs", 20)

    def test_convergence(self):
        criteria = CompletionCriteria(complete_on_convergence=True)
        assert self.ended(criteria) == ("ConvergenceDetected", 20)
        assert self.ended(criteria, value=lambda number: 0.5 if number >= 15 else 1.0) == ("ConvergenceDetected", 26)

    @pytest.mark.parametrize(("target", "first"), [(0.9, ("TargetObjectiveMetricValue", 2)), (0.1, ("BestObjectiveNotImproving", 5))])
    def test_the_first_of_two_wins(self, target, first):
        criteria = CompletionCriteria(target, 3)
        assert self.ended(criteria, value=lambda number: 1.0 - 0.1 * min(number, 1)) == first

    def test_a_trial_that_fails_improves_nothing(self):
        criteria = CompletionCriteria(max_number_of_training_jobs_not_improving=3)
        assert self.ended(criteria, value=lambda number: float("nan")) == ("BestObjectiveNotImproving", 3)


class TestWarmStart:
    """8: what must match, by type; how much may change; and that parents count."""

    def parent(self, estimator=None, ranges=None, **options):
        tuner = HyperparameterTuner(
            estimator or XGBoostClassifier(num_round=9),
            "train:error",
            ranges or {"eta": ContinuousParameter(0.1, 0.5)},
            "Minimize",
            **options,
        )
        job = tuner._new_job()
        job.end("Completed")
        return job

    def child(self, parent, type_="IdenticalDataAndAlgorithm", estimator=None, ranges=None, **options):
        return HyperparameterTuner(
            estimator or XGBoostClassifier(num_round=9),
            options.pop("objective", "train:error"),
            ranges or {"eta": ContinuousParameter(0.1, 0.5)},
            options.pop("objective_type", "Minimize"),
            warm_start_config=WarmStartConfig(type_, [parent]),
            **options,
        )

    def test_ranges_and_the_number_of_trials_may_change(self):
        child = self.child(self.parent(), ranges={"eta": ContinuousParameter(0.2, 0.9)}, max_jobs=9)
        assert child.warm_start_config.parents[0].status == "Completed"

    def test_what_was_static_may_be_tuned(self):
        self.child(self.parent(), ranges={"eta": ContinuousParameter(0.1, 0.5), "max_depth": IntegerParameter(1, 6)})

    @pytest.mark.parametrize("type_", ["IdenticalDataAndAlgorithm", "TransferLearning"])
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"objective": "train:auc"}, "has the objective train:error"),
            ({"objective_type": "Maximize"}, "has the objective train:error"),
            ({"ranges": {"eta": CategoricalParameter([0.1, 0.5])}}, "was a ContinuousParameter"),
            ({"strategy": "Grid", "ranges": {"max_depth": CategoricalParameter([1, 2])}}, "only Bayesian and Random"),
            ({"strategy": "Hyperband", "strategy_config": {"MaxResource": 9}}, "only Bayesian and Random"),
        ],
    )
    def test_what_must_match_for_both_types(self, type_, options, said):
        with pytest.raises(ValueError, match=said):
            self.child(self.parent(), type_, **options)

    def test_the_algorithm_must_match_for_identical_data_only(self):
        parent = self.parent()
        parent.facts["algorithm"] = "OtherClassifier"
        with pytest.raises(ValueError, match="tuned OtherClassifier"):
            self.child(parent)
        self.child(parent, "TransferLearning")

    def test_changes_count_one_and_two(self):
        names = ["gamma", "alpha", "lambda", "max_delta_step", "min_child_weight", "subsample"]
        changed = {name: 1.0 if name == "subsample" else 2.0 for name in names[:5]}
        self.child(self.parent(), estimator=XGBoostClassifier(num_round=9, **changed))  # five changed values: ten changes
        with pytest.raises(ValueError, match="12 changes"):
            self.child(self.parent(), estimator=XGBoostClassifier(num_round=9, **changed, subsample=0.5))

    def test_trials_of_parents_count(self):
        parent = self.parent(strategy="Random", max_jobs=700)
        parent.trials = [None] * 700
        self.child(parent, max_jobs=50)
        with pytest.raises(ValueError, match="750 trials at most, those of parents included"):
            self.child(parent, max_jobs=51)

    def test_a_parent_that_is_running_is_refused(self):
        job = self.parent()
        job.status = "InProgress"
        with pytest.raises(ValueError, match="is InProgress"):
            self.child(job)


@pytest.mark.slow
def test_bayesian_beats_random_on_boosted_trees():
    """10: the median of the best over 20 seeds of 30 trials; of a task small enough for twelve hundred trainings."""
    pytest.importorskip("optuna")
    pytest.importorskip("xgboost")
    from sparkml_algos.algorithms.xgboost.training import XGBOOST
    from sparkml_algos.training.run import train_arrays

    random = np.random.default_rng(0)
    x = random.normal(size=(240, 5)).astype(np.float32)
    label = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.3 * random.normal(size=240)
    held_out = np.arange(240) % 3 == 0
    ranges = {
        "eta": ContinuousParameter(0.01, 1.0),
        "max_depth": IntegerParameter(1, 8),
        "subsample": ContinuousParameter(0.3, 1.0),
        "min_child_weight": ContinuousParameter(0.1, 30.0),
    }
    settings = settings_of_a_short_training()
    known: dict[tuple, float] = {}

    def error(setting):
        key = tuple(setting.values())
        if key not in known:
            model = train_arrays(XGBOOST, {**settings, **setting}, x, label=label, validation=held_out)
            known[key] = model.values["validation:rmse"]
        return known[key]

    def best(strategy):
        found = []
        for number in range(30):
            units = strategy.propose(number, found)
            found.append(Observation(units, error(setting_at(ranges, units))))
        return min(one.value for one in found)

    learned = np.median([best(Bayesian(ranges, seed)) for seed in range(20)])
    drawn = np.median([best(Random(ranges, seed)) for seed in range(20)])
    assert learned < drawn


def settings_of_a_short_training():
    """All hyperparameters of a short training."""
    from sparkml_algos import XGBoostRegressor

    return XGBoostRegressor(num_round=12, nthread=1, eval_metric="rmse").hyperparameters()

"""A search hands out trials and takes what comes of them, without any cluster."""

from __future__ import annotations

import pytest

from sparkml_algos.cluster.errors import Failure
from sparkml_algos.core.trials import _Desk
from sparkml_algos.tuning.job import TuningJob
from sparkml_algos.tuning.ranges import CategoricalParameter, ContinuousParameter, ranges_to_json
from sparkml_algos.tuning.rules import CompletionCriteria, Hyperband
from sparkml_algos.tuning.search import Limits, Once, Search, stop_as
from sparkml_algos.tuning.store import Store
from sparkml_algos.tuning.strategies import Grid, Random
from sparkml_algos.tuning.warm_start import WarmStartConfig, check, observations

RANGES = {"x": ContinuousParameter(0, 1)}
FACTS = {"algorithm": "A", "static": {"k": 1}}


def new_job(type_="Minimize", facts=FACTS, ranges=RANGES):
    objective = {"MetricName": "validation:error", "Type": type_}
    return TuningJob("job", {"HyperParameterTuningJobObjective": objective, "ParameterRanges": ranges_to_json(ranges)}, facts)


def search_of(job, max_jobs=6, criteria=CompletionCriteria(), strategy=None, **options):  # noqa: B008 - it is frozen
    return Search(job, RANGES, strategy or Random(RANGES, 1), Limits(max_jobs, None, criteria), dict, **options)


def answer(number, error, series=(), stopped=False, epochs=0, measured=None):
    figures = {"metrics": {}, "last": {"validation:error": error}, "epochs": epochs, "series": list(series), "was_stopped": stopped}
    figures |= {"trained": epochs, "waits": False}
    return [{"trial": number, **figures, "rows": 1, "seconds": 0.1, **({} if measured is None else {"measured": measured})}]


def run(search, evaluate, lane=0):
    """A lane that does all tasks; `evaluate(setting, number)` is the answer."""
    tasks = []
    while not (task := search.next(lane)).end:
        tasks.append(task)
        number, _, setting = task.settings[0]
        search.take(lane, evaluate(setting, number))
    return tasks


def test_the_best_trial_is_kept_and_others_forgotten():
    job = new_job()
    tasks = run(search_of(job), lambda setting, number: answer(number, [5, 4, 6, 3, 7, 8][number]))
    assert job.best.number == 3
    assert [task.forget for task in tasks] == [[], [], [0], [2], [1], [4]]
    assert job.completion == "MaxNumberOfTrainingJobs"
    assert len({trial.setting["x"] for trial in job.trials}) == 6


def test_a_trial_that_fails_is_counted_and_the_search_goes_on():
    job = new_job()

    def evaluate(setting, number):
        if number == 1:
            return [{"trial": 1, "error": "ValueError: no"}]
        return answer(number, float("nan") if number == 2 else 1.0 + number)

    run(search_of(job), evaluate)
    job.end("Completed")
    described = job.describe()
    counters = described["TrainingJobStatusCounters"]
    assert counters == {"Completed": 4, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 2, "Stopped": 0}
    assert described["ObjectiveStatusCounters"] == {"Succeeded": 4, "Pending": 0, "Failed": 2}
    assert described["BestTrainingJob"]["TrainingJobName"] == "job-001"
    assert job.trials[1].reason == "ValueError: no"
    assert sum(counters.values()) == len(job.trials) == 6


def test_a_metric_that_is_not_emitted_is_named_with_those_that_are():
    job = new_job()
    other = answer(0, 1.0)
    other[0]["last"] = {"train:rmse": 1.0}
    run(search_of(job, 1), lambda setting, number: other)
    assert "'validation:error' was not emitted; metrics are train:rmse" in job.trials[0].reason


def test_a_lost_worker_costs_a_trial_only_when_it_is_lost_again():
    job = new_job()
    search = search_of(job, 2)
    task = search.next(0)
    assert not search.lost(0, task, None)
    again = search.next(0)
    assert again.settings == task.settings
    assert search.lost(0, again, None)
    assert (job.trials[0].status, job.trials[0].retryable) == ("Failed", True)
    assert search.next(0).settings[0][0] == 1


def test_who_is_to_blame_for_a_gang_that_was_lost():
    job = new_job()
    search = search_of(job, 6)
    for _ in range(2):
        desk = _Desk(search)
        lanes = {rank: desk.ask(rank, None)["settings"][0][0] for rank in (0, 2)}
        assert not desk.has_answers
        assert desk.lost(Failure(3, "host", "train", "MemoryError: too deep"))
        assert job.trials[lanes[2]].status == "Failed"
    assert not job.trials[0].is_over  # both times at the side of another that failed
    assert not _Desk(search).lost(None)
    desk = _Desk(search)
    desk.ask(2, None)
    assert not desk.lost(None) and job.trials[0].status == "InProgress"
    desk.ask(2, [])  # of a lane that was told to ask again
    assert not desk.has_answers
    desk.ask(2, answer(0, 1.0))
    assert desk.has_answers


def test_a_trial_whose_worker_failed_of_itself_is_not_tried_again():
    job = new_job()
    search = search_of(job, 2)
    assert search.lost(0, search.next(0), Failure(0, "host", "train", "MemoryError: too deep"))
    assert job.trials[0].reason == "MemoryError: too deep"


def test_trials_of_folds_are_means():
    job = new_job()
    tasks = run(search_of(job, 2, folds=3), lambda setting, number: answer(number, None, measured=float(number)))
    assert [task.fold for task in tasks] == [0, 1, 2, 0, 1, 2]
    assert [trial.objective for trial in job.trials] == [1.0, 4.0]


def test_a_trial_that_failed_in_two_folds_failed_once():
    job = new_job()
    search = search_of(job, 1, folds=3)
    tasks = [search.next(lane) for lane in range(3)]
    for lane, task in enumerate(tasks[:2]):
        search.take(lane, [{"trial": task.settings[0][0], "error": "ValueError: no"}])
    assert search.lost(2, tasks[2], Failure(0, "host", "train", "MemoryError: too deep"))
    assert job.finished == [0]
    assert job.trials[0].reason == "ValueError: no"


def test_folds_that_are_lost_together_are_all_tried_again():
    job = new_job()
    search = search_of(job, 1, folds=3)
    tasks = [search.next(lane) for lane in range(3)]
    settled = [search.lost(lane, task, None) for lane, task in enumerate(tasks)]
    assert settled == [False] * 3
    assert {search.next(lane).fold for lane in range(3)} == {0, 1, 2}
    assert not job.trials[0].is_over


def test_hyperband_needs_the_metric_after_each_epoch():
    job = new_job()
    run(search_of(job, 1, hyperband=Hyperband(1, 9)), lambda setting, number: answer(number, 1.0, [None, None], epochs=2))
    assert "needs 'validation:error' after each epoch" in job.trials[0].reason


def test_the_best_trial_is_trained_again_for_as_many_epochs():
    job = new_job()
    run(search_of(job, 1, stops=True), lambda setting, number: answer(number, 1.0, [2.0, 1.0], stopped=True, epochs=2))
    stop = Once({}, stop_as(job.best, job)).next(0).stop
    history = [{"validation:error": 0.0}] * 3
    assert [stop(history[:epochs]) for epochs in (1, 2)] == [False, True]
    whole = new_job()
    run(search_of(whole, 1), lambda setting, number: answer(number, 1.0, [1.0] * 9, epochs=9))
    assert stop_as(whole.best, whole) is None
    assert stop_as(whole.best, whole, Hyperband(1, 9)).bounds.keys() == {9}


def test_bounds_of_early_stopping_come_with_the_task():
    job = new_job()
    tasks = run(search_of(job, 5, stops=True), lambda setting, number: answer(number, number + 1.0, [number + 1.0], epochs=1))
    assert [task.stop.bounds for task in tasks] == [{}, {}, {}, {1: 2.0}, {1: 2.5}]


@pytest.mark.parametrize("criteria", [CompletionCriteria(1.5), CompletionCriteria(max_number_of_training_jobs_not_improving=3)])
def test_a_criterion_ends_the_search(criteria):
    job = new_job()
    run(search_of(job, 50, criteria), lambda setting, number: answer(number, [4.0, 3.0, 3.0, 3.0, 3.0, 1.0][min(number, 5)]))
    assert job.completion is not None
    assert len(job.trials) == (6 if criteria.target_objective_metric_value else 5)


def test_a_search_that_is_stopped_begins_no_more():
    job = new_job()

    def evaluate(setting, number):
        if number == 2:
            job.stop()
        return answer(number, 1.0)

    run(search_of(job, 50), evaluate)
    assert len(job.trials) == 3


def test_a_search_goes_on_from_its_store(tmp_path):
    store = Store(tmp_path, "job")

    def first_job():
        job = new_job()
        store.append({"job": {"name": job.name, "config": job.config, "facts": job.facts, "created": job.created}})
        return job

    job = first_job()
    search = search_of(job, store=store)
    for _ in range(3):
        number, _, _setting = search.next(0).settings[0]
        search.take(0, answer(number, 1.0 + number))
    running = search.next(0).settings
    with open(store.path, "a") as file:
        file.write('{"trial": {"number": 9')  # where the driver was lost
    again = TuningJob.attach(store)
    assert [trial.status for trial in again.trials] == ["Completed"] * 3 + ["InProgress"]
    resumed = search_of(again, store=store)
    assert resumed.next(0).settings == running
    resumed.take(0, answer(3, 0.5))
    run(resumed, lambda setting, number: answer(number, 9.0))
    whole = new_job()
    run(search_of(whole), lambda setting, number: answer(number, 9.0))
    assert [trial.setting for trial in again.trials] == [trial.setting for trial in whole.trials]
    assert [trial.number for trial in TuningJob.attach(store).trials] == list(range(6))


def test_a_search_that_was_over_and_went_on_is_stopped_where_its_driver_was_lost():
    job = new_job()
    run(search_of(job, 2), lambda setting, number: answer(number, 1.0))
    job.end("Completed")
    begun = {"trial": {"number": 2, "name": "job-003", "setting": {}, "units": {}}}
    found = TuningJob.from_events([*job.events(), begun])
    assert (found.status, found.ended, len(found.trials)) == ("Stopped", None, 3)
    assert TuningJob.from_events(job.events()).status == "Completed"


def test_a_search_that_was_over_begins_no_trial_when_it_goes_on():
    job = new_job()
    run(search_of(job, 9, CompletionCriteria(1.5)), lambda setting, number: answer(number, 3.0 - number))
    job.completion = None  # which the driver had no time to keep
    assert search_of(job, 9, CompletionCriteria(1.5)).next(0).end
    assert (job.completion, len(job.trials)) == ("TargetObjectiveMetricValue", 3)


@pytest.mark.parametrize("address", ["s3a://bucket/searches", "dbfs:/searches"])
def test_an_address_is_no_store(address):
    with pytest.raises(ValueError, match="a store is a directory"):
        Store(address, "job")


class TestWarmStart:
    def parent(self, **options):
        job = new_job(**options)
        run(search_of(job, 4), lambda setting, number: answer(number, float(number)))
        job.end("Completed")
        return job

    def check(
        self, parent, type_="IdenticalDataAndAlgorithm", ranges=RANGES, facts=FACTS, strategy="Bayesian", objective="validation:error"
    ):
        check(WarmStartConfig(type_, [parent]), ranges, facts, {"MetricName": objective, "Type": "Minimize"}, strategy)

    def test_what_follows_the_rules_is_taken(self):
        self.check(self.parent())
        self.check(self.parent(), "TransferLearning", facts={**FACTS, "algorithm": "B"})

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"strategy": "Grid"}, "only Bayesian and Random"),
            ({"objective": "validation:auc"}, "has the objective"),
            ({"facts": {**FACTS, "algorithm": "B"}}, "tuned A"),
            ({"ranges": {"y": ContinuousParameter(0, 1)}}, "other hyperparameters: x, y"),
            ({"ranges": {"x": CategoricalParameter([0, 1])}}, "was a ContinuousParameter"),
        ],
    )
    def test_what_breaks_a_rule_is_refused(self, options, said):
        with pytest.raises(ValueError, match=said):
            self.check(self.parent(), **options)

    def test_more_than_ten_changes_are_refused(self):
        facts = {"algorithm": "A", "static": dict.fromkeys("abcdef", 1)}
        with pytest.raises(ValueError, match="12 changes"):
            self.check(self.parent(facts=facts), facts={**facts, "static": dict.fromkeys("abcdef", 2)})

    def test_parents_must_be_over_and_few(self):
        with pytest.raises(ValueError, match="is InProgress"):
            WarmStartConfig("TransferLearning", [new_job()])
        with pytest.raises(ValueError, match="from 1 to 5"):
            WarmStartConfig("TransferLearning", [self.parent()] * 6)
        with pytest.raises(ValueError, match="must be"):
            WarmStartConfig("Recursive", [self.parent()])

    def test_trials_outside_of_the_ranges_tell_nothing(self):
        parent = self.parent()
        inside = [trial for trial in parent.trials if trial.setting["x"] <= 0.5]
        narrow = {"x": ContinuousParameter(0, 0.5)}
        config = WarmStartConfig("IdenticalDataAndAlgorithm", [parent])
        assert len(observations(config, narrow, False)) == len(inside) < 4
        assert [one.value for one in observations(config, RANGES, True)] == [0.0, -1.0, -2.0, -3.0]
        transferred = [one.value for one in observations(WarmStartConfig("TransferLearning", [parent]), RANGES, False)]
        assert sum(transferred) == pytest.approx(0) and max(transferred) == pytest.approx(1.3416, abs=1e-4)

    def test_what_was_static_and_no_number_tells_nothing_of_a_range(self):
        parent = self.parent(facts={**FACTS, "static": {"k": "auto"}})
        config = WarmStartConfig("IdenticalDataAndAlgorithm", [parent])
        assert observations(config, {**RANGES, "k": ContinuousParameter(0, 1)}, False) == []

    def test_the_best_of_all_is_known_of_identical_data_only(self):
        for type_, known in (("IdenticalDataAndAlgorithm", True), ("TransferLearning", False)):
            job = TuningJob("job", new_job().config, {**FACTS, "warm_start_type": type_}, [self.parent()])
            run(search_of(job, 2), lambda setting, number: answer(number, 5.0))
            assert (job.overall_best is not None) == known
            assert not known or job.overall_best.objective == 0.0
            job.end("Failed", RuntimeError("what of"))
            again = TuningJob.from_events(job.events())
            assert again.describe()["FailureReason"] == "what of"
            assert (again.overall_best, again.best) == (job.overall_best, job.best)


def test_a_grid_runs_each_combination_once():
    ranges = {"x": CategoricalParameter([1, 2]), "y": CategoricalParameter([1, 2, 3])}
    job = new_job(ranges=ranges)
    search = Search(job, ranges, Grid(ranges, None), Limits(6, None, CompletionCriteria()), dict)
    run(search, lambda setting, number: answer(number, 1.0))
    assert len({tuple(trial.setting.values()) for trial in job.trials}) == len(job.trials) == 6

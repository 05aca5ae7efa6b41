"""What a tuner does on the driver, with gangs that compute a formula in place of a training."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from pyspark.ml import Pipeline

from sparkml_algos import PCA, LinearLearnerBinaryClassifier, XGBoostClassifier
from sparkml_algos.tuning import CategoricalParameter, ContinuousParameter, HyperparameterTuner, TuningListener, running
from sparkml_algos.tuning.definitions import Ready
from sparkml_algos.tuning.store import Store
from tests.tuning.searching import answer

ETA = {"eta": ContinuousParameter(0.01, 1.0)}
MARKED = {"validationIndicatorCol": "held_out"}


class Gang:
    """One lane, which keeps models as a worker does."""

    def __init__(self, stand, setting):
        self.stand, self.setting = stand, setting

    def run(self, scheduler):
        self.stand.gangs.append(dict(self.setting))
        kept = {}
        while True:
            task = scheduler.next(0)
            kept = {number: model for number, model in kept.items() if number not in task.forget}
            if task.end:
                return kept
            (number, _, changes), *_ = task.settings
            scheduler.take(0, answer(number, {"validation:error": self.stand.error({**self.setting, **changes})}))
            if task.keeps:
                kept[number] = f"model {number}"


class Stand:
    made: list = []  # noqa: RUF012 - all that were made in a test

    def __init__(self, definition, dataset, **options):
        self.definition, self.options, self.gangs, self.let_go = definition, options, [], False
        self.formula = dataset
        Stand.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.let_go = True

    def error(self, setting):
        return self.formula(self.definition.name, setting)

    def ready(self, setting):
        inner = {name: value for name, value in setting.items() if name in self.definition.inner}
        if inner.get("PCA.num_components") == 13:
            raise ArithmeticError("thirteen")
        return Ready(Gang(self, inner), [])

    def model(self, ready, artifact, setting):
        return SimpleNamespace(artifact=artifact, setting=setting, of=self.definition.name)


@pytest.fixture(autouse=True)
def gangs(monkeypatch):
    Stand.made.clear()
    monkeypatch.setattr(running, "Stand", Stand)
    return Stand.made


def tune(estimator, ranges, formula, **options):
    given = {"objective_type": "Minimize", "strategy": "Random", "random_seed": 1, "progress": "off"}
    found = HyperparameterTuner(estimator, "validation:error", ranges, **{**given, **options})
    return found._fit(formula), found.latest_tuning_job


def test_one_estimator_has_one_gang(gangs):
    model, job = tune(XGBoostClassifier(**MARKED), ETA, lambda name, setting: abs(setting["eta"] - 0.5), max_jobs=9)
    assert gangs[0].gangs == [{}]
    assert (model.artifact, model.setting) == (f"model {job.best.number}", job.best.setting)
    assert (job.status, job.completion, len(job.finished), gangs[0].let_go) == ("Completed", "MaxNumberOfTrainingJobs", 9, True)


def test_several_estimators_have_a_gang_each_and_the_best_model_is_kept(gangs):
    estimators = {"trees": XGBoostClassifier(**MARKED), "line": LinearLearnerBinaryClassifier(**MARKED)}
    ranges = {"trees": ETA, "line": {"wd": ContinuousParameter(1e-4, 1.0)}}

    def formula(name, setting):
        return setting["eta"] if name == "trees" else 5.0 + setting["wd"]

    model, job = tune(estimators, ranges, formula, max_jobs=7)
    assert [len(stand.gangs) for stand in gangs] == [1, 1]  # no training of the best one again, though its gang was the first
    assert [trial.definition for trial in job.trials] == ["trees"] * 4 + ["line"] * 3
    assert (model.of, model.artifact) == ("trees", f"model {job.best.number}")
    assert all(stand.options["recurs"] and stand.let_go for stand in gangs)


def test_a_gang_for_each_setting_of_the_stages(gangs):
    estimator = Pipeline(stages=[PCA(num_components=2, outputCol="v"), XGBoostClassifier(featuresCol="v", **MARKED)])
    ranges = {"PCA.num_components": CategoricalParameter([1, 13, 2]), "max_depth": CategoricalParameter([3, 4])}

    def formula(name, setting):
        return setting["PCA.num_components"] + setting["max_depth"] / 10 if "max_depth" in setting else setting["PCA.num_components"]

    model, job = tune(estimator, ranges, formula, strategy="Grid")
    assert gangs[0].gangs == [{"PCA.num_components": 1}, {"PCA.num_components": 2}]
    assert [trial.status for trial in job.trials] == ["Completed"] * 2 + ["Failed"] * 2 + ["Completed"] * 2
    assert job.trials[2].reason == "ArithmeticError: thirteen"
    assert (model.artifact, model.setting["PCA.num_components"]) == (f"model {job.best.number}", 1)


def test_a_search_of_which_all_fails_says_of_what(gangs):
    told = []

    class Recorder(TuningListener):
        def on_search_end(self, job):
            told.append((job.status, job.failure))

    with pytest.raises(RuntimeError, match=r"no trial of tuning job .* has an objective: the objective validation:error is nan"):
        tune(XGBoostClassifier(**MARKED), ETA, lambda name, setting: float("nan"), max_jobs=2, listeners=[Recorder()])
    assert told[0][0] == "Failed" and "is nan" in told[0][1]
    assert gangs[0].let_go


def test_listeners_are_told_before_those_who_wait_go_on():
    told = []

    class Recorder(TuningListener):
        def on_trial_end(self, job, trial):
            told.append(trial.number)

        def on_search_end(self, job):
            told.append((job.status, job._done.is_set(), job.model is not None))

    tune(XGBoostClassifier(**MARKED), ETA, lambda name, setting: 1.0, max_jobs=3, listeners=[Recorder()])
    assert told == [0, 1, 2, ("Completed", False, True)]


def test_a_trial_that_a_stop_has_kept_from_beginning_begins_when_the_search_goes_on(monkeypatch, tmp_path):
    estimator = Pipeline(stages=[PCA(num_components=2, outputCol="v"), XGBoostClassifier(featuresCol="v", **MARKED)])
    ranges = {"PCA.num_components": CategoricalParameter([1, 2])}
    options = {"objective_type": "Minimize", "strategy": "Grid", "store": tmp_path, "progress": "off"}
    recorder = Recorder()
    recorder.job = SimpleNamespace(_done=threading.Event())
    first, again = (HyperparameterTuner(estimator, "validation:error", ranges, **options) for _ in range(2))
    run = Gang.run
    monkeypatch.setattr(Gang, "run", lambda gang, search: [run(gang, search), first.latest_tuning_job.stop()][0])
    first._run(lambda name, setting: 1.0, first._new_job(), recorder)
    assert [what for what, _ in recorder.told].count("trial") == 1
    stopped = first.latest_tuning_job
    assert (stopped.status, [trial.status for trial in stopped.trials]) == ("Stopped", ["Completed", "Stopped"])
    assert "before it began" in stopped.trials[1].reason
    monkeypatch.undo()
    monkeypatch.setattr(running, "Stand", Stand)
    again._fit(lambda name, setting: 1.0)
    found = again.latest_tuning_job
    assert [(trial.status, trial.reason) for trial in found.trials] == [("Completed", None)] * 2 and found.finished == [0, 1]


class Recorder:
    """Notes whether those who wait for a search have been let go by then."""

    def __init__(self):
        self.job, self.told = None, []

    def say(self, what):
        self.told.append((what, self.job._done.is_set()))

    @contextmanager
    def searching(self, *_):
        yield SimpleNamespace(trial=lambda *_, **__: self.say("trial"), take=lambda *_: self.say("model"))
        self.say("end")


def test_all_is_recorded_and_kept_before_those_who_wait_go_on(monkeypatch, tmp_path):
    recorder = Recorder()
    found = HyperparameterTuner(XGBoostClassifier(**MARKED), "validation:error", ETA, strategy="Random", store=tmp_path, progress="off")
    recorder.job = job = found._new_job()
    append = Store.append
    monkeypatch.setattr(Store, "append", lambda store, event: [append(store, event), recorder.say(next(iter(event)))])
    found._run(lambda name, setting: 1.0, job, recorder)
    assert [what for what, _ in recorder.told][-3:] == ["end", "model", "end"]  # the store's, the model, the run's
    assert not any(go_on for _, go_on in recorder.told)
    assert job.wait(0).status == "Completed" and found.attach(job.name, tmp_path).status == "Completed"


@pytest.mark.parametrize("when", ["before it begins", "at its end"])
def test_who_waits_is_told_of_what_fails_beside_the_search(when, monkeypatch, tmp_path):
    found = HyperparameterTuner(XGBoostClassifier(**MARKED), "validation:error", ETA, strategy="Random", store=tmp_path, progress="off")
    job = found._new_job()

    def no_room(*_):
        raise OSError("no room on the device")

    if when == "before it begins":
        monkeypatch.setattr(HyperparameterTuner, "_searched", no_room)
    monkeypatch.setattr(HyperparameterTuner, "_keep_end", no_room)
    with pytest.raises(OSError, match="no room"):
        found._run(lambda name, setting: 1.0, job, None)
    with pytest.raises(OSError, match="no room"):
        job.wait(0)
    assert job.status == "Failed" and "no room" in job.failure


def test_a_search_over_several_goes_on_from_its_store(gangs, tmp_path):
    estimators = {"trees": XGBoostClassifier(**MARKED), "line": LinearLearnerBinaryClassifier(**MARKED)}
    ranges = {"trees": ETA, "line": {"wd": ContinuousParameter(1e-4, 1.0)}}
    options = {"max_jobs": 6, "store": tmp_path}

    def lost(name, setting):
        if name == "line":
            raise KeyboardInterrupt
        return setting["eta"]

    with pytest.raises(KeyboardInterrupt):
        tune(estimators, ranges, lost, **options)
    model, job = tune(estimators, ranges, lambda name, setting: 0.0 if name == "line" else setting["eta"], **options)
    assert [trial.definition for trial in job.trials] == ["trees"] * 3 + ["line"] * 3
    assert [len(stand.gangs) for stand in gangs] == [1, 1, 0, 1]  # the first one had all of its trials
    assert model.of == "line"
    again, _ = tune(estimators, ranges, lambda name, setting: 0.0, **options)
    assert (again.of, again.artifact) == ("line", "model 0")  # trained again, once

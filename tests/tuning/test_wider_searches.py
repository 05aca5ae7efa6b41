"""Searches on a cluster over several Estimators, over stages of a Pipeline, for several objectives; and what is told and saved of them."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml import Estimator, Pipeline, Transformer
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import StandardScaler, VectorAssembler
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.sql import functions as F

from sparkml_algos import LinearLearnerBinaryClassifier, XGBoostClassifier
from sparkml_algos.tuning import (
    CategoricalParameter,
    ContinuousParameter,
    HyperparameterTuner,
    IntegerParameter,
    TuningListener,
    WarmStartConfig,
)

pytest.importorskip("xgboost")
pytest.importorskip("optuna")

ETA = {"eta": ContinuousParameter(0.01, 1.0)}


@pytest.fixture(scope="module")
def rows(spark):
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 3))
    label = (x @ [1, -1, 0.5] + 0.5 * random.normal(size=300) > 0).astype(float)
    held_out = np.arange(300) % 3 == 0
    data = [(*map(float, row), float(y), bool(v)) for row, y, v in zip(x, label, held_out, strict=True)]
    frame = spark.createDataFrame(data, "a double, b double, c double, label double, held_out boolean").cache()
    yield frame.withColumn("features", F.array("a", "b", "c"))
    frame.unpersist()


def trees(**options):
    given = {"num_round": 3, "num_workers": 1, "seed": 1, "progress": "off", "validationIndicatorCol": "held_out"}
    return XGBoostClassifier(**{**given, **options})


def line(**options):
    given = {"epochs": 2, "mini_batch_size": 50, "num_workers": 1, "seed": 1, "progress": "off", "validationIndicatorCol": "held_out"}
    return LinearLearnerBinaryClassifier(**{**given, **options})


class Counted(Estimator):
    """Appends a multiple of a column; remembers how often it was fitted, and by what."""

    factor = Param(Params._dummy(), "factor", "what the column is multiplied by", TypeConverters.toFloat)
    fitted: list = []  # noqa: RUF012 - copies share it, which is what it is for

    def __init__(self, column="a", name="scaled"):
        super().__init__()
        self.column, self.name = column, name
        self._setDefault(factor=1.0)

    def _fit(self, dataset):
        self.fitted.append((self.name, self.getOrDefault("factor"), dataset.count()))
        return Multiplied(self.column, self.name, self.getOrDefault("factor"))


class Multiplied(Transformer):
    def __init__(self, column, name, factor):
        super().__init__()
        self.column, self.name, self.by = column, name, factor

    def _transform(self, dataset):
        if self.by < 0:
            raise ArithmeticError("a factor below zero")
        return dataset.withColumn(self.name, F.col(self.column) * self.by)


@pytest.fixture
def counted():
    Counted.fitted.clear()
    return Counted.fitted


class TestSeveralEstimators:
    def test_the_model_is_the_best_of_all(self, rows):
        tuner = HyperparameterTuner(
            {"trees": trees(), "line": line()},
            {"trees": "validation:error", "line": "validation:objective_loss"},
            {"trees": ETA, "line": {"learning_rate": ContinuousParameter(0.001, 0.1), "wd": ContinuousParameter(1e-5, 0.1)}},
            "Minimize",
            strategy="Random",
            max_jobs=5,
            max_parallel_jobs=2,
            random_seed=1,
        )
        model = tuner.fit(rows)
        job = tuner.latest_tuning_job
        assert [trial.definition for trial in job.trials] == ["trees"] * 3 + ["line"] * 2
        assert job.describe()["TrainingJobStatusCounters"]["Completed"] == 5
        assert type(tuner.best_estimator()) is type({"trees": trees(), "line": line()}[job.best.definition])
        metric = tuner.objective_metric_name[job.best.definition]
        assert model.training_summary.metrics[metric] == pytest.approx(job.best.objective, abs=1e-6)
        table = job.dataframe(rows.sparkSession)
        assert {"TrainingJobDefinitionName", "eta", "wd"} <= set(table.columns)
        assert table.filter("TrainingJobDefinitionName = 'line' and eta is null").count() == 2

    def test_a_search_that_learns_gives_each_some_and_is_reproducible(self, rows):
        def tune():
            tuner = HyperparameterTuner(
                {"shallow": trees(max_depth=1), "deep": trees(max_depth=3)},
                "validation:auc",
                {"shallow": ETA, "deep": ETA},
                max_jobs=8,
                random_seed=3,
                engine="tpe",
            )
            model = tuner.fit(rows)
            assert model.value("max_depth") == {"shallow": 1, "deep": 3}[tuner.latest_tuning_job.best.definition]
            return [(trial.definition, trial.setting, trial.objective) for trial in tuner.latest_tuning_job.trials]

        found = tune()
        assert {definition for definition, _, _ in found[:8]} == {"shallow", "deep"}
        assert tune() == found

    @pytest.mark.classic
    def test_an_evaluator_compares_them_on_rows_for_validation(self, rows):
        evaluator = MulticlassClassificationEvaluator(metricName="accuracy")
        tuner = HyperparameterTuner(
            {"trees": trees(), "line": line()},
            "accuracy",
            {"trees": {"max_depth": CategoricalParameter([1, 3])}, "line": {"wd": CategoricalParameter([0.0])}},
            strategy="Grid",
            evaluator=evaluator,
            random_seed=1,
        )
        model = tuner.fit(rows)
        best = tuner.latest_tuning_job.best
        scored = evaluator.evaluate(model.transform(rows.filter("held_out")))
        assert scored == pytest.approx(best.objective, abs=1e-9)
        assert len(tuner.latest_tuning_job.trials) == 3


class TestStages:
    def pipeline(self, *stages):
        last = VectorAssembler(inputCols=["scaled", "more", "c"], outputCol="v")
        return Pipeline(stages=[*stages, last, trees(featuresCol="v")])

    def test_stages_before_the_first_tuned_one_run_once_and_others_for_each_of_their_settings(self, rows, counted):
        first, second = Counted("a", "scaled"), Counted("b", "more")
        ranges = {second.factor: CategoricalParameter([1.0, 2.0]), "max_depth": CategoricalParameter([1, 2, 3])}
        tuner = HyperparameterTuner(self.pipeline(first, second), "validation:error", ranges, "Minimize", strategy="Grid")
        model = tuner.fit(rows)
        job = tuner.latest_tuning_job
        assert len(job.finished) == 6
        assert counted.count(("scaled", 1.0, 200)) == 1  # on the rows that are not held out
        assert [fitted for fitted in counted if fitted[0] == "more"][:2] == [("more", 1.0, 200), ("more", 2.0, 200)]
        factor = job.best.setting["Counted_2.factor"]
        assert model.stages[1].by == factor
        assert model.stages[-1].value("max_depth") == job.best.setting["max_depth"]
        assert model.stages[-1].training_summary.metrics["validation:error"] == pytest.approx(job.best.objective)
        alone = tuner.best_estimator().getStages()
        assert (alone[1].getOrDefault("factor"), alone[-1].value("max_depth")) == (factor, job.best.setting["max_depth"])
        assert {"Counted_2.factor", "max_depth"} <= set(job.analytics().columns)

    def test_a_setting_that_a_stage_does_not_stand_is_a_failed_trial(self, rows, counted):
        stages = [Counted("a", "scaled"), Counted("b", "more")]
        ranges = {"Counted.factor": CategoricalParameter([-1.0, 1.0])}
        tuner = HyperparameterTuner(self.pipeline(*stages), "validation:error", ranges, "Minimize", strategy="Grid")
        tuner.fit(rows)
        assert [trial.status for trial in tuner.latest_tuning_job.trials] == ["Failed", "Completed"]
        assert "a factor below zero" in tuner.latest_tuning_job.trials[0].reason

    def test_a_stage_of_spark_is_tuned_with_what_it_makes(self, rows):
        scaler = StandardScaler(inputCol="v", outputCol="scaled", withMean=False)
        stages = [VectorAssembler(inputCols=["a", "b", "c"], outputCol="v"), scaler, line(featuresCol="scaled")]
        ranges = {scaler.withMean: CategoricalParameter([True, False]), "wd": ContinuousParameter(1e-5, 0.1)}
        options = {"strategy": "Random", "max_jobs": 3, "random_seed": 2, "max_parallel_jobs": 2}
        tuner = HyperparameterTuner(Pipeline(stages=stages), "validation:objective_loss", ranges, "Minimize", **options)
        model = tuner.fit(rows)
        best = tuner.latest_tuning_job.best
        assert model.stages[1].getOrDefault("withMean") == best.setting["StandardScaler.withMean"]
        assert all(trial.succeeded for trial in tuner.latest_tuning_job.trials)
        assert "prediction" in model.transform(rows).columns


def test_several_objectives_have_a_front_any_of_which_can_be_fitted(rows):
    ranges = {"max_depth": IntegerParameter(1, 6), **ETA}
    tuner = HyperparameterTuner(
        trees(), ["validation:auc", "train:logloss"], ranges, ["Maximize", "Minimize"], max_jobs=8, random_seed=1, engine="tpe"
    )
    model = tuner.fit(rows)
    job = tuner.latest_tuning_job
    front = job.pareto_front
    assert front[0] is job.best
    assert [trial.objectives["train:logloss"] for trial in front] == sorted((t.objectives["train:logloss"] for t in front), reverse=True)
    assert model.training_summary.metrics["validation:auc"] == pytest.approx(front[0].objective, abs=1e-6)
    last = tuner.estimator_of(front[-1])
    assert last.value("max_depth") == front[-1].setting["max_depth"]
    assert "train:logloss" in job.dataframe(rows.sparkSession).columns


class TestListeners:
    def test_they_are_told_of_each_trial(self, rows):
        class Recorder(TuningListener):
            def __init__(self):
                self.told = []

            def on_search_start(self, job, tuner, dataset):
                self.told.append(("search", dataset is not None, tuner.objective_metric_name))

            def on_trial_start(self, job, trial):
                self.told.append(("start", trial.number))

            def on_trial_end(self, job, trial):
                self.told.append(("end", trial.number, trial.status, trial.objective is not None))

            def on_search_end(self, job):
                self.told.append((job.status, job.model is not None))

        recorder = Recorder()
        tuner = HyperparameterTuner(trees(), "validation:auc", ETA, strategy="Random", max_jobs=2, listeners=[recorder])
        tuner.fit(rows)
        trials = [("start", 0), ("end", 0, "Completed", True), ("start", 1), ("end", 1, "Completed", True)]
        assert recorder.told == [("search", True, "validation:auc"), *trials, ("Completed", True)]

    def test_they_are_told_of_a_search_that_fails(self, rows):
        ended = []

        class Recorder(TuningListener):
            def on_search_end(self, job):
                ended.append((job.status, "nothing" in job.failure, job.model))

        tuner = HyperparameterTuner(trees(featuresCol="nothing"), "validation:auc", ETA, listeners=[Recorder()])
        with pytest.raises(ValueError, match="nothing"):
            tuner.fit(rows)
        assert ended == [("Failed", True, None)]


class TestSaved:
    def loaded(self, tuner, tmp_path):
        tuner.write().save(str(tmp_path / "tuner"))
        found = HyperparameterTuner.load(str(tmp_path / "tuner"))
        assert (found.uid, found.to_config()) == (tuner.uid, tuner.to_config())
        return found

    @pytest.mark.classic
    def test_with_its_evaluator(self, spark, tmp_path):
        evaluator = MulticlassClassificationEvaluator(metricName="fMeasureByLabel", metricLabel=1.0, beta=2.0)
        tuner = HyperparameterTuner(trees(), "f2", ETA, evaluator=evaluator, num_folds=3, max_jobs=4)
        found = self.loaded(tuner, tmp_path)
        assert type(found.evaluator) is MulticlassClassificationEvaluator
        given = {param.name: value for param, value in found.evaluator.extractParamMap().items()}
        assert given == {param.name: value for param, value in evaluator.extractParamMap().items()}
        assert found.num_folds == 3

    def test_with_the_parents_of_its_warm_start(self, rows, tmp_path):
        tuner = HyperparameterTuner(trees(), "validation:auc", ETA, strategy="Random", max_jobs=2, random_seed=1)
        tuner.fit(rows)
        child = tuner.identical_dataset_and_algorithm_tuner()
        found = self.loaded(child, tmp_path)
        assert isinstance(found.warm_start_config, WarmStartConfig)
        (parent,) = found.warm_start_config.parents
        assert (parent.name, parent.status, parent.finished) == (tuner.latest_tuning_job.name, "Completed", [0, 1])
        assert parent.trials == tuner.latest_tuning_job.trials
        found.fit(rows)
        assert found.latest_tuning_job.overall_best.objective >= parent.best.objective

    def test_in_place_of_another_one(self, spark, tmp_path):
        for most in (2, 3):
            tuner = HyperparameterTuner(trees(), "validation:auc", ETA, max_jobs=most)
            tuner.write().overwrite().save(str(tmp_path / "tuner"))
        assert HyperparameterTuner.load(str(tmp_path / "tuner")).max_jobs == 3

    def test_with_several_estimators_and_objectives(self, spark, tmp_path):
        ranges = {"trees": {"max_depth": CategoricalParameter([1, 2])}, "line": {"wd": ContinuousParameter(0.1, 0.5)}}
        tuner = HyperparameterTuner({"trees": trees(), "line": line()}, {"trees": "a", "line": "b"}, ranges, max_jobs=4, tags={"a": "b"})
        found = self.loaded(tuner, tmp_path / "estimators")
        assert found.hyperparameter_ranges == ranges
        assert {name: one.uid for name, one in found.estimator.items()} == {name: one.uid for name, one in tuner.estimator.items()}
        objectives = {"objective_metric_name": ["validation:auc", "train:logloss"], "objective_type": ["Maximize", "Minimize"]}
        tuner = HyperparameterTuner(trees(), hyperparameter_ranges=ETA, **objectives)
        found = self.loaded(tuner, tmp_path / "objectives")
        assert found._objectives("") == tuner._objectives("")


def test_two_searches_at_once_wait_for_each_others_slots_and_both_end(rows):
    options = {"strategy": "Random", "max_jobs": 4, "max_parallel_jobs": 2, "random_seed": 1}
    jobs = [HyperparameterTuner(trees(num_round=rounds), "validation:auc", ETA, **options).start(rows) for rounds in (2, 3)]
    assert [job.wait(120).status for job in jobs] == ["Completed", "Completed"]
    assert [len(job.finished) for job in jobs] == [4, 4]

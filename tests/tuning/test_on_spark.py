"""Searches on a cluster: what is found, that it is what Spark's own classes find, and what it costs where something goes wrong."""

from __future__ import annotations

import time

import numpy as np
import pyspark.ml.tuning as spark_tuning
import pytest
from pyspark.ml import Pipeline
from pyspark.ml.evaluation import (
    BinaryClassificationEvaluator,
    Evaluator,
    MulticlassClassificationEvaluator,
    RegressionEvaluator,
)
from pyspark.ml.feature import StandardScaler, VectorAssembler
from pyspark.ml.tuning import ParamGridBuilder
from pyspark.sql import functions as F

from sparkml_algos import XGBoostClassifier
from sparkml_algos.tuning import (
    CategoricalParameter,
    ContinuousParameter,
    CrossValidator,
    HyperparameterTuner,
    IntegerParameter,
    TrainValidationSplit,
)
from tests.averaging import Averaging

pytest.importorskip("xgboost")
pytest.importorskip("optuna")

RANGES = {"eta": ContinuousParameter(0.01, 1.0), "max_depth": IntegerParameter(1, 6)}


@pytest.fixture(scope="module")
def rows(spark):
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 3))
    label = (x @ [1, -1, 0.5] + random.normal(size=400) > 0).astype(float)
    held_out = np.arange(400) % 3 == 0
    data = [(*map(float, row), float(y), bool(v)) for row, y, v in zip(x, label, held_out, strict=True)]
    frame = spark.createDataFrame(data, "a double, b double, c double, label double, held_out boolean").cache()
    yield frame.withColumn("features", F.array("a", "b", "c"))
    frame.unpersist()


def classifier(**options):
    return XGBoostClassifier(**{"num_round": 3, "num_workers": 1, "seed": 1, "progress": "off", **options})


def grid_of(estimator):
    return ParamGridBuilder().addGrid(estimator.max_depth, [1, 3]).addGrid(estimator.eta, [0.1, 0.9]).build()


class Halved(Evaluator):
    """An evaluator that only Spark can apply."""

    def _evaluate(self, dataset):
        return dataset.filter(F.col("prediction") == F.col("label")).count() / dataset.count() / 2


@pytest.mark.classic  # evaluators of Spark 3.5 need a JVM in the process
class TestValidators:
    @pytest.mark.parametrize(
        "evaluator", [BinaryClassificationEvaluator, MulticlassClassificationEvaluator, Halved], ids=lambda e: e.__name__
    )
    def test_metrics_are_those_of_sparks_own(self, rows, evaluator):
        estimator = classifier()
        options = {"estimator": estimator, "estimatorParamMaps": grid_of(estimator), "evaluator": evaluator(), "numFolds": 2, "seed": 3}
        ours = CrossValidator(**options, parallelism=2).fit(rows)
        theirs = spark_tuning.CrossValidator(**options).fit(rows)
        np.testing.assert_allclose(ours.avgMetrics, theirs.avgMetrics, atol=1e-6)
        np.testing.assert_allclose(ours.stdMetrics, theirs.stdMetrics, atol=1e-6)
        assert ours.bestModel.value("max_depth") == theirs.bestModel.value("max_depth")
        np.testing.assert_array_equal(ours.bestModel.artifact.arrays["model"], theirs.bestModel.artifact.arrays["model"])
        assert ours.bestModel.training_summary.rows == 400

    def test_a_split_in_a_pipeline_with_all_its_models(self, rows):
        estimator = classifier(featuresCol="scaled")
        stages = [VectorAssembler(inputCols=["a", "b", "c"], outputCol="v"), StandardScaler(inputCol="v", outputCol="scaled"), estimator]
        options = {"estimatorParamMaps": grid_of(estimator)[:2], "evaluator": RegressionEvaluator(metricName="mae"), "seed": 3}
        ours = TrainValidationSplit(estimator=Pipeline(stages=stages), collectSubModels=True, **options).fit(rows)
        theirs = spark_tuning.TrainValidationSplit(estimator=Pipeline(stages=stages), **options).fit(rows)
        np.testing.assert_allclose(ours.validationMetrics, theirs.validationMetrics, atol=1e-6)
        assert [len(model.stages) for model in ours.subModels] == [3, 3]
        assert {"scaled", "prediction"} <= set(ours.transform(rows).columns)

    def test_folds_of_a_column_are_checked(self, rows):
        estimator = classifier()
        search = CrossValidator(
            estimator=estimator, estimatorParamMaps=grid_of(estimator)[:1], evaluator=Halved(), numFolds=2, foldCol="fold"
        )
        assert len(search.fit(rows.withColumn("fold", F.col("held_out").cast("int"))).avgMetrics) == 1
        with pytest.raises(Exception, match="must be in"):
            search.fit(rows.withColumn("fold", F.lit(2)))

    def test_a_validator_is_saved_under_its_own_name(self, rows, tmp_path):
        estimator = classifier()
        evaluator = BinaryClassificationEvaluator()
        search = CrossValidator(estimator=estimator, estimatorParamMaps=grid_of(estimator), evaluator=evaluator, parallelism=2)
        Pipeline(stages=[search]).write().save(str(tmp_path / "pipeline"))
        (loaded,) = Pipeline.load(str(tmp_path / "pipeline")).getStages()
        assert type(loaded) is CrossValidator
        assert (loaded.uid, loaded.getParallelism(), loaded.getEstimatorParamMaps()) == (search.uid, 2, grid_of(estimator))

    def test_what_is_not_ours_is_left_to_spark(self, rows):
        from pyspark.ml.classification import LogisticRegression

        estimator = LogisticRegression(featuresCol="v", maxIter=1)
        frame = VectorAssembler(inputCols=["a", "b"], outputCol="v").transform(rows)
        search = CrossValidator(estimator=estimator, estimatorParamMaps=[{}], evaluator=BinaryClassificationEvaluator(), numFolds=2)
        assert search.fit(frame).avgMetrics[0] > 0.5


class TestTuner:
    def test_the_model_is_that_of_the_best_trial(self, rows):
        estimator = classifier(validationIndicatorCol="held_out")
        tuner = HyperparameterTuner(estimator, "validation:auc", RANGES, max_jobs=6, max_parallel_jobs=2, random_seed=1, engine="tpe")
        model = tuner.fit(rows)
        job = tuner.latest_tuning_job
        assert job.status == "Completed"
        assert job.describe()["TrainingJobStatusCounters"]["Completed"] == 6
        assert model.training_summary.metrics["validation:auc"] == pytest.approx(job.best.objective, abs=1e-6)
        alone = tuner.best_estimator()
        alone = alone.copy({alone.getParam("eval_metric"): "auc"})
        np.testing.assert_array_equal(alone.fit(rows).artifact.arrays["model"], model.artifact.arrays["model"])
        table = job.dataframe(rows.sparkSession)
        assert table.count() == 6
        assert {"eta", "max_depth", "FinalObjectiveValue", "TrainingJobStatus"} <= set(table.columns)
        assert job.analytics()["FinalObjectiveValue"].is_monotonic_decreasing

    def test_trials_that_fail_and_a_search_that_goes_on_from_its_store(self, rows, tmp_path):
        ranges = {"max_depth": CategoricalParameter([1, 2]), "monotone_constraints": CategoricalParameter(["(1,0,0)", "(1,1,1,1,1,1)"])}
        estimator = classifier(validationIndicatorCol="held_out")
        options = {"strategy": "Grid", "objective_type": "Minimize", "store": tmp_path, "random_seed": 1}
        tuner = HyperparameterTuner(estimator, "validation:logloss", ranges, **options)
        tuner.fit(rows)
        job = tuner.latest_tuning_job
        assert [trial.status for trial in job.trials] == ["Completed", "Failed", "Completed", "Failed"]
        again = HyperparameterTuner(estimator, "validation:logloss", ranges, **options)
        model = again.fit(rows)  # nothing is left to try: the best is trained again
        assert [trial.ended for trial in again.latest_tuning_job.trials] == [trial.ended for trial in job.trials]
        assert model.training_summary.metrics["validation:logloss"] == pytest.approx(job.best.objective)
        known = HyperparameterTuner.attach(job.name, tmp_path)
        assert (known.status, known.best.setting) == ("Completed", job.best.setting)

    def test_a_pipeline_is_tuned_at_its_end(self, rows):
        stages = [VectorAssembler(inputCols=["a", "b", "c"], outputCol="v"), StandardScaler(inputCol="v", outputCol="scaled")]
        pipeline = Pipeline(stages=[*stages, classifier(featuresCol="scaled", validationIndicatorCol="held_out")])
        tuner = HyperparameterTuner(pipeline, "validation:error", RANGES, "Minimize", strategy="Random", max_jobs=2, random_seed=1)
        model = Pipeline(stages=[tuner]).fit(rows)
        assert "prediction" in model.transform(rows).columns

    @pytest.mark.classic
    def test_folds_are_scored_by_an_evaluator(self, rows):
        evaluator = MulticlassClassificationEvaluator(metricName="accuracy")
        tuner = HyperparameterTuner(
            classifier(), "accuracy", RANGES, strategy="Random", max_jobs=2, evaluator=evaluator, num_folds=2, random_seed=1
        )
        model = tuner.fit(rows)
        assert model.training_summary.rows == 400
        assert all(trial.objective == pytest.approx(np.mean(list(trial.metrics.values()))) for trial in tuner.latest_tuning_job.trials)

    def test_trials_without_hope_are_stopped(self, rows):
        estimator = classifier(validationIndicatorCol="held_out", num_round=9)
        tuner = HyperparameterTuner(
            estimator,
            "validation:logloss",
            RANGES,
            "Minimize",
            strategy="Hyperband",
            strategy_config={"MaxResource": 9},
            max_jobs=9,
            random_seed=1,
        )
        tuner.fit(rows)
        job = tuner.latest_tuning_job
        lengths = [len(trial.series) for trial in job.trials]
        assert set(lengths) <= {1, 3, 9} and 9 in lengths
        assert sum(lengths) == sum(trial.epochs for trial in job.trials) < 81
        assert {trial.status for trial in job.trials} == {"Completed", "Stopped"}

    def test_a_job_is_watched_and_stopped(self, rows):
        tuner = HyperparameterTuner(
            classifier(validationIndicatorCol="held_out"), "validation:error", RANGES, "Minimize", strategy="Random", max_jobs=500
        )
        job = tuner.start(rows)
        while not job.finished and job.ended is None:
            time.sleep(0.01)
        job.stop()
        job.wait(120)
        assert (job.status, len(job.trials) < 500) == ("Stopped", True)
        assert job.model is not None

    def test_a_tuner_is_saved(self, spark, tmp_path):
        ranges = {"max_depth": CategoricalParameter([1, 2]), "eta": ContinuousParameter(0.1, 0.5, when={"max_depth": [2]})}
        tuner = HyperparameterTuner(classifier(), "validation:auc", ranges, max_jobs=5, random_seed=3, tags={"a": "b"})
        tuner.write().save(str(tmp_path / "tuner"))
        loaded = HyperparameterTuner.load(str(tmp_path / "tuner"))
        assert loaded.to_config() == tuner.to_config()
        assert (loaded.uid, loaded.hyperparameter_ranges, loaded.tags) == (tuner.uid, ranges, {"a": "b"})

    @pytest.mark.parametrize(
        ("failure", "statuses"),
        [
            ("kill", ["Completed", "Completed"]),
            ("raise", ["Failed", "Completed"]),
            pytest.param("kill_jvm", ["Completed", "Completed"], marks=pytest.mark.cluster),
        ],
    )
    def test_a_worker_that_is_lost_costs_no_trial_and_one_that_fails_one(self, rows, tmp_path, failure, statuses):
        estimator = Averaging(epochs=3, mini_batch_size=40, num_workers=2, failure=failure, log=str(tmp_path), progress="off")
        tuner = HyperparameterTuner(estimator, "rows", {"scale": CategoricalParameter([1.0, 2.0])}, strategy="Grid")
        tuner.fit(rows)
        assert [trial.status for trial in tuner.latest_tuning_job.trials] == statuses
        assert tuner.latest_tuning_job.best.objective == 1200.0

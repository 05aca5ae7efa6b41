"""What fits and searches leave in the store, and what comes back out of it."""

from __future__ import annotations

import json
import threading

import numpy as np
import pandas as pd
import pytest
from pyspark.ml import Pipeline
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.feature import StandardScaler, VectorAssembler
from pyspark.ml.tuning import ParamGridBuilder
from pyspark.sql import functions as F

from sparkml_algos import KMeans, KMeansModel, LinearLearnerRegressor, tracking
from sparkml_algos.core import estimator as core_estimator
from sparkml_algos.tracking import Experiment, Lineage, Run, fingerprint, list_runs, load_model, load_pyfunc, register_model, spark_udf
from sparkml_algos.tracking.provenance import code_version
from sparkml_algos.tuning import ContinuousParameter, CrossValidator, HyperparameterTuner

pytestmark = [pytest.mark.usefixtures("in_store"), pytest.mark.generic]

ROWS = 120
QUIET = {"num_workers": 1, "seed": 1, "progress": "off"}


@pytest.fixture(scope="module")
def rows(spark):
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, 2))
    data = [(*map(float, row), float(row @ [1, -2]), place % 3 == 0) for place, row in enumerate(x)]
    frame = spark.createDataFrame(data, "a double, b double, label double, held_out boolean").repartition(2)
    return frame.withColumn("features", F.array("a", "b"))


@pytest.fixture(scope="module")
def trained(rows, uri):
    """A run with a fit in it, a second fit below it, and what the first one gave."""
    tracking.set_tracking_uri(uri)
    with Run("fits", "a pair") as run:
        model = learner(epochs=3).fit(rows)
        KMeans(k=2, **QUIET).fit(rows)
    return run, model


def learner(**options):
    held_out = {} if options.pop("all_rows", False) else {"validationIndicatorCol": "held_out"}
    return LinearLearnerRegressor(**{"epochs": 2, "mini_batch_size": 20, **held_out, **QUIET, **options})


class TestFits:
    def test_the_first_fit_of_a_run_is_recorded_in_it(self, trained):
        run, model = trained
        assert run.refresh().parameters["epochs"] == 3 and run.kind == "training" and run.status == "Completed"
        metrics = run.metrics
        for name, value in model.training_summary.metrics.items():
            assert metrics[name] == value
        name = "validation:objective_loss"
        by_step = {}
        for step, value in run.metric_history(name):
            by_step.setdefault(step, value)
        assert list(by_step.values()) == [epoch[name] for epoch in model.training_summary.history]
        assert metrics["seconds:total"] == model.training_summary.seconds["total"] and "seconds:ingest" in metrics
        assert (run.facts["rows"], run.facts["estimator"], run.facts["workers"]) == ("80", "LinearLearnerRegressor", "1")
        assert {"spark", "python", "version", "source"} <= set(run.facts)
        assert run.facts.get("commit") == code_version().get("mlflow.source.git.commit")  # none where the program lies in no repository

    def test_the_next_one_is_a_run_below_it(self, trained):
        run, _ = trained
        (below,) = run.children()
        assert (below.display_name, below.parameters["k"], below.kind, below.status) == ("KMeans k=2", 2, "training", "Completed")
        assert below.parent_id == run.run_id and below.metrics["seconds:total"] > 0

    def test_rows_code_and_model_are_connected(self, trained, rows, uri):
        run, _ = trained
        (read,) = run.inputs
        assert (read["digest"], read["rows"], read["context"]) == (fingerprint(rows).digest, ROWS, "training")
        lineage = Lineage(uri)
        model = f"runs:/{run.run_id}/model"
        assert [one.properties["digest"] for one in lineage.datasets_of(model)] == [read["digest"]]
        assert run.run_id in [one.id for one in lineage.jobs_of(model)]
        assert model in [one.source_uri for one in lineage.models_of(f"digest:{read['digest']}")]

    def test_a_fit_elsewhere_is_not_recorded_but_by_autolog(self, rows, uri):
        before = len(list_runs())
        done = threading.Event()
        with Run("elsewhere") as run:  # which other threads are not in
            thread = threading.Thread(target=lambda: (KMeans(k=2, **QUIET).fit(rows), done.set()))
            thread.start()
            thread.join()
        assert done.is_set() and run.kind == "run" and run.children() == [] and len(list_runs()) == before
        tracking.autolog("by itself", log_models=False, data_digest=False)
        KMeans(k=3, **QUIET).fit(rows)
        tracking.autolog(disable=True)
        KMeans(k=4, **QUIET).fit(rows)
        (found,) = Experiment("by itself").runs()
        assert (found.display_name, found.parameters["k"], found.output_artifacts) == ("KMeans k=3", 3, {})
        assert "content_hash" not in found.inputs[0]

    def test_a_fit_that_fails_is_a_failed_run(self, rows):
        tracking.autolog("failing fits")
        bad = rows.withColumn("features", F.when(F.col("label") > 1, F.array("a", F.lit(float("nan")))).otherwise(F.col("features")))
        with pytest.raises(Exception, match="is nan"):
            KMeans(k=2, **QUIET).fit(bad)
        (found,) = Experiment("failing fits").runs()
        assert found.status == "Failed" and "is nan" in found.message

    def test_what_cannot_be_recorded_ends_no_training(self, rows, tmp_path, monkeypatch, caplog):
        with Run("unwritable") as run:
            monkeypatch.setattr("sparkml_algos.tracking.store.log", lambda *_, **__: 1 / 0)
            model = KMeans(k=2, **QUIET).fit(rows)
            monkeypatch.undo()
        assert model.artifact is not None and "not recorded: ZeroDivisionError" in caplog.text and run.status == "Completed"

    def test_off_it_costs_a_look_at_nothing(self, rows, monkeypatch):
        asked = []
        monkeypatch.setattr(core_estimator, "_fit_all", lambda *arguments: asked.append(arguments) or ["the model"])
        assert core_estimator.recording.recorder is None
        assert core_estimator.fit_all([KMeans(k=2, **QUIET)], rows) == ["the model"] and len(asked) == 1


class TestSearches:
    def test_trials_are_runs_below_their_search(self, rows, uri, tmp_path):
        def search():
            ranges = {"learning_rate": ContinuousParameter(0.01, 0.5)}
            options = {"objective_type": "Minimize", "strategy": "Random", "max_jobs": 3, "random_seed": 1, "progress": "off"}
            tuner = HyperparameterTuner(learner(), "validation:objective_loss", ranges, store=tmp_path, **options)
            with Run("tuning", "a search"):
                model = tuner.fit(rows)
            return tuner.latest_tuning_job, model

        job, model = search()
        (parent,) = [run for run in list_runs("tuning") if run.kind == "tuning"]
        trials = parent.children()
        assert [run.kind for run in trials] == ["trial"] * 3 and [run.display_name for run in trials] == [
            trial.name for trial in job.trials
        ]
        for run, trial in zip(trials, job.trials, strict=True):
            assert run.parameters["learning_rate"] == pytest.approx(trial.setting["learning_rate"])
            assert run.metrics["validation:objective_loss"] == trial.objective and run.status == trial.status
            assert [value for _, value in run.metric_history("validation:objective_loss")][: len(trial.series)] == trial.series
        assert parent.facts["best"] == job.best.name
        assert parent.parameters["learning_rate"] == pytest.approx(model.value("learning_rate"))
        best = Experiment("tuning").leaderboard("validation:objective_loss")
        assert job.best.name in set(best["run"])
        search()  # the same store: the search goes on, with nothing to do, and no trial is there twice
        assert len(parent.refresh().children()) == 3

    @pytest.mark.classic  # evaluators of Spark 3.5 need a JVM in the process
    def test_settings_of_a_cross_validation_are_runs_below_it(self, rows):
        estimator = learner(all_rows=True)
        grid = ParamGridBuilder().addGrid(estimator.learning_rate, [0.01, 0.2]).build()
        evaluator = RegressionEvaluator()
        with Run("validating", log_models=False) as run:
            found = CrossValidator(estimator=estimator, estimatorParamMaps=grid, evaluator=evaluator, numFolds=2, seed=1).fit(rows)
        below = run.refresh().children()
        assert [one.metrics["validation:rmse"] for one in below] == pytest.approx(found.avgMetrics)
        assert [one.parameters["learning_rate"] for one in below] == [0.01, 0.2]
        assert "validation:rmse:fold 1" in below[0].metrics and run.kind == "validation"


class TestModels:
    def test_a_registered_model_comes_back_in_every_form(self, spark, rows, trained, uri):
        run, model = trained
        version = register_model(run, "prices", approval="Approved", tags={"team": "red"})
        assert (version.version, version.approval, version.tags) == (1, "Approved", {"team": "red"})
        wanted = [row["prediction"] for row in model.transform(rows).select("prediction").collect()]
        loaded = load_model("models:/prices@approved")
        assert type(loaded) is type(model) and loaded.uid == model.uid
        assert [row["prediction"] for row in loaded.transform(rows).select("prediction").collect()] == pytest.approx(wanted)
        given = rows.select("features", "a", "b").toPandas()
        function = load_pyfunc(version.uri)
        for frame in (given[["features"]], given[["a", "b"]], given[["a", "b"]].to_numpy()):
            assert list(function.predict(frame)["prediction"]) == pytest.approx(wanted)
        scored = rows.select(spark_udf(spark, version.uri, "double")("features").alias("score")).collect()
        assert [row["score"] for row in scored] == pytest.approx(wanted)
        assert [one.uri for one in tracking.model_versions("prices")] == ["models:/prices/1"]
        assert "models:/prices/1" in [one.source_uri for one in Lineage(uri).models_of(f"digest:{run.inputs[0]['digest']}")]
        rejected = tracking.set_approval("prices", 1, "Rejected", "too dear")
        assert rejected.approval == "Rejected"
        with pytest.raises(Exception, match="approved"):
            load_model("models:/prices@approved")

    def test_a_pipeline_too(self, spark, rows, tmp_path):
        stages = [
            VectorAssembler(inputCols=["a", "b"], outputCol="raw"),
            StandardScaler(inputCol="raw", outputCol="scaled", withMean=True),
            KMeans(k=2, featuresCol="scaled", **QUIET),
        ]
        model = Pipeline(stages=stages).fit(rows)
        wanted = [row["prediction"] for row in model.transform(rows).select("prediction").collect()]
        with Run("pipelines") as run:
            address = run.log_model(model, dataset=rows)
        loaded = load_model(address)
        assert isinstance(loaded.stages[-1], KMeansModel)
        assert [row["prediction"] for row in loaded.transform(rows).select("prediction").collect()] == wanted
        answers = load_pyfunc(address).predict(pd.DataFrame(rows.select("a", "b").toPandas()))
        assert list(answers["prediction"]) == wanted and "distance_to_cluster" in answers.columns
        every = spark_udf(spark, address)
        found = rows.select(every(F.struct("a", "b")).alias("all")).select("all.prediction").collect()
        assert [int(row["prediction"]) for row in found] == wanted

    def test_what_is_no_model_of_ours_is_refused(self, tmp_path):
        with pytest.raises(TypeError, match="PipelineModel"):
            tracking.save_model(StandardScaler(), tmp_path / "there")
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "file").write_text("")
        with pytest.raises(FileExistsError):
            tracking.save_model(StandardScaler(), tmp_path / "full")
        with Run("no models") as run, pytest.raises(ValueError, match="no logged model"):
            register_model(run, "nothing")


class TestFingerprint:
    def test_it_is_of_the_rows_in_any_order_and_of_nothing_else(self, spark, rows):
        first = fingerprint(rows)
        assert first == fingerprint(rows.orderBy("a").repartition(3)) and first.rows == ROWS
        assert fingerprint(rows.limit(ROWS - 1)).digest != first.digest
        assert fingerprint(rows.withColumn("a", F.col("a") + 1e-9)).content != first.content
        renamed = fingerprint(rows.withColumnRenamed("a", "c"))
        assert renamed.content == first.content and renamed.schema != first.schema

    def test_nulls_are_values_too(self, spark):
        found = [
            fingerprint(spark.createDataFrame([row], "a int, b int, c array<int>")).content
            for row in [(1, None, []), (None, 1, []), (1, None, None), (1, None, [None])]
        ]
        assert len(set(found)) == 4

    def test_it_takes_any_column(self, spark):
        frame = spark.range(3).select(
            F.create_map(F.lit("k"), F.col("id")).alias("a map"),
            F.array(F.struct(F.create_map(F.lit("k"), F.col("id")))).alias("with.a.dot"),
            F.lit(None).cast("string").alias("null"),
            F.struct("id").alias("twice"),
            F.array(F.lit(0.0)).alias("twice"),
        )
        assert fingerprint(frame).rows == 3 and fingerprint(frame.limit(0)).rows == 0
        assert fingerprint(VectorAssembler(inputCols=["id"], outputCol="v").transform(spark.range(2))).rows == 2

    def test_it_is_json(self, rows):
        assert json.loads(json.dumps(fingerprint(rows).__dict__))["rows"] == ROWS

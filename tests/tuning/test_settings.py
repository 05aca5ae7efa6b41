"""What settings of a search go together, and how the service describes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.ml import Pipeline
from pyspark.ml.evaluation import Evaluator

from sparkml_algos import KMeans, LinearLearnerBinaryClassifier, XGBoostClassifier
from sparkml_algos.tuning import CategoricalParameter, CompletionCriteria, ContinuousParameter, HyperparameterTuner, IntegerParameter
from sparkml_algos.tuning.autotune import TUNABLE
from sparkml_algos.tuning.definitions import Stand

SPECIFICATION = Path(__file__).parents[1] / "specification"

pytest.importorskip("optuna")


class Halves(Evaluator):
    def _evaluate(self, dataset):
        return 0.5


RANGES = {"eta": ContinuousParameter(0.01, 1.0), "max_depth": IntegerParameter(1, 6)}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hyperparameter_ranges": None}, "hyperparameter_ranges is required"),
        ({"hyperparameter_ranges": {"nothing": IntegerParameter(1, 2)}}, "nothing is no hyperparameter"),
        ({"hyperparameter_ranges": {"num_workers": IntegerParameter(1, 2)}}, "num_workers is no hyperparameter"),
        ({"hyperparameter_ranges": {"max_depth": ContinuousParameter(1, 4)}}, "max_depth must be an int .*, got 2.5"),
        ({"hyperparameter_ranges": {"eta": ContinuousParameter(-1, 4)}}, "eta must be a float >= 0 and <= 1, got 1.5"),
        ({"hyperparameter_ranges": {"booster": CategoricalParameter(["dart", "tree"])}}, "booster must be one of .*, got 'tree'"),
        ({"strategy": "Grid"}, "categorical ranges only"),
        ({"strategy": "Hyperband"}, "needs MaxResource"),
        ({"strategy": "Hyperband", "early_stopping_type": "Auto"}, "must be 'Off'"),
        ({"strategy": "Annealing"}, "strategy must be one of"),
        ({"strategy_config": {"MaxResource": 3}}, "for strategy 'Hyperband' only"),
        ({"objective_type": "Larger"}, "objective_type"),
        ({"max_jobs": 0}, "max_jobs must be"),
        ({"max_jobs": 751}, "750 trials at most"),
        ({"random_seed": -1}, "random_seed"),
        ({"hyperparameters_to_keep_static": ["eta"]}, "for autotune=True only"),
        ({"autotune": True, "hyperparameters_to_keep_static": ["eta", "eta"]}, "some twice"),
        ({"num_folds": 3}, "needs an evaluator"),
        ({"evaluator": Halves()}, "an evaluator needs rows to score"),
        ({"engine": "gpp"}, "engine must be one of auto, gp, tpe"),
        ({"max_retries": -1}, "max_retries must be"),
        ({"progress": "yes"}, "progress must be"),
        ({"autotune": True, "auto_parameters": {"etaa": 0.1}}, "etaa is no hyperparameter"),
        ({"autotune": True, "hyperparameters_to_keep_static": ["eta"]}, "eta cannot be both kept static and tuned"),
        ({"completion_criteria_config": {"TargetObjective": 1}}, "criteria have TargetObjective"),
        ({"completion_criteria_config": {"ConvergenceDetected": {"CompleteOnConvergence": "On"}}}, "'Enabled' or 'Disabled'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        HyperparameterTuner(XGBoostClassifier(), "validation:auc", **{"hyperparameter_ranges": RANGES, **options})


def test_the_services_json_goes_in_and_out():
    config = {
        "HyperParameterTuningJobConfig": {
            "Strategy": "Hyperband",
            "StrategyConfig": {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 27}},
            "HyperParameterTuningJobObjective": {"MetricName": "validation:auc", "Type": "Maximize"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 20, "MaxParallelTrainingJobs": 2, "MaxRuntimeInSeconds": 600},
            "ParameterRanges": {
                "CategoricalParameterRanges": [],
                "ContinuousParameterRanges": [{"Name": "eta", "MinValue": "0.1", "MaxValue": "0.5", "ScalingType": "Linear"}],
                "IntegerParameterRanges": [],
            },
            "TrainingJobEarlyStoppingType": "Off",
            "TuningJobCompletionCriteria": {"TargetObjectiveMetricValue": 0.9},
            "RandomSeed": 7,
        },
        "TrainingJobDefinition": {"StaticHyperParameters": {"num_round": "40", "max_depth": "3"}},
    }
    tuner = HyperparameterTuner.from_config(XGBoostClassifier(), config)
    assert tuner.estimator.value("num_round") == 40
    assert tuner.to_config() == config


def test_autotune_chooses_ranges_around_hints():
    tuner = HyperparameterTuner(
        XGBoostClassifier(), "validation:auc", autotune=True, auto_parameters={"eta": 0.3, "max_depth": "4", "booster": "dart"}
    )
    assert set(tuner.hyperparameter_ranges) == {"eta", "max_depth"}
    eta, depth = tuner.hyperparameter_ranges.values()
    assert (eta.min_value, eta.max_value) == (pytest.approx(0.03), pytest.approx(1, abs=1e-5))
    assert (depth.min_value, depth.max_value) == (1, 40)
    assert (tuner.early_stopping_type, tuner.max_jobs) == ("Auto", 30)
    with pytest.raises(ValueError, match="100 is far from what eta takes"):
        HyperparameterTuner(XGBoostClassifier(), "validation:auc", autotune=True, auto_parameters={"eta": 100})


def test_autotune_adds_hints_to_ranges_and_keeps_these():
    options = {"autotune": True, "auto_parameters": {"eta": 0.3, "gamma": 2}}
    tuner = HyperparameterTuner(XGBoostClassifier(), "validation:auc", {"eta": RANGES["eta"]}, **options)
    assert tuner.hyperparameter_ranges["eta"] is RANGES["eta"]
    assert set(tuner.hyperparameter_ranges) == {"eta", "gamma"}


def test_autotune_tunes_of_itself_what_the_service_calls_tunable_only():
    described = [json.loads(path.read_text()).get("tuning", {}).get("tunable", []) for path in SPECIFICATION.glob("*.json")]
    assert {one["name"] for tunable in described for one in tunable} >= TUNABLE
    found = HyperparameterTuner(XGBoostClassifier(), "validation:auc", autotune=True).hyperparameter_ranges
    assert "eta" in found and not {"base_score", "sketch_eps"} & set(found)
    static = ["positive_example_weight_mult"]
    with pytest.raises(ValueError, match="give auto_parameters"):
        HyperparameterTuner(LinearLearnerBinaryClassifier(), "train:loss", autotune=True, hyperparameters_to_keep_static=static)


def described(**changes):
    objective = {"MetricName": "validation:auc", "Type": "Maximize"}
    ranges = {"ContinuousParameterRanges": [{"Name": "eta", "MinValue": "0.1", "MaxValue": "0.5"}]}
    return {"HyperParameterTuningJobConfig": {"HyperParameterTuningJobObjective": objective, "ParameterRanges": ranges}, **changes}


def test_static_hyperparameters_are_those_of_the_last_stage_of_a_pipeline():
    config = described(TrainingJobDefinition={"StaticHyperParameters": {"num_round": "40", "_tuning_objective_metric": "x"}})
    tuner = HyperparameterTuner.from_config(Pipeline(stages=[XGBoostClassifier()]), config)
    assert tuner.estimator.getStages()[-1].value("num_round") == 40


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"strategy": "Grid"}, "the configuration has strategy; it takes .*Strategy"),
        ({"ResourceLimits": {"MaxJobs": 3}}, "ResourceLimits has MaxJobs"),
        ({"HyperParameterTuningJobObjective": {"Type": "Minimize"}}, "no HyperParameterTuningJobObjective with a MetricName"),
    ],
)
def test_keys_that_say_nothing_are_refused(change, said):
    config = described()
    config["HyperParameterTuningJobConfig"] |= change
    with pytest.raises(ValueError, match=said):
        HyperparameterTuner.from_config(XGBoostClassifier(), config)


def test_hyperparameters_that_are_lists_go_in_and_out():
    estimator = KMeans(k=2, eval_metrics=["msd", "ssd"])
    tuner = HyperparameterTuner(estimator, "test:msd", {"eval_metrics": CategoricalParameter([["msd"], ["ssd"]])})
    config = HyperparameterTuner(estimator, "test:msd", {"k": IntegerParameter(2, 9)}).to_config()
    assert config["TrainingJobDefinition"]["StaticHyperParameters"]["eval_metrics"] == '["msd", "ssd"]'
    assert HyperparameterTuner.from_config(KMeans(), config).to_config() == config
    values = HyperparameterTuner.from_config(estimator, tuner.to_config()).hyperparameter_ranges["eval_metrics"]
    assert [values.unit(["msd"]), values.unit(["ssd"])] == [0.25, 0.75]


@pytest.mark.parametrize("key", ["TrainingJobDefinitions", "WarmStartConfig"])
def test_a_description_of_what_is_not_followed_is_refused(key):
    with pytest.raises(ValueError, match=key):
        HyperparameterTuner.from_config(XGBoostClassifier(), described(**{key: {"any": "thing"}}))


def test_searches_that_differ_have_other_names_in_a_store(tmp_path):
    def name(estimator=XGBoostClassifier(), ranges=RANGES, **options):  # noqa: B008 - it is not changed
        return HyperparameterTuner(estimator, "validation:auc", ranges, store=tmp_path, **options)._new_job().name

    conditional = {"eta": RANGES["eta"], "booster": CategoricalParameter(["gbtree", "dart"])}
    dependent = {**conditional, "eta": ContinuousParameter(0.01, 1.0, when={"booster": ["dart"]})}
    names = [name(), name(engine="tpe"), name(XGBoostClassifier(labelCol="y")), name(ranges=conditional), name(ranges=dependent)]
    assert len(set(names)) == len(names)
    assert name() == names[0]


def test_an_objective_of_rows_for_validation_needs_such_rows():
    (definition,) = HyperparameterTuner(XGBoostClassifier(), "validation:auc", RANGES)._definitions()
    with pytest.raises(ValueError, match="name the estimator's validationIndicatorCol"):
        Stand(definition, None)


def test_a_job_says_what_scaling_ranges_have():
    job = HyperparameterTuner(XGBoostClassifier(), "validation:auc", {**RANGES, "gamma": ContinuousParameter(0, 1)})._new_job()
    assert job.describe()["ResolvedScalingTypes"] == {"eta": "Logarithmic", "max_depth": "Linear", "gamma": "Linear"}


def test_criteria_go_in_and_out():
    criteria = CompletionCriteria(0.5, 4, True)
    assert CompletionCriteria.from_json(criteria.to_json()) == criteria

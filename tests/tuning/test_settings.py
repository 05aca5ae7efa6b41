"""What settings of a search go together, and how the service describes it."""

from __future__ import annotations

import pytest

from sparkml_algos import XGBoostClassifier
from sparkml_algos.tuning import ContinuousParameter, HyperparameterTuner, IntegerParameter

pytest.importorskip("optuna")

RANGES = {"eta": ContinuousParameter(0.01, 1.0), "max_depth": IntegerParameter(1, 6)}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hyperparameter_ranges": None}, "hyperparameter_ranges is required"),
        ({"hyperparameter_ranges": {"nothing": IntegerParameter(1, 2)}}, "nothing is no hyperparameter"),
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

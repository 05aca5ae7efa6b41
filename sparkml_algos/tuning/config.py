"""A search as the service describes it, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.tuning.ranges import as_text, ranges_from_json, ranges_to_json
from sparkml_algos.tuning.rules import Hyperband

# Of the service's description of a search, and of its parts.
_KEYS = {
    "": {
        "Strategy", "StrategyConfig", "HyperParameterTuningJobObjective", "ResourceLimits", "ParameterRanges",
        "TrainingJobEarlyStoppingType", "TuningJobCompletionCriteria", "RandomSeed",
    },
    "StrategyConfig": {"HyperbandStrategyConfig"},
    "HyperParameterTuningJobObjective": {"MetricName", "Type"},
    "ResourceLimits": {"MaxNumberOfTrainingJobs", "MaxParallelTrainingJobs", "MaxRuntimeInSeconds"},
    "ParameterRanges": {"CategoricalParameterRanges", "ContinuousParameterRanges", "IntegerParameterRanges", "AutoParameters"},
}  # fmt: skip


def description(tuner: Any, tuned: AlgorithmEstimator, hyperband: Hyperband | None) -> dict[str, Any]:
    """What `HyperparameterTuner.to_config` gives, of what is tuned and by which rule resources are dealt."""
    limits: dict[str, Any] = {"MaxNumberOfTrainingJobs": tuner.max_jobs, "MaxParallelTrainingJobs": tuner.max_parallel_jobs}
    if tuner.max_runtime_in_seconds is not None:
        limits["MaxRuntimeInSeconds"] = tuner.max_runtime_in_seconds
    config: dict[str, Any] = {
        "Strategy": tuner.strategy,
        "HyperParameterTuningJobObjective": {"MetricName": tuner.objective_metric_name, "Type": tuner.objective_type},
        "ResourceLimits": limits,
        "ParameterRanges": ranges_to_json(tuner.hyperparameter_ranges),
        "TrainingJobEarlyStoppingType": tuner.early_stopping_type,
        "TuningJobCompletionCriteria": tuner.completion_criteria.to_json(),
    }
    if hyperband is not None:
        config["StrategyConfig"] = {
            "HyperbandStrategyConfig": {"MinResource": hyperband.min_resource, "MaxResource": hyperband.max_resource}
        }
    if tuner.auto_parameters:
        hints = [{"Name": name, "ValueHint": str(hint)} for name, hint in tuner.auto_parameters.items()]
        config["ParameterRanges"]["AutoParameters"] = hints
    if tuner.random_seed is not None:
        config["RandomSeed"] = tuner.random_seed
    static = {name: as_text(tuned.value(name)) for name in tuned.hyperparameters() if tuned.isSet(tuned.getParam(name))}
    static = {name: value for name, value in static.items() if name not in tuner.hyperparameter_ranges}
    found = {"HyperParameterTuningJobConfig": config, "TrainingJobDefinition": {"StaticHyperParameters": static}}
    return found | ({"Autotune": {"Mode": "Enabled"}} if tuner.autotune else {})


def described(config: Mapping[str, Any], knows_parents: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments of a tuner, and static hyperparameters, from what the service has; see `HyperparameterTuner.from_config`."""
    inner = config.get("HyperParameterTuningJobConfig", config)
    for part, known in _KEYS.items():
        given = inner.get(part, {}) if part else inner
        if unknown := sorted(set(given) - known):
            raise ValueError(f"{part or 'the configuration'} has {', '.join(unknown)}; it takes {', '.join(sorted(known))}")
    if "MetricName" not in inner.get("HyperParameterTuningJobObjective", {}):
        raise ValueError("the configuration has no HyperParameterTuningJobObjective with a MetricName")
    if config.get("TrainingJobDefinitions"):
        raise ValueError("TrainingJobDefinitions describes several algorithms; a tuner has one: give a TrainingJobDefinition")
    if config.get("WarmStartConfig") and not knows_parents:
        raise ValueError("WarmStartConfig names parents, which a tuner takes as jobs: give warm_start_config, see attach()")
    static = config.get("TrainingJobDefinition", {}).get("StaticHyperParameters", {})
    limits, ranges = inner.get("ResourceLimits", {}), inner.get("ParameterRanges", {})
    objective = inner["HyperParameterTuningJobObjective"]
    arguments = {
        "objective_metric_name": objective["MetricName"],
        "hyperparameter_ranges": ranges_from_json(ranges),
        "objective_type": objective.get("Type", "Maximize"),
        "strategy": inner.get("Strategy", "Bayesian"),
        "strategy_config": inner.get("StrategyConfig", {}).get("HyperbandStrategyConfig"),
        "max_jobs": _whole(limits.get("MaxNumberOfTrainingJobs")),
        "max_parallel_jobs": _whole(limits.get("MaxParallelTrainingJobs", 1)),
        "max_runtime_in_seconds": _whole(limits.get("MaxRuntimeInSeconds")),
        "early_stopping_type": inner.get("TrainingJobEarlyStoppingType"),
        "completion_criteria_config": inner.get("TuningJobCompletionCriteria"),
        "random_seed": _whole(inner.get("RandomSeed")),
        "autotune": config.get("Autotune", {}).get("Mode") == "Enabled",
        "auto_parameters": {one["Name"]: one["ValueHint"] for one in ranges.get("AutoParameters", [])},
    }
    return arguments, {name: value for name, value in static.items() if not name.startswith("_")}


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)

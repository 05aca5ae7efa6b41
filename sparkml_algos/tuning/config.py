"""A search as the service describes it, both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sparkml_algos.tuning.definitions import Definition
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


def description(tuner: Any, definitions: Sequence[Definition], hyperband: Hyperband | None) -> dict[str, Any]:
    """What `HyperparameterTuner.to_config` gives, of what is tuned and by which rule resources are dealt."""
    limits: dict[str, Any] = {"MaxNumberOfTrainingJobs": tuner.max_jobs, "MaxParallelTrainingJobs": tuner.max_parallel_jobs}
    if tuner.max_runtime_in_seconds is not None:
        limits["MaxRuntimeInSeconds"] = tuner.max_runtime_in_seconds
    config: dict[str, Any] = {
        "Strategy": tuner.strategy,
        "ResourceLimits": limits,
        "TrainingJobEarlyStoppingType": tuner.early_stopping_type,
        "TuningJobCompletionCriteria": tuner.completion_criteria.to_json(),
    }
    if hyperband is not None:
        config["StrategyConfig"] = {
            "HyperbandStrategyConfig": {"MinResource": hyperband.min_resource, "MaxResource": hyperband.max_resource}
        }
    if tuner.random_seed is not None:
        config["RandomSeed"] = tuner.random_seed
    if definitions[0].name:
        return {"HyperParameterTuningJobConfig": config, "TrainingJobDefinitions": [of_definition(one) for one in definitions]}
    (definition,) = definitions
    config["HyperParameterTuningJobObjective"] = definition.objectives[0].to_json()
    config["ParameterRanges"] = ranges_to_json(definition.ranges)
    if tuner.auto_parameters:
        hints = [{"Name": name, "ValueHint": str(hint)} for name, hint in tuner.auto_parameters.items()]
        config["ParameterRanges"]["AutoParameters"] = hints
    found = {"HyperParameterTuningJobConfig": config, "TrainingJobDefinition": {"StaticHyperParameters": _static(definition)}}
    return found | ({"Autotune": {"Mode": "Enabled"}} if tuner.autotune else {})


def of_definition(definition: Definition) -> dict[str, Any]:
    """One of the service's ``TrainingJobDefinitions``."""
    return {
        "DefinitionName": definition.name,
        "AlgorithmSpecification": {"AlgorithmName": type(definition.tail).__name__},
        "TuningObjective": definition.objectives[0].to_json(),
        "HyperParameterRanges": ranges_to_json(definition.ranges),
        "StaticHyperParameters": _static(definition),
    }


def _static(definition: Definition) -> dict[str, str]:
    """Hyperparameters that were given and are not tuned, as text."""
    tail = definition.tail
    given = {name: as_text(tail.value(name)) for name in tail.hyperparameters() if tail.isSet(tail.getParam(name))}
    return {name: value for name, value in given.items() if name not in definition.ranges}


def described(
    config: Mapping[str, Any], knows_parents: bool, names: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Arguments of a tuner, and static hyperparameters, from what the service has; see `HyperparameterTuner.from_config`.

    Parameters
    ----------
    config : mapping
    knows_parents : bool
        Whether the parents of a warm start are known otherwise.
    names : sequence of str
        Of several Estimators, whose definitions are wanted; empty for a single one.

    Returns
    -------
    (dict, dict)
        Static hyperparameters by the name of the definition, ``""`` of a single one.
    """
    inner = config.get("HyperParameterTuningJobConfig", config)
    for part, known in _KEYS.items():
        given = inner.get(part, {}) if part else inner
        if unknown := sorted(set(given) - known):
            raise ValueError(f"{part or 'the configuration'} has {', '.join(unknown)}; it takes {', '.join(sorted(known))}")
    if config.get("WarmStartConfig") and not knows_parents:
        raise ValueError("WarmStartConfig names parents, which a tuner takes as jobs: give warm_start_config, see attach()")
    limits = inner.get("ResourceLimits", {})
    arguments = {
        "strategy": inner.get("Strategy", "Bayesian"),
        "strategy_config": inner.get("StrategyConfig", {}).get("HyperbandStrategyConfig"),
        "max_jobs": _whole(limits.get("MaxNumberOfTrainingJobs")),
        "max_parallel_jobs": _whole(limits.get("MaxParallelTrainingJobs", 1)),
        "max_runtime_in_seconds": _whole(limits.get("MaxRuntimeInSeconds")),
        "early_stopping_type": inner.get("TrainingJobEarlyStoppingType"),
        "completion_criteria_config": inner.get("TuningJobCompletionCriteria"),
        "random_seed": _whole(inner.get("RandomSeed")),
    }
    found, static = _of_several(config, names) if names else _of_one(config, inner)
    return arguments | found, static


def _of_one(config: Mapping[str, Any], inner: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    if config.get("TrainingJobDefinitions"):
        raise ValueError("TrainingJobDefinitions describes several algorithms: give a dict of estimators by DefinitionName")
    objective, ranges = inner.get("HyperParameterTuningJobObjective", {}), inner.get("ParameterRanges", {})
    if "MetricName" not in objective:
        raise ValueError("the configuration has no HyperParameterTuningJobObjective with a MetricName")
    arguments = {
        "objective_metric_name": objective["MetricName"],
        "hyperparameter_ranges": ranges_from_json(ranges),
        "objective_type": objective.get("Type", "Maximize"),
        "autotune": config.get("Autotune", {}).get("Mode") == "Enabled",
        "auto_parameters": {one["Name"]: one["ValueHint"] for one in ranges.get("AutoParameters", [])},
    }
    return arguments, {"": _own(config.get("TrainingJobDefinition", {}).get("StaticHyperParameters", {}))}


def _of_several(config: Mapping[str, Any], names: Sequence[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    definitions = {one.get("DefinitionName"): one for one in config.get("TrainingJobDefinitions", [])}
    if set(definitions) != set(names):
        there = ", ".join(map(str, definitions)) or "none"
        raise ValueError(f"TrainingJobDefinitions must be of the estimators {', '.join(names)}, got {there}")
    for name, one in definitions.items():
        if "MetricName" not in one.get("TuningObjective", {}):
            raise ValueError(f"the definition {name!r} has no TuningObjective with a MetricName")
    types = {one["TuningObjective"].get("Type", "Maximize") for one in definitions.values()}
    if len(types) > 1:
        raise ValueError("objectives of several definitions must compare: all of them Maximize, or all Minimize")
    arguments = {
        "objective_metric_name": {name: definitions[name]["TuningObjective"]["MetricName"] for name in names},
        "hyperparameter_ranges": {name: ranges_from_json(definitions[name].get("HyperParameterRanges", {})) for name in names},
        "objective_type": types.pop(),
    }
    return arguments, {name: _own(definitions[name].get("StaticHyperParameters", {})) for name in names}


def _own(static: Mapping[str, Any]) -> dict[str, Any]:
    """Without what the service itself adds."""
    return {name: value for name, value in static.items() if not name.startswith("_")}


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)

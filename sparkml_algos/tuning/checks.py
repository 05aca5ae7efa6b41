"""Whether the settings of a tuner go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sparkml_algos.tuning.definitions import Definition
from sparkml_algos.tuning.measures import measure_of
from sparkml_algos.tuning.strategies import ENGINES

STRATEGIES = ("Bayesian", "Random", "Grid", "Hyperband")
# Estimators of one search, as the service has it.
MOST_DEFINITIONS = 10


def problems_of(tuner: Any, definitions: Sequence[Definition]) -> list[str]:
    """What is wrong with the arguments of a `HyperparameterTuner`, but for its ranges.

    Parameters
    ----------
    tuner : HyperparameterTuner
    definitions : sequence of Definition
    """
    found = [*_of_objectives(tuner), *_of_numbers(tuner), *_of_stopping(tuner), *_of_evaluation(tuner, definitions)]
    return [*found, *(_of_several(tuner, definitions) if definitions[0].name else _of_autotune(tuner, definitions[0]))]


def _of_objectives(tuner: Any) -> list[str]:
    found = []
    metrics, types = tuner.objective_metric_name, tuner.objective_type
    given = list(metrics.values()) if isinstance(metrics, Mapping) else [metrics] if isinstance(metrics, str) else list(metrics or [])
    if not given or not all(given):
        found.append("objective_metric_name is required: a metric that the training emits")
    if isinstance(metrics, Mapping) and not isinstance(tuner.estimator, Mapping):
        found.append("objective_metric_name is a dict, which is for a dict of estimators; give a metric, or a list of several")
    if len(set(given)) < len(given) and not isinstance(metrics, Mapping):
        found.append(f"objective_metric_name names some twice: {given}")
    for one in [types] if isinstance(types, str) else types:
        if one not in ("Maximize", "Minimize"):
            found.append(f"objective_type must be 'Maximize' or 'Minimize', got {one!r}")
    if not isinstance(types, str) and len(types) != len(given):
        found.append(f"objective_type has {len(types)} entries and objective_metric_name {len(given)}: give one for each, or one for all")
    if len(given) > 1 and not isinstance(metrics, Mapping):
        one_only = {
            "early_stopping_type 'Auto'": tuner.early_stopping_type != "Off",
            "strategy 'Hyperband'": tuner.strategy == "Hyperband",
            "an evaluator": tuner.evaluator is not None,
            "completion_criteria_config": tuner.completion_criteria.is_given,
            "warm_start_config": tuner.warm_start_config is not None,
        }
        found += [f"several objectives do not go with {name}, which is about one" for name, is_there in one_only.items() if is_there]
    return found


def _of_numbers(tuner: Any) -> list[str]:
    found = []
    for name in ("max_parallel_jobs", "max_jobs", "max_runtime_in_seconds"):
        value = getattr(tuner, name)
        if value is not None and (not isinstance(value, int) or value < 1):
            found.append(f"{name} must be an int >= 1, got {value!r}")
    if not isinstance(tuner.max_retries, int) or tuner.max_retries < 0:
        found.append(f"max_retries must be an int >= 0, got {tuner.max_retries!r}")
    if tuner.progress not in ("auto", "on", "off"):
        found.append(f"progress must be 'auto', 'on' or 'off', got {tuner.progress!r}")
    if tuner.engine not in ENGINES:
        found.append(f"engine must be one of {', '.join(ENGINES)}, got {tuner.engine!r}")
    if tuner.random_seed is not None and (not isinstance(tuner.random_seed, int) or tuner.random_seed < 0):
        found.append(f"random_seed must be an int >= 0, got {tuner.random_seed!r}")
    return found


def _of_stopping(tuner: Any) -> list[str]:
    found = []
    if tuner.strategy not in STRATEGIES:
        found.append(f"strategy must be one of {', '.join(STRATEGIES)}, got {tuner.strategy!r}")
    if tuner.early_stopping_type not in ("Off", "Auto"):
        found.append(f"early_stopping_type must be 'Off' or 'Auto', got {tuner.early_stopping_type!r}")
    if tuner.strategy == "Hyperband" and tuner.early_stopping_type != "Off":
        found.append("early_stopping_type must be 'Off' with strategy 'Hyperband', which stops trials itself")
    if tuner.strategy_config and tuner.strategy != "Hyperband":
        found.append("strategy_config is for strategy 'Hyperband' only")
    if tuner.num_folds and (tuner.strategy == "Hyperband" or tuner.early_stopping_type != "Off"):
        found.append("trials of several folds cannot be stopped early: leave num_folds out, or early stopping and Hyperband")
    if tuner.evaluator is not None and (tuner.strategy == "Hyperband" or tuner.early_stopping_type != "Off"):
        found.append("an evaluator scores finished models only: early stopping and Hyperband need a metric that the training emits")
    return found


def _of_evaluation(tuner: Any, definitions: Sequence[Definition]) -> list[str]:
    found = []
    if tuner.num_folds and (tuner.num_folds < 2 or tuner.evaluator is None):
        found.append("num_folds must be 2 or more and needs an evaluator")
    if tuner.evaluator is None:
        return found
    for definition in definitions:
        tail = definition.tail
        marks = tail.value("validationIndicatorCol") if "validationIndicatorCol" in tail.declared else None
        if not marks and not tuner.num_folds:
            found.append("an evaluator needs rows to score: name the estimator's validationIndicatorCol, or give num_folds")
        elif measure_of(tuner.evaluator, tail) is None:
            found.append("evaluator must be Spark's for classes or numbers, with label, weight and output column of the estimator")
    return found


def _of_autotune(tuner: Any, definition: Definition) -> list[str]:
    found, static = [], tuner.hyperparameters_to_keep_static
    if (static or tuner.auto_parameters) and not tuner.autotune:
        found.append("hyperparameters_to_keep_static and auto_parameters are for autotune=True only")
    if len(set(static)) < len(static):
        found.append(f"hyperparameters_to_keep_static names some twice: {static}")
    if both := [name for name in static if name in definition.ranges or name in tuner.auto_parameters]:
        found.append(f"{', '.join(both)} cannot be both kept static and tuned")
    tail = definition.tail
    return found + [
        f"{name} is no hyperparameter of {type(tail).__name__}" for name in (*static, *tuner.auto_parameters) if name not in tail.declared
    ]


def _of_several(tuner: Any, definitions: Sequence[Definition]) -> list[str]:
    """Of a search over several Estimators."""
    found, names = [], [definition.name for definition in definitions]
    if len(names) > MOST_DEFINITIONS:
        found.append(f"a search has {MOST_DEFINITIONS} estimators at most, got {len(names)}")
    for argument in ("hyperparameter_ranges", "objective_metric_name"):
        given = getattr(tuner, argument)
        if isinstance(given, Mapping) and set(given) != set(names):
            found.append(f"{argument} must be for each of the estimators {', '.join(names)}, got {', '.join(map(str, given)) or 'none'}")
    if not isinstance(tuner.objective_metric_name, (str, Mapping)) or not isinstance(tuner.objective_type, str):
        found.append("several estimators have one objective each: give objective_metric_name as a str or a dict, and one objective_type")
    refused = {
        "early_stopping_type 'Auto'": tuner.early_stopping_type != "Off",
        "strategy 'Hyperband'": tuner.strategy == "Hyperband",
        "warm_start_config": tuner.warm_start_config is not None,
        "autotune": tuner.autotune,
        "auto_parameters": bool(tuner.auto_parameters),
        "hyperparameters_to_keep_static": bool(tuner.hyperparameters_to_keep_static),
    }
    found += [
        f"a search over several estimators takes no {name}: tune one at a time for it" for name, is_there in refused.items() if is_there
    ]
    if isinstance(tuner.max_jobs, int) and tuner.strategy != "Grid" and tuner.max_jobs < len(names):
        found.append(f"max_jobs must be {len(names)} or more, a trial for each estimator, got {tuner.max_jobs}")
    return found

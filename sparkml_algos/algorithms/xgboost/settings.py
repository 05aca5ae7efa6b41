"""Hyperparameters against each other, and in the library's words."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

from sparkml_algos.algorithms.xgboost.objectives import (
    LOG_LINK,
    LOGIT_LINK,
    MULTICLASS,
    OWN_METRICS,
    WEIGHS_POSITIVES,
    is_metric,
    library_objective,
    metric_names,
)
from sparkml_algos.arrays.hyperparameters import Hyperparameters

DEFAULT_UPDATER = ["grow_colmaker", "prune"]

_DART = ["sample_type", "normalize_type", "rate_drop", "one_drop", "skip_drop"]
_TREES = [
    "max_depth",
    "gamma",
    "min_child_weight",
    "max_delta_step",
    "subsample",
    "colsample_bytree",
    "colsample_bylevel",
    "colsample_bynode",
    "tree_method",
    "max_bin",
    "grow_policy",
    "max_leaves",
    "monotone_constraints",
    "interaction_constraints",
    "process_type",
]
_TREE_UPDATERS = [
    "grow_colmaker", "grow_histmaker", "grow_quantile_histmaker", "grow_gpu_hist", "grow_gpu_approx", "sync", "refresh", "prune"
]  # fmt: skip
_UPDATING = ["refresh", "prune", "sync"]
_LINEAR_UPDATERS = ["shotgun", "coord_descent"]
_HIST = ["auto", "hist", "gpu_hist"]

# Hyperparameters that only count under a condition, and the condition in code and words.
_ONLY_WITH: list[tuple[list[str], Callable[[Hyperparameters], bool], str]] = [
    (["num_class"], lambda h: h.objective in (None, *MULTICLASS), "objective 'multi:softprob' or 'multi:softmax'"),
    (_DART, lambda h: h.booster == "dart", "booster='dart'"),
    (_TREES, lambda h: h.booster != "gblinear", "booster 'gbtree' or 'dart'"),
    (["tweedie_variance_power"], lambda h: h.objective == "reg:tweedie", "objective='reg:tweedie'"),
    (["sketch_eps"], lambda h: h.tree_method == "approx", "tree_method='approx'"),
    (["max_bin"], lambda h: h.tree_method in _HIST, "tree_method 'auto', 'hist' or 'gpu_hist'"),
    (["grow_policy"], lambda h: h.tree_method in _HIST, "tree_method 'auto', 'hist' or 'gpu_hist'"),
    (["max_leaves"], lambda h: h.grow_policy == "lossguide", "grow_policy='lossguide'"),
    (["refresh_leaf"], lambda h: "refresh" in h.updater, "the updater refresh"),
    (["scale_pos_weight"], lambda h: h.objective in (None, *WEIGHS_POSITIVES), f"an objective of {', '.join(WEIGHS_POSITIVES)}"),
]


def contradictions(h: Hyperparameters, changed: set[str], uses_gpu: bool) -> list[str]:
    """What is wrong with hyperparameters that are each in its own range; what depends on the objective is known when that is.

    Parameters
    ----------
    h : Hyperparameters
    changed : set of str
        Those that differ from their defaults.
    uses_gpu : bool
        Whether Spark assigns a GPU to each worker.
    """
    found = [f"{name} needs {words}" for names, holds, words in _ONLY_WITH for name in names if name in changed and not holds(h)]
    return found + [message for wrong, message in _rules(h, changed, uses_gpu) if wrong]


def _rules(h: Hyperparameters, changed: set[str], uses_gpu: bool) -> list[tuple[bool, str]]:
    updaters = _LINEAR_UPDATERS if h.booster == "gblinear" else _TREE_UPDATERS
    unknown = [name for name in metric_names(h.eval_metric) if not is_metric(name)]
    misplaced = [name for name in metric_names(h.eval_metric) if name in OWN_METRICS and not _can_measure(name, h.objective)]
    strange = [name for name in h.updater if name not in updaters]
    update, shrinks = h.process_type == "update", set(h.updater) <= set(_UPDATING)
    return [
        (h.objective in MULTICLASS and (h.num_class or 0) < 2, f"objective={h.objective!r} needs num_class, 2 or more"),
        (h.objective is None and h.num_class is not None and h.num_class < 2, f"num_class must be 2 or more, got {h.num_class}"),
        (h.max_depth == 0 and h.grow_policy == "depthwise", "max_depth=0 is no limit, which grow_policy='depthwise' forbids"),
        (h.max_depth == 0 and h.grow_policy == "lossguide" and not h.max_leaves, "max_depth=0 needs max_leaves, or trees have no end"),
        (h.max_leaves < 0, f"max_leaves must be 0 or more, got {h.max_leaves}"),
        (h.max_bin < 2, f"max_bin must be 2 or more, got {h.max_bin}"),
        (h.sketch_eps == 0, "sketch_eps must be greater than 0"),
        (h.nthread is not None and h.nthread < 1, f"nthread must be 1 or more, got {h.nthread}"),
        (h.objective in LOGIT_LINK and not 0 < h.base_score < 1, f"base_score is a probability with {h.objective!r}; it must be in (0, 1)"),
        (h.objective in LOG_LINK and h.base_score <= 0, f"base_score must be greater than 0 with {h.objective!r}"),
        (h.scale_pos_weight < 0, f"scale_pos_weight must be 0 or more, got {h.scale_pos_weight:g}"),
        (bool(unknown), f"eval_metric has no metric {', '.join(map(repr, unknown))}"),
        (bool(misplaced), f"eval_metric {', '.join(map(repr, misplaced))} does not suit objective={h.objective!r}"),
        ("updater" in changed and bool(strange), f"updater must be among {', '.join(updaters)}, got {', '.join(strange)}"),
        ("grow_gpu_hist" in h.updater and not uses_gpu, "updater grow_gpu_hist needs use_gpu=True"),
        (update and h.initial_model is None, "process_type='update' needs initial_model, whose trees it updates"),
        (update and not shrinks, f"process_type='update' needs an updater among {', '.join(_UPDATING)}"),
        (not update and "refresh" in h.updater, "the updater refresh needs process_type='update'"),
        (h.lambda_bias != 0, "lambda_bias must be 0: the library has no penalty on the bias any more"),
        (h.single_precision_histogram == "true", "single_precision_histogram must be 'false': the library always sums in double precision"),
        (h.deterministic_histogram == "false", "deterministic_histogram must be 'true': the library's sums are always reproducible"),
        (h.tree_method == "gpu_hist" and not uses_gpu, "tree_method='gpu_hist' needs use_gpu=True, and a GPU for every task"),
        (
            uses_gpu and (h.booster == "gblinear" or h.tree_method == "exact"),
            "use_gpu=True needs trees with tree_method 'auto', 'hist', 'approx' or 'gpu_hist'",
        ),
        (_has_strange_interactions(h), "interaction_constraints must be lists of features, counted from 0, such as [[0, 1], [2, 3]]"),
    ]


def _can_measure(metric: str, objective: str | None) -> bool:
    is_class = objective is None or objective.startswith(("binary:", "multi:"))
    return is_class if metric in ("accuracy", "f1") else not is_class and not objective.startswith("rank:")


def _has_strange_interactions(h: Hyperparameters) -> bool:
    groups = h.interaction_constraints or []
    return not all(isinstance(group, list) and group and all(type(one) is int and one >= 0 for one in group) for group in groups)


def only_one_worker(h: Hyperparameters) -> str | None:
    """Why a training cannot be spread over workers; None if it can."""
    if h.booster == "gblinear":
        return "the library does not add up the gradients of a linear booster over workers"
    if h.tree_method == "exact" or "grow_colmaker" in h.updater and sets_updater(h):
        return "the exact tree method needs all rows in one place"
    if h.objective == "survival:cox":
        return "in Cox regression every row is compared with all that are still at risk"
    return None


def sets_updater(h: Hyperparameters) -> bool:
    """Whether the updaters are other than the default of the specification, which only suits the exact tree method."""
    return h.updater != DEFAULT_UPDATER


def dimension_problems(h: Hyperparameters, num_features: int) -> list[str]:
    """What contradicts the number of features."""
    found = []
    constraints, groups = h.monotone_constraints, h.interaction_constraints or []
    if constraints and len(constraints) != num_features:
        found.append(f"monotone_constraints has {len(constraints)} entries, the rows have {num_features} features")
    beyond = sorted({feature for group in groups for feature in group if feature >= num_features})
    if beyond:
        found.append(f"interaction_constraints names feature {beyond[0]}, the rows have features 0 to {num_features - 1}")
    return found


def library_params(h: Hyperparameters, device: str) -> dict[str, Any]:
    """The settings as the library takes them; only those that count."""
    params: dict[str, Any] = {name: getattr(h, name) for name in ("booster", "base_score", "eta", "lambda", "alpha", "seed", "verbosity")}
    params |= {"objective": library_objective(h.objective), "nthread": threads(h.nthread), "disable_default_eval_metric": 0}
    if h.objective in MULTICLASS:
        params["num_class"] = h.num_class
    if h.scale_pos_weight != 1:
        params["scale_pos_weight"] = h.scale_pos_weight
    if h.objective == "reg:tweedie":
        params["tweedie_variance_power"] = h.tweedie_variance_power
    if sets_updater(h):
        params["updater"] = ",".join(h.updater)
    metrics = library_metrics(metric_names(h.eval_metric), h.objective)
    if h.eval_metric:
        params |= {"eval_metric": metrics, "disable_default_eval_metric": 1}
    return params if h.booster == "gblinear" else {**params, **_tree_params(h, device)}


def _tree_params(h: Hyperparameters, device: str) -> dict[str, Any]:
    names = ["max_depth", "gamma", "min_child_weight", "subsample", "colsample_bytree", "colsample_bylevel", "colsample_bynode"]
    params: dict[str, Any] = {name: getattr(h, name) for name in names}
    params |= {"tree_method": "hist" if h.tree_method in _HIST else h.tree_method, "device": device}
    if h.max_delta_step:
        params["max_delta_step"] = h.max_delta_step
    if h.tree_method != "exact":
        params["max_bin"] = bins(h)
    if h.grow_policy == "lossguide":
        params |= {"grow_policy": h.grow_policy, "max_leaves": h.max_leaves}
    if h.monotone_constraints:
        params["monotone_constraints"] = f"({','.join(map(str, h.monotone_constraints))})"
    if h.interaction_constraints:
        params["interaction_constraints"] = str(h.interaction_constraints)
    if h.booster == "dart":
        params |= {name: getattr(h, name) for name in _DART}
    if h.process_type == "update":
        params |= {"process_type": "update", "refresh_leaf": h.refresh_leaf}
    return params


def bins(h: Hyperparameters) -> int:
    """Most bins of a feature."""
    return max(2, math.ceil(1 / h.sketch_eps)) if h.tree_method == "approx" else h.max_bin


def threads(wanted: int | None) -> int:
    """Threads of the library: as wanted, or the CPUs of the task, which Spark writes into OMP_NUM_THREADS, or all."""
    return wanted or int(os.environ.get("OMP_NUM_THREADS") or 0) or os.cpu_count() or 1


def missing_value(h: Hyperparameters) -> float:
    """What stands for a missing value besides NaN, or NaN."""
    return float(h.missing)


def library_metrics(names: list[str], objective: str) -> list[str]:
    """The library's metrics from which those of the given names follow, each once."""
    sources = (source_metric(name, objective) for name in names)
    return list(dict.fromkeys(name for name in sources if name))


def source_metric(name: str, objective: str) -> str | None:
    """The library's metric behind one of ours: itself, or one that tells it; None where it is to be counted from predictions."""
    if name == "f1":
        return None
    wrong = "merror" if objective in MULTICLASS else "error"
    return {"accuracy": wrong, "mse": "rmse"}.get(name, name)

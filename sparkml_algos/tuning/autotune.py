"""Ranges chosen around hints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sparkml_algos.arrays.hyperparameters import Hyperparameter
from sparkml_algos.core.params import DeclaredParams
from sparkml_algos.tuning.ranges import ContinuousParameter, IntegerParameter, ParameterRange

# Trials of a search that chooses everything itself.
AUTOTUNE_JOBS = 30
# How many times smaller and larger than the hint.
SPREAD = 10.0
# A rate stays so far from 0 and 1.
MARGIN = 1e-6
# Fractions that the service calls tunable. Others say what is judged, as `target_recall` and `base_score` do, and not how it is learned.
TUNABLE = {
    "alpha", "alpha0", "bias_init_scale", "bias_init_sigma", "bias_lr", "bias_wd", "clip_gradient", "colsample_bylevel",
    "colsample_bynode", "colsample_bytree", "dropout", "dropout_rate", "embed_dropout_source", "embed_dropout_target", "eta",
    "factors_init_scale", "factors_init_sigma", "factors_lr", "factors_wd", "gamma", "l1", "lambda", "learning_rate",
    "linear_init_scale", "linear_init_sigma", "linear_lr", "linear_wd", "max_delta_step", "min_child_weight", "momentum",
    "plateau_reduce_lr_factor", "positive_example_weight_mult", "rescale_gradient", "rnn_decoder_hidden_dropout", "sampling_threshold",
    "subsample", "wd", "weight_decay", "weight_init_scale",
}  # fmt: skip


def ranges_around(estimator: DeclaredParams, hints: Mapping[str, Any], static: Sequence[str]) -> dict[str, ParameterRange]:
    """Ranges of an order of magnitude to either side of hints or, without any, of the positive fractions that the Estimator has and the
    service calls tunable.

    Parameters
    ----------
    estimator : DeclaredParams
    hints : mapping of str to value
        A hint between 0 and 1 is of a rate, whose range ends there; one that is no positive number says nothing, and its hyperparameter
        stays what it is.
    static : sequence of str
        What is to stay as it is.
    """
    own = {name: estimator.value(name) for name, param in estimator.declared.items() if _is_tunable(name, param)}
    found: dict[str, ParameterRange] = {}
    for name, hint in (hints or own).items():
        param = estimator.declared.get(name)
        if name in static or param is None or param.type not in (int, float):
            continue
        try:
            number = float(hint)
        except (TypeError, ValueError):
            continue
        if number > 0:
            found[name] = _around(number, param)
    return found


def _is_tunable(name: str, param: Any) -> bool:
    return name in TUNABLE and isinstance(param, Hyperparameter) and param.type is float


def _around(number: float, param: Any) -> ParameterRange:
    low, high = number / SPREAD, number * SPREAD
    if number < 1:
        high = min(high, 1 - MARGIN)
    if param.minimum is not None and low <= param.minimum:
        low = param.minimum + (min(MARGIN, (number - param.minimum) / 2) if param.min_exclusive else 0)
    if param.maximum is not None and high >= param.maximum:
        high = param.maximum - (min(MARGIN, (param.maximum - number) / 2) if param.max_exclusive else 0)
    if low > high:
        raise ValueError(f"auto_parameters: {number:g} is far from what {param.name} takes, so that there is no range around it")
    if param.type is int:
        return IntegerParameter(max(1, round(low)), max(1, round(high)), "Logarithmic")
    return ContinuousParameter(low, high, "Logarithmic")

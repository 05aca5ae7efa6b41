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


def ranges_around(estimator: DeclaredParams, hints: Mapping[str, Any], static: Sequence[str]) -> dict[str, ParameterRange]:
    """Ranges of an order of magnitude to either side of hints or, without any, of the positive fractions that the Estimator has.

    Parameters
    ----------
    estimator : DeclaredParams
    hints : mapping of str to value
        A hint between 0 and 1 is of a rate, whose range ends there; one that is no positive number says nothing, and its hyperparameter
        stays what it is.
    static : sequence of str
        What is to stay as it is.
    """
    own = {name: estimator.value(name) for name, param in estimator.declared.items() if _is_tunable(param)}
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


def _is_tunable(param: Any) -> bool:
    return isinstance(param, Hyperparameter) and param.type is float


def _around(number: float, param: Any) -> ParameterRange:
    low, high = number / SPREAD, number * SPREAD
    if number < 1:
        high = min(high, 1 - MARGIN)
    low = low if param.minimum is None else max(low, param.minimum + (MARGIN if param.min_exclusive else 0))
    high = high if param.maximum is None else min(high, param.maximum - (MARGIN if param.max_exclusive else 0))
    if param.type is int:
        return IntegerParameter(max(1, round(low)), max(1, round(high)), "Logarithmic")
    return ContinuousParameter(low, high, "Logarithmic")

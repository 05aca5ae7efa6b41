"""Ranges of hyperparameters: what values they have, and how these lie between 0 and 1, where searches look for them."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from sparkml_algos.arrays.hyperparameters import DeclaredParam

SCALINGS = ("Auto", "Linear", "Logarithmic", "ReverseLogarithmic")
# A range whose ends are so many times apart is searched by orders of magnitude unless it is said otherwise.
LOGARITHMIC_FROM = 100.0
MOST_VALUES = 30
MOST_NAME = 256
MANY_RANGES = 30
# The lower end of integers from 1 on a logarithmic scale: half an integer less, so that the first one gets its share.
_HALF = 0.5
# Ends of ranges that a hyperparameter does not take, such as a rate of 0, are never met.
_INSIDE = 1e-9


@dataclass(frozen=True)
class ParameterRange:
    """Base of the ranges.

    Attributes
    ----------
    when : mapping of str to sequence
        Other tuned hyperparameters, and the values of each with which this one matters; with others it is left out of the setting.
    """

    kind: ClassVar[str] = ""
    when: Mapping[str, Sequence[Any]] = field(default_factory=dict, kw_only=True)

    def value(self, unit: float) -> Any:
        """The value at a place from 0 to 1."""
        raise NotImplementedError

    def unit(self, value: Any) -> float | None:
        """The place of a value, in the middle of all that give it; None of one that is not in the range."""
        raise NotImplementedError

    def values_in_order(self) -> list[Any]:
        """All values, of a range that has few.

        Raises
        ------
        ValueError
            Of one that has not.
        """
        raise ValueError(f"strategy 'Grid' takes categorical ranges only, not a {type(self).__name__}")

    def to_json(self, name: str) -> dict[str, Any]:
        """As the service's description of a tuning job has it: numbers as strings."""
        raise NotImplementedError

    def applies(self, setting: Mapping[str, Any]) -> bool:
        """Whether the hyperparameter matters with these others."""
        return all(setting.get(name) in list(values) for name, values in self.when.items())


@dataclass(frozen=True)
class CategoricalParameter(ParameterRange):
    """One of a few values.

    Parameters
    ----------
    values : sequence
        From 1 to 30 different ones.
    when : mapping, optional
        See `ParameterRange`.

    Raises
    ------
    ValueError
        If there are none, too many, or some twice.
    """

    values: Sequence[Any]
    kind: ClassVar[str] = "Categorical"

    def __post_init__(self) -> None:
        values = [self.values] if isinstance(self.values, (str, int, float, bool)) else list(self.values)
        values = [value.item() if isinstance(value, np.generic) else value for value in values]
        object.__setattr__(self, "values", values)
        if not values or len(values) > MOST_VALUES:
            raise ValueError(f"a categorical range has from 1 to {MOST_VALUES} values, got {len(values)}")
        if len(set(map(repr, values))) < len(values):
            raise ValueError(f"a categorical range has different values, got {values}")

    def value(self, unit: float) -> Any:
        return self.values[min(int(unit * len(self.values)), len(self.values) - 1)]

    def unit(self, value: Any) -> float | None:
        for place, known in enumerate(self.values):
            if known == value or as_text(known) == as_text(value):
                return (place + 0.5) / len(self.values)
        return None

    def values_in_order(self) -> list[Any]:
        return list(self.values)

    def to_json(self, name: str) -> dict[str, Any]:
        return {"Name": name, "Values": [as_text(value) for value in self.values]}


@dataclass(frozen=True)
class NumericParameter(ParameterRange):
    """Base of the ranges of numbers."""

    min_value: Any
    max_value: Any
    scaling_type: str = "Auto"

    def __post_init__(self) -> None:
        for name in ("min_value", "max_value"):
            try:
                object.__setattr__(self, name, self._number(getattr(self, name)))
            except (TypeError, ValueError, OverflowError):
                raise ValueError(f"{name} of a {type(self).__name__} must be {self._wanted}, got {getattr(self, name)!r}") from None
        if self.min_value > self.max_value:
            raise ValueError(f"min_value {self.min_value} is larger than max_value {self.max_value}")
        if self.scaling_type not in SCALINGS:
            raise ValueError(f"scaling_type must be one of {', '.join(SCALINGS)}, got {self.scaling_type!r}")
        self._check_scaling()

    _wanted: ClassVar[str] = "a number"

    def _number(self, value: Any) -> Any:
        number = float(value)
        if not math.isfinite(number):
            raise ValueError
        return number

    def _check_scaling(self) -> None:
        if self.scaling_type == "Logarithmic" and self.min_value <= 0:
            raise ValueError(f"Logarithmic scaling needs min_value > 0, got {self.min_value}")
        if self.scaling_type == "ReverseLogarithmic" and not 0 <= self.min_value <= self.max_value < 1:
            raise ValueError(
                f"ReverseLogarithmic scaling needs 0 <= min_value and max_value < 1, got {self.min_value} and {self.max_value}"
            )

    @property
    def scaling(self) -> str:
        """The scaling that ``Auto`` stands for, or the given one."""
        if self.scaling_type != "Auto":
            return self.scaling_type
        low, high = self.min_value, self.max_value
        if low > 0 and high / low >= LOGARITHMIC_FROM:
            return "Logarithmic"
        if self._may_be_reversed and low >= 0 and high < 1 and (1 - low) / (1 - high) >= LOGARITHMIC_FROM:
            return "ReverseLogarithmic"
        return "Linear"

    _may_be_reversed: ClassVar[bool] = True

    def to_json(self, name: str) -> dict[str, Any]:
        return {"Name": name, "MinValue": str(self.min_value), "MaxValue": str(self.max_value), "ScalingType": self.scaling_type}


@dataclass(frozen=True)
class ContinuousParameter(NumericParameter):
    """A number between two others.

    Linear scaling serves within an order of magnitude; Logarithmic over several: from 0.0001 to 1, a linear search spends 90 % of its
    trials above 0.1. ReverseLogarithmic serves where the result is sensitive very near 1, as to a momentum.

    Parameters
    ----------
    min_value, max_value : float
    scaling_type : {"Auto", "Linear", "Logarithmic", "ReverseLogarithmic"}
        ``Auto``: Logarithmic where the ends are positive and 100 times apart, or ReverseLogarithmic where that is so of what they are
        below 1.
    when : mapping, optional
        See `ParameterRange`.

    Raises
    ------
    ValueError
        If there is no such range, or the scaling cannot be applied to it.
    """

    kind: ClassVar[str] = "Continuous"

    def value(self, unit: float) -> float:
        low, high = self.min_value, self.max_value
        if self.scaling == "Logarithmic":
            found = math.exp(math.log(low) + unit * (math.log(high) - math.log(low)))
        elif self.scaling == "ReverseLogarithmic":
            found = 1 - math.exp(math.log1p(-low) + unit * (math.log1p(-high) - math.log1p(-low)))
        else:
            found = low + unit * (high - low)
        return min(max(found, low), high)

    def unit(self, value: Any) -> float | None:
        low, high, number = self.min_value, self.max_value, _as_number(value)
        if not low <= number <= high:
            return None
        if low == high:
            return 0.5
        if self.scaling == "Logarithmic":
            return math.log(number / low) / math.log(high / low)
        if self.scaling == "ReverseLogarithmic":
            return (math.log1p(-number) - math.log1p(-low)) / (math.log1p(-high) - math.log1p(-low))
        return (number - low) / (high - low)


@dataclass(frozen=True)
class IntegerParameter(NumericParameter):
    """A whole number between two others, both included.

    Parameters
    ----------
    min_value, max_value : int
    scaling_type : {"Auto", "Linear", "Logarithmic"}
    when : mapping, optional
        See `ParameterRange`.

    Raises
    ------
    ValueError
        If there is no such range, or the scaling cannot be applied to it.
    """

    kind: ClassVar[str] = "Integer"
    _wanted: ClassVar[str] = "a whole number"
    _may_be_reversed: ClassVar[bool] = False

    def _number(self, value: Any) -> int:
        if isinstance(value, bool) or float(value) != int(float(value)):
            raise ValueError
        return int(value) if isinstance(value, (int, np.integer)) else int(float(value))

    def _check_scaling(self) -> None:
        if self.scaling_type == "ReverseLogarithmic":
            raise ValueError("ReverseLogarithmic scaling is for continuous ranges; integers take Auto, Linear or Logarithmic")
        super()._check_scaling()

    def value(self, unit: float) -> int:
        low, high = self.min_value, self.max_value
        if self.scaling == "Logarithmic":
            bottom, top = math.log(max(low - _HALF, _HALF)), math.log(high + _HALF)
            return min(max(round(math.exp(bottom + unit * (top - bottom))), low), high)
        return min(low + int(unit * (high - low + 1)), high)

    def unit(self, value: Any) -> float | None:
        low, high, number = self.min_value, self.max_value, _as_number(value)
        if not low <= number <= high:
            return None
        if self.scaling == "Logarithmic":
            bottom, top = math.log(max(low - _HALF, _HALF)), math.log(high + _HALF)
            return (math.log(number) - bottom) / (top - bottom)
        return (number - low + 0.5) / (high - low + 1)


def as_text(value: Any) -> str:
    """A value as descriptions of the service have it: lists as JSON, which hyperparameters read again."""
    return json.dumps(value) if isinstance(value, (list, tuple)) else str(value)


def _as_number(value: Any) -> float:
    """NaN, which is in no range, of what is no number, such as "auto" or None."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


Ranges = Mapping[str, ParameterRange]


def check_ranges(ranges: Ranges) -> None:
    """Refuse what is no range, and conditions that name nothing.

    Raises
    ------
    ValueError
    """
    for name, one in ranges.items():
        if not isinstance(one, ParameterRange):
            raise ValueError(f"the range of {name!r} must be a CategoricalParameter, IntegerParameter or ContinuousParameter, got {one!r}")
        if len(name) > MOST_NAME:
            raise ValueError(f"names of hyperparameters have at most {MOST_NAME} characters, got {len(name)}")
        for other in one.when:
            if other not in ranges or ranges[other].when:
                raise ValueError(f"{name!r} depends on {other!r}, which must be tuned too, and depend on nothing itself")
            parent = ranges[other]
            for value in one.when[other]:
                known = value in parent.values if isinstance(parent, CategoricalParameter) else parent.unit(value) is not None
                if not known:
                    raise ValueError(f"{name!r} depends on {other!r} being {value!r}, which is not in its range")
    if len(ranges) > MANY_RANGES:
        warnings.warn(f"{len(ranges)} hyperparameters are tuned; searches of more than {MANY_RANGES} find little", stacklevel=3)


def examples(one: ParameterRange) -> list[Any]:
    """All values of a range that has few; of others one within and those next to the ends."""
    return list(one.values) if isinstance(one, CategoricalParameter) else [one.value(unit) for unit in (0.5, _INSIDE, 1 - _INSIDE)]


def unfit(one: ParameterRange, param: DeclaredParam) -> str | None:
    """What is wrong with a range for a hyperparameter that does not take all of its values; None if nothing is."""
    for value in examples(one):
        try:
            param.convert(value)
        except ValueError as error:
            return f"the range of {param.name} has values that it does not take: {error}"
    return None


def setting_at(ranges: Ranges, units: Mapping[str, float]) -> dict[str, Any]:
    """The values at places from 0 to 1; hyperparameters that do not matter with the others are left out."""
    found = {name: one.value(units[name]) for name, one in ranges.items()}
    return {name: value for name, value in found.items() if ranges[name].applies(found)}


def units_of(ranges: Ranges, setting: Mapping[str, Any]) -> dict[str, float] | None:
    """Places of the values of a setting, in the middle where it has none; None if one is outside of its range."""
    found: dict[str, float] = {}
    for name, one in ranges.items():
        place = one.unit(setting[name]) if name in setting else 0.5
        if place is None:
            return None
        found[name] = place
    return found


def ranges_from_json(described: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, ParameterRange]:
    """Ranges from the service's ``ParameterRanges``."""
    found: dict[str, ParameterRange] = {}
    for one in described.get("CategoricalParameterRanges", []):
        found[one["Name"]] = CategoricalParameter(one["Values"])
    for one in described.get("IntegerParameterRanges", []):
        found[one["Name"]] = IntegerParameter(one["MinValue"], one["MaxValue"], one.get("ScalingType", "Auto"))
    for one in described.get("ContinuousParameterRanges", []):
        found[one["Name"]] = ContinuousParameter(one["MinValue"], one["MaxValue"], one.get("ScalingType", "Auto"))
    return found


def ranges_to_json(ranges: Ranges) -> dict[str, list[dict[str, Any]]]:
    """The service's ``ParameterRanges``."""
    found: dict[str, list[dict[str, Any]]] = {f"{kind}ParameterRanges": [] for kind in ("Categorical", "Continuous", "Integer")}
    for name, one in ranges.items():
        found[f"{one.kind}ParameterRanges"].append(one.to_json(name))
    return found


_KINDS = {one.kind: one for one in (CategoricalParameter, ContinuousParameter, IntegerParameter)}


def ranges_to_state(ranges: Ranges) -> dict[str, dict[str, Any]]:
    """Ranges as JSON has them, with the types of their values and with conditions, which the service's description lacks."""
    found = {}
    for name, one in ranges.items():
        own = {part.name: getattr(one, part.name) for part in fields(one)}
        found[name] = {**own, "kind": one.kind, "when": {key: list(values) for key, values in one.when.items()}}
    return found


def ranges_from_state(state: Mapping[str, Mapping[str, Any]]) -> dict[str, ParameterRange]:
    """Ranges from what `ranges_to_state` gave."""
    return {name: _KINDS[own["kind"]](**{key: value for key, value in own.items() if key != "kind"}) for name, own in state.items()}

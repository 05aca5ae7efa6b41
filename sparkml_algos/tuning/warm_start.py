"""Searches that start from what earlier ones have found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparkml_algos.tuning.job import TuningJob
from sparkml_algos.tuning.ranges import CategoricalParameter, Ranges, as_text, ranges_from_json, units_of
from sparkml_algos.tuning.strategies import Observation
from sparkml_algos.tuning.trial import TERMINAL

MOST_PARENTS, MOST_CHANGES = 5, 10
IDENTICAL, TRANSFER = "IdenticalDataAndAlgorithm", "TransferLearning"


@dataclass(frozen=True)
class WarmStartConfig:
    """What a search starts from.

    Parameters
    ----------
    warm_start_type : {"IdenticalDataAndAlgorithm", "TransferLearning"}
        With identical data and algorithm the trials of the parents are observations like others, and the best of all is known. Of a
        transfer only how they compare with each other is used.
    parents : sequence of TuningJob
        From one to five; see `HyperparameterTuner.attach` for those of other programs. Grandparents do not count unless they are named.

    Raises
    ------
    ValueError
        If the type is unknown, or the parents are too many, or not over.
    """

    warm_start_type: str
    parents: Sequence[TuningJob]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parents", list(self.parents))
        if self.warm_start_type not in (IDENTICAL, TRANSFER):
            raise ValueError(f"warm_start_type must be {IDENTICAL!r} or {TRANSFER!r}, got {self.warm_start_type!r}")
        if not 1 <= len(self.parents) <= MOST_PARENTS:
            raise ValueError(f"a warm start has from 1 to {MOST_PARENTS} parents, got {len(self.parents)}")
        for parent in self.parents:
            if parent.status not in TERMINAL:
                raise ValueError(f"parent {parent.name} is {parent.status}; it must be one of {', '.join(TERMINAL)}")


def check(config: WarmStartConfig, ranges: Ranges, facts: Mapping[str, Any], objective: Mapping[str, str], strategy: str) -> None:
    """Refuse a warm start that breaks a rule.

    Parameters
    ----------
    config : WarmStartConfig
    ranges : mapping of str to ParameterRange
    facts : mapping
        ``algorithm`` and ``static`` of the new search.
    objective : mapping
        ``MetricName`` and ``Type``.
    strategy : str

    Raises
    ------
    ValueError
    """
    if strategy not in ("Bayesian", "Random"):
        raise ValueError(f"only Bayesian and Random searches can be warm-started, not {strategy}")
    for parent in config.parents:
        if parent.definitions:
            raise ValueError(f"parent {parent.name} has tuned several estimators; a warm start is for searches of a single one")
        known = parent.config["HyperParameterTuningJobObjective"]
        if known != objective:
            raise ValueError(
                f"parent {parent.name} has the objective {known['MetricName']} ({known['Type']}), this search {dict(objective)}"
            )
        if config.warm_start_type == IDENTICAL and parent.facts["algorithm"] != facts["algorithm"]:
            raise ValueError(f"parent {parent.name} tuned {parent.facts['algorithm']}, this search {facts['algorithm']}: take {TRANSFER!r}")
        _check_names(parent, ranges, facts["static"])


def _check_names(parent: TuningJob, ranges: Ranges, static: Mapping[str, Any]) -> None:
    before = ranges_from_json(parent.config["ParameterRanges"])
    names = {*before, *parent.facts["static"]}
    if names != {*ranges, *static}:
        differing = sorted(names ^ {*ranges, *static})
        raise ValueError(f"parent {parent.name} has other hyperparameters: {', '.join(differing)}")
    changes = 0
    for name, one in before.items():
        if name in ranges and type(one) is not type(ranges[name]):
            raise ValueError(f"{name} was a {type(one).__name__} in parent {parent.name} and is a {type(ranges[name]).__name__} now")
        if name not in ranges:
            changes += 1
            continue
        now = ranges[name]
        if isinstance(one, CategoricalParameter) and isinstance(now, CategoricalParameter) and len(one.values) == 2:
            changes += 2 * (set(map(as_text, one.values)) != set(map(as_text, now.values)))
    for name, value in parent.facts["static"].items():
        if name in static and static[name] != value:
            changes += 2
    if changes > MOST_CHANGES:
        raise ValueError(
            f"parent {parent.name} differs by {changes} changes of static and tuned hyperparameters; {MOST_CHANGES} are allowed"
        )


def observations(config: WarmStartConfig | None, ranges: Ranges, larger_is_better: bool) -> list[Observation]:
    """What the parents' trials tell a search in these ranges; trials outside of them tell nothing."""
    found: list[Observation] = []
    if config is None:
        return found
    for parent in config.parents:
        values = scaled([trial.value for trial in parent.trials if trial.succeeded], config.warm_start_type, larger_is_better)
        for trial, value in zip((trial for trial in parent.trials if trial.succeeded), values, strict=True):
            units = units_of(ranges, {**parent.facts["static"], **trial.setting})
            if units is not None:
                found.append(Observation(units, value))
    return found


def scaled(values: Sequence[float], warm_start_type: str | None, larger_is_better: bool) -> list[float]:
    """Objectives, the smaller the better; of a transfer in deviations from their mean, so that jobs on other data compare."""
    found = np.array(values, np.float64) * (-1 if larger_is_better else 1)
    if warm_start_type == TRANSFER and len(found):
        found = (found - found.mean()) / (found.std() or 1.0)
    return found.tolist()


def counted(config: WarmStartConfig | None) -> int:
    """Trials of the parents, which count towards the most that a search may have."""
    return sum(len(parent.trials) for parent in config.parents) if config else 0

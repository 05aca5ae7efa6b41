"""When a trial has no hope, when a search is over, and what is best: rules on plain numbers, the service's where it has one. All objectives
here are the smaller the better, unless it is said otherwise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# No trial is stopped before so many earlier ones have come as far.
LEAST_EARLIER = 3
# Hyperband keeps one in so many at each rung.
REDUCTION = 3
MOST_RESOURCE = 20_000
#: Hyperparameters that `MaxResource` is taken from, in order.
EPOCHS_NAMES = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")
# What counts as an improvement: this share of the best value.
IMPROVEMENT = 0.01
LEAST_NOT_IMPROVING = 3


def place_of_best(metrics: np.ndarray, larger_is_better: bool) -> int:
    """Place of the best of some metrics. NaN is worse than any number; of NaN alone it is the first."""
    known = np.flatnonzero(~np.isnan(metrics))
    if not len(known):
        return 0
    values = metrics[known]
    return int(known[values.argmax() if larger_is_better else values.argmin()])


def median_bounds(series: Sequence[Sequence[float | None]]) -> dict[int, float]:
    """By epoch, from 1, the figure that a trial must not be worse than: the median of the running means of earlier trials.

    Parameters
    ----------
    series : sequence of sequence of float
        Of each earlier trial that was completed or stopped, the objective by epoch. Which direction is better does not matter.
    """
    means = []
    for one in series:
        values = np.array([np.nan if value is None else value for value in one], np.float64)
        means.append(np.cumsum(values) / np.arange(1, len(values) + 1))
    found = {}
    for epoch in range(max(map(len, means), default=0)):
        reached = [mean[epoch] for mean in means if len(mean) > epoch and np.isfinite(mean[epoch])]
        if len(reached) >= LEAST_EARLIER:
            found[epoch + 1] = float(np.median(reached))
    return found


@dataclass(frozen=True)
class Hyperband:
    """Brackets of trials that wait at rungs. One goes on, from where it stands, as soon as it is among the best third of those that have
    come as far. Every replacement is drawn at random.

    Parameters
    ----------
    min_resource, max_resource : int
        Epochs before which none is stopped, and after which all are.

    Raises
    ------
    ValueError
        If they are not from 1 to 20,000, the first being the smaller.
    """

    min_resource: int
    max_resource: int

    def __post_init__(self) -> None:
        if not 1 <= self.min_resource <= self.max_resource <= MOST_RESOURCE:
            wanted = f"1 <= MinResource <= MaxResource <= {MOST_RESOURCE}"
            raise ValueError(f"Hyperband needs {wanted}, got {self.min_resource} and {self.max_resource}")

    @property
    def brackets(self) -> list[int]:
        """Numbers of the brackets, the one with most trials and most rungs first."""
        return list(range(_whole_log(self.max_resource / self.min_resource), -1, -1))

    def size(self, bracket: int) -> int:
        """How many trials a bracket has."""
        return math.ceil(len(self.brackets) / (bracket + 1) * REDUCTION**bracket)

    def bracket(self, number: int) -> int:
        """The bracket of a trial, counted from 0."""
        number %= sum(map(self.size, self.brackets))
        for bracket in self.brackets:
            if number < self.size(bracket):
                return bracket
            number -= self.size(bracket)
        raise AssertionError("unreachable")

    def rungs(self, bracket: int) -> list[int]:
        """Epochs after which a trial of a bracket is judged, before the last one."""
        found = [max(self.min_resource, round(self.max_resource / REDUCTION**power)) for power in range(bracket, 0, -1)]
        return sorted({rung for rung in found if rung < self.max_resource})

    def next_rung(self, bracket: int, epochs: int) -> int | None:
        """Where a trial of a bracket waits next that has had so many epochs; None where nothing but `max_resource` ends it."""
        return next((rung for rung in self.rungs(bracket) if rung > epochs), None)

    def promotable(self, bracket: int, series: Mapping[int, Sequence[float | None]], larger_is_better: bool, spares_one: bool) -> list[int]:
        """Trials of a bracket that are to go on if they wait, by their numbers: those nearest to `max_resource` first, of these the best.

        Parameters
        ----------
        bracket : int
        series : mapping of int to sequence of float
            Of every trial of the bracket, by its number, the objective by epoch.
        larger_is_better : bool
        spares_one : bool
            Whether the best one of a rung goes on also where there are no three, as at the end of a search.
        """
        found = []
        for rung in reversed(self.rungs(bracket)):
            there = {number: one[rung - 1] for number, one in series.items() if len(one) >= rung}
            finite = {number: value for number, value in there.items() if value is not None and math.isfinite(value)}
            best = sorted(finite, key=lambda number: (-finite[number] if larger_is_better else finite[number], number))
            kept = max(len(there) // REDUCTION, int(spares_one))
            found += [number for number in best[:kept] if len(series[number]) == rung]
        return found

    def ending(self, larger_is_better: bool) -> dict[int, float]:
        """By epoch, what an objective must reach for a trial to go on: nothing is good enough after `max_resource`."""
        return {self.max_resource: math.inf if larger_is_better else -math.inf}


def _whole_log(number: float) -> int:
    power = 0
    while REDUCTION ** (power + 1) <= number * (1 + 1e-12):
        power += 1
    return power


@dataclass(frozen=True)
class CompletionCriteria:
    """When a search is over before its trials are.

    Parameters
    ----------
    target_objective_metric_value : float, optional
        Over once a trial has reached it.
    max_number_of_training_jobs_not_improving : int, optional
        Over after so many trials in a row, 3 at least, that were not better than the best by more than 1 %.
    complete_on_convergence : bool
        Over when more improvement is unlikely: the best has gained 1 % at most over the last ten trials, or as many as hyperparameters are
        tuned, of 20 or three times as many at least.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    target_objective_metric_value: float | None = None
    max_number_of_training_jobs_not_improving: int | None = None
    complete_on_convergence: bool = False

    def __post_init__(self) -> None:
        waits = self.max_number_of_training_jobs_not_improving
        if waits is not None and waits < LEAST_NOT_IMPROVING:
            raise ValueError(f"max_number_of_training_jobs_not_improving must be >= {LEAST_NOT_IMPROVING}, got {waits}")

    @property
    def is_given(self) -> bool:
        """Whether there is any."""
        return self != CompletionCriteria()

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> CompletionCriteria:
        """From the service's ``TuningJobCompletionCriteria``.

        Raises
        ------
        ValueError
            If a key or a value is unknown, or a number is out of range.
        """
        known = {"TargetObjectiveMetricValue", "BestObjectiveNotImproving", "ConvergenceDetected"}
        if unknown := sorted(set(described) - known):
            raise ValueError(f"completion criteria have {', '.join(unknown)}; they are {', '.join(sorted(known))}")
        target = described.get("TargetObjectiveMetricValue")
        waits = described.get("BestObjectiveNotImproving", {}).get("MaxNumberOfTrainingJobsNotImproving")
        converges = described.get("ConvergenceDetected", {}).get("CompleteOnConvergence", "Disabled")
        if converges not in ("Enabled", "Disabled"):
            raise ValueError(f"CompleteOnConvergence is 'Enabled' or 'Disabled', got {converges!r}")
        return cls(None if target is None else float(target), None if waits is None else int(waits), converges == "Enabled")

    def to_json(self) -> dict[str, Any]:
        """The service's ``TuningJobCompletionCriteria``."""
        found: dict[str, Any] = {}
        if self.target_objective_metric_value is not None:
            found["TargetObjectiveMetricValue"] = self.target_objective_metric_value
        if self.max_number_of_training_jobs_not_improving is not None:
            waits = self.max_number_of_training_jobs_not_improving
            found["BestObjectiveNotImproving"] = {"MaxNumberOfTrainingJobsNotImproving": waits}
        if self.complete_on_convergence:
            found["ConvergenceDetected"] = {"CompleteOnConvergence": "Enabled"}
        return found

    def is_reached_by(self, objective: float, larger_is_better: bool) -> bool:
        """Whether there is a target, and an objective is as good."""
        target = self.target_objective_metric_value
        return target is not None and (objective >= target if larger_is_better else objective <= target)

    def reason(self, values: Sequence[float | None], larger_is_better: bool, dimensions: int) -> str | None:
        """Why a search is over; None if it is not.

        Parameters
        ----------
        values : sequence of float or None
            Objectives of the trials that have ended, in that order; None of those that failed.
        larger_is_better : bool
        dimensions : int
            Hyperparameters that are tuned.
        """
        course = Course(larger_is_better)
        for value in values:
            course.see(value)
        waits = self.max_number_of_training_jobs_not_improving
        if course.best is not None and self.is_reached_by(course.best, larger_is_better):
            return "TargetObjectiveMetricValue"
        if waits is not None and course.not_improving >= waits:
            return "BestObjectiveNotImproving"
        if self.complete_on_convergence and course.has_converged(dimensions):
            return "ConvergenceDetected"
        return None


@dataclass
class Course:
    """The best objective of a search, trial by trial."""

    larger_is_better: bool
    best: float | None = None
    not_improving: int = 0
    bests: list[float] = field(default_factory=list)

    def is_better(self, one: float, other: float) -> bool:
        """Whether an objective is better than another at all."""
        return one > other if self.larger_is_better else one < other

    def improves(self, value: float, best: float) -> bool:
        """Whether an objective is better than the best by more than 1 %."""
        gain = (value - best) * (1 if self.larger_is_better else -1)
        return gain > IMPROVEMENT * abs(best)

    def see(self, value: float | None) -> None:
        """Another trial has ended; None is one that failed."""
        if value is None or not math.isfinite(value):
            self.not_improving += 1
            return
        improved = self.best is None or self.improves(value, self.best)
        self.not_improving = 0 if improved else self.not_improving + 1
        if self.best is None or self.is_better(value, self.best):
            self.best = value
        self.bests.append(self.best)

    def has_converged(self, dimensions: int) -> bool:
        """Whether the best has hardly gained for long."""
        window = max(10, dimensions)
        if len(self.bests) < max(20, 3 * dimensions):
            return False
        return not self.improves(self.bests[-1], self.bests[-1 - window])

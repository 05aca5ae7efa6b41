"""A trial of a tuning job, what is sought in it, and which trials none is better than."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

TERMINAL = ("Completed", "Stopped", "Failed")


@dataclass
class Trial:
    """One training with one setting, or one for each fold.

    Attributes
    ----------
    number : int
        Counted from 0.
    name : str
    setting : dict
        The tuned hyperparameters.
    units : dict of str to float
        Where they lie in their ranges.
    status : str
        ``InProgress``, ``Completed``, ``Stopped`` or ``Failed``.
    objective : float or None
        The last value of the objective metric.
    series : list of float
        The objective by epoch, where the algorithm tells.
    metrics : dict of str to float
        All that the training emitted at its end.
    created, started, ended : float or None
        Seconds since 1970.
    seconds : float or None
        Of training and scoring, on the workers.
    reason : str or None
        Why it failed, or ``EarlyStopped``.
    retryable : bool
        Whether what it failed of is no fault of its own.
    definition : str
        Which of several Estimators it trains; empty where there is only one.
    objectives : dict of str to float
        The objectives by metric, where there are several; `objective` is the first.
    epochs : int
        Epochs that were trained, by all attempts together.
    """

    number: int
    name: str
    setting: dict[str, Any]
    units: dict[str, float]
    status: str = "InProgress"
    objective: float | None = None
    series: list[float | None] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    seconds: float | None = None
    reason: str | None = None
    retryable: bool = False
    definition: str = ""
    objectives: dict[str, float] = field(default_factory=dict)
    epochs: int = 0

    @property
    def is_over(self) -> bool:
        return self.status in TERMINAL

    @property
    def succeeded(self) -> bool:
        """Whether it has an objective that counts."""
        return self.status in ("Completed", "Stopped") and self.objective is not None and math.isfinite(self.objective)

    @property
    def value(self) -> float:
        """The objective, of a trial that has one."""
        assert self.objective is not None, f"{self.name} has no objective"
        return self.objective

    @property
    def objective_status(self) -> str:
        """``Succeeded``, ``Pending`` or ``Failed``."""
        return "Succeeded" if self.succeeded else "Failed" if self.is_over else "Pending"


class Objective(NamedTuple):
    """A metric, and which way it is better."""

    metric: str
    larger_is_better: bool

    @classmethod
    def from_json(cls, described: Mapping[str, str]) -> Objective:
        """From what the service has as ``HyperParameterTuningJobObjective``."""
        return cls(described["MetricName"], described["Type"] == "Maximize")

    def to_json(self) -> dict[str, str]:
        """As the service has it."""
        return {"MetricName": self.metric, "Type": "Maximize" if self.larger_is_better else "Minimize"}


def pareto_front(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Trial]:
    """Those that no other trial is at least as good as in every objective and better than in one, see `TuningJob.pareto_front`."""

    def errors(trial: Trial) -> tuple[float, ...]:
        values = [trial.objectives.get(one.metric, trial.value) for one in objectives]
        return tuple(-value if one.larger_is_better else value for one, value in zip(objectives, values, strict=True))

    found: list[tuple[tuple[float, ...], Trial]] = []
    for own, trial in sorted(((errors(trial), trial) for trial in trials), key=lambda pair: (pair[0], pair[1].number)):
        # Whoever is better came before, by the first objective that differs.
        if not any(all(other <= mine for other, mine in zip(known, own, strict=True)) for known, _ in found):
            found.append((own, trial))
    return [trial for _, trial in found]

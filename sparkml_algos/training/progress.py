"""Where a training stands, when it has gained enough, and in which state it was best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from sparkml_algos.arrays.artifact import Artifact


@dataclass(frozen=True)
class Progress:
    """Where the training stands.

    Attributes
    ----------
    epoch, step : int
        Counted from 0.
    total_steps : int or None
        Steps of all epochs; None in the first pass over a pipe, whose end is not in sight.
    elapsed : float or None
        Which share of the training is over, from 0 to 1: ``step / total_steps``, or more where early stopping is about to end it. None
        like `total_steps`.
    """

    epoch: int
    step: int
    total_steps: int | None
    elapsed: float | None = None


@dataclass(frozen=True)
class EpochResult:
    """What a learner has to say of its state at the end of an epoch; the same on every worker.

    Attributes
    ----------
    metrics : dict of str to float
        For the history.
    watched : float
        The figure that early stopping watches and that the best state is chosen by.
    loss : float
        The smaller, the better of two states that are equal in that figure.
    """

    metrics: dict[str, float]
    watched: float
    loss: float = 0.0


@dataclass
class EarlyStopping:
    """Ends a training that no longer gains.

    Parameters
    ----------
    patience : int
        Epochs in a row without a gain after which it ends.
    tolerance : float
        A gain counts from this share of the best value so far on.
    larger_is_better : bool
    adds_up : bool
        Whether gains that are too small to count add up until they do. The training then ends where it has gained less than the tolerance
        over as many epochs as it is patient; else where it has in each of them.

    Attributes
    ----------
    best : float or None
        The value that gains are measured against.
    waited : int
        Epochs since the last gain.
    """

    patience: int
    tolerance: float = 0.0
    larger_is_better: bool = False
    adds_up: bool = False
    best: float | None = field(default=None)
    waited: int = 0

    @property
    def is_over(self) -> bool:
        return self.waited >= self.patience

    def watch(self, value: float) -> None:
        """Take note of the value after another epoch."""
        if self.best is None or not np.isfinite(self.best):
            self.best = value
            return
        gain = (value - self.best) * (1 if self.larger_is_better else -1)
        enough = gain > 0 and gain >= self.tolerance * abs(self.best)
        self.waited = 0 if enough else self.waited + 1
        self.best = value if enough or gain > 0 and not self.adds_up else self.best

    def end_in_sight(self, step: int, steps_per_epoch: int, total: int, least_epochs: int = 0) -> int:
        """The step at which the training will end: with the last epoch or, once half the patience is used up, with the rest of it, if no
        more epochs than that are still to be made in any case. A learning rate that falls until then makes the best of the epochs that are
        left, where too large a rate is what has stopped the gains."""
        patient = self.patience - self.waited
        if 2 * self.waited < self.patience:
            return total
        return step + patient * steps_per_epoch if least_epochs <= patient else min(total, step + least_epochs * steps_per_epoch)


class Clock:
    """Which share of a training is over: 0 at its start, 1 at the end in sight, which may come nearer and move away again."""

    def __init__(self) -> None:
        self._from, self._share = 0, 0.0
        self._end: int | None = None

    def expect(self, step: int, end: int | None) -> None:
        """Let the training end at another step than it was to, from this step on."""
        if end == self._end:
            return
        share = self.elapsed(step)
        if share is None and end is not None:
            share = step / end
        self.set(step, share or 0.0)
        self._end = end

    def elapsed(self, step: int) -> float | None:
        """The share that is over at a step; None while no end is in sight."""
        if self._end is None:
            return None
        left = max(1, self._end - self._from)
        return self._share + (1 - self._share) * min(1.0, (step - self._from) / left)

    def set(self, step: int, share: float) -> None:
        """Let the share be this at a step."""
        self._from, self._share = step, share


class Best:
    """The best state of a training so far.

    Attributes
    ----------
    epoch : int
        Counted from 0; -1 before the first.
    result : EpochResult or None
        What the learner said of it.
    state : Artifact or None
        Copies of its parameters, on worker 0; None where the learner itself is still in that state, or will not move on.
    """

    def __init__(self, larger_is_better: bool) -> None:
        self._sign = -1 if larger_is_better else 1
        self.epoch = -1
        self.result: EpochResult | None = None
        self.state: Artifact | None = None

    def see(self, epoch: int, result: EpochResult, served: Callable[[], Artifact] | None) -> None:
        """Compare with the state after another epoch; `served` gives its parameters if they are to be kept. A later state wins a tie."""
        if self.result is not None and self._rank(self.result) < self._rank(result):
            return
        self.epoch, self.result, self.state = epoch, result, None
        if served is not None:
            self.keep(served)

    def keep(self, served: Callable[[], Artifact]) -> None:
        """Copy the parameters, for the learner moves on."""
        found = served()
        self.state = Artifact({name: array.copy() for name, array in found.arrays.items()}, dict(found.values))

    def to_values(self) -> dict[str, Any]:
        """All but the state, as JSON can hold it."""
        return {"epoch": self.epoch, **asdict(self.result)}

    def restore(self, values: dict[str, Any], state: Artifact | None) -> None:
        """Take back what `to_values` gave, and the state."""
        values = dict(values)
        self.epoch, self.result, self.state = values.pop("epoch"), EpochResult(**values), state

    def _rank(self, result: EpochResult) -> tuple[float, float]:
        """The smaller, the better."""
        return tuple(np.inf if np.isnan(number) else number for number in (self._sign * result.watched, result.loss))

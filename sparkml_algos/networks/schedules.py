"""Schedules of the learning rate, by what the specifications call them; each is a `networks.optimizers.Schedule`.

They depend on where the training stands alone, so a training that is resumed goes on with the rate that it would have had; but for
`PlateauReduce`, which reacts to what the training gains, and whose state belongs into checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparkml_algos.training.progress import Progress


@dataclass(frozen=True)
class AtEpochs:
    """``step``: the rate is multiplied by a factor after each of some epochs.

    Parameters
    ----------
    epochs : sequence of int
        Counted from 1.
    factor : float
    """

    epochs: Sequence[int]
    factor: float

    def __call__(self, rate: float, progress: Progress) -> float:
        return rate * self.factor ** sum(progress.epoch >= epoch for epoch in self.epochs)


@dataclass(frozen=True)
class Polynomial:
    """``poly``: rate · (1 − share of the training that is over) ^ power. While the end is not in sight the rate stays where it is.

    Parameters
    ----------
    power : float
        0.9 in W. Liu, A. Rabinovich, A. Berg, "ParseNet", 2015, as in most work on segmentation since.
    """

    power: float = 0.9

    def __call__(self, rate: float, progress: Progress) -> float:
        return rate * (1 - _elapsed(progress)) ** self.power


@dataclass(frozen=True)
class Cosine:
    """``cosine``: from the rate to 0 along half a wave (I. Loshchilov, F. Hutter, "SGDR", ICLR 2017)."""

    def __call__(self, rate: float, progress: Progress) -> float:
        return rate * (1 + math.cos(math.pi * _elapsed(progress))) / 2


@dataclass(frozen=True)
class Inverse:
    """``fixed_rate_inv_t`` and ``fixed_rate_inv_sqrt_t``: rate / (1 + r·step), or its root, r being what halves the rate in time.

    Parameters
    ----------
    half_life : int
        Steps after which the rate is half of what it was.
    root : bool
    """

    half_life: int
    root: bool = False

    def __call__(self, rate: float, progress: Progress) -> float:
        grown = 3 if self.root else 1
        divisor = 1 + grown * progress.step / self.half_life
        return rate / (math.sqrt(divisor) if self.root else divisor)


class PlateauReduce:
    """``plateau_reduce``: the rate is multiplied by a factor whenever a figure has not gained for some time.

    Parameters
    ----------
    factor : float
    patience : int
        Figures in a row without a gain, over the best so far, after which that is done; they are then counted anew.
    larger_is_better : bool
    """

    def __init__(self, factor: float, patience: int, larger_is_better: bool = False) -> None:
        self._factor, self._patience, self._sign = factor, patience, 1 if larger_is_better else -1
        self._best: float | None = None
        self._waited = self._cuts = 0

    def __call__(self, rate: float, progress: Progress) -> float:
        return rate * self._factor**self._cuts

    def watch(self, figure: float) -> None:
        """Take note of the figure as it now is."""
        if self._best is None or self._sign * (figure - self._best) > 0:
            self._best, self._waited = figure, 0
            return
        self._waited += 1
        if self._waited >= self._patience:
            self._waited, self._cuts = 0, self._cuts + 1

    def state(self) -> dict[str, float | None]:
        """What a training that goes on later must be given back."""
        return {"best": self._best, "waited": self._waited, "cuts": self._cuts}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        self._best, self._waited, self._cuts = state["best"], state["waited"], state["cuts"]


def _elapsed(progress: Progress) -> float:
    """The share of the training that is over; 0 while no end is in sight."""
    return min(1.0, progress.elapsed or 0.0)

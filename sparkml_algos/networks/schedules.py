"""Schedules of the learning rate, by what the specifications call them; each is a `networks.optimizers.Schedule`.

They depend on where the training stands alone, so a training that is resumed goes on with the rate that it would have had. One that reacts
to what the training gains (``plateau_reduce``) is not among them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class WarmUp:
    """The rate grows evenly over the first steps, as large mini-batches want it (P. Goyal et al., 2017), and then follows another schedule.

    Parameters
    ----------
    steps : int
    then : callable, optional
        The schedule that it is multiplied with; a rate that stays the same by default.
    """

    steps: int
    then: Polynomial | Cosine | AtEpochs | Inverse | None = None

    def __call__(self, rate: float, progress: Progress) -> float:
        rate = rate if self.then is None else self.then(rate, progress)
        return rate * min(1.0, (progress.step + 1) / max(1, self.steps))


def _elapsed(progress: Progress) -> float:
    """The share of the training that is over; 0 while no end is in sight."""
    return min(1.0, progress.elapsed or 0.0)

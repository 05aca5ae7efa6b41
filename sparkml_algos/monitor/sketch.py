"""Quantiles of a stream in bounded memory: a sketch.

Z. Karnin, K. Lang, E. Liberty, "Optimal quantile approximation in streams", FOCS 2016.

Values stand on levels; one of level h counts 2ʰ. A level that is too full is sorted, and every other value of it moves up. Parameters are
those of the service's statistics: 2,048 values on the top level, 0.64 times as many on each level below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

K, SHRINKING = 2048, 0.64
_FEWEST = 8  # values of the lowest levels
# Values that wait to be sorted together.
_WAITING = 32_768


class Kll:
    """A sketch of numbers; sketches of parts of a stream merge into one of the whole.

    Parameters
    ----------
    k : int
        Capacity of the top level.
    shrinking : float
        Capacity of a level as a part of that of the level above.
    seed : int
        Which of two neighbours moves up is drawn; the same seed, the same sketch.

    Attributes
    ----------
    levels : list of ndarray of float64
        Values by level, the lowest first.
    count : int
        Values that were added.
    """

    def __init__(self, k: int = K, shrinking: float = SHRINKING, seed: int = 0) -> None:
        if k < _FEWEST or not 0.5 < shrinking < 1:
            raise ValueError(f"k is {_FEWEST} or more and shrinking between 0.5 and 1, not {k} and {shrinking}")
        self.k, self.shrinking = k, shrinking
        self.levels: list[np.ndarray] = [np.empty(0)]
        self.count = 0
        self._waiting: list[np.ndarray] = []
        self._waits = 0
        self._random = np.random.default_rng(seed)

    def update(self, values: np.ndarray) -> None:
        """Add values.

        Parameters
        ----------
        values : ndarray of shape (values,)
            Finite.
        """
        if not len(values):
            return
        self.count += len(values)
        self._waiting.append(np.array(values, np.float64))
        self._waits += len(values)
        if self._waits >= _WAITING:
            self._settle()

    def merge(self, other: Kll) -> None:
        """Add what another sketch of the same parameters has seen.

        Raises
        ------
        ValueError
            If the parameters differ.
        """
        if (other.k, other.shrinking) != (self.k, self.shrinking):
            raise ValueError(f"sketches of k {self.k} and {other.k}, shrinking {self.shrinking} and {other.shrinking} do not merge")
        self._settle()
        other._settle()
        while len(self.levels) < len(other.levels):
            self.levels.append(np.empty(0))
        for height, level in enumerate(other.levels):
            self.levels[height] = np.concatenate([self.levels[height], level])
        self.count += other.count
        self._compress()

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """The values that are kept, in order, and how many rows each stands for.

        Returns
        -------
        (ndarray of float64, ndarray of float64)
            Shape (kept,); the second adds up to `count`.
        """
        self._settle()
        values = np.concatenate(self.levels)
        weights = np.repeat([2.0**height for height in range(len(self.levels))], [len(level) for level in self.levels])
        order = np.argsort(values, kind="stable")
        return values[order], weights[order]

    def cdf(self, at: np.ndarray) -> np.ndarray:
        """Share of values that are no more than each of these.

        Parameters
        ----------
        at : ndarray of shape (points,)

        Returns
        -------
        ndarray of float64, shape (points,)
        """
        values, weights = self.points()
        total = np.concatenate([[0.0], np.cumsum(weights)])
        return total[np.searchsorted(values, at, side="right")] / max(1.0, total[-1])

    def quantile(self, at: np.ndarray) -> np.ndarray:
        """The smallest kept values that these shares of the stream are no more than.

        Parameters
        ----------
        at : ndarray of shape (points,)
            Between 0 and 1.

        Returns
        -------
        ndarray of float64, shape (points,)
            NaN where nothing was added.
        """
        values, weights = self.points()
        if not len(values):
            return np.full(np.shape(at), np.nan)
        total = np.cumsum(weights)
        return values[np.minimum(np.searchsorted(total, np.asarray(at) * total[-1]), len(values) - 1)]

    def data(self) -> list[list[float]]:
        """The values by level, as the service's statistics have them."""
        self._settle()
        return [level.tolist() for level in self.levels]

    @classmethod
    def from_data(cls, data: Sequence[Sequence[float] | np.ndarray], k: int = K, shrinking: float = SHRINKING, seed: int = 0) -> Kll:
        """A sketch of the values by level that statistics have."""
        sketch = cls(k, shrinking, seed)
        sketch.levels = [np.asarray(level, np.float64) for level in data] or [np.empty(0)]
        sketch.count = sum(len(level) << height for height, level in enumerate(sketch.levels))
        return sketch

    def error(self) -> float:
        """Bound of the error of a share, which it keeps in 99 of 100 cases; fitted by the authors of Apache DataSketches."""
        return 2.296 / self.k**0.9723

    def _settle(self) -> None:
        if self._waiting:
            self.levels[0] = np.concatenate([self.levels[0], *self._waiting])
            self._waiting, self._waits = [], 0
            self._compress()

    def _capacity(self, height: int) -> int:
        return max(_FEWEST, math.ceil(self.k * self.shrinking ** (len(self.levels) - 1 - height)))

    def _compress(self) -> None:
        height = 0
        while height < len(self.levels):
            level = self.levels[height]
            if len(level) > self._capacity(height):
                if height + 1 == len(self.levels):
                    self.levels.append(np.empty(0))
                level = np.sort(level)
                odd = len(level) % 2
                self.levels[height] = level[:odd]
                moved = level[odd + int(self._random.integers(2)) :: 2]
                self.levels[height + 1] = np.concatenate([self.levels[height + 1], moved])
            height += 1

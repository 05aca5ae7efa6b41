"""A detector of change in a stream of numbers: a window that grows while the mean stays what it is, and is cut when it does not.

A. Bifet, R. Gavaldà, "Learning from time-changing data with adaptive windowing", SIAM Data Mining 2007 (ADWIN2).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np


class Adwin:
    """Adaptive windowing: says when the mean of a stream has changed.

    Parameters
    ----------
    delta : float
        How likely a false alarm may be, of a check; the smaller, the later a change is seen.
    low, high : float
        Bounds of the values, such as 0 and 1 of whether a prediction was wrong; what is beyond counts as the bound.
    clock : int
        Values between two checks.
    most_buckets : int
        Buckets of each size that the window is kept in; more of them, finer cuts.
    least : int
        Values that either part must have to be compared.

    Raises
    ------
    ValueError
        If a setting is not what it may be.

    Notes
    -----
    The window is kept as buckets of 1, 2, 4, … values, O(log width) of them. It is cut between two buckets where the means of both parts
    are apart by more than ``√(2/m · σ² · ln(2/δ')) + 2/(3m) · ln(2/δ')``, m being the harmonic mean of half their sizes, 1/(1/n₀ + 1/n₁),
    σ² the variance of the window, and ``δ' = delta / ln(width)`` of the paper's ADWIN2.

    Examples
    --------
    >>> detector = Adwin()
    >>> detector.update([0.0, 1.0] * 400)
    []
    >>> [800 <= place < 1000 for place in detector.update([1.0] * 200)[:1]]
    [True]
    """

    def __init__(
        self, delta: float = 0.002, low: float = 0.0, high: float = 1.0, clock: int = 32, most_buckets: int = 5, least: int = 5
    ) -> None:
        if not 0 < delta < 1:
            raise ValueError(f"delta is between 0 and 1, not {delta!r}")
        if not high > low:
            raise ValueError(f"high must be above low, got {low!r} and {high!r}")
        for name, value in (("clock", clock), ("most_buckets", most_buckets), ("least", least)):
            if not (isinstance(value, int) and value >= 1):
                raise ValueError(f"{name} is a whole number of 1 or more, not {value!r}")
        self.delta, self.low, self.high = delta, low, high
        self.clock, self.most_buckets, self.least = clock, most_buckets, least
        self.seen, self.width = 0, 0
        # By size, each list from the oldest to the youngest: sums and sums of squared distances from the bucket's mean.
        self._rows: list[list[tuple[float, float]]] = [[]]
        self._sum = self._squares = 0.0

    @property
    def mean(self) -> float:
        """Mean of the values in the window, NaN of none."""
        return self.low + (self.high - self.low) * self._sum / self.width if self.width else math.nan

    @property
    def deviation(self) -> float:
        """Their standard deviation."""
        return (self.high - self.low) * math.sqrt(max(0.0, self._squares) / self.width) if self.width else math.nan

    def update(self, values: Iterable[float]) -> list[int]:
        """Take further values.

        Parameters
        ----------
        values : iterable of float
            NaN is left out.

        Returns
        -------
        list of int
            Places in the whole stream, from 0, of the values after which the window was cut.
        """
        array = np.asarray(list(values), np.float64)
        if array.ndim != 1:
            raise ValueError(f"values are numbers one after the other, not an array of shape {array.shape}")
        found = []
        for value in np.clip((array[~np.isnan(array)] - self.low) / (self.high - self.low), 0, 1).tolist():
            self._add(value)
            self.seen += 1
            if self.seen % self.clock == 0 and self.width >= 2 * self.least and self._cut():
                found.append(self.seen - 1)
        return found

    def _add(self, value: float) -> None:
        if self.width:
            self._squares += (value - self._sum / self.width) ** 2 * self.width / (self.width + 1)
        self._sum, self.width = self._sum + value, self.width + 1
        self._rows[0].append((value, 0.0))
        for height, row in enumerate(self._rows):
            if len(row) <= self.most_buckets:
                break
            (first, first_squares), (second, second_squares) = row[:2]
            del row[:2]
            if height + 1 == len(self._rows):
                self._rows.append([])
            apart = (first - second) ** 2 / (2 * 2**height)  # of two means of so many values each
            self._rows[height + 1].append((first + second, first_squares + second_squares + apart))

    def _cut(self) -> bool:
        """Leave out the oldest buckets while two parts differ; whether any was."""
        cut = False
        while self.width >= 2 * self.least and self._differs():
            height = len(self._rows) - 1
            total, squares = self._rows[height].pop(0)
            size = 2**height
            while len(self._rows) > 1 and not self._rows[-1]:
                self._rows.pop()
            left = self.width - size
            apart = total / size - (self._sum - total) / left
            self._squares -= squares + apart**2 * size * left / self.width
            self._sum, self.width = self._sum - total, left
            cut = True
        return cut

    def _differs(self) -> bool:
        sizes = np.repeat([2**height for height in range(len(self._rows))][::-1], [len(row) for row in self._rows][::-1])
        sums = np.array([total for row in self._rows[::-1] for total, _ in row])
        n0, s0 = np.cumsum(sizes)[:-1], np.cumsum(sums)[:-1]
        n1, s1 = self.width - n0, self._sum - s0
        there = (n0 >= self.least) & (n1 >= self.least)
        if not there.any():
            return False
        n0, n1, s0, s1 = n0[there], n1[there], s0[there], s1[there]
        m = 1 / (1 / n0 + 1 / n1)
        told = math.log(2 * math.log(self.width) / self.delta)
        variance = max(0.0, self._squares) / self.width
        bound = np.sqrt(2 / m * variance * told) + 2 / (3 * m) * told
        return bool((np.abs(s0 / n0 - s1 / n1) > bound).any())

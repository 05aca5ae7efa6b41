"""Windows of series: where they are cut, and what the network sees of them.

A window is so many steps of context followed by those of the horizon. An epoch has as many windows as there are horizons in all steps. A
series gets its share of them by the square root of its length, so that long ones do not drown short ones; where they are cut is random.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from sparkml_algos.algorithms.deepar.frequency import Frequency
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.columns import concat
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.shard import Shard
from sparkml_algos.rows.store import Store

# Series that are in memory as tables at a time, of a shard that is not.
_SERIES = 1024
# Numbers beside the values before a step: whether the last of them was observed.
_FLAGS = 1


@dataclass(frozen=True)
class Shape:
    """What a window is made of.

    Parameters
    ----------
    frequency : Frequency
    context, horizon : int
        Steps.
    """

    frequency: Frequency
    context: int
    horizon: int

    @property
    def reach(self) -> int:
        """The longest lag."""
        return self.frequency.lags[-1]

    def num_inputs(self, dynamic: int) -> int:
        """Numbers that the network is given of a step, with so many dynamic features."""
        return _FLAGS + len(self.frequency.lags) + self.frequency.num_calendar + dynamic


class Table:
    """Series in one piece.

    Parameters
    ----------
    batch : Batch
        ``start``, ``target`` and, where there are such, ``cat`` and ``dynamic_feat``.

    Attributes
    ----------
    lengths : ndarray of int64, shape (series,)
    """

    def __init__(self, batch: Batch) -> None:
        target: Ragged = batch.target
        self._offsets, self.lengths = target.offsets, target.lengths
        self._observed = ~np.isnan(target.values)
        self._values = _carried_forward(target.values, self._observed, target.offsets)
        self._start, self._cat, self._dynamic = batch.start, batch.cat, batch.dynamic_feat

    def __len__(self) -> int:
        return len(self.lengths)

    def windows(self, series: np.ndarray, cuts: np.ndarray, shape: Shape) -> Batch:
        """Windows as the rows of a batch.

        Parameters
        ----------
        series : ndarray of int, shape (windows,)
        cuts : ndarray of int, shape (windows,)
            The first step of the horizon of each. Steps that a series does not have are as if they were missing.
        shape : Shape

        Returns
        -------
        Batch
            ``values``, shape (windows, reach + context + horizon), in which what is missing is the last value before it, 0 before the
            first; ``observed``, shape (windows, 1 + context + horizon), which of those from one step before the context on were; ``start``
            and ``first``, the step at which the context begins; ``cat`` and ``dynamic_feat``, shape (windows, context + horizon, features),
            of series that have them.
        """
        first = cuts - shape.context
        steps = first[:, None] + np.arange(-shape.reach, shape.context + shape.horizon)
        inside = (steps >= 0) & (steps < self.lengths[series][:, None])
        places = np.where(inside, steps + self._offsets[series][:, None], 0)
        if not len(self._values):
            values, observed = np.zeros(places.shape, np.float32), np.zeros(places.shape, bool)
        else:
            values, observed = self._values[places], self._observed[places] & inside
        values[~inside] = 0
        dynamic = None
        if self._dynamic is not None:
            there, of = steps[:, shape.reach :], self._dynamic
            found = (there >= 0) & (there < of.lengths[series][:, None])
            dynamic = of.values[np.where(found, there + of.offsets[series][:, None], 0)] * found[..., None]
        return Batch(
            values=values,
            observed=observed[:, shape.reach - 1 :],
            start=self._start[series],
            first=first,
            cat=None if self._cat is None else self._cat[series],
            dynamic_feat=dynamic,
        )

    def last_windows(self, shape: Shape, beyond: bool = False) -> Batch:
        """The last window of each series that has a horizon; with `beyond` that which ends a horizon after the series, of all."""
        series = np.arange(len(self)) if beyond else np.flatnonzero(self.lengths >= shape.horizon)
        return self.windows(series, self.lengths[series] - (0 if beyond else shape.horizon), shape)


def _carried_forward(values: np.ndarray, observed: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The values, where one is missing the last before it in its series, or 0."""
    if observed.all():
        return values
    lengths = np.diff(offsets)
    last = np.maximum.accumulate(np.where(observed, np.arange(len(values)), -1))
    return np.where(last >= np.repeat(offsets[:-1], lengths), values[last], np.float32(0))


@dataclass(frozen=True)
class Inputs:
    """What the network is given of windows, rows last, and what it is to say of them.

    Attributes
    ----------
    steps : ndarray, shape (context + horizon, inputs, windows)
        Of each step: whether the value before was observed, the values at the lags in units of the scale, the calendar, dynamic features.
    scale : ndarray, shape (windows,)
        The mean absolute value observed in the context.
    target : ndarray, shape (context + horizon, windows)
    observed : ndarray of bool, shape (context + horizon, windows)
    """

    steps: np.ndarray
    scale: np.ndarray
    target: np.ndarray
    observed: np.ndarray

    @classmethod
    def of(cls, windows: Batch, shape: Shape, *, typical: float, is_scaled: bool = True, dtype: type = np.float32) -> Inputs:
        """The inputs of windows.

        Parameters
        ----------
        windows : Batch
            From `Table.windows`.
        shape : Shape
        typical : float
            The scale of series without any value that is not 0.
        is_scaled : bool
            Whether there are scales; they are 1 otherwise.
        dtype : type
        """
        frequency, reach, total = shape.frequency, shape.reach, shape.context + shape.horizon
        lags, rows = np.array(frequency.lags), len(windows)
        observed, values = windows.observed, windows.values
        scale = scales(values[:, : reach + shape.context], observed[:, 1 : 1 + shape.context], typical, is_scaled)
        # A row for each step, so that what is gathered lies together.
        by_step = np.ascontiguousarray((values / scale[:, None]).T.astype(dtype))
        steps = np.empty((total, shape.num_inputs(0 if windows.dynamic_feat is None else windows.dynamic_feat.shape[2]), rows), dtype)
        steps[:, 0] = observed[:, :total].T
        ends = _FLAGS + len(lags)
        steps[:, _FLAGS:ends] = by_step[reach + np.arange(total)[:, None] - lags]
        calendar = frequency.calendar(windows.start, windows.first[:, None] + np.arange(total))
        steps[:, ends : ends + frequency.num_calendar] = calendar.transpose(2, 0, 1)
        if windows.dynamic_feat is not None:
            steps[:, ends + frequency.num_calendar :] = windows.dynamic_feat.transpose(1, 2, 0)
        return cls(steps, scale, np.ascontiguousarray(values[:, reach:].T), np.ascontiguousarray(observed[:, 1:].T))


def scales(history: np.ndarray, observed: np.ndarray, typical: float, is_scaled: bool) -> np.ndarray:
    """The mean absolute value observed in the context; where that is 0, of what is not 0 before it; where that is nothing, what is typical.

    Parameters
    ----------
    history : ndarray, shape (windows, reach + context)
    observed : ndarray of bool, shape (windows, context)
    typical : float
    is_scaled : bool

    Returns
    -------
    ndarray of float64, shape (windows,)
    """
    if not is_scaled:
        return np.ones(len(history))
    context = history[:, history.shape[1] - observed.shape[1] :]
    means = np.abs(np.where(observed, context, 0)).sum(1, dtype=np.float64) / np.maximum(observed.sum(1), 1)
    if (means == 0).any():
        empty = means == 0
        sizes = np.abs(history[empty].astype(np.float64))
        others = sizes.sum(1) / np.maximum((sizes > 0).sum(1), 1)
        means[empty] = np.where(others > 0, others, typical)
    return means


class WindowShard:
    """The windows of a shard of series; to a job it is a shard like any other.

    Parameters
    ----------
    series : Shard
    shape : Shape
    seed : list of int
        Of this worker.
    release : bool
        Whether nothing else will ask for the series.
    """

    def __init__(self, series: Shard, shape: Shape, seed: list[int], release: bool = False) -> None:
        series.drain()
        self._series, self._shape, self._seed = series, shape, seed
        self._table: Table | None = None
        self.validation = _LastWindows(series.validation, shape)
        self.count = Count()
        for block in series.batches():
            self.count.add(block, shape)
        if not series.is_spilled:
            self._table = Table(_concat(list(series.batches()), series.empty()))
            if release:
                series.release()
        self.num_rows = 0

    def take_share(self, windows: int, weight: float) -> None:
        """Have a share of so many windows, those of all workers together, whose series weigh so much."""
        self.num_rows = round(windows * self.count.weight / weight) if self.count.weight else 0

    @property
    def marks_validation(self) -> bool:
        return self._series.marks_validation

    @property
    def digest(self) -> int:
        return self._series.digest

    def drain(self) -> None:
        """All series are there."""

    def head(self, rows: int) -> Batch:
        """No window in particular is the first."""
        return self.empty()

    def empty(self) -> Batch:
        nothing = np.empty(0, np.int64)
        return Table(self._series.empty()).windows(nothing, nothing, self._shape)

    def minibatches(self, order: int, sizes: Iterator[int]) -> Iterator[Batch]:
        """The windows of an epoch, drawn anew in each, cut into mini-batches of these sizes."""
        drawn = self._drawn(order, np.random.default_rng([*self._seed, order]))
        table, series, cuts = None, np.empty(0, np.int64), np.empty(0, np.int64)
        for size in sizes:
            parts = []
            while size > 0:
                if not len(series):
                    table, series, cuts = next(drawn, (None, series, cuts))
                    if table is None:
                        break
                parts.append(table.windows(series[:size], cuts[:size], self._shape))
                series, cuts, size = series[size:], cuts[size:], size - len(parts[-1])
            yield _concat(parts, self.empty())

    def _drawn(self, order: int, random: np.random.Generator) -> Iterator[tuple[Table, np.ndarray, np.ndarray]]:
        done, weight = 0, 0.0
        for table in self._tables(order):
            weights = weights_of(table.lengths, self._shape.horizon)
            weight += weights.sum()
            until = round(self.num_rows * min(1.0, weight / self.count.weight)) if self.count.weight else 0
            yield table, *drawn_windows(table.lengths, weights, until - done, self._shape, random)
            done = until

    def _tables(self, order: int) -> Iterator[Table]:
        if self._table is not None:
            yield self._table
            return
        for batch in self._series.minibatches(order, iter([_SERIES] * (-(-self._series.num_rows // _SERIES)))):
            yield Table(batch)


class _LastWindows:
    """The last window of each series for validation."""

    def __init__(self, series: Store, shape: Shape) -> None:
        self._series, self._shape = series, shape
        self._rows = sum(int((batch.target.lengths >= shape.horizon).sum()) for batch in series)
        for row, batch in _numbered(series):
            check_dynamic(batch, 0, shape, row)

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._series:
            yield Table(batch).last_windows(self._shape)


@dataclass
class Count:
    """What the series of a worker come to.

    Attributes
    ----------
    series, steps : int
        Those that have a horizon, and their steps.
    observed : int
        Steps of all series that are not missing.
    longest : int
        Steps of the longest series.
    weight : float
        Sum of what `weights_of` gives.
    logs : ndarray, shape (3,)
        Of the logarithms of the mean absolute value of series: their number, sum and sum of squares.
    absolute : float
        Sum of the mean absolute values of series.
    """

    series: int = 0
    steps: int = 0
    observed: int = 0
    longest: int = 0
    weight: float = 0.0
    logs: np.ndarray | None = None
    absolute: float = 0.0
    rows: int = 0

    def add(self, batch: Batch, shape: Shape) -> None:
        """Count more series.

        Raises
        ------
        InvalidRows
            If dynamic features are not as long as the target.
        """
        check_dynamic(batch, 0, shape, self.rows)
        lengths, values = batch.target.lengths, batch.target.values
        fits = lengths >= shape.horizon
        self.rows += len(lengths)
        self.series += int(fits.sum())
        self.steps += int(lengths[fits].sum())
        self.observed += int((~np.isnan(values)).sum())
        self.longest = max(self.longest, int(lengths.max(initial=0)))
        self.weight += float(weights_of(lengths, shape.horizon).sum())
        owners = np.repeat(np.arange(len(lengths)), lengths)
        there = ~np.isnan(values)
        sums = np.bincount(owners[there], np.abs(values[there].astype(np.float64)), len(lengths))
        means = sums / np.maximum(np.bincount(owners[there], minlength=len(lengths)), 1)
        means = means[means > 0]
        logs = np.log(means)
        self.logs = np.array([len(logs), logs.sum(), (logs**2).sum()]) + (0 if self.logs is None else self.logs)
        self.absolute += float(means.sum())

    def numbers(self) -> np.ndarray:
        """All but the longest, to be added up over workers, shape (8,)."""
        logs = np.zeros(3) if self.logs is None else self.logs
        return np.array([self.series, self.steps, self.observed, self.weight, self.absolute, *logs], np.float64)


def check_dynamic(batch: Batch, beyond: int, shape: Shape, row: int) -> None:
    """Refuse dynamic features that do not go on for so many steps beyond the target.

    Raises
    ------
    InvalidRows
    """
    if batch.dynamic_feat is None:
        return
    wrong = np.flatnonzero(batch.dynamic_feat.lengths != batch.target.lengths + beyond)
    if len(wrong):
        found, steps = batch.dynamic_feat.lengths[wrong[0]], batch.target.lengths[wrong[0]]
        expected = f"the target's {steps}" + (f" and {beyond} more, of the horizon" if beyond else "")
        raise InvalidRows(f"dynamic_feat has {found} steps, expected {expected}, in row {row + int(wrong[0])}")


def weights_of(lengths: np.ndarray, horizon: int) -> np.ndarray:
    """What series get of the windows: by the square root of their length, those shorter than a horizon nothing."""
    return np.where(lengths >= horizon, np.sqrt(lengths), 0.0)


def drawn_windows(
    lengths: np.ndarray, weights: np.ndarray, count: int, shape: Shape, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Windows at random, in random order: of each series as many as its weight says, give or take one.

    Returns
    -------
    (ndarray, ndarray) of int64, shape (count,)
        Series, and where they are cut. At least one step is before a cut where the series has so many.
    """
    ends = np.cumsum(weights)
    if count <= 0 or not len(ends) or not ends[-1]:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    marks = (np.arange(count) + random.random()) * (ends[-1] / count)
    series = np.minimum(np.searchsorted(ends, marks, side="right"), int(np.flatnonzero(weights)[-1]))
    series = random.permutation(series)
    latest = lengths[series] - shape.horizon
    earliest = np.minimum(1, latest)
    return series, random.integers(earliest, latest + 1)


def _numbered(batches: Iterable[Batch]) -> Iterator[tuple[int, Batch]]:
    row = 0
    for batch in batches:
        yield row, batch
        row += len(batch)


def _concat(batches: list[Batch], empty: Batch) -> Batch:
    if not batches:
        return empty
    return (
        batches[0]
        if len(batches) == 1
        else Batch(**{role: concat([batch.columns[role] for batch in batches]) for role in batches[0].columns})
    )

"""Workers that each make several steps before they bring their tables together.

An exchange after every mini-batch is exact, but costs more than the step: the features that many workers touch are spread over the whole
table. So, where the table is large, each worker makes its steps with its own part of the mini-batches, moves its own copy of the table,
and after some steps the ways that rows have gone are brought together. What a worker does meanwhile does not see what the others do:
that is the staleness, of as many mini-batches at most.

Ways cannot simply be added up: with a feature that every worker meets in every step each goes as far as one worker would alone, and k such
ways lead k times too far. Nor be averaged: a feature that one worker meets once would move k times too slowly. A step of Adam is about as
long as its learning rate whatever the gradient is; so a row is to be moved in the mean direction of its workers' steps, by as many steps
as one worker alone would have made. With n_w steps of worker w with the row, of n, and the weight of its training rows ω_w ::

    way = Σ ω_w · way_w / Σ ω_w · n_w · n · (1 − Π (1 − n_w / n))

the last factor being in how many of n mini-batches the row is touched by any worker, if these touch it independently of each other. Of a
rare feature that is the sum of the ways, of one that is in each mini-batch their mean.

Adam's memory is each worker's own meanwhile. After an epoch that is not the last all workers go on with the same, see `merge_memory`: a
training that is resumed needs no more.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from sparkml_algos.algorithms.factorization_machines.rows import Room
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.training.optimizers import put_rows

# Of the memory, rows that are compared at a time.
BLOCK = 1 << 18


class Ways:
    """How far the rows of a table, and a bias, have come since the last exchange.

    Parameters
    ----------
    bias : ndarray of float32, shape (1,)
    table : ndarray of float32, shape (rows, width)
        Equal on every worker; moved in place.
    communicator : Communicator
    compiled : bool
        Whether kernels run.
    """

    def __init__(self, bias: np.ndarray, table: np.ndarray, communicator: Communicator, compiled: bool) -> None:
        self.steps = 0
        self._bias, self._table, self._communicator, self._compiled = bias, table, communicator, compiled
        self._room = Room(-(-len(table) // communicator.size))
        self._before, self._steps_of = np.empty_like(table), np.empty(len(table), np.int32)
        self.begin()

    def begin(self) -> None:
        """Go on from what bias and table are now, where something else has changed them."""
        self._before[...], self._steps_of[...] = self._table, 0
        self._begin()

    def note(self, rows: np.ndarray, weight: float) -> None:
        """A step is to be made with some rows.

        Parameters
        ----------
        rows : ndarray of int32, shape (touched,)
            Each once.
        weight : float
            Of the training rows of the step.
        """
        self._weight += weight
        self._steps_of_bias += 1
        (_kernels().count_steps if self._compiled else _count_steps)(rows, self._steps_of)

    def exchange(self) -> None:
        """Bring the tables of all workers together; all call it, after the same number of `steps`."""
        noted = np.flatnonzero(self._steps_of).astype(np.int32)
        parts = self._sent_to_owners(noted)
        ids, places = self._places([part.ids for part in parts])
        message = self._room.array("moved", len(ids) * (1 + self._table.shape[1]), 1, np.int32).ravel()
        _, total = _rows_of(message, self._table.shape[1])
        message[: len(ids)], total[...] = ids, 0
        factors = self._together(parts, places, total)
        (_kernels().go_on if self._compiled else _go_on)(ids, self._before, total, factors)
        for theirs in self._communicator.allgather(message):
            self._put(*_rows_of(theirs, self._table.shape[1]))
        self._bias[0] = self._bias_before + _bias_way(np.array([part.header for part in parts]), self.steps)
        self._steps_of[noted] = 0
        self._begin()

    def _sent_to_owners(self, noted: np.ndarray) -> list[_Part]:
        """The ways of all workers that the rows of this one have gone."""
        size, width = self._communicator.size, self._table.shape[1]
        header = np.array([self._weight, float(self._bias[0]) - self._bias_before, self._steps_of_bias]).view(np.int32)
        lengths = len(header) + np.bincount(noted % size, minlength=size) * (2 + width)
        starts = len(header) + np.append(0, np.cumsum(lengths))
        integers = self._room.array("messages", int(starts[-1]), 1, np.int32).ravel()
        pack = _kernels().pack_ways if self._compiled else _pack_ways
        pack(noted, self._steps_of, self._before, self._table, starts, integers, integers.view(np.float32))
        messages = [integers[start : start + length] for start, length in zip(starts - len(header), lengths, strict=False)]
        for message in messages:
            message[: len(header)] = header
        return [_Part(message, width) for message in self._communicator.alltoall(messages)]

    def _put(self, rows: np.ndarray, values: np.ndarray) -> None:
        for table in (self._table, self._before):
            if self._compiled:
                from sparkml_algos.kernels import memory

                memory.put_rows(table, rows, 0, len(rows), values)
            else:
                put_rows(table, rows, values)

    def _begin(self) -> None:
        self.steps = self._steps_of_bias = 0
        self._weight, self._bias_before = 0.0, float(self._bias[0])

    def _places(self, parts: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        """The rows of all parts, each once, ascending, and where in these those of each part are."""
        together, size = np.concatenate(parts), self._communicator.size
        if not self._compiled:
            ids, places = np.unique(together, return_inverse=True)
        else:
            ids, places = np.empty(len(together), np.int32), np.empty(len(together), np.int32)
            there = np.ones(len(together), bool)
            ids = ids[: _kernels().find_columns(together // size, there, self._room.bits, self._room.ranks, ids, places)]
            ids = ids * np.int32(size) + np.int32(self._communicator.rank)
        return ids, np.split(places, np.cumsum([len(part) for part in parts])[:-1])

    def _together(self, parts: list[_Part], places: list[np.ndarray], total: np.ndarray) -> np.ndarray:
        """Add the ways of all workers, weighed, to those of the rows; what each row's is to be multiplied by."""
        weighed, missed = np.zeros(len(total), np.float32), np.ones(len(total), np.float32)
        adding = _kernels().add_ways if self._compiled else _add_ways
        largest = max(part.header[0] for part in parts) or 1.0
        for part, there in zip(parts, places, strict=True):
            adding(there, part.steps, part.ways, np.float32(part.header[0] / largest), self.steps, total, weighed, missed)
        return np.float32(self.steps) * (1 - missed) / np.maximum(weighed, np.float32(1e-30))


class _Part:
    """What a worker has sent to an owner of rows.

    Attributes
    ----------
    header : ndarray of float64, shape (3,)
        Of all its rows the weight, the way of the bias, and the steps of the bias.
    ids, steps : ndarray of int32, shape (moved,)
    ways : ndarray of float32, shape (moved, width)
    """

    def __init__(self, message: np.ndarray, width: int) -> None:
        self.header, message = message[:6].copy().view(np.float64), message[6:]
        count = len(message) // (2 + width)
        self.ids, self.steps = message[:count], message[count : 2 * count]
        self.ways = message[2 * count :].view(np.float32).reshape(count, width)


def _rows_of(message: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and rows in a message, without a copy."""
    count = len(message) // (1 + width)
    return message[:count], message[count:].view(np.float32).reshape(count, width)


def merge_memory(mean: np.ndarray, square: np.ndarray, communicator: Communicator) -> None:
    """Go on with the same memory of Adam on all workers, which all call it: the mean of the means, and of the mean squares the largest.

    A mean of gradients is a way that is still to be gone, and will be gone by each worker that meets the row: with the mean of a rare
    feature whole on k workers it would be gone k times.

    Parameters
    ----------
    mean, square : ndarrays of float32, shape (rows, ...)
        Changed in place.
    communicator : Communicator
    """
    for start in range(0, len(square), BLOCK):
        part = slice(start, start + BLOCK)
        square[part] = communicator.allreduce(square[part], "max")
        mean[part] = communicator.allreduce(mean[part]) / np.float32(communicator.size)


def _bias_way(headers: np.ndarray, steps: int) -> float:
    """How far the bias goes, by what each worker says of it: weight, way, steps."""
    weight, way, made = headers.T
    weighed = weight @ made
    return float(weight @ way / weighed * steps * (1 - np.prod(1 - made / steps))) if weighed else 0.0


def _count_steps(rows: np.ndarray, steps: np.ndarray) -> None:
    """`kernels.factorization.count_steps` with NumPy."""
    steps[rows] += 1


def _pack_ways(
    noted: np.ndarray,
    steps: np.ndarray,
    before: np.ndarray,
    table: np.ndarray,
    starts: np.ndarray,
    integers: np.ndarray,
    numbers: np.ndarray,
) -> None:
    """`kernels.factorization.pack_ways` with NumPy."""
    owners, ways = noted % (len(starts) - 1), table.take(noted, axis=0) - before.take(noted, axis=0)
    for owner, start in enumerate(starts[:-1]):
        own = np.flatnonzero(owners == owner)
        middle = start + 2 * len(own)
        integers[start:middle] = np.concatenate([noted[own], steps[noted[own]]])
        numbers[middle : middle + ways.shape[1] * len(own)] = ways[own].ravel()


def _add_ways(
    places: np.ndarray,
    steps: np.ndarray,
    ways: np.ndarray,
    weight: np.float32,
    steps_of_all: int,
    total: np.ndarray,
    weighed: np.ndarray,
    missed: np.ndarray,
) -> None:
    """`kernels.factorization.add_ways` with NumPy."""
    weighed[places] += weight * steps.astype(np.float32)
    missed[places] *= np.float32(1) - steps.astype(np.float32) / np.float32(steps_of_all)
    total[places] += weight * ways


def _go_on(rows: np.ndarray, before: np.ndarray, total: np.ndarray, factors: np.ndarray) -> None:
    """`kernels.factorization.go_on` with NumPy."""
    total *= factors[:, None]
    total += before.take(rows, axis=0)


def _kernels() -> ModuleType:
    from sparkml_algos.kernels import factorization

    return factorization

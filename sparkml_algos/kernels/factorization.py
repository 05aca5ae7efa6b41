"""The steps of a factorization machine on sparse rows: what rows touch, their scores and gradients, and Adam on the rows of a table.

A step of NumPy goes through the memory a dozen times, and sorts; here each number is met three times: its feature is noted, its row of the
table goes into the score, and the derivative comes out. See `algorithms.factorization_machines.rows` for the formulas.
"""

from __future__ import annotations

import numpy as np

from sparkml_algos.kernels.compiler import kernel
from sparkml_algos.kernels.memory import AHEAD, prefetch, put_rows, take_rows

# Products may be rounded once with the sum they go into; infinities and NaN stay what they are, for the loss must tell of them.
FREE = frozenset({"contract", "nsz"})

# Rows that are moved at a time.
BLOCK = 64


@kernel
def _ones(word: np.uint64) -> np.uint64:
    """How many bits are set, by adding up neighbours: H. Warren, "Hacker's delight", chapter 5."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


@kernel
def find_columns(
    indices: np.ndarray, data: np.ndarray, bits: np.ndarray, ranks: np.ndarray, columns: np.ndarray, places: np.ndarray
) -> int:
    """The features that are not 0 in all rows, ascending.

    Parameters
    ----------
    indices : ndarray of int32, shape (entries,)
        Feature of each entry.
    data : ndarray of float, shape (entries,)
    bits : ndarray of uint64, shape (features / 64, rounded up,)
        A bit for each feature, all 0; so they are left.
    ranks : ndarray of int32, of the shape of `bits`
        Overwritten.
    columns : ndarray of int32, shape (entries,)
        The features come to its beginning.
    places : ndarray of int32, shape (entries,)
        Where each entry's feature is in `columns`; -1 of an entry that is 0.

    Returns
    -------
    int
        How many features there are.
    """
    for entry in range(len(indices)):
        if data[entry] != 0:
            feature = indices[entry]
            bits[feature >> 6] |= np.uint64(1) << np.uint64(feature & 63)
    count = 0
    for number in range(len(bits)):
        ranks[number] = count
        if bits[number]:
            count += np.int64(_ones(bits[number]))
    for entry in range(len(indices)):
        places[entry] = -1
        if data[entry] != 0:
            feature = indices[entry]
            below = bits[feature >> 6] & ((np.uint64(1) << np.uint64(feature & 63)) - np.uint64(1))
            places[entry] = ranks[feature >> 6] + np.int32(_ones(below))
            columns[places[entry]] = feature
    for place in range(count):
        bits[columns[place] >> 6] = np.uint64(0)
    return count


@kernel(fastmath=FREE)
def add_scores(ends: np.ndarray, places: np.ndarray, data: np.ndarray, touched: np.ndarray, sums: np.ndarray, scores: np.ndarray) -> None:
    """Add what features say to the scores of rows.

    Parameters
    ----------
    ends : ndarray of int, shape (rows + 1,)
        Where the entries of each row begin, and those of the last end.
    places : ndarray of int32, shape (entries,)
        As `find_columns` gave them.
    data : ndarray, shape (entries,)
        Of the type of the arithmetic.
    touched : ndarray of float32, shape (touched, 1 + factors)
        The rows of the table of the features that there are.
    sums : ndarray, shape (rows, 1 + factors)
        Overwritten by the products of rows and table.
    scores : ndarray, shape (rows,)
        Is added to.
    """
    width = touched.shape[1]
    squares = np.empty(width, sums.dtype)
    for row in range(len(scores)):
        for d in range(width):
            sums[row, d] = squares[d] = 0
        for entry in range(ends[row], ends[row + 1]):
            place, value = places[entry], data[entry]
            if place < 0:
                continue
            for d in range(width):
                product = value * touched[place, d]
                sums[row, d] += product
                squares[d] += product * product
        pairs = scores[row] * 0
        for d in range(1, width):
            pairs += sums[row, d] * sums[row, d] - squares[d]
        scores[row] += sums[row, 0] + pairs / 2


@kernel(fastmath=FREE)
def add_gradient(
    ends: np.ndarray,
    places: np.ndarray,
    data: np.ndarray,
    touched: np.ndarray,
    sums: np.ndarray,
    slope: np.ndarray,
    gradient: np.ndarray,
) -> None:
    """Add up the derivatives by the rows of the table that some rows touch, times the slope of each of these.

    Parameters
    ----------
    ends, places, data, touched, sums
        As `add_scores` was given and has left them.
    slope : ndarray, shape (rows,)
    gradient : ndarray, shape (touched, 1 + factors)
        Is added to.
    """
    width = touched.shape[1]
    for row in range(len(slope)):
        for entry in range(ends[row], ends[row + 1]):
            place, value = places[entry], data[entry]
            if place < 0:
                continue
            pull = slope[row] * value
            gradient[place, 0] += pull
            for d in range(1, width):
                gradient[place, d] += pull * (sums[row, d] - value * touched[place, d])


@kernel(fastmath=FREE)
def move_rows(
    rows: np.ndarray,
    gradient: np.ndarray,
    table: np.ndarray,
    mean: np.ndarray,
    square: np.ndarray,
    rates: np.ndarray,
    decay: np.ndarray,
    betas: tuple[np.float32, np.float32],
    corrections: tuple[np.float32, np.float32],
    epsilon: np.float32,
) -> None:
    """A step of Adam with some rows of a table, see `training.optimizers.Adam`.

    Parameters
    ----------
    rows : ndarray of int32, shape (touched,)
    gradient : ndarray of float32, shape (touched, width)
    table, mean, square : ndarrays of float32, shape (rows, width)
        Parameters and memory, moved in place.
    rates, decay : ndarrays of float32, shape (width,)
    betas : tuple of float32
        Shares of the past in the running means.
    corrections : tuple of float32
        What a step is multiplied by, and what the root of the mean square is, for their start at 0.
    epsilon : float32
    """
    width, one = table.shape[1], np.float32(1)
    of_mean, of_square = betas
    of_step, of_root = corrections
    values, means, squares = (
        np.empty((BLOCK, width), np.float32),
        np.empty((BLOCK, width), np.float32),
        np.empty((BLOCK, width), np.float32),
    )
    rate, pull = np.empty(BLOCK * width, np.float32), np.empty(BLOCK * width, np.float32)
    for i in range(BLOCK * width):
        rate[i], pull[i] = rates[i % width], decay[i % width]
    flat, flat_means, flat_squares, slopes = values.ravel(), means.ravel(), squares.ravel(), gradient.ravel()
    for start in range(0, len(rows), BLOCK):
        stop = min(start + BLOCK, len(rows))
        take_rows(table, rows, start, stop, values)
        take_rows(mean, rows, start, stop, means)
        take_rows(square, rows, start, stop, squares)
        first = start * width
        for i in range((stop - start) * width):
            slope = slopes[first + i] + pull[i] * flat[i]
            flat_means[i] = of_mean * flat_means[i] + (one - of_mean) * slope
            flat_squares[i] = of_square * flat_squares[i] + (one - of_square) * slope * slope
            flat[i] -= rate[i] * flat_means[i] * (of_step / (np.sqrt(flat_squares[i]) * of_root + epsilon))
        put_rows(table, rows, start, stop, values)
        put_rows(mean, rows, start, stop, means)
        put_rows(square, rows, start, stop, squares)


@kernel
def count_steps(rows: np.ndarray, steps: np.ndarray) -> None:
    """Count a step of some rows.

    Parameters
    ----------
    rows : ndarray of int32, shape (touched,)
        Each once.
    steps : ndarray of int32, shape (all rows,)
        Changed in place.
    """
    lines = steps.reshape(-1, 1)
    for number in range(len(rows)):
        if number + AHEAD < len(rows):
            prefetch(lines, rows[number + AHEAD], 0)
        steps[rows[number]] += 1


@kernel
def pack_ways(
    noted: np.ndarray,
    steps: np.ndarray,
    before: np.ndarray,
    table: np.ndarray,
    starts: np.ndarray,
    integers: np.ndarray,
    numbers: np.ndarray,
) -> None:
    """Write how far rows have come into the messages to their owners; row i is that of worker i modulo the number of workers.

    Parameters
    ----------
    noted : ndarray of int32, shape (moved,)
        Which rows, ascending.
    steps : ndarray of int32, shape (rows,)
        How many each has made.
    before, table : ndarrays of float32, shape (rows, width)
        Where they were, and where they are.
    starts : ndarray of int64, shape (workers + 1,)
        Where the message to each owner has ids, steps, then ways. Between those to two owners there is room for so many of each as the
        first has rows, and for a header as long as the one before the first message.
    integers : ndarray of int32, shape (all messages,)
        Overwritten.
    numbers : ndarray of float32, shape (all messages,)
        The same memory.
    """
    width, owners, head = table.shape[1], len(starts) - 1, starts[0]
    filled = np.zeros(owners, np.int64)
    here, there = np.empty((BLOCK, width), np.float32), np.empty((BLOCK, width), np.float32)
    for start in range(0, len(noted), BLOCK):
        stop = min(start + BLOCK, len(noted))
        take_rows(table, noted, start, stop, here)
        take_rows(before, noted, start, stop, there)
        for number in range(start, stop):
            row = noted[number]
            owner = row % owners
            count, place = (starts[owner + 1] - starts[owner] - head) // (2 + width), filled[owner]
            filled[owner] += 1
            integers[starts[owner] + place] = row
            integers[starts[owner] + count + place] = steps[row]
            first = starts[owner] + 2 * count + width * place
            for d in range(width):
                numbers[first + d] = here[number - start, d] - there[number - start, d]


@kernel
def add_ways(
    places: np.ndarray,
    steps: np.ndarray,
    ways: np.ndarray,
    weight: np.float32,
    steps_of_all: int,
    total: np.ndarray,
    weighed: np.ndarray,
    missed: np.ndarray,
) -> None:
    """Add a worker's movements of rows, see `algorithms.factorization_machines.exchange`.

    Parameters
    ----------
    places : ndarray of int32, shape (moved,)
        Where each of its rows is in what is added to, ascending.
    steps : ndarray of int32, shape (moved,)
        How many it has made with each.
    ways : ndarray of float32, shape (moved, width)
    weight : float32
        What the worker weighs.
    steps_of_all : int
        Steps that there were.
    total, weighed, missed : ndarrays of float32, shape (rows, width), (rows,), (rows,)
        Sums of ways and of steps, times weights; product of the shares of the steps that have left a row alone.
    """
    for number in range(len(places)):
        place = places[number]
        weighed[place] += weight * np.float32(steps[number])
        missed[place] *= np.float32(1) - np.float32(steps[number]) / np.float32(steps_of_all)
        for d in range(ways.shape[1]):
            total[place, d] += weight * ways[number, d]


@kernel
def go_on(rows: np.ndarray, before: np.ndarray, total: np.ndarray, factors: np.ndarray) -> None:
    """Where rows get to from where they were.

    Parameters
    ----------
    rows : ndarray of int32, shape (moved,)
        Ascending.
    before : ndarray of float32, shape (all rows, width)
        Where all rows were.
    total : ndarray of float32, shape (moved, width)
        The way of each row, to be multiplied by its factor; overwritten by where the row is to be.
    factors : ndarray of float32, shape (moved,)
    """
    width = before.shape[1]
    there = np.empty((BLOCK, width), np.float32)
    for start in range(0, len(rows), BLOCK):
        stop = min(start + BLOCK, len(rows))
        take_rows(before, rows, start, stop, there)
        for number in range(start, stop):
            for d in range(width):
                total[number, d] = there[number - start, d] + factors[number] * total[number, d]

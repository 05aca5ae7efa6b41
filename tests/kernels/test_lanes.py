"""Numbers side by side are what NumPy makes of them one by one."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba", reason="numba is not installed")

from sparkml_algos.kernels.compiler import kernel
from sparkml_algos.kernels.lanes import (
    LANES,
    all_bits,
    any_equal,
    larger,
    load,
    masked_above,
    smaller,
    spread,
    store,
    store_lowest,
    where_below,
)

PLACE = 3  # lanes may begin anywhere


@kernel
def arithmetic(table: np.ndarray, found: np.ndarray, number: float) -> None:
    one, other = load(table, 0, PLACE), load(table, 1, PLACE)
    store(found, 0, PLACE, one + other)
    store(found, 1, PLACE, one - other)
    store(found, 2, PLACE, one * other)
    store(found, 3, PLACE, one / other)
    store(found, 4, PLACE, larger(one, other))
    store(found, 5, PLACE, smaller(one, other))
    store(found, 6, PLACE, spread(number))


@kernel
def sums(table: np.ndarray, found: np.ndarray) -> None:
    total = spread(0)
    for row in range(len(table)):
        total = total + load(table, row, 0)
    store(found, 0, 0, total)


@kernel
def lowest(table: np.ndarray, masks: np.ndarray, bounds: np.ndarray, found: np.ndarray) -> None:
    bits = all_bits()
    for number in range(len(masks)):
        bits = masked_above(bits, masks[number], load(table, number, 0), bounds[number])
    store_lowest(found, PLACE, bits)


@kernel
def below(table: np.ndarray, bound: float, found: np.ndarray) -> None:
    store(found, 0, 0, where_below(load(table, 0, 0), bound, load(table, 1, 0)))


@kernel
def has(table: np.ndarray, number: float) -> bool:
    return any_equal(load(table, 0, 0), number)


def numbers(rows: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, LANES + PLACE)).astype(np.float32)


def test_arithmetic_is_that_of_numpy_and_touches_nothing_else() -> None:
    table, found = numbers(2), np.zeros((7, LANES + 2 * PLACE), np.float32)
    arithmetic(table, found, 0.1)
    one, other = table[:, PLACE:]
    every = [one + other, one - other, one * other, one / other, np.maximum(one, other), np.minimum(one, other)]
    np.testing.assert_array_equal(found[:6, PLACE:-PLACE], every)
    assert (found[6, PLACE:-PLACE] == np.float32(0.1)).all()
    assert not found[:, :PLACE].any() and not found[:, -PLACE:].any()


def test_lanes_are_summed_in_a_loop() -> None:
    table, found = numbers(5), np.empty((1, LANES), np.float32)
    sums(table, found)
    np.testing.assert_array_equal(found[0], np.add.reduce(table[:, :LANES], axis=0))


def test_bits_are_masked_where_a_number_is_above_its_bound() -> None:
    table, bounds = numbers(3), np.array([-0.5, 0, 0.5], np.float32)
    table[1, :2] = 0  # at the bound, not above it
    masks = np.array([~0b1, ~0b110, -1 << 31], np.int32)
    found = np.full(LANES + 2 * PLACE, 99, np.uint8)
    lowest(table, masks, bounds, found)
    left = np.full(LANES, 0xFFFFFFFF, np.uint64)
    for values, mask, bound in zip(table[:, :LANES], masks.view(np.uint32), bounds, strict=True):
        left = np.where(values > bound, left & mask, left)
    np.testing.assert_array_equal(found[PLACE:-PLACE], [int(bits & -bits).bit_length() - 1 for bits in map(int, left)])
    assert (found[:PLACE] == 99).all() and (found[-PLACE:] == 99).all()


def test_values_are_taken_where_a_number_is_below_a_bound() -> None:
    table, found = numbers(2), np.empty((1, LANES), np.float32)
    table[0, 3] = 0.25
    below(table, 0.25, found)
    np.testing.assert_array_equal(found[0], np.where(table[0, :LANES] < 0.25, table[1, :LANES], 0))


def test_a_number_is_found_in_any_of_the_lanes_and_in_no_other() -> None:
    table = numbers(1)
    assert all(has(table, table[0, place]) for place in range(LANES))
    assert not has(table, 7.0) and not has(table, table[0, LANES])

"""Kernels of factorization machines equal what NumPy says."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

pytest.importorskip("numba", reason="numba is not installed")

from sparkml_algos.algorithms.factorization_machines import exchange
from sparkml_algos.algorithms.factorization_machines.rows import CompiledRows, Room, Rows
from sparkml_algos.algorithms.factorization_machines.steps import CompiledAdam
from sparkml_algos.kernels import factorization
from sparkml_algos.training.optimizers import Adam

FEATURES, FACTORS = 1000, 5


def some_rows(seed: int = 0) -> sp.csr_matrix:
    """With a row without values, values that are stored though they are 0, and columns that are in order only in some."""
    rows = sp.random(40, FEATURES, 0.03, format="csr", dtype=np.float32, random_state=seed)
    rows.data[::7] = 0
    rows.indices[rows.indptr[3] : rows.indptr[4]] = rows.indices[rows.indptr[3] : rows.indptr[4]][::-1].copy()
    rows.data[rows.indptr[5] : rows.indptr[6]] = 0
    return rows


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_those_of_numpy(dtype: type) -> None:
    table, room = np.random.default_rng(1).normal(size=(FEATURES, 1 + FACTORS)).astype(np.float32), Room(FEATURES)
    slope = np.random.default_rng(2).normal(size=40)
    for seed in range(3):  # one after the other in the same room
        one, other = CompiledRows(some_rows(seed), dtype, room), Rows(some_rows(seed), dtype)
        np.testing.assert_array_equal(one.columns, other.columns)
        found, expected = one.scores(0.3, one.taken_from(table)), other.scores(0.3, other.taken_from(table))
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(one.gradient(slope), other.gradient(slope.astype(dtype)), rtol=1e-4, atol=1e-5)


def test_rows_without_values_score_the_bias() -> None:
    rows = CompiledRows(sp.csr_matrix((3, FEATURES), dtype=np.float32), np.float32, Room(FEATURES))
    table = rows.taken_from(np.zeros((FEATURES, 3), np.float32))
    assert len(rows.columns) == 0 and rows.scores(2.0, table).tolist() == [2, 2, 2] and rows.gradient(np.ones(3)).shape == (0, 3)


@pytest.mark.parametrize("decay", [None, 0.1])
def test_steps_are_those_of_numpy(decay: float | None) -> None:
    random = np.random.default_rng(3)
    tables = [np.random.default_rng(4).normal(size=(FEATURES, 3)).astype(np.float32) for _ in range(2)]
    one, other = CompiledAdam([tables[0]]), Adam([tables[1]])
    rates = [np.array([0.1, 0.02, 0.02], np.float32)]
    for _ in range(5):
        rows = np.flatnonzero(random.random(FEATURES) < 0.3).astype(np.int32)
        gradient = random.normal(size=(len(rows), 3)).astype(np.float32)
        for adam in (one, other):
            adam.step([gradient.copy()], rates, rows=[rows], decay=None if decay is None else [decay])
    np.testing.assert_allclose(tables[0], tables[1], rtol=1e-4, atol=1e-5)
    for own, expected in zip(one.memory[0], other.memory[0], strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-6)


def test_steps_are_counted_as_numpy_counts_them() -> None:
    rows, found = np.flatnonzero(np.random.default_rng(5).random(50) < 0.3).astype(np.int32), []
    for count in (factorization.count_steps, exchange._count_steps):
        steps = np.arange(50, dtype=np.int32)
        count(rows, steps)
        found.append(steps)
    assert found[0].tolist() == found[1].tolist() and found[0].sum() == np.arange(50).sum() + len(rows)


def test_ways_are_packed_added_and_gone_as_numpy_does_it() -> None:
    random = np.random.default_rng(6)
    before, table = (random.normal(size=(300, 4)).astype(np.float32) for _ in range(2))
    noted, steps = np.sort(random.permutation(300)[:200]).astype(np.int32), random.integers(1, 9, 300).astype(np.int32)
    starts, found = 6 + np.append(0, np.cumsum(6 + 6 * np.bincount(noted % 3))), []
    for module, prefix in ((factorization, ""), (exchange, "_")):
        integers = np.zeros(starts[-1], np.int32)
        getattr(module, f"{prefix}pack_ways")(noted, steps, before, table, starts, integers, integers.view(np.float32))
        own = exchange._Part(integers[starts[1] - 6 : starts[2] - 6], 4)
        assert own.ids.tolist() == noted[noted % 3 == 1].tolist()
        sums = [np.zeros((100, 4), np.float32), np.zeros(100, np.float32), np.ones(100, np.float32)]
        getattr(module, f"{prefix}add_ways")(own.ids // 3, own.steps, own.ways, np.float32(0.5), 8, *sums)
        getattr(module, f"{prefix}go_on")(np.arange(1, 300, 3, dtype=np.int32), before, sums[0], 1 - sums[2])
        found.append([integers, *sums])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)

"""The number of some rows tells them from others, and nothing else."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.rows.columns import Column, combined, row_hashes

ROWS = np.random.default_rng(0).normal(size=(500, 7)).astype(np.float32)
ROWS[np.abs(ROWS) < 0.3] = 0
LABEL = np.arange(500, dtype=np.float32) % 3


def digest(*columns: Column) -> int:
    return combined([row_hashes(column) for column in columns])


def test_the_order_of_the_rows_does_not_matter():
    order = np.random.default_rng(1).permutation(500)
    assert digest(ROWS, LABEL) == digest(ROWS[order], LABEL[order])


def test_parts_add_up_however_rows_are_spread():
    assert digest(ROWS, LABEL) == (digest(ROWS[:100], LABEL[:100]) + digest(ROWS[100:], LABEL[100:])) % 2**64


def test_sparse_rows_have_the_number_of_dense_ones():
    assert digest(ROWS, LABEL) == digest(sp.csr_matrix(ROWS), LABEL)


@pytest.mark.parametrize("change", ["a value", "labels of other rows", "columns", "a row"])
def test_other_rows_have_another_number(change):
    rows, label = ROWS.copy(), LABEL.copy()
    if change == "a value":
        rows[7, 3] += 1
    elif change == "labels of other rows":
        label = np.roll(label, 1)
    elif change == "columns":
        rows = rows[:, ::-1]
    else:
        rows, label = rows[1:], label[1:]
    assert digest(rows, label) != digest(ROWS, LABEL)


def test_words_in_another_order_or_list_are_other_words():
    def ragged(*rows: list[str]) -> Ragged:
        return Ragged(pa.array([word for row in rows for word in row]), np.cumsum([0, *map(len, rows)]))

    numbers = {digest(ragged(*rows)) for rows in ((["a", "b"], ["c"]), (["b", "a"], ["c"]), (["a"], ["b", "c"]), (["a", "b", "c"], []))}
    assert len(numbers) == 4

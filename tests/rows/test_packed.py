"""Packed vectors against what was packed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.packed import unpack
from tests.decoding import decoder_of

DENSE = [[1.5, 0.0, -2.0], [0.0, 4.0, 1e-3]]
SPARSE = [{0: 7.0, 2: -1.0}, {}, {1: 3.0}]


def pack(row: list[float] | dict[int, float] | None, size: int = 3) -> bytes | None:
    """A row in the layout that is documented, written a field at a time."""
    if row is None:
        return None
    if isinstance(row, list):
        return np.array([len(row), -1], "<i4").tobytes() + np.array(row, "<f4").tobytes()
    return np.array([size, len(row), *row], "<i4").tobytes() + np.array(list(row.values()), "<f4").tobytes()


def lists(rows: list) -> list:
    return [None if row is None else np.float32(row if isinstance(row, list) else list(row.values())).tolist() for row in rows]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()], ids=str)
@pytest.mark.parametrize(
    "rows",
    [DENSE, SPARSE, [*DENSE, *SPARSE], [SPARSE[0], DENSE[0], None, SPARSE[1]], [DENSE[0], None], [None], [], [[1.0], [2.0, 3.0]]],
    ids=["dense", "sparse", "mixed", "null among mixed", "null among dense", "only null", "none", "ragged"],
)
def test_rows_come_back(rows: list, kind: pa.DataType) -> None:
    around = pa.array([pack([9.0] * 3), *map(pack, rows), pack({1: 9.0})], kind)
    values, indices, size = unpack(around.slice(1, len(rows)))
    assert values.to_pylist() == lists(rows)
    assert indices.to_pylist() == [list(row) if isinstance(row, dict) else None for row in rows]
    assert size.to_pylist() == [3 if isinstance(row, dict) else None for row in rows]


def decoded(rows: list) -> np.ndarray:
    label = pa.array([0.0] * len(rows), pa.float32())
    batch = pa.RecordBatch.from_pydict({"features:packed": pa.array(map(pack, rows), pa.binary()), "label": label})
    features = decoder_of(["f"], label="y")(batch).features
    return features if isinstance(features, np.ndarray) else features.toarray()


def test_a_decoder_reads_them() -> None:
    expected = [DENSE[0], [7, 0, -1], [0, 0, 0], DENSE[1]]
    np.testing.assert_array_equal(decoded([DENSE[0], SPARSE[0], SPARSE[1], DENSE[1]]), np.float32(expected))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([DENSE[0], None], "features column 'f' is null in row 1"),
        ([DENSE[0], [1.0, float("nan"), 2.0]], "features column 'f', element 1, is nan as a 32-bit float in row 1"),
        ([SPARSE[0], {2: float("inf")}], "features column 'f', element 2, is inf as a 32-bit float in row 1"),
        ([DENSE[0], [1.0, 2.0]], "features column 'f' has 2 values, expected 3 in row 1"),
    ],
)
def test_a_decoder_names_what_is_wrong_with_them(rows: list, message: str) -> None:
    with pytest.raises(InvalidRows, match=message):
        decoded(rows)

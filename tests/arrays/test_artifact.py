"""Arrays and values come back from the rows of an artifact."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from sparkml_algos.arrays.artifact import ARROW_SCHEMA, CHUNK_BYTES, Artifact

ARRAYS = {
    "float32": np.arange(6, dtype=np.float32).reshape(2, 3),
    "float64": np.array([np.nan, np.inf, -0.0, 1e-300]),
    "int64": np.array([-(2**63), 2**63 - 1]),
    "uint8": np.arange(256, dtype=np.uint8),
    "bool": np.array([[True], [False]]),
    "float16": np.ones(3, np.float16),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "strided": np.arange(10)[::3],
    "scalar": np.array(2.5),
    "no rows": np.zeros((0, 3), np.float32),
    "no columns": np.zeros((2, 0), np.int32),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS.keys())
def test_an_array_comes_back_with_its_dtype_and_shape(array):
    restored = Artifact.from_table(Artifact({"a": array}).to_table()).arrays["a"]
    assert (restored.dtype, restored.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(restored, array)


def test_values_come_back_as_json_knows_them():
    values = {"text": "ä", "number": 0.1, "none": None, "list": [1, {"nested": True}]}
    assert Artifact.from_table(Artifact(values=values).to_table()).values == values


def test_an_empty_artifact_comes_back_empty():
    assert Artifact.from_table(Artifact().to_table()) == Artifact()


def test_arrays_and_values_of_one_artifact_do_not_mix():
    artifact = Artifact({"a": np.zeros(2), "b": np.ones(3, np.int32)}, {"a": 1})
    restored = Artifact.from_table(artifact.to_table())
    assert {name: array.tolist() for name, array in restored.arrays.items()} == {"a": [0, 0], "b": [1, 1, 1]}
    assert restored.values == {"a": 1}


def test_no_row_carries_more_than_a_chunk():
    large = np.random.default_rng(0).random(CHUNK_BYTES // 8 * 2 + 5)
    assert [len(row["data"]) for row in Artifact({"a": large}).rows() if row["name"] == "a"] == [CHUNK_BYTES, CHUNK_BYTES, 40]


def test_rows_in_any_order_give_the_same_array():
    large = np.random.default_rng(0).random(CHUNK_BYTES // 8 * 2 + 5)
    np.testing.assert_array_equal(Artifact.from_rows(list(Artifact({"a": large}).rows())[::-1]).arrays["a"], large)


def test_a_missing_part_is_named():
    rows = list(Artifact({"centers": np.zeros(CHUNK_BYTES // 8 * 2)}).rows())
    with pytest.raises(ValueError, match=r"'centers' is incomplete: parts \[1\]"):
        Artifact.from_rows([row for row in rows if (row["name"], row["part"]) != ("centers", 0)])


def test_a_big_endian_array_is_stored_little_endian():
    row = next(row for row in Artifact({"a": np.array([1, 2], ">i4")}).rows() if row["name"] == "a")
    assert (row["dtype"], row["data"]) == ("<i4", b"\1\0\0\0\2\0\0\0")


def test_the_table_has_the_declared_schema_and_opens_with_parquet_alone(tmp_path):
    pq.write_table(Artifact({"a": np.array([[1.5, 2.5]])}).to_table(), tmp_path / "artifact.parquet")
    table = pq.read_table(tmp_path / "artifact.parquet")
    assert table.schema.equals(ARROW_SCHEMA)
    row = next(row for row in table.to_pylist() if row["name"] == "a")
    assert np.frombuffer(row["data"], row["dtype"]).reshape(row["shape"]).tolist() == [[1.5, 2.5]]


def test_several_artifacts_share_a_table():
    artifacts = {"model/0": Artifact({"a": np.arange(3)}, {"k": 1}), "report/1": Artifact(values={"rows": 7})}
    rows = [row for item, artifact in artifacts.items() for row in artifact.to_item(item).to_pylist()]
    found = Artifact.items(reversed(rows))
    assert set(found) == set(artifacts) and found["report/1"].values == {"rows": 7}
    assert found["model/0"].arrays["a"].tolist() == [0, 1, 2] and found["model/0"].values == {"k": 1}

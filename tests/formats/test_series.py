"""Series of DeepAR's formats, there and back, and what is wrong with them by name."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.formats import FormatError, series
from sparkml_algos.formats.series import Configuration, SeriesRows

LINES = b"""{"start":"2024-01-01 00:00:00","target":[3.0,"NaN",4.5,null],"cat":[0,2],"dynamic_feat":[[0,0,1,0],[1,2,3,4]]}
{"start":"2024-02-01","target":[1],"cat":[1,0],"dynamic_feat":[[5],[6]]}
"""
ROWS = SeriesRows(
    np.array(["2024-01-01", "2024-02-01"], "datetime64[us]"),
    Ragged(np.array([3, np.nan, 4.5, np.nan, 1], np.float32), np.array([0, 4, 5])),
    np.array([[0, 2], [1, 0]]),
    Ragged(np.array([[0, 1], [0, 2], [1, 3], [0, 4], [5, 6]], np.float32), np.array([0, 4, 5])),
)


def assert_same(found, expected=ROWS):
    np.testing.assert_array_equal(found.start, expected.start)
    for name in ("target", "dynamic_feat"):
        one, other = getattr(found, name), getattr(expected, name)
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.offsets, other.offsets)
    np.testing.assert_array_equal(found.cat, expected.cat)


def test_lines_are_read_and_written():
    assert_same(series.decode_lines(LINES))
    assert_same(series.decode_lines(series.encode_lines(ROWS)))
    assert b'"target":[3.0,"NaN",4.5,"NaN"]' in series.encode_lines(ROWS)


def test_parquet_is_read_and_written(tmp_path):
    series.write_parquet(ROWS, tmp_path / "rows.parquet")
    assert_same(*series.read_parquet(tmp_path / "rows.parquet"))
    table = pq.read_table(tmp_path / "rows.parquet")
    texts = table.set_column(0, "start", pa.array(["2024-01-01 00:00:00", "2024-02-01"]))
    pq.write_table(texts, tmp_path / "texts.parquet", compression="gzip")
    assert_same(*series.read_parquet(tmp_path / "texts.parquet"))


def test_a_folder_is_read_as_the_service_does(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.json.gz").write_bytes(gzip.compress(LINES))
    series.write_parquet(ROWS, tmp_path / "b.parquet")
    (tmp_path / ".hidden").write_text("no")
    (tmp_path / "_SUCCESS").touch()
    assert [len(rows) for rows in series.read_folder(tmp_path)] == [2, 2]
    (tmp_path / "c.txt").write_text("no")
    with pytest.raises(FormatError, match=r"c\.txt: expected a name that ends with"):
        list(series.read_folder(tmp_path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"target":[1],"cat":[0,0],"dynamic_feat":[[1],[1]]}', "instance 1: start is None, expected a time"),
        ('{"start":"soon","target":[1],"cat":[0,0],"dynamic_feat":[[1],[1]]}', "instance 1: start is 'soon', expected a time such as"),
        ('{"start":"2024-01-01","target":3}', "instance 1: target must be a list of numbers"),
        ('{"start":"2024-01-01","target":[1]}', "instance 1: it has no cat, where others do"),
        ('{"start":"2024-01-01","target":[1],"cat":[1]}', "instance 1: cat has 1 categories, where the first has 2"),
        ('{"start":"2024-01-01","target":[1],"cat":[1,-1]}', "instance 1: cat must be whole numbers from 0"),
        ('{"start":"2024-01-01","target":[1],"cat":[1,1e300]}', "instance 1: cat must be whole numbers from 0"),
        ('{"start":"2024-01-01","target":[1],"cat":[1,1],"dynamic_feat":[[null],[1]]}', "dynamic_feat must be lists of numbers"),
        ('{"start":"2024-01-01","target":[1],"cat":[1,1],"dynamic_feat":[[1,2],[1]]}', "series of different lengths: 2, 1"),
    ],
)
def test_what_is_wrong_with_a_line_is_named_with_its_offset(line, message):
    first = LINES.splitlines(keepends=True)[0]
    with pytest.raises(FormatError, match=message) as caught:
        series.decode_lines(first + line.encode())
    assert caught.value.offset == len(first)


def test_a_column_that_parquet_lacks_is_named(tmp_path):
    pq.write_table(pa.table({"start": ["2024-01-01"], "goal": [[1.0]]}), tmp_path / "a.parquet")
    with pytest.raises(FormatError, match="no column target; there are start, goal"):
        list(series.read_parquet(tmp_path / "a.parquet"))


def test_requests_have_a_configuration_and_responses_follow_it():
    lines = [json.loads(line) for line in LINES.splitlines()]
    asked = {"num_samples": 2, "output_types": ["quantiles", "mean", "samples"], "quantiles": ["0.1", 0.9]}
    rows, configuration = series.decode_request(json.dumps({"instances": lines, "configuration": asked}).encode())
    assert_same(rows)
    assert configuration == Configuration(2, ("quantiles", "mean", "samples"), ("0.1", "0.9")) and configuration.levels == [0.1, 0.9]
    outputs = {
        "mean": np.array([[1.5, 2.5]]),
        "quantiles": pa.array([[[1.0, 2.0], [3.0, 4.0]]]),
        "samples": pa.array([[[1.0, 2.0], [2.0, 3.0]]]),
    }
    expected = {"mean": [1.5, 2.5], "quantiles": {"0.1": [1.0, 2.0], "0.9": [3.0, 4.0]}, "samples": [[1.0, 2.0], [2.0, 3.0]]}
    assert json.loads(series.encode_response(outputs, configuration)) == {"predictions": [expected]}
    assert json.loads(series.encode_response_lines(outputs, configuration)) == expected


def test_without_a_configuration_the_service_gives_mean_and_quantiles():
    rows, configuration = series.decode_request(b'{"instances":[{"start":"2024-01-01","target":[1,2]}]}')
    assert rows.columns().keys() == {"start", "target"} and configuration == Configuration()
    assert configuration.num_samples == 100 and configuration.output_types == ("mean", "quantiles")


@pytest.mark.parametrize("given", [{"num_samples": 0}, {"output_types": ["median"]}, {"quantiles": ["1.5"]}, {"samples": 3}, [1], "{"])
def test_a_configuration_that_is_none_is_refused(given):
    with pytest.raises(FormatError, match="configuration"):
        Configuration.of(given)

"""CSV, libsvm, JSON and their content types."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from sparkml_algos.formats import Column, FormatError, RecordBatch, content_types, csv, json_instances, libsvm
from sparkml_algos.formats.lines import Rows


def f32(*values):
    return np.array(values, np.float32)


def test_content_types_ignore_case_and_blanks():
    kind = content_types.ContentType.parse("Text/CSV ;  Label_Size = 2 ; csv_weights=True")
    assert (kind.name, kind.integer("label_size", 0), kind.flag("csv_weights")) == ("text/csv", 2, True)


@pytest.mark.parametrize(
    "text",
    [
        "text", "text/csv;label_size", "text/csv;label_size=-1", "image/jpeg", "text/csv;encoding=utf-16", "text/csv;charset=utf-16",
        "text/csv;label_sise=1",
    ],
)  # fmt: skip
def test_content_types_that_mean_nothing_are_refused(text):
    with pytest.raises(FormatError, match="content type"):
        content_types.decode(b"1,2", text)


def test_label_size_comes_from_the_content_type():
    rows = content_types.decode(b"1,2,3\n4,5,6\n\n", "text/csv; label_size=1")
    assert rows.labels.tolist() == [1, 4] and rows.features.tolist() == [[2, 3], [5, 6]]
    assert content_types.decode(b"1,2,3,4", "text/csv;label_size=2").labels.tolist() == [[1, 2]]
    assert content_types.decode(b"1.5,16.0,14,23.0", "text/csv;charset=UTF-8").features.tolist() == [[1.5, 16, 14, 23]]
    assert content_types.decode(b"1 0:2", "text/libsvm;label_size=1").labels.tolist() == [1]


def test_responses_are_written_by_content_type():
    batch = RecordBatch(2, labels={"closest_cluster": Column.of(f32(5, 1))})
    data = content_types.encode(batch, "application/x-recordio-protobuf")
    assert content_types.decode(data, "application/x-recordio-protobuf").labels["closest_cluster"].values.tolist() == [[5], [1]]
    table = f32([5, 0.1], [1, -2])
    np.testing.assert_array_equal(content_types.decode(content_types.encode(table, "Text/CSV"), "text/csv").features, table)
    assert content_types.encode(f32(1.5, -2), "text/csv") == b"1.5\n-2\n"
    scores = [{"score": 0.5}, {"score": 2}]
    assert content_types.encode(scores, "application/json", algorithm="random_cut_forest") == b'{"scores":[{"score":0.5},{"score":2}]}'
    assert content_types.encode(scores, "application/jsonlines;encoding=utf-8") == b'{"score":0.5}\n{"score":2}\n'


@pytest.mark.parametrize(
    "results, kind, reason",
    [
        ([1], "text/csv", "list cannot be written"),
        (f32([1]), "application/json", "ndarray cannot be written"),
        ("1", "application/json", "str cannot be written"),
        ([1], "text/libsvm", "not one of"),
        (f32([1]), "text/csv;label_size=1", "no parameter but encoding"),
        ([float("inf")], "application/jsonlines", "cannot be written as JSON"),
    ],
)
def test_responses_that_a_content_type_cannot_hold_are_refused(results, kind, reason):
    with pytest.raises(FormatError, match=reason):
        content_types.encode(results, kind)


def test_csv_weight_is_the_column_after_the_label():
    rows = content_types.decode(b"1,0.5,3\n0,2,4", "text/csv;label_size=1;csv_weights=1")
    assert rows.labels.tolist() == [1, 0] and rows.weights.tolist() == [0.5, 2] and rows.features.tolist() == [[3], [4]]


@pytest.mark.parametrize(
    "text, reason, offset", [(b"1,2\n3,x\n", "column 2 is not a number", 4), (b"1,2\n\n3\n", "1 columns", 5), (b"1,2\n3,\n", "column 2", 4)]
)
def test_csv_faults_are_named_by_offset(text, reason, offset):
    with pytest.raises(FormatError, match=reason) as caught:
        csv.decode(text)
    assert caught.value.offset == offset


NO_ROWS = {"nothing": b"", "blank lines": b" \r\n\n", "mark": b"\xef\xbb\xbf", "gzip": gzip.compress(b"")}


@pytest.mark.parametrize("what", NO_ROWS)
def test_a_body_without_rows_has_as_many_labels_and_weights_as_rows(what):
    body = NO_ROWS[what]
    rows = content_types.decode(body, "text/csv;label_size=1;csv_weights=1")
    assert (rows.features.shape, rows.labels.shape, rows.weights.shape) == ((0, 0), (0,), (0,))
    rows = content_types.decode(body, "text/csv;label_size=2")
    assert (len(rows), rows.labels.shape, rows.weights) == (0, (0, 2), None)
    assert content_types.decode(body, "text/csv").labels is None
    rows = content_types.decode(body, "text/libsvm", label_size=1, num_features=4)
    assert (rows.features.shape, rows.labels.shape, rows.weights) == ((0, 4), (0,), None)
    assert content_types.decode(body, "text/libsvm").labels is None
    assert content_types.decode(body, "application/jsonlines").features().shape == (0, 0)
    for read in (csv.read, csv.read_strings, libsvm.read, json_instances.read_lines):
        assert list(read(io.BytesIO(body))) == []


def test_recordio_without_records_has_no_rows():
    for body in (b"", gzip.compress(b"")):
        batch = content_types.decode(body, "application/x-recordio-protobuf")
        assert (len(batch), batch.values.shape, batch.label) == (0, (0, 0), None)


def test_an_empty_body_is_no_json():
    assert content_types.decode(b'{"instances":[]}', "application/json").features().shape == (0, 0)
    with pytest.raises(FormatError, match="the body is empty; expected"):
        content_types.decode(b"", "application/json")


def test_no_results_are_an_empty_body_except_as_json():
    assert content_types.encode(RecordBatch(0), "application/x-recordio-protobuf") == b""
    assert content_types.encode(np.empty((0, 3)), "text/csv") == content_types.encode([], "application/jsonlines") == b""
    assert libsvm.encode(Rows(sp.csr_matrix((0, 3)), np.empty(0))) == b""
    assert content_types.encode([], "application/json") == b'{"predictions":[]}'


def test_csv_round_trips_and_streams_in_bounded_memory():
    rows = np.random.default_rng(0).normal(size=(20_000, 30)).astype(np.float32)
    data = gzip.compress(csv.encode(Rows(rows, rows[:, 0])), 1)
    tracemalloc.start()
    seen = 0
    for batch in csv.read(io.BytesIO(data), label_size=1, block_bytes=1 << 18):
        np.testing.assert_array_equal(batch.features, rows[seen : seen + len(batch)])
        seen += len(batch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == len(rows) and peak < 3 << 20


def test_csv_of_strings_keeps_every_cell_as_it_is():
    text = 'user_1,10.0.0.1\n007,"a,b"\nNA,\n\né,::1'.encode()
    tables = list(csv.read_strings(io.BytesIO(gzip.compress(text)), block_bytes=20))
    rows = [tuple(row.values()) for table in tables for row in table.to_pylist()]
    assert len(tables) > 1 and rows == [("user_1", "10.0.0.1"), ("007", "a,b"), ("NA", ""), ("é", "::1")]


@pytest.mark.parametrize("text", [b"a,b\nc\n", b"a,b,c\n", b"a,\xff\n"])
def test_csv_of_strings_refuses_other_rows(text):
    with pytest.raises(FormatError, match="byte 0: not 2 columns of strings"):
        list(csv.read_strings(text))


def test_batches_have_no_more_rows_than_asked():
    batches = list(csv.read(b"1,2\n3,4\n5,6\n", label_size=1, batch_rows=2))
    assert [batch.labels.tolist() for batch in batches] == [[1, 3], [5]] and batches[1].features.tolist() == [[6]]
    batches = list(libsvm.read(b"1:2 0:1\n0:3 1:2\n2:4 0:1\n", batch_rows=2))
    assert [batch.weights.tolist() for batch in batches] == [[2, 3], [4]] and batches[1].features.toarray().tolist() == [[1, 0]]


def test_an_empty_cell_is_missing_where_allowed():
    assert np.isnan(csv.decode(b"1,\n", missing=True).features[0, 1])


def test_libsvm_line_of_the_specification():
    rows = libsvm.decode(b"1:0.7 0:1.5 3:2")
    assert (
        rows.labels.tolist() == [1] and rows.weights.tolist() == f32(0.7).tolist() and rows.features.toarray().tolist() == [[1.5, 0, 0, 2]]
    )


def test_libsvm_without_labels_begins_with_the_first_feature():
    assert libsvm.decode(b"1:1.5 3:2\n2:1\n", labelled=False, index_base=1).features.toarray().tolist() == [[1.5, 0, 2], [0, 1, 0]]
    assert libsvm.decode(b"1:1.5", labelled=False).features.toarray().tolist() == [[0, 1.5]]


LIBSVM_READERS = {
    "read": lambda data, **told: next(libsvm.read(io.BytesIO(data), labelled=False, **told)),
    "decode": lambda data, **told: libsvm.decode(data, labelled=False, **told),
    "content type": lambda data, **told: content_types.decode(data, "text/libsvm", **told),
}


@pytest.mark.parametrize("reader", LIBSVM_READERS)
def test_libsvm_indices_count_from_0_unless_told_otherwise_whatever_a_body_holds(reader):
    read = LIBSVM_READERS[reader]
    for body, row in ((b"1:0.5 2:1\n", [0, 0.5, 1]), (b"0:3 1:0.5 2:1\n", [3, 0.5, 1])):
        assert read(body).features.toarray().tolist() == [row]
    told = {"index_base": 1, "num_features": 3}
    for body, row in ((b"1:0.5 2:1\n", [0.5, 1, 0]), (b"2:1 3:4\n", [0, 1, 4])):
        assert read(body, **told).features.toarray().tolist() == [row]
    with pytest.raises(FormatError, match="index 0 is not within 3 features from 1"):
        read(b"0:3 1:0.5\n", **told)
    with pytest.raises(ValueError, match="index_base must be 0 or 1, got 'auto'"):
        read(b"1:1\n", index_base="auto")


@pytest.mark.parametrize("text", [b"1 0:1 x", b"1 0:1:2", b"1 2:1 1:1", b"1 0:1\n0:1", b"a 0:1", b"1 -1:2", b"1 0:1_0"])
def test_libsvm_faults_are_refused(text):
    with pytest.raises(FormatError, match="byte"):
        libsvm.decode(text)


def test_libsvm_round_trips():
    features = sp.random(50, 40, density=0.2, format="csr", dtype=np.float32, random_state=1)
    rows = Rows(features, np.arange(50, dtype=np.float32), np.linspace(0, 1, 50, dtype=np.float32))
    for base in (0, 1):
        read = libsvm.decode(libsvm.encode(rows, index_base=base), index_base=base, num_features=40)
        assert (read.features != features).nnz == 0
        np.testing.assert_array_equal(read.labels, rows.labels)
        np.testing.assert_array_equal(read.weights, rows.weights)


FORMS = [
    {"features": [0, 16.0]},
    {"data": {"features": {"values": [0.0, 16]}}},
    {"data": {"features": {"keys": [1], "shape": [2], "values": [16.0]}}, "configuration": {"n": 1}},
]


@pytest.mark.parametrize("form", FORMS)
def test_json_forms_mean_the_same(form):
    for instances in (
        json_instances.decode(json.dumps({"instances": [form]}).encode()),
        json_instances.decode_lines(json.dumps(form).encode()),
    ):
        features = instances.features()
        dense = features if isinstance(features, np.ndarray) else features.toarray()
        assert dense.tolist() == [[0, 16]] and list(instances.configurations) == [form.get("configuration")]


def test_json_forms_may_be_mixed():
    features = json_instances.decode(json.dumps({"instances": FORMS}).encode()).features()
    assert features.toarray().tolist() == [[0, 16]] * 3


@pytest.mark.parametrize(
    "text", [b'{"instances":[{"features":[1,]}]}', b'{"instances":[NaN]}', b'{"instances":', b"[1]", b"\xff", b"[" * 100_000]
)
def test_json_that_is_not_strict_is_refused(text):
    with pytest.raises(FormatError):
        json_instances.decode(text)


@pytest.mark.parametrize("features", [[True], ["1"], {"keys": [2], "shape": [2], "values": [1]}, {"keys": [0], "values": [1]}, None])
def test_json_features_that_are_no_vector_are_refused(features):
    with pytest.raises(FormatError, match="instance 1"):
        json_instances.decode(json.dumps({"instances": [{"features": [1]}, {"features": features}]}).encode()).features()


def test_missing_values_of_a_series_are_nan():
    read = json_instances.decode_lines(b'{"start":"2024-01-01","target":[1,null,"NaN",2.5]}\n{"target":[]}\n').series()
    np.testing.assert_array_equal(read[0], f32(1, np.nan, np.nan, 2.5))
    assert read[1].shape == (0,) and read[0].dtype == np.float32


@pytest.mark.parametrize("target", [["nan"], [[1]], [True], "NaN", None])
def test_a_series_of_anything_else_is_refused(target):
    with pytest.raises(FormatError, match="byte 14: instance 1: target must be"):
        json_instances.decode_lines(b'{"target":[]}\n' + json.dumps({"target": target}).encode()).series()


def test_json_responses_have_the_list_of_the_algorithm():
    results = [{"score": 1.0}]
    assert json.loads(json_instances.encode(results, "random_cut_forest")) == {"scores": results}
    assert json.loads(json_instances.encode(results, "pca")) == {"projections": results}
    assert json.loads(json_instances.encode(results, "kmeans")) == {"predictions": results}
    assert json_instances.encode(results, "blazingtext") == b'[{"score":1.0}]'
    assert json_instances.encode_lines(results * 2) == b'{"score":1.0}\n{"score":1.0}\n'
    with pytest.raises(FormatError):
        json_instances.encode([float("nan")])

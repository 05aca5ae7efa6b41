"""The codec of RecordIO-protobuf against the specification's bytes and against protobuf's own messages."""

from __future__ import annotations

import gzip
import io
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from sparkml_algos.formats import Column, FormatError, Ragged, RecordBatch, recordio
from sparkml_algos.formats import recordio_protobuf as codec
from sparkml_algos.formats.messages import Record

DENSE = bytes.fromhex(
    "0a23d7ce 2c000000 0a16 0a06 76616c756573 120c 120a 0a08 0000803f 00000040 1212 0a06 76616c756573 1208 1206 0a04 0000803f"
)
SPARSE = bytes.fromhex("0a23d7ce 1f000000 0a1d 0a06 76616c756573 1213 1211 0a08 0000803f 00000040 1202 0103 1a01 04 00")
INT32 = bytes.fromhex("0a23d7ce 13000000 0a11 0a06 736f75726365 1207 3a05 0a03 04ac02 00")


def f32(*values):
    return np.array(values, np.float32)


def framed(*messages):
    return b"".join(recordio.frame(message.SerializeToString(deterministic=True)) for message in messages)


def dense_message(values, label=None):
    message = Record()
    message.features["values"].float32_tensor.values.extend(values)
    if label is not None:
        message.label["values"].float32_tensor.values.extend(label)
    return message


def sparse_message(values, keys, shape):
    message = dense_message(values)
    message.features["values"].float32_tensor.keys.extend(keys)
    message.features["values"].float32_tensor.shape.extend(shape)
    return message


def test_dense_bytes_of_the_specification():
    batch = RecordBatch.of(f32([1, 2]), f32(1))
    assert codec.encode(batch) == DENSE
    read = codec.decode(DENSE)
    assert read.values.tolist() == [[1, 2]] and read.label.tolist() == [1] and read.values.dtype == np.float32


def test_sparse_bytes_of_the_specification():
    assert codec.encode(RecordBatch.of(sp.csr_matrix(f32([0, 1, 0, 2])))) == SPARSE
    batch = codec.decode(SPARSE)
    assert batch.values.toarray().tolist() == [[0, 1, 0, 2]] and batch.label is None


def test_int32_bytes_of_the_specification():
    assert codec.encode(RecordBatch(1, {"source": Column.of(np.array([[4, 300]], np.int32))})) == INT32
    read = codec.decode(INT32).features["source"].values
    assert read.tolist() == [[4, 300]] and read.dtype == np.int32


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("form", ["dense", "sparse", "matrix", "ragged"])
def test_bytes_are_those_of_protobuf_and_read_back_the_same(dtype, form):
    random = np.random.default_rng(3)
    for rows in (1, 2, 57):
        shape = (3, 70) if form == "matrix" else (210,)
        values = (random.normal(size=(rows, *shape)) * 1000).astype(dtype)
        if form == "sparse":
            values = sp.csr_matrix(np.where(random.random((rows, 210)) < 0.3, values, 0).astype(dtype))
        if form == "ragged":
            values = Ragged(values.reshape(-1), np.sort(random.integers(0, 210 * rows, rows + 1)) * 0 + np.arange(rows + 1) ** 2)
            values = Ragged(values.values[: rows**2], values.offsets)
        labels = random.normal(size=rows).astype(np.float32)
        data = codec.encode(RecordBatch.of(values, labels))
        frames, _ = recordio.scan(data)
        for row in range(rows):
            payload = frames.payload(row)
            message = Record.FromString(payload)
            assert message.SerializeToString() == payload
            tensor = getattr(message.features["values"], message.features["values"].WhichOneof("value"))
            if form == "sparse":
                assert list(tensor.keys) == values[row].indices.tolist() and list(tensor.values) == values[row].data.tolist()
            else:
                assert list(tensor.values) == np.asarray(values[row]).reshape(-1).tolist()
        read = codec.decode(data)
        np.testing.assert_array_equal(read.label, labels)
        if form == "sparse":
            assert (read.values != values).nnz == 0 and read.values.dtype == dtype
        elif form == "ragged" and rows > 1:
            np.testing.assert_array_equal(read.values.values, values.values)
            np.testing.assert_array_equal(read.values.offsets, values.offsets)
        elif form != "ragged":
            np.testing.assert_array_equal(read.values, values)


def test_fast_and_slow_way_agree_on_mixed_layouts(monkeypatch):
    random = np.random.default_rng(5)
    messages = []
    for row in range(300):
        keys = random.permutation(400)[: random.integers(0, 40)]
        message = dense_message(random.normal(size=400)) if row % 7 == 0 else sparse_message(random.normal(size=len(keys)), keys, [400])
        message.label["values"].float32_tensor.values.append(row)
        if row % 3 == 0:
            message.uid = f"row {row}"
        if row % 50 == 0:
            message.features["values"].float32_tensor.keys.extend([])
        messages.append(message)
    data = framed(*messages)
    fast = codec.decode(data)
    monkeypatch.setattr(codec._walk, "layout_of", lambda payload: None)
    slow = codec.decode(data)
    np.testing.assert_array_equal(fast.values.toarray(), slow.values.toarray())
    np.testing.assert_array_equal(fast.label, np.arange(300))
    np.testing.assert_array_equal(slow.label, np.arange(300))
    assert fast.uid == slow.uid == [f"row {row}" if row % 3 == 0 else None for row in range(300)]


def test_vectors_without_elements_leave_the_padding_zero():
    batch = RecordBatch.of(np.empty((2, 0), np.float32))
    message = Record()
    message.features["values"].float32_tensor.SetInParent()
    assert codec.encode(batch) == framed(message, message)


def test_unpacked_numbers_are_read():
    payload = bytes.fromhex("0a18 0a06 76616c756573 120e 120c 0d0000803f 0d00000040 1802".replace("1802", "1802"))
    assert codec.decode(recordio.frame(payload)).values.tolist() == [[1, 2]]


def test_all_zero_sparse_row_is_zeros():
    batch = codec.decode(framed(sparse_message([], [], [4]), sparse_message([3], [2], [4])))
    assert batch.values.toarray().tolist() == [[0, 0, 0, 0], [0, 0, 3, 0]]
    assert codec.encode(batch) == framed(sparse_message([], [], [4]), sparse_message([3], [2], [4]))


def test_keys_in_any_order_fill_a_row_major_matrix():
    column = codec.decode(framed(sparse_message([1, 2, 3, 4, 5, 6], [1, 5, 9, 2, 6, 7], [3, 4]))).features["values"]
    assert column.shape == (3, 4)
    assert column.values.toarray().reshape(3, 4).tolist() == [[0, 1, 4, 0], [0, 2, 5, 6], [0, 3, 0, 0]]


@pytest.mark.parametrize(
    "message, reason",
    [
        (sparse_message([1], [4], [4]), "key 4 is not below"),
        (sparse_message([1, 2], [1], [4]), "1 keys for 2 values"),
        (sparse_message([1, 2], [1, 1], [4]), "occurs twice"),
        (sparse_message([1], [1], []), "keys without shape"),
        (sparse_message([1], [1], [2**63, 4]), "more than"),
        (dense_message([1, 2, 3], [0]), "others of the batch"),
    ],
)
def test_a_faulty_record_is_named_by_file_and_offset(message, reason):
    good = sparse_message([1], [1], [4])
    with pytest.raises(FormatError, match=reason) as caught:
        codec.decode(framed(good, message), file="part-0")
    assert (caught.value.file, caught.value.offset) == ("part-0", len(framed(good)))


def test_bytes_uid_metadata_and_configuration_survive():
    batch = RecordBatch(
        2,
        {"image": Column.of([[b"a", b"b"], []]), "values": Column.of(f32([1, 2], [3, 4]))},
        uid=["x", None],
        metadata=None,
        configuration=[None, '{"n": 1}'],
    )
    read = codec.decode(codec.encode(batch))
    assert read.features["image"].values == [[b"a", b"b"], []] and read.values.tolist() == [[1, 2], [3, 4]]
    assert (read.uid, read.metadata, read.configuration) == (["x", None], None, [None, '{"n": 1}'])


def test_other_types_are_refused_not_narrowed():
    with pytest.raises(FormatError, match="int64"):
        codec.encode(RecordBatch.of(np.ones((2, 2), np.int64)))


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_file_ten_times_the_block_streams(compress):
    features = np.random.default_rng(0).normal(size=(20_000, 100)).astype(np.float32)
    data = compress(codec.encode(RecordBatch.of(features, features[:, 0])))
    tracemalloc.start()
    rows = 0
    for batch in codec.read(io.BytesIO(data), block_bytes=1 << 18):
        np.testing.assert_array_equal(batch.values, features[rows : rows + len(batch)])
        rows += len(batch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == len(features) and peak < 3 << 20

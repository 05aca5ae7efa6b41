"""Record batches become arrays, and the message about a bad row says where it is."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import ClassLabel, InvalidRows, Number
from tests.decoding import decoder_of, record_batches


def rows_of(values, **columns):
    """A record batch of rows given as lists; further columns by name."""
    return pa.RecordBatch.from_pydict({"features": pa.array(values, pa.list_(pa.float64())), **columns})


def vectors(*rows):
    """A record batch of vectors: a list is a dense one, without indices and size, (size, {index: value}) a sparse one."""
    sparse = [None if isinstance(row, list) else row for row in rows]
    return rows_of(
        [row if isinstance(row, list) else list(row[1].values()) for row in rows],
        **{
            "features:indices": pa.array([[] if row is None else list(row[1]) for row in sparse], pa.list_(pa.int32())),
            "features:size": pa.array([row and row[0] for row in sparse], pa.int32()),
        },
    )


class TestBatch:
    dense = Batch(features=np.arange(6, dtype=np.float32).reshape(3, 2), label=np.arange(3, dtype=np.float32))
    sparse = Batch(features=sp.csr_matrix(dense.features), weight=np.ones(3, np.float32))

    def test_its_length_is_its_number_of_rows(self):
        assert (len(self.dense), len(self.sparse)) == (3, 3)

    def test_its_bytes_are_those_of_all_its_arrays(self):
        assert self.dense.nbytes == 6 * 4 + 3 * 4

    def test_the_bytes_of_a_sparse_one_are_those_of_values_indices_and_offsets(self):
        assert self.sparse.nbytes == 5 * 4 + 5 * 4 + 4 * 4 + 3 * 4

    def test_taking_rows_takes_their_label_too(self):
        taken = self.dense.take(np.array([2, 0]))
        assert (taken.features.tolist(), taken.label.tolist(), taken.weight) == ([[4, 5], [0, 1]], [2, 0], None)

    def test_concatenated_dense_batches_are_all_rows_in_order(self):
        joined = Batch.concat([self.dense, self.dense.take(slice(0, 1))])
        assert (joined.features.tolist(), joined.label.tolist()) == ([[0, 1], [2, 3], [4, 5], [0, 1]], [0, 1, 2, 0])

    def test_concatenated_sparse_batches_stay_sparse(self):
        joined = Batch.concat([self.sparse, self.sparse])
        assert joined.features.format == "csr"
        assert joined.features.toarray().tolist() == [[0, 1], [2, 3], [4, 5]] * 2

    def test_a_role_that_the_rows_do_not_have_is_none(self):
        assert self.dense.group is None


class TestDecoding:
    def test_lists_become_a_float32_matrix(self):
        features = decoder_of(["x"])(rows_of([[1, 2], [3, 4.5]])).features
        assert features.dtype == np.float32
        assert features.tolist() == [[1, 2], [3, 4.5]]

    def test_label_and_weight_become_float32(self):
        batch = decoder_of(["x"], label="y", weight="w")(rows_of([[1.0], [2.0]], label=[1, 0], weight=[0.5, 2.0]))
        assert (batch.label.tolist(), batch.weight.tolist()) == ([1, 0], [0.5, 2])
        assert (batch.label.dtype, batch.weight.dtype) == (np.float32, np.float32)

    def test_marks_of_validation_rows_become_booleans(self):
        batch = decoder_of(["x"], validation="v")(rows_of([[1.0], [2.0]], validation=pa.array([True, False])))
        assert batch.validation.tolist() == [True, False]

    def test_ids_keep_every_digit(self):
        batch = decoder_of(["x"], id="i")(rows_of([[1.0], [2.0]], id=pa.array([2**62 + 1, -3], pa.int64())))
        assert batch.id.tolist() == [2**62 + 1, -3]

    def test_labels_that_are_classes_leave_the_largest(self):
        decoder = decoder_of(["x"], label="y", label_kind=ClassLabel(9))
        for label in ([0.0, 7.0], [3.0, 1.0]):
            decoder(rows_of([[1.0], [2.0]], label=pa.array(label)))
        assert decoder.facts["label"] == {"largest": 7}

    def test_a_label_that_was_not_asked_for_is_left_out(self):
        assert decoder_of(["x"])(rows_of([[1.0]], label=[1.0])).label is None

    def test_the_number_of_features_is_learned_from_the_first_row(self):
        decoder = decoder_of(["x"])
        decoder(rows_of([[1, 2, 3]]))
        assert decoder.num_features == 3

    def test_a_slice_of_a_record_batch_is_only_its_rows(self):
        assert decoder_of(["x"])(rows_of([[1, 2], [3, 4], [5, 6], [7, 8]]).slice(1, 2)).features.tolist() == [[3, 4], [5, 6]]

    def test_a_record_batch_without_rows_does_not_settle_the_number_of_features(self):
        decoder = decoder_of(["x"])
        assert len(decoder(rows_of([]))) == 0
        assert decoder(rows_of([[1, 2]])).features.tolist() == [[1, 2]]

    def test_sparse_vectors_with_few_values_stay_sparse(self):
        features = decoder_of(["x"])(vectors((100, {3: 1.5}), (100, {}), (100, {0: 1.0, 99: 2.0}))).features
        expected = np.zeros((3, 100))
        expected[[0, 2, 2], [3, 0, 99]] = 1.5, 1, 2
        assert sp.issparse(features)
        np.testing.assert_array_equal(features.toarray(), expected)

    def test_sparse_vectors_with_many_values_become_dense(self):
        features = decoder_of(["x"])(vectors((2, {1: 5.0}), (2, {}))).features
        assert isinstance(features, np.ndarray)
        assert features.tolist() == [[0, 5], [0, 0]]

    def test_dense_and_sparse_vectors_may_be_mixed(self):
        batch = vectors([1.0, 2.0, 3.0], (3, {2: 5.0}), [0.0, 4.0, 0.0], (3, {0: 6.0, 1: 7.0}))
        assert decoder_of(["x"])(batch).features.tolist() == [[1, 2, 3], [0, 0, 5], [0, 4, 0], [6, 7, 0]]

    def test_a_slice_of_mixed_vectors_is_only_its_rows(self):
        batch = vectors([1.0, 2.0, 3.0], (3, {2: 5.0}), [0.0, 4.0, 0.0], (3, {0: 6.0})).slice(1, 2)
        assert decoder_of(["x"])(batch).features.tolist() == [[0, 0, 5], [0, 4, 0]]

    def test_groups_and_base_margins_come_with_the_rows_and_go_with_those_of_weight_zero(self):
        decoder = decoder_of(["x"], weight="w", group="g", base_margin="m")
        group = pa.array([2**62, -1], pa.int64())
        batch = decoder(rows_of([[1.0], [2.0]], weight=[1.0, 0.0], group=group, base_margin=[0.5, 1.5]))
        assert (batch.group.tolist(), batch.base_margin.tolist()) == ([2**62], [0.5])
        with pytest.raises(InvalidRows, match="column 'g' is null in row 3"):
            decoder(rows_of([[1.0], [2.0]], weight=[1.0, 1.0], group=pa.array([1, None], pa.int64()), base_margin=[0.5, 1.5]))

    def test_missing_values_are_kept_as_not_a_number_where_they_are_allowed(self):
        rows = decoder_of(["x"], features={"missing_values": True})(rows_of([[1, None], [float("nan"), 4]])).features
        np.testing.assert_array_equal(rows, [[1, np.nan], [np.nan, 4]])
        with pytest.raises(InvalidRows, match="features column 'x', element 1, is -inf"):
            decoder_of(["x"], features={"missing_values": True})(rows_of([[float("nan"), float("-inf")]]))

    def test_what_a_sparse_vector_does_not_store_is_missing_where_values_may_be_and_a_stored_zero_is_not(self):
        batch = vectors([1.0, 0.0, 3.0], (3, {2: 5.0, 0: 0.0}), (3, {}))
        dense = decoder_of(["x"], features={"missing_values": True})(batch).features
        np.testing.assert_array_equal(dense, [[1, 0, 3], [0, np.nan, 5], [np.nan] * 3])
        decoder = decoder_of(["x"], features={"missing_values": True})
        decoder(vectors((100, {3: 1.0})))
        sparse = decoder(vectors([0.0] * 100)).features
        assert sparse.format == "csr" and sparse.nnz == 100

    def test_labels_must_be_in_their_range(self):
        decoder = decoder_of(["x"], label="y", label_kind=Number(0, 1))
        decoder(rows_of([[1.0], [2.0]], label=[0.0, 1.0]))
        with pytest.raises(InvalidRows, match=r"label column 'y' is 1\.5, expected a number from 0 to 1, in row 3"):
            decoder(rows_of([[1.0], [2.0]], label=[0.5, 1.5]))
        with pytest.raises(InvalidRows, match="label column 'y' is 0, expected a number > 0, in row 0"):
            decoder_of(["x"], label="y", label_kind=Number(0, min_exclusive=True))(rows_of([[1.0]], label=[0.0]))

    def test_dense_vectors_after_sparse_ones_become_sparse_so_that_batches_can_be_joined(self):
        decoder = decoder_of(["x"])
        first, second = decoder(vectors((100, {3: 1.0}))), decoder(vectors([1.0] * 100))
        assert Batch.concat([first, second]).features.toarray().sum() == 101

    def test_sparse_vectors_after_dense_ones_become_dense_so_that_batches_can_be_joined(self):
        decoder = decoder_of(["x"])
        first, second = decoder(vectors([1.0] * 100)), decoder(vectors((100, {3: 1.0})))
        assert Batch.concat([first, second]).features.sum() == 101

    @pytest.mark.parametrize("features", [np.eye(5, 40), sp.csr_matrix(np.eye(5, 40))], ids=["dense", "sparse"])
    def test_arrays_as_record_batches_decode_to_themselves(self, features):
        decoder = decoder_of(["x"])
        batches = [decoder(batch).features for batch in record_batches(features, rows=2)]
        assert [batch.shape[0] for batch in batches] == [2, 2, 1]
        np.testing.assert_array_equal(np.concatenate([sp.csr_matrix(batch).toarray() for batch in batches]), np.eye(5, 40))


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
class TestRefusals:
    @pytest.mark.parametrize(
        ("batch", "message"),
        [
            (rows_of([[1, 2], None]), r"features column 'x' is null in row 1"),
            (rows_of([[1, 2], [3, None]]), r"features column 'x', element 1, is null in row 1"),
            (rows_of([[1, 2], [3, 4, 5]]), r"features column 'x' has 3 values, expected 2 in row 1"),
            (rows_of([[], []]), r"features column 'x' is empty \(0 values\) in row 0"),
            (rows_of([[1, 2], [np.nan, 4]]), r"features column 'x', element 0, is nan as a 32-bit float in row 1"),
            (rows_of([[1, -np.inf]]), r"features column 'x', element 1, is -inf as a 32-bit float in row 0"),
            (rows_of([[np.inf], [-np.inf]]), r"element 0, is inf as a 32-bit float in row 0"),
            (rows_of([[1, 1e39]]), r"features column 'x', element 1, is inf as a 32-bit float in row 0"),
            (vectors((9, {2: 1.0}), (9, {4: 1.0, 7: np.nan})), r"features column 'x', element 7, is nan as a 32-bit float in row 1"),
            (vectors((3, {2: 1.0}), [1.0, np.inf, 2.0]), r"features column 'x', element 1, is inf as a 32-bit float in row 1"),
            (vectors((3, {2: 1.0}), (4, {2: 1.0})), r"features column 'x' has 4 values, expected 3 in row 1"),
            (vectors([1.0, 2.0], (3, {2: 1.0})), r"features column 'x' has 3 values, expected 2 in row 1"),
        ],
    )
    def test_a_bad_row_is_refused_by_column_element_and_row(self, batch, message):
        with pytest.raises(InvalidRows, match=message):
            decoder_of(["x"])(batch)

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"label": [1.0, None], "weight": [1.0, 1.0]}, "column 'y' is null in row 1"),
            ({"label": [np.nan, 1.0], "weight": [1.0, 1.0]}, "column 'y' is nan as a 32-bit float in row 0"),
            ({"label": [1.0, 1.0], "weight": [1.0, None]}, "column 'w' is null in row 1"),
            ({"label": [1.0, 1.0], "weight": [1.0, -0.5]}, "weight column 'w' is -0.5, expected a number >= 0, in row 1"),
        ],
    )
    def test_a_bad_label_or_weight_is_refused_by_its_column(self, columns, message):
        with pytest.raises(InvalidRows, match=message):
            decoder_of(["x"], label="y", weight="w")(rows_of([[1.0], [2.0]], **columns))

    @pytest.mark.parametrize(
        ("label", "classes", "found"),
        [
            ([0, 1, 2], 2, "is 2, expected 0 or 1, in row 2"),
            ([0, -1, 0], 2, "is -1, expected 0 or 1, in row 1"),
            ([0.5, 1, 1], 3, "is 0.5, expected an integer from 0 to 2, in row 0"),
        ],
    )
    def test_a_label_that_is_none_of_the_classes_is_refused(self, label, classes, found):
        with pytest.raises(InvalidRows, match=f"^label column 'y' {found}$"):
            decoder_of(["x"], label="y", label_kind=ClassLabel(classes))(rows_of([[1.0]] * 3, label=pa.array(label, pa.float64())))

    @pytest.mark.parametrize(
        ("batch", "found"),
        [
            (rows_of([[1, 0], [2, -3]]), "element 1, is -3, expected a count (a whole number from 0), in row 1"),
            (rows_of([[1, 0], [0.5, 2]]), "element 0, is 0.5, expected a count (a whole number from 0), in row 1"),
            (vectors((9, {2: 1.0}), (9, {4: 1.0, 7: 1.5})), "element 7, is 1.5, expected a count (a whole number from 0), in row 1"),
        ],
    )
    def test_what_is_not_a_count_is_refused_where_counts_are_wanted(self, batch, found):
        decoder = decoder_of(["x"], features={"counts": True})
        decoder(batch.slice(0, 1))
        with pytest.raises(InvalidRows, match=re.escape(found.replace("row 1", "row 2"))):
            decoder(batch)

    def test_a_row_that_may_be_for_validation_or_not_is_refused(self):
        with pytest.raises(InvalidRows, match=r"^validation column 'v' is null in row 1$"):
            decoder_of(["x"], validation="v")(rows_of([[1.0]] * 2, validation=pa.array([True, None])))

    def test_a_row_without_its_id_is_refused(self):
        with pytest.raises(InvalidRows, match="column 'i' is null in row 1"):
            decoder_of(["x"], id="i")(rows_of([[1.0]] * 2, id=pa.array([1, None], pa.int64())))

    def test_another_length_than_expected_is_refused(self):
        with pytest.raises(InvalidRows, match="has 2 values, expected 3 in row 0"):
            decoder_of(["x"], features={"num_features": 3})(rows_of([[1, 2]]))

    def test_one_of_several_columns_is_named(self):
        with pytest.raises(InvalidRows, match="features column 'height' is null in row 0"):
            decoder_of(["weight", "height"])(rows_of([[1, None]]))

    def test_rows_are_counted_over_record_batches(self):
        decoder = decoder_of(["x"])
        decoder(rows_of([[1.0], [2.0], [3.0]]))
        with pytest.raises(InvalidRows, match=r"in row 4$"):
            decoder(rows_of([[1.0], None]))

    def test_the_message_says_whose_rows_they_are(self):
        decoder = decoder_of(["x"])
        decoder.where = " of worker 3's shard"
        with pytest.raises(InvalidRows, match=r"in row 0 of worker 3's shard$"):
            decoder(rows_of([None]))

    def test_a_null_outside_the_slice_does_not_count(self):
        assert decoder_of(["x"])(rows_of([[None, 1], [2, 3], None]).slice(1, 1)).features.tolist() == [[2, 3]]

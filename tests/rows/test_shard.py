"""A shard gives every row once a pass, in the order asked, whether rows rest in memory, in a file or still arrive."""

from __future__ import annotations

import itertools
import tempfile

import numpy as np
import pytest
import scipy.sparse as sp

from sparkml_algos.rows.kinds import ClassLabel
from sparkml_algos.rows.shard import Shard
from tests.decoding import decoder_of, record_batches

ROWS, RECORD_BATCH = 100, 7
NUMBERED = np.stack([np.arange(ROWS), np.arange(ROWS) + 0.5], axis=1)

# Seven rows of two float32 are 56 bytes: a budget of 300 holds five record batches, one of 1 none.
STORES = {
    "File": {"input_mode": "File"},
    "Pipe, read once": {"input_mode": "Pipe", "passes": 1},
    "Pipe": {"input_mode": "Pipe", "passes": 3},
    "File, partly spilled": {"input_mode": "File", "max_bytes": 300},
    "File, all spilled": {"input_mode": "File", "max_bytes": 1},
    "Pipe, partly spilled": {"input_mode": "Pipe", "passes": 3, "max_bytes": 300},
}
stores = pytest.mark.parametrize("store", STORES.values(), ids=STORES.keys())


def shard(features=NUMBERED, label=None, weight=None, **options):
    decoder = decoder_of(["x"], label=label is not None and "y", weight=weight is not None and "w")
    return Shard(record_batches(features, label, weight, rows=RECORD_BATCH), decoder, **options)


def numbers(batches):
    """The numbers of the rows of some batches, in their order."""
    return [int(number) for batch in batches for number in batch.features[:, 0]]


def one_pass(shard, epoch=0, size=10):
    return list(shard.minibatches(epoch, itertools.repeat(size)))


@stores
def test_a_pass_gives_every_row_once(store):
    assert sorted(numbers(one_pass(shard(**store)))) == list(range(ROWS))


@stores
def test_every_pass_gives_every_row_once(store):
    rows = shard(**{**store, "passes": 3})
    assert [sorted(numbers(one_pass(rows, epoch))) for epoch in range(3)] == [list(range(ROWS))] * 3


@pytest.mark.parametrize("store", [name for name in STORES if "once" not in name])
def test_the_rows_in_the_order_they_arrived_can_be_had_time_and_again(store):
    rows = shard(**STORES[store])
    assert [numbers(rows.batches()) for _ in range(2)] == [list(range(ROWS))] * 2


@stores
def test_minibatches_have_the_sizes_asked_for_and_the_last_one_the_rest(store):
    assert [len(batch) for batch in shard(**store).minibatches(0, iter([30, 1, 60, 20, 5]))] == [30, 1, 60, 9]


@stores
def test_a_size_of_zero_gives_a_batch_without_rows(store):
    rows = shard(**store)
    rows.head(1)
    assert [batch.features.shape for batch in rows.minibatches(0, iter([0, 3, 0]))] == [(0, 2), (3, 2), (0, 2)]


@stores
def test_a_row_keeps_its_label_and_weight(store):
    rows = shard(label=np.arange(ROWS) * 2, weight=np.arange(ROWS) * 3, **store)
    for batch in one_pass(rows):
        np.testing.assert_array_equal(batch.label, batch.features[:, 0] * 2)
        np.testing.assert_array_equal(batch.weight, batch.features[:, 0] * 3)


@stores
def test_sparse_rows_stay_sparse_and_themselves(store):
    identity = sp.identity(ROWS, format="csr")
    batches = one_pass(shard(identity, **store))
    assert all(sp.issparse(batch.features) for batch in batches)
    assert sorted(np.concatenate([batch.features.indices for batch in batches])) == list(range(ROWS))


@stores
def test_the_same_seed_gives_the_same_order(store):
    assert numbers(one_pass(shard(seed=5, **store))) == numbers(one_pass(shard(seed=5, **store)))


@pytest.mark.parametrize(("first", "second"), [({"seed": 1}, {"seed": 2}), ({"rank": 0}, {"rank": 1})], ids=["seed", "rank"])
def test_another_seed_or_rank_gives_another_order(first, second):
    assert numbers(one_pass(shard(**first))) != numbers(one_pass(shard(**second)))


def test_another_epoch_gives_another_order():
    rows = shard()
    assert numbers(one_pass(rows, 0)) != numbers(one_pass(rows, 1))


def test_the_order_of_an_epoch_does_not_depend_on_the_passes_before():
    fresh, used = shard(), shard()
    one_pass(used, 0)
    assert numbers(one_pass(fresh, 1)) == numbers(one_pass(used, 1))


def test_file_mode_knows_the_number_of_rows_before_the_first_pass():
    assert (shard().num_rows, shard().num_features) == (ROWS, 2)


def test_a_pipe_knows_the_number_of_rows_after_the_first_pass():
    rows = shard(input_mode="Pipe")
    before = rows.num_rows
    one_pass(rows)
    assert (before, rows.num_rows) == (None, ROWS)


def test_a_pipe_is_read_no_further_than_needed():
    arrived = []
    source = record_batches(NUMBERED, rows=RECORD_BATCH)
    rows = Shard((arrived.append(batch) or batch for batch in source), decoder_of(["x"]), input_mode="Pipe")
    next(rows.minibatches(0, iter([10])))
    assert len(arrived) == 2


def test_a_pipe_gives_rows_in_the_order_of_the_record_batches():
    assert np.diff(np.array(numbers(one_pass(shard(input_mode="Pipe")))) // RECORD_BATCH).min() >= 0


def test_a_pipe_read_once_keeps_no_rows():
    rows = shard(input_mode="Pipe", passes=1)
    one_pass(rows)
    assert one_pass(rows, 1) == []


def test_a_later_pass_over_a_pipe_that_was_not_read_to_its_end_has_all_rows():
    rows = shard(input_mode="Pipe", passes=2)
    next(rows.minibatches(0, iter([10])))
    assert sorted(numbers(one_pass(rows, 1))) == list(range(ROWS))


class TestHead:
    def test_of_a_file_is_a_random_sample_of_its_rows(self):
        head = numbers([shard().head(50)])
        assert len(set(head)) == 50
        assert max(head) > 60

    @pytest.mark.parametrize("max_bytes", [1, 300])
    def test_of_a_spilled_file_has_as_many_rows_as_asked_for(self, max_bytes):
        assert len(set(numbers([shard(max_bytes=max_bytes).head(50)]))) == 50

    @stores
    def test_is_all_rows_where_there_are_no_more(self, store):
        assert sorted(numbers([shard(**store).head(1000)])) == list(range(ROWS))

    def test_of_a_pipe_is_a_sample_of_the_first_record_batches(self):
        assert max(numbers([shard(input_mode="Pipe").head(14)])) == 13

    @stores
    @pytest.mark.parametrize("count", [30, 1000], ids=["some", "all"])
    def test_rows_are_trained_on_too(self, store, count):
        rows = shard(**store)
        rows.head(20)
        rows.head(count)
        assert sorted(numbers(one_pass(rows))) == list(range(ROWS))

    @stores
    def test_is_there_again_when_all_rows_were_in_it(self, store):
        rows = shard(**store)
        rows.head(1000)
        assert sorted(numbers([rows.head(1000)])) == list(range(ROWS))

    @stores
    def test_of_all_rows_leaves_every_later_pass_complete(self, store):
        rows = shard(**{**store, "passes": 3})
        rows.head(1000)
        assert [sorted(numbers(one_pass(rows, epoch))) for epoch in range(3)] == [list(range(ROWS))] * 3


class TestWithoutRows:
    @stores
    def test_a_pass_gives_nothing(self, store):
        rows = shard(NUMBERED[:0], **store)
        assert (one_pass(rows), rows.num_rows) == ([], 0)

    @stores
    def test_the_head_is_empty_and_as_wide_as_the_others_rows(self, store):
        rows = shard(NUMBERED[:0], **store)
        rows.learn([{"features": {"num_features": 5}}])
        assert rows.head(10).features.shape == (0, 5)

    @stores
    def test_sizes_of_zero_give_empty_batches_as_wide_as_the_others_rows(self, store):
        rows = shard(NUMBERED[:0], **store)
        rows.learn([{"features": {"num_features": 5}}])
        assert [batch.features.shape for batch in rows.minibatches(0, iter([0, 0]))] == [(0, 5)] * 2


class TestSpill:
    @pytest.fixture
    def opened(self, monkeypatch):
        """Directories in which temporary files have been opened."""
        opened, original = [], tempfile.TemporaryFile
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda *args, dir=None: opened.append(dir) or original(*args, dir=dir))
        return opened

    def test_rows_within_the_budget_need_no_file(self, opened):
        shard(max_bytes=NUMBERED.nbytes)
        assert opened == []

    @pytest.mark.parametrize("store", [{"max_bytes": 300}, {"max_bytes": 300, "input_mode": "Pipe", "passes": 2}], ids=["File", "Pipe"])
    def test_rows_beyond_the_budget_go_to_the_directory_given_and_leave_nothing_there(self, opened, tmp_path, store):
        rows = shard(spill_dir=str(tmp_path), **store)
        one_pass(rows)
        assert opened == [str(tmp_path)]
        assert list(tmp_path.iterdir()) == []

    def test_a_pipe_read_once_spills_nothing(self, opened):
        one_pass(shard(max_bytes=1, input_mode="Pipe", passes=1))
        assert opened == []


class TestValidation:
    marked = np.arange(ROWS) % 3 == 0

    def shard(self, marked, weight=None, **options):
        decoder = decoder_of(["x"], weight=weight is not None and "w", validation="v")
        return Shard(record_batches(NUMBERED, weight=weight, rows=RECORD_BATCH, validation=marked), decoder, **options)

    @stores
    def test_marked_rows_are_in_no_minibatch(self, store):
        rows = self.shard(self.marked, **store)
        for epoch in range(store.get("passes", 2)):
            assert sorted(numbers(one_pass(rows, epoch))) == np.flatnonzero(~self.marked).tolist()

    @stores
    def test_marked_rows_are_kept_aside_in_order(self, store):
        rows = self.shard(self.marked, **store)
        one_pass(rows)
        assert numbers(rows.validation) == np.flatnonzero(self.marked).tolist()
        assert (rows.marks_validation, rows.num_rows) == (True, int((~self.marked).sum()))

    @stores
    def test_marked_rows_are_not_in_the_head(self, store):
        assert not self.marked[numbers([self.shard(self.marked, **store).head(ROWS)])].any()

    @stores
    def test_marked_rows_of_weight_zero_count_nowhere(self, store):
        weight = (np.arange(ROWS) % 2).astype(np.float32)
        rows = self.shard(self.marked, weight, **store)
        assert sorted(numbers(one_pass(rows))) == np.flatnonzero(~self.marked & (weight > 0)).tolist()
        assert numbers(rows.validation) == np.flatnonzero(self.marked & (weight > 0)).tolist()

    def test_a_shard_may_have_none_or_nothing_else(self):
        for marked in (np.zeros(ROWS, bool), np.ones(ROWS, bool)):
            rows = self.shard(marked)
            assert rows.num_rows == (~marked).sum() and sum(map(len, rows.validation)) == marked.sum()

    def test_without_a_column_no_row_is_marked(self):
        rows = shard()
        assert (rows.marks_validation, len(rows.validation)) == (False, 0)


def test_the_largest_class_is_that_of_all_rows_also_of_those_for_validation():
    label = np.arange(ROWS, dtype=np.float32)
    batches = record_batches(NUMBERED, label, rows=RECORD_BATCH, validation=label == 99)
    assert Shard(batches, decoder_of(["x"], label="y", validation="v", label_kind=ClassLabel(200))).largest_label == 99


def test_a_spill_that_fails_names_its_directory(tmp_path):
    with pytest.raises(OSError, match=f"rows cannot be spilled to {tmp_path}/gone"):
        shard(max_bytes=1, spill_dir=str(tmp_path / "gone"))


def test_what_was_made_of_the_rows_is_made_again_only_with_another_key():
    rows, made = shard(), []

    def make(what):
        return lambda: made.append(what) or len(made)

    assert [rows.made("bins", 16, make("a")), rows.made("bins", 16, make("b")), rows.made("other", 16, make("c"))] == [1, 1, 2]
    assert (rows.made("bins", 32, make("d")), rows.made("bins", 16, make("e"))) == (3, 4)  # one at a time
    rows.release()
    assert rows.made("bins", 16, make("f")) == 5
    assert made == ["a", "c", "d", "e", "f"]

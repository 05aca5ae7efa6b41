"""Workers go through the same steps whatever their shards hold, and a training that was cut off goes on where it was."""

from __future__ import annotations

import itertools
from operator import attrgetter
from types import SimpleNamespace

import numpy as np
import pytest

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.collectives.communicator import SingleProcess
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.checkpoint import CheckpointStore
from sparkml_algos.training.job import MIN_ROWS_PER_WORKER, Job
from tests.decoding import decoder_of, record_batches
from tests.gang import in_threads

MODES = pytest.mark.parametrize("mode", ["File", "Pipe"])
SHARDS = pytest.mark.parametrize("counts", [[40, 7, 0], [0, 0, 90], [30, 30, 30], [1, 1, 1], [5]], ids=str)


def shard(count, start=0, mode="File", passes=5):
    """A shard of rows that carry the numbers from `start` on; its width is known as after the workers' first exchange."""
    features = (start + np.arange(count, dtype=np.float32)).reshape(-1, 1)
    rows = Shard(record_batches(features, rows=8), decoder_of(["x"]), input_mode=mode, passes=passes)
    rows.learn([{"features": {"num_features": 1}}])
    return rows


def in_epochs(counts, rows, *, mode="File", epochs=1):
    """Per epoch and worker the batches that workers with the given numbers of rows are given."""
    starts = np.concatenate([[0], np.cumsum(counts)])

    def work(communicator):
        job = Job(shard(counts[communicator.rank], starts[communicator.rank], mode), communicator)
        return [[batch.features.ravel().tolist() for batch in job.minibatches(rows)] for _ in job.epochs(epochs)]

    return list(zip(*in_threads(len(counts), work), strict=True))


class TestMinibatches:
    @MODES
    @SHARDS
    def test_every_worker_gets_equally_many(self, counts, mode):
        for workers in in_epochs(counts, 6, mode=mode, epochs=3):
            assert len({len(batches) for batches in workers}) == 1

    @MODES
    @SHARDS
    def test_an_epoch_holds_every_row_once(self, counts, mode):
        for workers in in_epochs(counts, 6, mode=mode, epochs=3):
            seen = sorted(number for batches in workers for batch in batches for number in batch)
            assert seen == list(range(sum(counts)))

    @SHARDS
    def test_each_step_takes_the_same_share_of_every_shard(self, counts):
        (workers,) = in_epochs(counts, 6)
        for count, batches in zip(counts, workers, strict=True):
            sizes = [len(batch) for batch in batches]
            assert max(sizes) - min(sizes) <= 1, (count, sizes)

    @pytest.mark.parametrize(("rows", "steps"), [(1, 100), (30, 4), (100, 1), (5000, 1)])
    def test_a_single_worker_gets_all_of_the_asked_rows(self, rows, steps):
        ((batches,),) = in_epochs([100], rows)
        assert len(batches) == steps

    def test_many_workers_each_get_enough_rows_to_be_worth_the_exchange(self):
        (workers,) = in_epochs([4 * MIN_ROWS_PER_WORKER] * 2, MIN_ROWS_PER_WORKER)
        assert [[len(batch) for batch in batches] for batches in workers] == [[MIN_ROWS_PER_WORKER] * 4] * 2

    def test_large_ones_are_split_among_the_workers(self):
        (workers,) = in_epochs([4 * MIN_ROWS_PER_WORKER] * 2, 4 * MIN_ROWS_PER_WORKER)
        assert [[len(batch) for batch in batches] for batches in workers] == [[2 * MIN_ROWS_PER_WORKER] * 2] * 2

    def test_may_have_as_many_rows_on_any_number_of_workers(self):
        def work(communicator):
            job = Job(shard(20), communicator)
            return next([len(batch) for batch in job.minibatches(10, per_worker=0)] for _ in job.epochs(1))

        assert in_threads(2, work) == [[5] * 4] * 2
        assert in_threads(4, work) == [[2, 3] * 4] * 4

    @MODES
    def test_have_so_many_rows_in_all_once_that_is_known(self, mode):
        def work(communicator):
            job = Job(shard(20 + communicator.rank, mode=mode), communicator)
            before = job.total_rows()
            for _ in job.epochs(1):
                list(job.minibatches(100))
            return before, job.total_rows()

        assert in_threads(2, work) == [(41 if mode == "File" else None, 41)] * 2

    def test_a_worker_whose_pipe_is_dry_gets_empty_ones_as_wide_as_the_others(self):
        def work(communicator):
            job = Job(shard(20 if communicator.rank == 0 else 0, mode="Pipe"), communicator)
            return next([batch.features.shape for batch in job.minibatches(8)] for _ in job.epochs(1))

        assert in_threads(2, work)[1] == [(0, 1)] * 3

    def test_another_epoch_gives_another_order(self):
        first, second = in_epochs([50], 10, epochs=2)
        assert first != second


class TestEpochs:
    def run(self, job, total, stop_after=None):
        """Epochs that were done; the state after epoch n is n."""
        done = []
        for epoch in itertools.islice(job.epochs(total), stop_after):
            done.append(epoch)
            job.end_epoch(Artifact({"done": np.array([epoch + 1.0])}, {"note": "state"}), loss=1.0 / (epoch + 1))
        return done

    def job(self, tmp_path, communicator=None, **options):
        return Job(shard(3), communicator or SingleProcess(), checkpoints=CheckpointStore.of(str(tmp_path), {}), **options)

    def test_start_at_zero_where_there_is_no_checkpoint(self, tmp_path):
        job = self.job(tmp_path)
        assert (job.resume(), self.run(job, 3)) == (None, [0, 1, 2])

    def test_need_no_checkpoints(self):
        job = Job(shard(3), SingleProcess())
        assert (job.resume(), self.run(job, 2)) == (None, [0, 1])

    def test_leave_a_history_of_their_metrics(self, tmp_path):
        job = self.job(tmp_path)
        self.run(job, 2)
        assert [(entry["epoch"], entry["loss"]) for entry in job.history] == [(1, 1.0), (2, 0.5)]
        assert all(entry["seconds"] >= 0 for entry in job.history)

    def test_go_on_after_the_last_that_was_saved(self, tmp_path):
        self.run(self.job(tmp_path), 5, stop_after=2)
        job = self.job(tmp_path)
        job.resume()
        assert self.run(job, 5) == [2, 3, 4]

    def test_that_are_all_done_are_not_done_again(self, tmp_path):
        self.run(self.job(tmp_path), 3)
        job = self.job(tmp_path)
        assert job.resume().arrays["done"] == [3]
        assert self.run(job, 3) == []

    def test_resume_with_the_state_that_was_saved(self, tmp_path):
        self.run(self.job(tmp_path), 5, stop_after=2)
        assert self.job(tmp_path).resume() == Artifact({"done": np.array([2.0])}, {"note": "state"})

    def test_resume_with_the_history_so_far(self, tmp_path):
        self.run(self.job(tmp_path), 5, stop_after=2)
        job = self.job(tmp_path)
        job.resume()
        self.run(job, 3)
        assert [entry["epoch"] for entry in job.history] == [1, 2, 3]

    def test_resume_on_every_worker_with_what_the_first_can_read(self, tmp_path):
        self.run(self.job(tmp_path / "0"), 5, stop_after=2)

        def work(communicator):
            job = self.job(tmp_path / str(communicator.rank), communicator)
            state = job.resume()
            return state.arrays["done"].tolist(), state.values, list(job.epochs(4)), len(job.history)

        assert in_threads(3, work) == [([2.0], {"note": "state"}, [2, 3], 2)] * 3

    def test_are_saved_by_the_first_worker_only(self, tmp_path):
        in_threads(2, lambda communicator: self.run(self.job(tmp_path / str(communicator.rank), communicator), 1))
        assert [path.name for path in tmp_path.iterdir()] == ["0"]

    def test_report_progress_from_the_first_worker_only(self):
        heard = []

        def work(communicator):
            job = Job(
                shard(4), communicator, report=lambda progress: heard.append((communicator.rank, progress["done"], progress["total"]))
            )
            for _ in job.epochs(2):
                list(job.minibatches(2))
                job.end_epoch(Artifact())

        in_threads(2, work)
        assert heard == [(0, 0.5, 2), (0, 1.0, 2), (0, 1, 2), (0, 1.5, 2), (0, 2.0, 2), (0, 2, 2)]


def test_random_numbers_are_the_same_on_every_worker():
    draws = in_threads(3, lambda communicator: Job(shard(1), communicator, seed=7).random.random())
    assert len(set(draws)) == 1


def test_random_numbers_differ_between_seeds():
    assert Job(shard(1), SingleProcess(), seed=1).random.random() != Job(shard(1), SingleProcess(), seed=2).random.random()


class TestGroups:
    settings = (
        SimpleNamespace(k=2, epochs=1),
        SimpleNamespace(k=3, epochs=2),
        SimpleNamespace(k=4, epochs=1),
        SimpleNamespace(k=2, epochs=1),
    )

    def test_without_finalize_each_setting_is_trained_by_itself(self):
        assert Algorithm("a", (), train=None, load=None).groups(self.settings) == [[0], [1], [2], [3]]

    def test_settings_whose_state_depends_on_the_same_go_together(self):
        algorithm = Algorithm("a", (), train=None, load=None, finalize=lambda *arguments: arguments[0], state_key=attrgetter("epochs"))
        assert algorithm.groups(self.settings) == [[0, 2, 3], [1]]


def test_a_store_that_fails_costs_no_training_and_is_tried_again(tmp_path):
    store, warnings = tmp_path / "store", []
    job = Job(shard(4), SingleProcess(), checkpoints=CheckpointStore(str(store), "training"), warn=warnings.append)
    for epoch in job.epochs(6):
        if epoch == 2:
            store.rename(tmp_path / "gone")
            store.touch()
        if epoch == 4:
            store.unlink()
        job.end_epoch(Artifact({"x": np.ones(1)}))
    assert [warning.split(",")[0] for warning in warnings] == ["no checkpoint after epoch 3", "checkpoints are written again"]
    assert CheckpointStore(str(store), "training").load()[0] == 6
    assert [path.name for path in store.rglob("*") if path.is_file()] == ["epoch-000006.parquet"]

"""The training loop: the same steps on any number of workers, early stopping, checkpoints; for NumPy and torch parameters alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.collectives.communicator import SingleProcess
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.checkpoint import CheckpointStore
from sparkml_algos.training.job import Job
from sparkml_algos.training.optimizers import Adam
from sparkml_algos.training.trainer import EarlyStopping, EpochResult, Learner, fit
from tests.decoding import decoder_of, record_batches
from tests.gang import in_threads, process_gang

ROWS = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)
LABEL = (ROWS @ [1.0, -2.0, 0.5] + 0.1).astype(np.float32)
WEIGHT = np.random.default_rng(1).uniform(0.5, 2, 120).astype(np.float32)

# A mini-batch of all rows is the same rows on any number of workers.
ALL = 120


class LeastSquares(Learner):
    """Linear least squares with NumPy parameters."""

    def __init__(self):
        self.weights = np.zeros(3)
        self.optimizer = Adam([self.weights])
        self.seen = []

    def gradient(self, batch):
        if not len(batch):
            return np.zeros(4)
        error = (batch.features @ self.weights - batch.label) * batch.weight
        return np.append(batch.features.T.astype(float) @ error, batch.weight.sum(dtype=float))

    def update(self, sums, progress):
        self.seen.append((progress.epoch, progress.step, progress.total_steps))
        self.optimizer.step([sums[:-1] / sums[-1]], [0.05])

    def end_epoch(self, progress):
        return EpochResult({"norm": float(np.linalg.norm(self.weights))}, -float(np.linalg.norm(self.weights)))

    def state(self):
        return Artifact({"weights": self.weights, **self.optimizer.state()})

    def restore(self, state):
        self.weights[:] = state.arrays["weights"]
        self.optimizer.restore(state.arrays)


class LeastSquaresInTorch(LeastSquares):
    """The same with a torch module, its autograd and its optimizer: gradients travel as one flat array."""

    def __init__(self):
        torch.manual_seed(0)
        self.module = torch.nn.Linear(3, 1, bias=False, dtype=torch.float64)
        torch.nn.init.zeros_(self.module.weight)
        self.optimizer = torch.optim.Adam(self.module.parameters(), lr=0.05)
        self.seen = []

    @property
    def weights(self):
        return self.module.weight.detach().numpy()[0]

    def gradient(self, batch):
        if not len(batch):
            return np.zeros(4)
        features, label, weight = (torch.from_numpy(part).double() for part in (batch.features, batch.label, batch.weight))
        loss = (0.5 * weight * (self.module(features)[:, 0] - label) ** 2).sum()
        (gradient,) = torch.autograd.grad(loss, self.module.parameters())
        return np.append(gradient.numpy().ravel(), weight.sum())

    def update(self, sums, progress):
        self.module.weight.grad = torch.from_numpy(sums[None, :-1] / sums[-1])
        self.optimizer.step()

    def state(self):
        return Artifact({"weights": self.weights})


def shard(part=slice(None), mode="File", passes=9, rank=0):
    rows = Shard(
        record_batches(ROWS[part], LABEL[part], WEIGHT[part], rows=16),
        decoder_of(["x"], label="y", weight="w"),
        input_mode=mode,
        passes=passes,
        rank=rank,
    )
    rows.learn([{"features": {"num_features": 3}}])
    return rows


def trained(communicator, parts, learner_class=LeastSquares, epochs=4, mini_batch_size=ALL, mode="File", **job):
    """A learner trained on this worker's part of the rows."""
    learner = learner_class()
    one = Job(shard(parts[communicator.rank], mode, rank=communicator.rank), communicator, **job)
    fit(learner, one, communicator, epochs=epochs, mini_batch_size=mini_batch_size)
    return learner


def weights_of(communicator, parts, **options):
    return trained(communicator, parts, **options).weights


class TestSteps:
    @pytest.mark.parametrize("ends", [[60], [100], [0], [7, 30], [0, 120], [40, 80]], ids=str)
    @pytest.mark.parametrize("mode", ["File", "Pipe"])
    def test_of_several_workers_are_those_of_one(self, ends, mode):
        parts = [slice(start, end) for start, end in zip([0, *ends], [*ends, ALL], strict=True)]
        expected = weights_of(SingleProcess(), [slice(None)], mode=mode)
        # A pipe is cut into equal parts as it arrives: only a mini-batch that holds the longest one is the same rows.
        size = ALL * len(parts)
        for found in in_threads(len(parts), lambda communicator: weights_of(communicator, parts, mini_batch_size=size, mode=mode)):
            np.testing.assert_allclose(found, expected, rtol=1e-6)

    def test_of_two_processes_are_those_of_one(self):
        expected = weights_of(SingleProcess(), [slice(None)])
        for found in process_gang(2)(weights_of, [slice(0, 90), slice(90, ALL)]):
            np.testing.assert_allclose(found, expected, rtol=1e-6)

    def test_of_torch_parameters_are_those_of_numpy(self):
        parts = [slice(0, 50), slice(50, ALL)]
        found = in_threads(2, lambda communicator: weights_of(communicator, parts, learner_class=LeastSquaresInTorch))
        np.testing.assert_allclose(found[0], weights_of(SingleProcess(), [slice(None)]), rtol=1e-6)

    def test_are_counted_over_all_epochs(self):
        seen = trained(SingleProcess(), [slice(None)], epochs=2, mini_batch_size=50).seen
        assert seen == [(epoch, 3 * epoch + step, 6) for epoch in range(2) for step in range(3)]

    def test_of_a_pipe_are_known_from_the_second_pass_on(self):
        seen = trained(SingleProcess(), [slice(None)], epochs=2, mini_batch_size=50, mode="Pipe").seen
        assert [total for _, _, total in seen] == [None] * 3 + [6] * 3

    @pytest.mark.parametrize("workers", [1, 2, 3])
    def test_have_as_many_rows_on_any_number_of_workers(self, workers):
        parts = [slice(start, start + ALL // workers) for start in range(0, ALL, ALL // workers)]
        learners = in_threads(workers, lambda communicator: trained(communicator, parts, epochs=1, mini_batch_size=12))
        assert [len(learner.seen) for learner in learners] == [10] * workers


class TestCheckpoints:
    def store(self, tmp_path):
        return CheckpointStore.of(str(tmp_path), {})

    def test_a_training_that_was_cut_off_ends_as_if_it_had_not_been(self, tmp_path):
        expected = weights_of(SingleProcess(), [slice(None)], epochs=4, mini_batch_size=30)
        trained(SingleProcess(), [slice(None)], epochs=2, mini_batch_size=30, checkpoints=self.store(tmp_path))
        learner = trained(SingleProcess(), [slice(None)], epochs=4, mini_batch_size=30, checkpoints=self.store(tmp_path))
        assert [step for _, step, _ in learner.seen] == list(range(8, 16))
        np.testing.assert_array_equal(learner.weights, expected)

    def test_a_training_that_had_stopped_early_does_not_go_on(self, tmp_path):
        def run():
            learner = LeastSquares()
            job = Job(shard(), SingleProcess(), checkpoints=self.store(tmp_path))
            stopping = EarlyStopping(patience=1, tolerance=1e9)
            fit(learner, job, SingleProcess(), epochs=9, mini_batch_size=ALL, stopping=stopping)
            return len(learner.seen), len(job.history)

        assert run() == (2, 2)
        assert run() == (0, 2)


class TestEarlyStopping:
    def epochs(self, values, **options):
        """Epochs done until it is over."""
        stopping = EarlyStopping(**options)
        for count, value in enumerate(values, 1):
            stopping.watch(value)
            if stopping.is_over:
                return count
        return None

    def test_waits_for_so_many_epochs_in_a_row_without_gain(self):
        assert self.epochs([9, 8, 8, 7, 7, 7, 7, 6], patience=3, tolerance=0.001) == 7

    def test_takes_a_gain_below_the_tolerance_for_none(self):
        assert self.epochs([100, 99.5, 99.0, 98.6, 98.2], patience=2, tolerance=0.01) == 3
        assert self.epochs([100, 98.5, 97.0, 95.5, 94.0], patience=2, tolerance=0.01) is None

    def test_adds_up_what_is_gained_where_that_is_asked_for(self):
        options = {"patience": 2, "tolerance": 0.01, "adds_up": True}
        assert self.epochs([100, 99.5, 99.0, 98.5, 98.0, 97.5], **options) is None
        assert self.epochs([100, 99.5, 99.0, 98.6, 98.2, 98.1], **options) == 5

    def test_knows_which_way_is_better(self):
        assert self.epochs([0.5, 0.6, 0.7, 0.8], patience=1, larger_is_better=True) is None
        assert self.epochs([0.5, 0.6, 0.7, 0.8], patience=1) == 2

    def test_compares_with_the_best_and_not_with_the_last(self):
        assert self.epochs([5, 9, 8, 7, 6], patience=4) == 5

    def test_takes_anything_for_better_than_no_number(self):
        assert self.epochs([np.inf, 10, 9, 8], patience=1) is None

    def test_ends_the_loop(self):
        learner, job = LeastSquares(), Job(shard(), SingleProcess())
        stopping = EarlyStopping(patience=2, tolerance=1e9)
        fit(learner, job, SingleProcess(), epochs=10, mini_batch_size=ALL, stopping=stopping)
        assert [entry["epoch"] for entry in job.history] == [1, 2, 3]

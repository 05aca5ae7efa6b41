"""A training ends in its best state: whenever that was, over checkpoints, on any number of workers; few rows make enough steps."""

from __future__ import annotations

import numpy as np
import pytest

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.collectives.communicator import SingleProcess
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.checkpoint import CheckpointStore
from sparkml_algos.training.job import Job
from sparkml_algos.training.learner import Learner
from sparkml_algos.training.optimizers import StepDecay
from sparkml_algos.training.progress import Best, Clock, EarlyStopping, EpochResult
from sparkml_algos.training.trainer import FEW_STEPS, Start, fit
from tests.decoding import decoder_of, record_batches
from tests.gang import in_threads

ROWS = np.arange(60, dtype=np.float32).reshape(20, 3)
# Figures after each epoch, the best of them after the third.
FIGURES = [5.0, 4.0, 1.0, 3.0, 2.0, 2.5]


class Walker(Learner):
    """Counts its epochs, and says that they are as good as it is told."""

    def __init__(self, figures=FIGURES, larger_is_better=False):
        self.place, self.figures, self.larger_is_better = np.zeros(1), figures, larger_is_better
        self.elapsed, self.orders = [], []

    def gradient(self, batch):
        self.orders.append(batch.features[:, 0].tolist())
        return np.zeros(1)

    def update(self, sums, progress):
        self.elapsed.append(progress.elapsed)

    def end_epoch(self, progress):
        self.place += 1
        figure = self.figures[progress.epoch]
        return EpochResult({"figure": figure}, figure)

    def state(self):
        return Artifact({"place": self.place})

    def restore(self, state):
        self.place[:] = state.arrays["place"]


def trained(communicator=None, figures=FIGURES, epochs=6, mini_batch_size=5, larger_is_better=False, job=None, **options):
    """A learner after its training, and what the training says of its best state."""
    communicator = communicator or SingleProcess()
    rows = record_batches(ROWS[communicator.rank :: communicator.size])
    shard = Shard(rows, decoder_of(["x"]), rank=communicator.rank, keeps_digest=True)
    shard.learn([shard.facts])
    learner = Walker(figures, larger_is_better)
    return learner, fit(
        learner, Job(shard, communicator, **(job or {})), communicator, epochs=epochs, mini_batch_size=mini_batch_size, **options
    )


class TestBestState:
    def test_is_the_one_the_learner_is_left_in(self):
        learner, best = trained()
        assert learner.place == 3 and best.epoch == 2 and best.result.metrics == {"figure": 1.0}

    def test_may_be_that_of_the_largest_figure_or_of_the_last_epoch(self):
        assert trained(larger_is_better=True)[0].place == 1
        assert trained(figures=[3, 2, 1], epochs=3)[0].place == 3

    def test_is_found_when_early_stopping_ends_the_training(self):
        learner, best = trained(stopping=EarlyStopping(patience=2))
        assert best.epoch == 2 and learner.place == 3 and len(learner.elapsed) == 5 * 4

    @pytest.mark.parametrize("cut", range(1, 7))
    def test_outlives_a_training_that_is_cut_off(self, tmp_path, cut):
        for epochs in (cut, 6):
            learner, best = trained(epochs=epochs, job={"checkpoints": CheckpointStore.of(str(tmp_path), {})})
        assert learner.place == 3 and best.epoch == 2 and best.result.watched == 1.0

    def test_is_the_same_on_every_worker(self):
        for learner, best in in_threads(3, trained):
            assert learner.place == 3 and best.epoch == 2

    def test_is_never_one_whose_figure_is_no_number(self):
        assert trained(figures=[np.nan, 2, np.nan, 3, np.nan, 9])[0].place == 2

    def test_of_two_equal_figures_is_that_of_the_smaller_loss_or_else_the_later(self):
        best = Best(larger_is_better=True)
        for epoch, loss in enumerate([0.5, 0.2, 0.3, 0.2]):
            best.see(epoch, EpochResult({}, 0.9, loss), None)
        assert best.epoch == 3


class TestBefore:
    def test_what_was_learned_before_the_first_epoch_is_learned_once(self, tmp_path):
        found = []
        for epochs, value in ((2, 7.0), (4, 8.0)):
            shard = Shard(record_batches(ROWS), decoder_of(["x"]), keeps_digest=True)
            shard.learn([shard.facts])
            job = Job(shard, SingleProcess(), checkpoints=CheckpointStore.of(str(tmp_path), {}))
            start = Start(job)
            found.append(start.learned(lambda value=value: Artifact({"scale": np.array([value])}, {"count": value})))
            fit(Walker(), job, SingleProcess(), epochs=epochs, mini_batch_size=20, start=start)
        assert [one.arrays["scale"].tolist() for one in found] == [[7.0], [7.0]] and found[1].values == {"count": 7.0}


class TestFewRows:
    def test_make_the_asked_steps_in_passes_of_different_orders(self):
        learner, _ = trained(epochs=1, mini_batch_size=20, min_steps_per_epoch=12)
        assert len(learner.orders) == 12 and all(len(order) == 20 for order in learner.orders)
        learner, _ = trained(epochs=1, mini_batch_size=10, min_steps_per_epoch=12)
        assert len(learner.orders) == 12 and len({tuple(order) for order in learner.orders}) > 2

    def test_that_make_enough_steps_are_read_once_an_epoch(self):
        assert len(trained(epochs=2, mini_batch_size=5, min_steps_per_epoch=4)[0].orders) == 8

    def test_with_a_handful_of_steps_are_warned_of(self):
        said = []
        trained(epochs=2, mini_batch_size=10, job={"warn": said.append})
        assert said == [
            "training made only 4 steps: 20 rows in mini-batches of 10, 2 epochs. The model may be far from what these rows can tell: "
            "raise epochs, or lower mini_batch_size"
        ]

    def test_are_not_warned_of_after_more_steps_or_where_nothing_was_gained_any_more(self):
        said = []
        trained(epochs=6, mini_batch_size=2, job={"warn": said.append})
        assert FEW_STEPS <= 60 and said == []
        trained(stopping=EarlyStopping(patience=2), job={"warn": said.append})
        assert said == []


class TestEnd:
    def test_comes_in_sight_when_half_the_patience_is_used_up(self):
        learner, _ = trained(figures=[5, 5, 5, 5, 5, 5], stopping=EarlyStopping(patience=3))
        by_epoch = np.reshape(learner.elapsed, (-1, 4))
        np.testing.assert_allclose(by_epoch[:3].ravel(), np.arange(12) / 24)  # as if all six epochs were to come
        assert len(by_epoch) == 4 and np.all(np.diff(by_epoch[3]) > 0.1)

    def test_is_not_in_sight_before_the_least_number_of_epochs(self):
        learner, _ = trained(figures=[5, 5, 5, 5, 5, 5], stopping=EarlyStopping(patience=1), min_epochs=5)
        np.testing.assert_allclose(learner.elapsed[:8], np.arange(8) / 24)  # nothing is known to be gained no more
        by_epoch = np.reshape(learner.elapsed, (-1, 4))
        assert len(by_epoch) == 5 and np.all(np.diff(learner.elapsed) > 0) and by_epoch[-1, -1] < 1

    def test_that_moves_away_again_lets_the_share_that_is_over_grow_on_from_where_it_is(self):
        clock = Clock()
        clock.expect(0, 100)
        clock.expect(50, 60)
        assert [clock.elapsed(step) for step in (50, 55)] == pytest.approx([0.5, 0.75])
        clock.expect(55, 100)
        assert [clock.elapsed(step) for step in (55, 100)] == pytest.approx([0.75, 1.0])

    def test_that_is_near_makes_a_rate_fall_unless_its_schedule_was_given(self):
        rate = np.ones(1)
        assert StepDecay().rate(rate, 10, 100, 0.9) == pytest.approx(StepDecay().rate(rate, 90, 100))
        assert StepDecay(every=10, factor=0.5).rate(rate, 10, 100, 0.9) == 0.5

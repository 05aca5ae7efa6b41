"""A checkpoint serves the training that left it: of the same columns, settings and rows, in whatever order these come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparkml_algos.rows.decoder import Decoder, record_batches
from sparkml_algos.rows.fields import Source
from sparkml_algos.training import checkpoint
from sparkml_algos.training.run import Alone, TrainingPlan, train
from tests.averaging import AVERAGING, FIELDS, Averaging

ROWS = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
WEIGHT = 1 + np.arange(300, dtype=np.float32) % 3
MODES = pytest.mark.parametrize("input_mode", ["File", "Pipe"])


class Lost(Exception):
    """The driver is."""


@pytest.fixture
def loses(monkeypatch: pytest.MonkeyPatch):
    """Whether a training is lost after its first checkpoint."""
    save = checkpoint.CheckpointStore.save

    def switch(on: bool) -> None:
        def save_and_lose(store, epoch, state):
            save(store, epoch, state)
            if on:
                raise Lost

        monkeypatch.setattr(checkpoint.CheckpointStore, "save", save_and_lose)

    return switch


def fit(directory: Path, rows=ROWS, weight=WEIGHT, names=("w",), **plan):
    """Epochs that were done now, and the model; None of one that was lost."""
    columns = {"features": rows, "weight": weight}
    decoder = Decoder([Source(field, ["x"] if field.role == "features" else list(names)) for field in FIELDS])
    settings = Averaging(epochs=3).hyperparameters()
    messages = []

    class Watched(Alone):
        def warn(self, message: str) -> None:
            messages.append(message)

    seen = []
    worker = Watched()
    worker.report = lambda progress: seen.append(progress["done"])
    options = {"checkpoint_dir": str(directory), **plan}
    try:
        found = dict(train(TrainingPlan(AVERAGING, [settings], decoder, **options), worker, record_batches(FIELDS, columns, 50)))
    except Lost:
        return None
    return (1 if min(seen) <= 1 else 2), found["model/0"].arrays["mean"], messages


@MODES
def test_the_same_rows_in_another_order_go_on_after_the_last_epoch(tmp_path, loses, input_mode):
    loses(True)
    assert fit(tmp_path, input_mode=input_mode) is None
    loses(False)
    order = np.random.default_rng(1).permutation(300)
    first, mean, _ = fit(tmp_path, ROWS[order], WEIGHT[order], input_mode=input_mode)
    assert first == 2
    np.testing.assert_allclose(mean, np.average(ROWS, axis=0, weights=WEIGHT), rtol=1e-5, atol=1e-6)


@MODES
@pytest.mark.parametrize("other", ["rows", "weights", "column"])
def test_another_training_starts_from_the_beginning(tmp_path, loses, input_mode, other):
    loses(True)
    fit(tmp_path, input_mode=input_mode)
    loses(False)
    rows, weight = (ROWS + 1 if other == "rows" else ROWS), (np.roll(WEIGHT, 1) if other == "weights" else WEIGHT)
    first, mean, messages = fit(tmp_path, rows, weight, ["v"] if other == "column" else ["w"], input_mode=input_mode)
    assert first == 1
    np.testing.assert_allclose(mean, np.average(rows, axis=0, weights=weight), rtol=1e-5, atol=1e-6)
    is_told = input_mode == "Pipe" and other != "column"  # only a pipe's rows are not known when its checkpoints are looked for
    assert any("on other rows is not used" in message for message in messages) == is_told


def test_a_pipe_that_is_read_once_leaves_no_checkpoint(tmp_path):
    settings = Averaging(epochs=1).hyperparameters()
    decoder = Decoder([Source(field, [field.role]) for field in FIELDS])
    plan = TrainingPlan(AVERAGING, [settings], decoder, input_mode="Pipe", checkpoint_dir=str(tmp_path))
    dict(train(plan, Alone(), record_batches(FIELDS, {"features": ROWS, "weight": WEIGHT})))
    assert list(tmp_path.iterdir()) == []

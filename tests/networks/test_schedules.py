"""Learning rates over a training."""

from __future__ import annotations

import math

import pytest

from sparkml_algos.networks.optimizers import OptimizerSettings
from sparkml_algos.networks.schedules import AtEpochs, Cosine, Inverse, Polynomial, WarmUp
from sparkml_algos.training.progress import Progress


def at(step: int, epoch: int = 0) -> Progress:
    return Progress(epoch, step, 100, step / 100)


@pytest.mark.parametrize(
    ("schedule", "progress", "expected"),
    [
        (AtEpochs([2, 4], 0.1), at(0, epoch=1), 1.0),
        (AtEpochs([2, 4], 0.1), at(0, epoch=2), 0.1),
        (AtEpochs([2, 4], 0.1), at(0, epoch=9), 0.01),
        (Polynomial(2.0), at(50), 0.25),
        (Polynomial(), Progress(0, 7, None), 1.0),
        (Cosine(), at(0), 1.0),
        (Cosine(), at(50), 0.5),
        (Cosine(), at(100), 0.0),
        (Inverse(20), at(20), 0.5),
        (Inverse(20, root=True), at(20), 0.5),
        (Inverse(20, root=True), at(80), 1 / math.sqrt(13)),
        (WarmUp(10), at(4), 0.5),
        (WarmUp(10), at(40), 1.0),
        (WarmUp(10, Cosine()), at(50), 0.5),
    ],
    ids=str,
)
def test_the_rate_is_what_the_schedule_says(schedule, progress, expected):
    settings = OptimizerSettings(learning_rate=2.0, schedule=schedule)
    assert settings.rate(progress) == pytest.approx(2 * expected)

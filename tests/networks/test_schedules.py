"""Learning rates over a training."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from sparkml_algos.networks.optimizers import OptimizerSettings
from sparkml_algos.networks.schedules import AtEpochs, Cosine, Inverse, PlateauReduce, Polynomial
from sparkml_algos.training.progress import Progress

SPECIFICATIONS = Path(__file__).parents[1] / "specification"


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
    ],
    ids=str,
)
def test_the_rate_is_what_the_schedule_says(schedule, progress, expected):
    settings = OptimizerSettings(learning_rate=2.0, schedule=schedule)
    assert settings.rate(progress) == pytest.approx(2 * expected)


@pytest.mark.parametrize(
    ("schedule", "theirs", "by_epoch"),
    [
        (AtEpochs([3, 7, 8], 0.3), lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [3, 7, 8], 0.3), True),
        (Polynomial(0.9), lambda optimizer: lr_scheduler.PolynomialLR(optimizer, 20, 0.9), False),
        (Cosine(), lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 20), False),
        (Inverse(5), lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step / 5)), False),
        (Inverse(6, root=True), lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda step: (1 + step / 2) ** -0.5), False),
    ],
    ids=["step", "poly", "cosine", "fixed_rate_inv_t", "fixed_rate_inv_sqrt_t"],
)
def test_rates_are_those_of_torch(schedule, theirs, by_epoch):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    other, settings = theirs(optimizer), OptimizerSettings(learning_rate=2.0, schedule=schedule)
    for place in range(20):
        progress = Progress(place, place, 20, place / 20) if by_epoch else Progress(0, place, 20, place / 20)
        assert settings.rate(progress) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12), place
        optimizer.step()
        other.step()


@pytest.mark.parametrize("larger", [False, True])
@pytest.mark.parametrize("patience", [1, 3])
def test_a_plateau_is_one_where_torch_sees_it(patience, larger):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    # Torch cuts the rate once it has waited longer than its patience.
    theirs = lr_scheduler.ReduceLROnPlateau(optimizer, "max" if larger else "min", 0.5, patience - 1, threshold=0.0, eps=0.0)
    ours = PlateauReduce(0.5, patience, larger)
    settings, rates = OptimizerSettings(learning_rate=2.0, schedule=ours), []
    for place, figure in enumerate(np.random.default_rng(0).normal(size=40).cumsum() * (1 if larger else -1)):
        ours.watch(figure)
        theirs.step(figure)
        rates.append(optimizer.param_groups[0]["lr"])
        assert settings.rate(at(place)) == rates[-1]
        if place == 20:  # the training is resumed
            kept, ours = ours.state(), PlateauReduce(0.5, patience, larger)
            ours.restore(kept)
            settings = OptimizerSettings(learning_rate=2.0, schedule=ours)
    assert 1 < len(set(rates)) < 40


def test_every_schedule_of_the_specifications_is_compared_with_torch():
    asked = set()
    for path in SPECIFICATIONS.glob("*.json"):
        declared = {one["name"]: one["choices"] for one in json.loads(path.read_text())["hyperparameters"]}
        asked |= {name for key in ("lr_scheduler", "lr_scheduler_type") for name in declared.get(key) or ()}
    assert asked == {"step", "poly", "cosine", "plateau_reduce", "fixed_rate_inv_t", "fixed_rate_inv_sqrt_t"}

"""Optimizers over tensors: torch's own steps, in tables too, as far as rows are touched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sparkml_algos.networks.optimizers import OPTIMIZERS, OptimizerSettings
from sparkml_algos.networks.parameters import FlatParameters, Mover

TORCH = {
    ("sgd", ()): lambda parameters: torch.optim.SGD(parameters, lr=0.1, weight_decay=0.01),
    ("sgd", (("momentum", 0.9),)): lambda parameters: torch.optim.SGD(parameters, lr=0.1, weight_decay=0.01, momentum=0.9),
    ("nag", ()): lambda parameters: torch.optim.SGD(parameters, lr=0.1, weight_decay=0.01, momentum=0.9, nesterov=True),
    ("adam", ()): lambda parameters: torch.optim.Adam(parameters, lr=0.1, weight_decay=0.01),
    ("adagrad", ()): lambda parameters: torch.optim.Adagrad(parameters, lr=0.1, weight_decay=0.01, eps=1e-7),
    ("rmsprop", ()): lambda parameters: torch.optim.RMSprop(parameters, lr=0.1, weight_decay=0.01, alpha=0.9),
    ("adadelta", ()): lambda parameters: torch.optim.Adadelta(parameters, lr=0.1, weight_decay=0.01),
}


@pytest.mark.parametrize("key", TORCH, ids=lambda key: "-".join([key[0], *(name for name, _ in key[1])]))
def test_steps_are_those_of_torch(key):
    name, options = key
    start, gradients = torch.randn(7, 3), torch.randn(30, 7, 3)
    theirs = nn.Parameter(start.clone())
    optimizer = TORCH[key]([theirs])
    network = nn.Module()
    network.weight = nn.Parameter(start.clone())
    parameters = FlatParameters(network)
    mover = Mover(OptimizerSettings(name, options=dict(options)).make(), parameters)
    for gradient in gradients:
        theirs.grad = gradient.clone()
        optimizer.step()
        network.weight.grad = gradient.clone()
        parameters.gather()
        mover.step(parameters.gradients, {}, 0.1, 0.01)
        torch.testing.assert_close(network.weight.data, theirs.data, rtol=1e-4, atol=1e-6)


def test_centred_rmsprop_is_graves():
    optimizer = OPTIMIZERS["rmsprop"](gamma_1=0.9, gamma_2=0.8)
    memory, gradient = [torch.zeros(1) for _ in range(3)], torch.tensor([2.0])
    square, mean, velocity = 0.0, 0.0, 0.0
    for step in range(1, 4):
        square, mean = 0.9 * square + 0.1 * 4, 0.9 * mean + 0.1 * 2
        velocity = 0.8 * velocity + 2 / np.sqrt(square - mean**2 + 1e-8)
        assert optimizer.direction(gradient.clone(), memory, step).item() == pytest.approx(velocity, rel=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rows_that_are_touched_move_as_alone_and_others_stay(name):
    network = nn.EmbeddingBag(10, 4, sparse=True)
    start = network.weight.detach().clone()
    parameters = FlatParameters(network)
    mover = Mover(OptimizerSettings(name).make(), parameters)
    alone = nn.Module()
    alone.weight = nn.Parameter(start[[2, 5]].clone())
    others = FlatParameters(alone)
    mover_alone = Mover(OptimizerSettings(name).make(), others)
    for _ in range(3):
        gradient = torch.randn(2, 4)
        alone.weight.grad = gradient.clone()
        others.gather()
        mover_alone.step(others.gradients, {}, 0.1, 0.01)
        mover.step(parameters.gradients, {"weight": (torch.tensor([2, 5]), gradient.clone())}, 0.1, 0.01)
    torch.testing.assert_close(network.weight.data[[2, 5]], alone.weight.data)
    rest = [row for row in range(10) if row not in (2, 5)]
    torch.testing.assert_close(network.weight.data[rest], start[rest], rtol=0, atol=0)


def test_gradients_are_of_the_last_pass_alone():
    network = nn.ModuleList([nn.Linear(3, 1), nn.Linear(3, 1)])
    parameters = FlatParameters(network, figures=1)
    for turn in range(2):
        parameters.sums.fill_(9.0)  # whatever an optimizer has left there
        network[turn](torch.ones(1, 3)).sum().backward()
        parameters.gather()
        assert parameters.gradients.sum() == 4  # three weights and a bias of one layer, nothing of the other or between parameters
        assert all(parameter.grad is None for parameter in network.parameters())
    assert parameters.figures.tolist() == [9.0]


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match="no optimizer is called 'lars'; there are adam, adagrad"):
        OptimizerSettings("lars").make()


def test_parameters_of_other_than_32_bits_are_refused():
    with pytest.raises(TypeError, match=r"must be torch\.float32"):
        FlatParameters(nn.Linear(2, 1, dtype=torch.float64))

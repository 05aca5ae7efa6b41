"""Optimizers over tensors: torch's own steps, in tables too, as far as rows are touched."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sparkml_algos.collectives.communicator import SingleProcess
from sparkml_algos.networks.optimizers import OPTIMIZERS, OptimizerSettings
from sparkml_algos.networks.parameters import FlatParameters, Mover
from sparkml_algos.networks.state import built
from tests.networks.test_learner import LABEL, ROWS, SHAPE, WHOLE, fit, settings
from tests.toys.perceptron import Perceptron

SPECIFICATIONS = Path(__file__).parents[1] / "specification"
# Trained by something else than networks.
OTHERS = ("linear_learner",)

TORCH = {
    ("sgd", ()): lambda parameters: torch.optim.SGD(parameters, lr=0.1, weight_decay=0.01),
    ("sgd", (("momentum", 0.9),)): lambda parameters: torch.optim.SGD(parameters, lr=0.1, weight_decay=0.01, momentum=0.9),
    ("nag", ()): lambda parameters: torch.optim.SGD(parameters, lr=0.1, weight_decay=0.01, momentum=0.9, nesterov=True),
    ("adam", ()): lambda parameters: torch.optim.Adam(parameters, lr=0.1, weight_decay=0.01),
    ("adam", (("beta_1", 0.7), ("beta_2", 0.95), ("epsilon", 1e-3))): lambda parameters: torch.optim.Adam(
        parameters, lr=0.1, weight_decay=0.01, betas=(0.7, 0.95), eps=1e-3
    ),
    ("adagrad", ()): lambda parameters: torch.optim.Adagrad(parameters, lr=0.1, weight_decay=0.01, eps=1e-7),
    ("rmsprop", ()): lambda parameters: torch.optim.RMSprop(parameters, lr=0.1, weight_decay=0.01, alpha=0.9),
    ("rmsprop", (("gamma_1", 0.6), ("epsilon", 1e-3))): lambda parameters: torch.optim.RMSprop(
        parameters, lr=0.1, weight_decay=0.01, alpha=0.6, eps=1e-3
    ),
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


def test_every_optimizer_of_the_specifications_is_compared_with_torch():
    asked: dict[str, set[str]] = {}
    for path in SPECIFICATIONS.glob("*.json"):
        declared = {one["name"]: one["choices"] for one in json.loads(path.read_text())["hyperparameters"]}
        if names := {name for key in ("optimizer", "optimizer_type") for name in declared.get(key) or ()}:
            asked[path.stem] = names
    of_networks = set().union(*(names for algorithm, names in asked.items() if algorithm not in OTHERS))
    assert {"ntm", "object2vec", "seq2seq", "semantic_segmentation", *OTHERS} <= set(asked)
    assert of_networks == set(OPTIMIZERS) == {name for name, _ in TORCH}


@pytest.mark.parametrize(
    "bounds",
    [{"rescale": 0.3}, {"clip_gradient": 0.01}, {"clip_norm": 0.05}, {"rescale": 3.0, "clip_gradient": 0.02, "clip_norm": 0.05}],
    ids=lambda bounds: "-".join(bounds),
)
def test_gradients_are_rescaled_then_clipped_then_decayed_as_a_torch_loop_does_it(bounds):
    network = built(lambda: Perceptron(ROWS.shape[1], **SHAPE), 0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5, weight_decay=0.01)
    for _ in range(10):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(torch.from_numpy(ROWS)), torch.from_numpy(LABEL).long())
        (loss * bounds.get("rescale", 1.0)).backward()
        if "clip_gradient" in bounds:
            nn.utils.clip_grad_value_(network.parameters(), bounds["clip_gradient"])
        if "clip_norm" in bounds:
            length = nn.utils.clip_grad_norm_(network.parameters(), bounds["clip_norm"])
            assert length > bounds["clip_norm"]
        optimizer.step()
    found = fit(SingleProcess(), WHOLE, settings(epochs=10, learning_rate=0.5, weight_decay=0.01, **bounds))
    for key, tensor in network.state_dict().items():
        np.testing.assert_allclose(found.arrays[f"network/{key}"], tensor.numpy(), rtol=1e-3, atol=1e-5, err_msg=key)


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


@pytest.mark.parametrize("other", [torch.bfloat16, torch.float64], ids=str)
def test_parameters_of_other_than_32_bits_or_all_of_64_are_refused(other):
    with pytest.raises(TypeError, match=r"must be torch\.float32, or all torch\.float64, got \{'1\.weight'"):
        FlatParameters(nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1, dtype=other)))

"""Recurrent layers: by steps what they are over a whole sequence; and where weights start."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from sparkml_algos.networks.initial import start_weights
from sparkml_algos.networks.recurrent import RecurrentLayer
from sparkml_algos.networks.state import built


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_steps_give_what_the_whole_sequence_gives(kind):
    layer = built(lambda: RecurrentLayer(kind, 3, 5), 1).double()
    torch.manual_seed(0)
    inputs = torch.randn(4, 6, 3).double()
    state = tuple(torch.randn(4, 1, 5).double() for _ in range(layer.slots))
    expected = layer.sequence(inputs, state)
    for place in range(6):
        state = layer.step(inputs[:, place : place + 1], state)
        torch.testing.assert_close(state[0][:, 0], expected[:, place])


def test_several_beams_go_their_own_ways():
    layer = built(lambda: RecurrentLayer("lstm", 3, 5), 1)
    inputs, state = torch.randn(2, 3, 3), tuple(torch.randn(2, 3, 5) for _ in range(2))
    found = layer.step(inputs, state)
    for beam in range(3):
        alone = layer.step(inputs[:, beam : beam + 1], tuple(part[:, beam : beam + 1] for part in state))
        torch.testing.assert_close(found[0][:, beam], alone[0][:, 0])


@pytest.mark.parametrize("factor, fan", [("in", 30), ("out", 20), ("avg", 25)])
def test_xavier_is_uniform_as_far_as_its_fan_says(factor, fan):
    layer = nn.Linear(30, 20)
    start_weights(layer, "xavier", 2.34, factor)
    bound = math.sqrt(2.34 / fan)
    assert 0.95 * bound < layer.weight.abs().max().item() <= bound
    assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    assert (layer.bias == 0).all()


def test_the_fan_of_a_convolution_counts_all_that_it_sees():
    layer = nn.Conv1d(8, 16, 5)
    start_weights(layer, "xavier", 3.0, "in")
    assert layer.weight.abs().max().item() == pytest.approx(math.sqrt(3 / 40), rel=0.05)


def test_uniform_is_as_far_as_the_scale_says_whatever_its_sign():
    layer = nn.Linear(30, 20)
    start_weights(layer, "uniform", -0.5)
    assert 0.45 < layer.weight.abs().max() <= 0.5

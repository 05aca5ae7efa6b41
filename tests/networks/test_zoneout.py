"""The recurrent layer with zoneout: torch's where nothing stays, its derivatives, and what stays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sparkml_algos.networks.zoneout import ZoneoutLSTM

STEPS, CELLS, ROWS = 5, 3, 4


def inputs(seed=0):
    random = torch.Generator().manual_seed(seed)
    gates = torch.randn(STEPS, 4 * CELLS, ROWS, dtype=torch.float64, generator=random)
    hidden, cell = (torch.randn(CELLS, ROWS, dtype=torch.float64, generator=random) for _ in range(2))
    return gates.requires_grad_(), hidden.requires_grad_(), cell.requires_grad_()


def layer(rate=0.0):
    torch.manual_seed(1)
    return ZoneoutLSTM(CELLS, rate).double()


def test_is_torchs_layer_where_nothing_stays():
    ours, theirs = layer(), nn.LSTM(4 * CELLS, CELLS, bias=False).double()
    with torch.no_grad():
        # Torch has the new content before the output gate.
        order = torch.tensor([*range(2 * CELLS), *range(3 * CELLS, 4 * CELLS), *range(2 * CELLS, 3 * CELLS)])
        theirs.weight_ih_l0.copy_(torch.eye(4 * CELLS))
        theirs.weight_hh_l0.copy_(ours.recurrent[order])
    gates, hidden, cell = inputs()
    found, last = ours(gates, (hidden, cell))
    expected, (_, expected_cell) = theirs(gates[:, order].transpose(1, 2), (hidden.t()[None], cell.t()[None]))
    torch.testing.assert_close(found.transpose(1, 2), expected)
    torch.testing.assert_close(last.t(), expected_cell[0])


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("draws", [False, True])
def test_its_derivatives_are_right(rate, draws):
    ours = layer(rate)
    masks = ours.masks(STEPS, ROWS, np.random.default_rng(0)) if draws else None

    masks = None if masks is None else masks.double()

    def run(gates, hidden, cell, recurrent):
        return torch.func.functional_call(ours, {"recurrent": recurrent}, (gates, (hidden, cell), masks))

    assert torch.autograd.gradcheck(run, (*inputs(), ours.recurrent))


def test_what_a_mask_holds_stays_and_the_rest_moves():
    ours, (gates, hidden, cell) = layer(0.5), inputs()
    masks = ours.masks(STEPS, ROWS, np.random.default_rng(3)).double()
    found, _ = ours(gates, (hidden, cell), masks)
    before = torch.cat([hidden[None], found[:-1]])
    assert torch.equal((found == before), masks == 0)


def test_the_share_that_stays_is_the_rate_and_its_mean_is_what_is_expected():
    wide = ZoneoutLSTM(50, 0.2)
    masks = wide.masks(20, 300, np.random.default_rng(0))
    assert 1 - float(masks.mean()) == pytest.approx(0.2, abs=0.003)
    one = layer(0.2)
    gates, hidden, cell = (
        tensor.detach()[..., :1].repeat(1, 1, 40_000)[: (1 if tensor.ndim == 3 else None)]
        for tensor in (inputs()[0], inputs()[1][None], inputs()[2][None])
    )
    drawn, _ = one(gates, (hidden[0], cell[0]), one.masks(1, 40_000, np.random.default_rng(1)).double())
    expected, _ = one(gates, (hidden[0], cell[0]))
    torch.testing.assert_close(drawn.mean(2), expected[..., 0], atol=0.01, rtol=0)

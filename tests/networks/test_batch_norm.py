"""Batch normalisation over the rows of all workers: torch's on all of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparkml_algos.networks.batch_norm import share_statistics
from tests.gang import in_threads

MAKE = {
    "rows": (lambda: nn.BatchNorm1d(3), torch.randn(12, 3) * 5 + 100),
    "series": (lambda: nn.BatchNorm1d(3, momentum=None), torch.randn(12, 3, 4)),
    "images": (lambda: nn.BatchNorm2d(3, affine=False), torch.randn(12, 3, 4, 5)),
    "forgetful": (lambda: nn.BatchNorm1d(3, track_running_stats=False), torch.randn(12, 3)),
}


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("ends", [[6, 12], [1, 12], [0, 12], [4, 8, 12]], ids=str)
def test_outputs_gradients_and_statistics_are_those_of_all_rows(kind, ends):
    make, rows = MAKE[kind]
    target = torch.randn_like(rows)
    norm, whole = make(), rows.clone().requires_grad_()
    outputs = [norm(whole) for _ in range(2)]
    ((outputs[-1] - target) ** 2).sum().backward()

    def work(communicator):
        part = slice([0, *ends][communicator.rank], ends[communicator.rank])
        network, own = nn.Sequential(make()), rows[part].clone().requires_grad_()
        assert share_statistics(network, communicator)
        found = [network(own) for _ in range(2)]
        ((found[-1] - target[part]) ** 2).sum().backward()
        return found[-1].detach(), own.grad, [parameter.grad for parameter in network.parameters()], network.state_dict()

    found = in_threads(len(ends), work)
    torch.testing.assert_close(torch.cat([output for output, *_ in found]), outputs[-1].detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(torch.cat([gradient for _, gradient, *_ in found]), whole.grad, rtol=1e-3, atol=1e-4)
    for index, parameter in enumerate(norm.parameters()):
        torch.testing.assert_close(sum(gradients[index] for _, _, gradients, _ in found), parameter.grad, rtol=1e-3, atol=1e-3)
    for *_, state in found:
        for name, tensor in norm.state_dict().items():
            torch.testing.assert_close(state[f"0.{name}"], tensor, rtol=1e-5, atol=1e-5)


def test_one_worker_computes_as_torch_does_and_meets_nobody():
    network, plain, rows = nn.Sequential(nn.BatchNorm1d(3)), nn.BatchNorm1d(3), torch.randn(12, 3)
    assert not in_threads(1, lambda communicator: share_statistics(network, communicator))[0]
    assert torch.equal(network(rows), plain(rows))
    assert torch.equal(network[0].running_var, plain.running_var)


def test_a_single_row_of_one_worker_is_normalised_to_zero():
    network = nn.Sequential(nn.BatchNorm1d(3))
    in_threads(1, lambda communicator: share_statistics(network, communicator))
    row = torch.randn(1, 3, requires_grad=True)
    network(row).sum().backward()
    for found in (network(row), row.grad):
        torch.testing.assert_close(found.detach(), torch.zeros(1, 3), rtol=0, atol=1e-4)

"""Networks as artifacts and back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.networks.state import built, loaded, put_state, state_of, to_artifact


def make(dtype=torch.float32):
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).to(dtype)
    network.append(nn.Linear(3, 4, dtype=dtype))
    network[3].weight = network[0].weight  # tied
    return network


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_a_network_comes_back_from_a_table_to_the_bit(dtype):
    network = make(dtype)
    artifact = Artifact.from_table(to_artifact(state_of(network)).to_table())
    back = loaded(make(dtype), artifact)
    for name, tensor in network.state_dict().items():
        assert torch.equal(back.state_dict()[name], tensor), name
    assert not back.training and not any(parameter.requires_grad for parameter in back.parameters())


def test_a_tensor_of_two_names_is_there_once():
    assert "network/3.weight" not in state_of(make()) and "network/0.weight" in state_of(make())


def test_a_network_need_not_be_given_a_start_before_it_is_loaded():
    network = make()
    with torch.device("meta"):
        empty = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    artifact = to_artifact(state_of(network[:2]))
    assert torch.equal(loaded(empty, artifact)[0].weight, network[0].weight)


@pytest.mark.parametrize("other", [nn.Linear(3, 2), nn.Linear(4, 3), nn.Sequential(nn.Linear(3, 4))], ids=["size", "shape", "names"])
def test_the_state_of_another_network_is_refused(other):
    with pytest.raises(ValueError, match="the artifact is of another network"):
        put_state(other, to_artifact(state_of(nn.Linear(3, 4))))


def test_the_start_depends_on_the_seed_alone_and_leaves_torchs_own_random_state():
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    first, again, other = built(make, 1), built(make, 1), built(make, 2)
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(first[0].weight, again[0].weight) and not torch.equal(first[0].weight, other[0].weight)

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
    back = loaded(lambda: make(dtype), artifact)
    for name, tensor in network.state_dict().items():
        assert torch.equal(back.state_dict()[name], tensor), name
    assert not back.training and not any(parameter.requires_grad for parameter in back.parameters())


def test_a_tensor_of_two_names_is_there_once():
    assert "network/3.weight" not in state_of(make()) and "network/0.weight" in state_of(make())


def test_a_loaded_network_shares_the_memory_of_the_artifact_and_ties_its_tensors_as_before():
    network = make()
    artifact = to_artifact(state_of(network))
    for array in artifact.arrays.values():
        array.flags.writeable = False
    back = loaded(make, artifact)
    assert back[0].weight.data_ptr() == artifact.arrays["network/0.weight"].ctypes.data
    assert back[3].weight is back[0].weight


def test_recurrent_layers_which_hold_weak_references_to_their_weights_come_back_and_compute():
    network, rows = nn.LSTM(3, 4, bidirectional=True).eval(), torch.rand(5, 2, 3)
    back = loaded(lambda: nn.LSTM(3, 4, bidirectional=True), to_artifact(state_of(network)))
    torch.testing.assert_close(back(rows)[0], network(rows)[0], rtol=0, atol=0)


def test_a_network_that_computes_with_more_than_its_state_is_refused():
    def make_more():
        network = nn.Linear(3, 4)
        network.register_buffer("scale", torch.ones(4), persistent=False)
        return network

    with pytest.raises(TypeError, match="must not have buffers that are not persistent, such as scale"):
        loaded(make_more, to_artifact(state_of(make_more())))


@pytest.mark.parametrize("other", [nn.Linear(3, 2), nn.Linear(4, 3), nn.Sequential(nn.Linear(3, 4))], ids=["size", "shape", "names"])
def test_the_state_of_another_network_is_refused(other):
    artifact = to_artifact(state_of(nn.Linear(3, 4)))
    for put in (lambda: put_state(other, artifact), lambda: loaded(lambda: other, artifact)):
        with pytest.raises(ValueError, match="the artifact is of another network"):
            put()


def test_the_start_depends_on_the_seed_alone_and_leaves_torchs_own_random_state():
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    first, again, other = built(make, 1), built(make, 1), built(make, 2)
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(first[0].weight, again[0].weight) and not torch.equal(first[0].weight, other[0].weight)

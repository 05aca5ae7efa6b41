"""Attention, against sums that are written out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparkml_algos.networks.attention import Attention
from sparkml_algos.networks.state import built

LENGTHS = torch.tensor([3, 1, 5])


def made(kind, states=6, queries=6):
    attention = built(lambda: Attention(kind, states, queries, 4), 1).double()
    torch.manual_seed(0)
    return attention, torch.randn(3, 5, states).double(), torch.randn(3, 2, queries).double()


def score(attention, state, query):
    if attention.kind == "dot":
        return query @ state
    if attention.kind == "bilinear":
        return query @ attention.of_state.weight @ state
    return attention.score(torch.tanh(attention.of_state(state) + attention.of_query(query)))[0]


@pytest.mark.parametrize("kind", ["dot", "bilinear", "mlp"])
def test_contexts_are_means_by_the_softmax_of_scores_over_what_is_there(kind):
    attention, states, queries = made(kind)
    contexts, weights = attention(queries, attention.memory(states, LENGTHS))
    for row, length in enumerate(LENGTHS.tolist()):
        for place in range(2):
            scores = torch.stack([score(attention, state, queries[row, place]) for state in states[row, :length]])
            expected = torch.softmax(scores, 0)
            torch.testing.assert_close(weights[row, place, :length], expected)
            assert (weights[row, place, length:] == 0).all()
            torch.testing.assert_close(contexts[row, place], expected @ states[row, :length])


def test_fixed_looks_at_the_last_state_alone():
    attention, states, queries = made("fixed", queries=3)
    contexts, weights = attention(queries, attention.memory(states, LENGTHS))
    torch.testing.assert_close(contexts[:, 0], torch.stack([states[0, 2], states[1, 0], states[2, 4]]))
    assert weights[:, 1].argmax(1).tolist() == [2, 0, 4]
    assert list(attention.parameters()) == []


def test_dot_of_different_sizes_is_refused():
    with pytest.raises(ValueError, match="one size, got 6 and 4"):
        Attention("dot", 6, 4, 1)


def test_a_gradient_reaches_all_weights():
    for kind in ("bilinear", "mlp"):
        attention, states, queries = made(kind, queries=4)
        attention(queries, attention.memory(states, LENGTHS))[0].square().sum().backward()
        assert all(parameter.grad is not None for parameter in attention.parameters() if isinstance(parameter, nn.Parameter))

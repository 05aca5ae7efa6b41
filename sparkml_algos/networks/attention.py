"""Attention: what a query finds among the states of a sequence.

Of states h₁ … hₙ of a sequence and a query s, weights a = softmax of their scores, and the context Σ aᵢ hᵢ. The scores are

    dot       s·h                     bilinear  sᵀ W h             mlp  vᵀ tanh(W [s; h])
    fixed     the last state alone, whatever the query

References
----------
D. Bahdanau, K. Cho, Y. Bengio, "Neural machine translation by jointly learning to align and translate", ICLR 2015 (mlp). M.-T. Luong,
H. Pham, C. Manning, "Effective approaches to attention-based neural machine translation", EMNLP 2015 (dot, general, concat).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

DOT, BILINEAR, MLP, FIXED = "dot", "bilinear", "mlp", "fixed"


class Memory(NamedTuple):
    """Some sequences to look at.

    Attributes
    ----------
    states : Tensor, shape (rows, length, size)
    keys : Tensor, shape (rows, length, size of a query)
        What queries are compared with.
    padding : Tensor, shape (rows, 1, length)
        0 where there is an element, −∞ after the last one of a row.
    lengths : Tensor of int64, shape (rows,)
    """

    states: Tensor
    keys: Tensor
    padding: Tensor
    lengths: Tensor

    def take(self, rows: Tensor) -> Memory:
        """Some of the rows."""
        return Memory(*(part[rows] for part in self))


class Attention(nn.Module):
    """Looks for queries among states.

    Parameters
    ----------
    kind : {"dot", "bilinear", "mlp", "fixed"}
    states, queries : int
        Numbers of a state, and of a query; equal for ``dot``.
    hidden : int
        Numbers of the layer within ``mlp``.
    """

    def __init__(self, kind: str, states: int, queries: int, hidden: int) -> None:
        super().__init__()
        if kind == DOT and states != queries:
            raise ValueError(f"the scores of dot need states and queries of one size, got {states} and {queries}")
        self.kind = kind
        if kind == BILINEAR:
            self.of_state = nn.Linear(states, queries, bias=False)
        if kind == MLP:
            self.of_state, self.of_query = nn.Linear(states, hidden), nn.Linear(queries, hidden, bias=False)
            self.score = nn.Linear(hidden, 1, bias=False)

    def memory(self, states: Tensor, lengths: Tensor) -> Memory:
        """States of sequences, ready to be looked at many times.

        Parameters
        ----------
        states : Tensor, shape (rows, length, size)
        lengths : Tensor of int64, shape (rows,)
        """
        keys = self.of_state(states) if self.kind in (BILINEAR, MLP) else states
        is_padding = torch.arange(states.shape[1], device=states.device) >= lengths[:, None]
        padding = torch.zeros(is_padding.shape, dtype=states.dtype, device=states.device).masked_fill_(is_padding, -torch.inf)
        return Memory(states, keys, padding[:, None], lengths)

    def forward(self, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Contexts and weights.

        Parameters
        ----------
        queries : Tensor, shape (rows, queries, size)
            Several for each sequence.
        memory : Memory

        Returns
        -------
        (Tensor, Tensor), shapes (rows, queries, states) and (rows, queries, length)
        """
        if self.kind == FIXED:
            last = memory.lengths - 1
            context = memory.states[torch.arange(len(last), device=last.device), last][:, None]
            weights = nn.functional.one_hot(last, memory.states.shape[1]).to(context.dtype)[:, None]
            return context.expand(-1, queries.shape[1], -1), weights.expand(-1, queries.shape[1], -1)
        if self.kind == MLP:
            hidden = torch.tanh(memory.keys[:, None] + self.of_query(queries)[:, :, None])
            scores = self.score(hidden)[..., 0]
        else:
            scores = torch.bmm(queries, memory.keys.transpose(1, 2))
        weights = torch.softmax(scores + memory.padding, dim=2)
        return torch.bmm(weights, memory.states), weights

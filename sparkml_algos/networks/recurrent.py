"""Recurrent layers that compute whole sequences at once, and a step at a time with the same weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Numbers that a layer remembers: of an LSTM its output and its cell, of a GRU its output.
State = tuple[Tensor, ...]

LSTM, GRU = "lstm", "gru"


class RecurrentLayer(nn.Module):
    """A layer of LSTM or GRU cells, from the first element of a sequence to the last.

    Parameters
    ----------
    kind : {"lstm", "gru"}
    inputs, hidden : int
        Numbers that come in and that go out, per element.

    Attributes
    ----------
    slots : int
        Tensors of a `State`.
    """

    def __init__(self, kind: str, inputs: int, hidden: int) -> None:
        super().__init__()
        self.cells = {LSTM: nn.LSTM, GRU: nn.GRU}[kind](inputs, hidden, batch_first=True)
        self.slots = 2 if kind == LSTM else 1

    def sequence(self, inputs: Tensor, state: State) -> Tensor:
        """Outputs for all elements, shape (rows, length, hidden).

        Parameters
        ----------
        inputs : Tensor, shape (rows, length, inputs)
        state : State
            Each of shape (rows, 1, hidden).
        """
        start = tuple(part.transpose(0, 1).contiguous() for part in state)
        return self.cells(inputs, start if self.slots == 2 else start[0])[0]

    def step(self, inputs: Tensor, state: State) -> State:
        """The state after one element more, of which the first tensor is the output.

        Parameters
        ----------
        inputs : Tensor, shape (rows, beams, inputs)
        state : State
            Each of shape (rows, beams, hidden).
        """
        rows = inputs.flatten(0, 1)
        memory = [part.flatten(0, 1) for part in state]
        cells = self.cells
        weights = cells.weight_ih_l0, cells.weight_hh_l0, cells.bias_ih_l0, cells.bias_hh_l0
        found = torch.lstm_cell(rows, memory, *weights) if self.slots == 2 else (torch.gru_cell(rows, memory[0], *weights),)
        return tuple(part.view(*inputs.shape[:2], -1) for part in found)

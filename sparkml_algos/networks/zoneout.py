"""A recurrent layer with zoneout, over whole sequences at once.

Sequences lie as (steps, numbers, rows): what belongs to one number of all rows is in one piece, and so are the gates of a step, so that no
operation has to gather them.

References
----------
S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997. D. Krueger et al., "Zoneout: regularizing RNNs by
randomly preserving hidden activations", ICLR 2017.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Numbers of 16 bits, of which masks are made.
_WORDS = 1 << 16


class ZoneoutLSTM(nn.Module):
    """A layer of long short-term memory, some of whose units stay what they were in a step.

    In training each of its units, hidden state and cell, stays what it was with the probability of the rate, in every step and row anew;
    otherwise it is what it is expected to be.

    Parameters
    ----------
    cells : int
    rate : float
        From 0 to below 1.
    """

    def __init__(self, cells: int, rate: float = 0.0) -> None:
        super().__init__()
        self.cells, self.rate = cells, rate
        bound = 1 / math.sqrt(cells)
        self.recurrent = nn.Parameter(torch.empty(4 * cells, cells).uniform_(-bound, bound))

    def masks(self, steps: int, rows: int, random: np.random.Generator) -> Tensor | None:
        """What moves in each step: 1, or 0 where a unit, its hidden state and its cell, stays what it was.

        Returns
        -------
        Tensor of float32, shape (steps, cells, rows), or None
            None where the rate is 0.
        """
        if not self.rate:
            return None
        shape = steps, self.cells, rows
        words = np.frombuffer(random.bytes(2 * int(np.prod(shape))), np.uint16).reshape(shape)
        return torch.from_numpy((words >= round(self.rate * _WORDS)).astype(np.float32)).to(self.recurrent.device)

    def forward(self, gates: Tensor, state: tuple[Tensor, Tensor] | None = None, masks: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Hidden states.

        Parameters
        ----------
        gates : Tensor, shape (steps, 4 · cells, rows)
            What the inputs of each step add to the input, forget and output gates and to the new content, bias included.
        state : (Tensor, Tensor), optional
            Hidden state and cell before the first step, shape (cells, rows) each; 0 by default.
        masks : Tensor, optional
            Those of `masks`; what is expected is computed without.

        Returns
        -------
        (Tensor, Tensor)
            Hidden states after each step, shape (steps, cells, rows), and the cell after the last.
        """
        if state is None:
            state = gates.new_zeros(self.cells, gates.shape[2]), gates.new_zeros(self.cells, gates.shape[2])
        if masks is None and self.rate:
            masks = gates.new_full((1, 1, 1), 1 - self.rate).expand(len(gates), self.cells, gates.shape[2])
        return _unrolled(gates, self.recurrent, *state, masks)


@torch.compiler.disable
def _unrolled(gates: Tensor, recurrent: Tensor, hidden: Tensor, cell: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor]:
    return _Unrolled.apply(gates, recurrent, hidden, cell, masks)


class _Unrolled(torch.autograd.Function):
    """All steps, with the derivatives written out: torch's own would keep a dozen small tensors for each step, and take twice as long."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, recurrent: Tensor, hidden: Tensor, cell: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor]:
        cells = hidden.shape[0]
        steps, _, rows = gates.shape
        # Matrix products may come in 16 bits; what adds up over steps does not.
        gates, recurrent, hidden, cell = (tensor.to(recurrent.dtype) for tensor in (gates, recurrent, hidden, cell))
        opened = torch.empty_like(gates)
        contents, hiddens = (gates.new_empty(steps, cells, rows) for _ in range(2))
        befores = gates.new_empty(steps + 1, cells, rows)
        befores[0] = cell
        first = hidden
        for step in range(steps):
            now, content, after = opened[step], contents[step], befores[step + 1]
            torch.addmm(gates[step], recurrent, hidden, out=now)
            now[: 3 * cells].sigmoid_()
            now[3 * cells :].tanh_()
            torch.mul(now[cells : 2 * cells], cell, out=after)
            after.addcmul_(now[:cells], now[3 * cells :])
            torch.tanh(after, out=content)
            torch.mul(now[2 * cells : 3 * cells], content, out=hiddens[step])
            if masks is not None:
                torch.lerp(cell, after, masks[step], out=after)
                torch.lerp(hidden, hiddens[step], masks[step], out=hiddens[step])
            hidden, cell = hiddens[step], after
        ctx.save_for_backward(opened, contents, befores, hiddens, first, recurrent, masks)
        return hiddens, cell.clone()

    @staticmethod
    def backward(ctx: Any, of_hiddens: Tensor, of_cell: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        opened, contents, befores, hiddens, first, recurrent, masks = ctx.saved_tensors
        steps, cells, rows = hiddens.shape
        enter, keep, leave, new = opened.view(steps, 4, cells, rows).unbind(1)
        # Derivatives of the new content of the cell, and what it does to the gates: (steps, 3, cells, rows) for enter, keep and new.
        of_content = leave * (1 - contents * contents)
        by_content = torch.stack([new * enter * (1 - enter), befores[:-1] * keep * (1 - keep), enter * (1 - new * new)], 1)
        by_hidden = contents * leave * (1 - leave)
        of_gates = torch.empty_like(opened)
        parts = of_gates.view(steps, 4, cells, rows)
        transposed = recurrent.t().contiguous()
        hidden, cell = torch.zeros_like(of_cell), of_cell.clone()
        for step in range(steps - 1, -1, -1):
            hidden = hidden + of_hiddens[step]
            fresh, fresh_cell = hidden, cell
            if masks is not None:
                fresh, fresh_cell = hidden * masks[step], cell * masks[step]
            content = torch.addcmul(fresh_cell, fresh, of_content[step])
            torch.mul(by_content[step, :2], content, out=parts[step, :2])
            torch.mul(by_hidden[step], fresh, out=parts[step, 2])
            torch.mul(by_content[step, 2], content, out=parts[step, 3])
            kept = torch.mul(content, keep[step])
            if masks is None:
                hidden, cell = torch.mm(transposed, of_gates[step]), kept
            else:
                hidden = torch.addmm(hidden - fresh, transposed, of_gates[step])
                cell = kept.add_(cell).sub_(fresh_cell)
        earlier = torch.cat([first[None], hiddens[:-1]])
        of_recurrent = torch.bmm(of_gates, earlier.transpose(1, 2)).sum(0)
        return of_gates, of_recurrent, hidden, cell, None

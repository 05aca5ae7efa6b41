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
            masks = self.recurrent.new_full((1, 1, 1), 1 - self.rate).expand(len(gates), self.cells, gates.shape[2])
        return _unrolled(gates, self.recurrent, *state, masks)


@torch.compiler.disable
def _unrolled(gates: Tensor, recurrent: Tensor, hidden: Tensor, cell: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor]:
    return _Unrolled.apply(gates, recurrent, hidden, cell, masks)


class _Unrolled(torch.autograd.Function):
    """All steps, with the derivatives written out: torch's own would keep a dozen small tensors for each step, and take twice as long.

    Steps are so short that cutting out what belongs to one would take as long as computing it: that is done for all of them at once.
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, recurrent: Tensor, hidden: Tensor, cell: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor]:
        cells = hidden.shape[0]
        steps, _, rows = gates.shape
        # Matrix products may come in 16 bits; what adds up over steps does not.
        gates, recurrent, hidden, cell = (tensor.to(recurrent.dtype) for tensor in (gates, recurrent, hidden, cell))
        opened = gates.new_empty(steps, 4 * cells, rows)
        contents, hiddens = (gates.new_empty(steps, cells, rows) for _ in range(2))
        befores = gates.new_empty(steps + 1, cells, rows)
        befores[0] = cell
        first = hidden
        of_step = [opened, opened[:, : 3 * cells], *opened.view(steps, 4, cells, rows).unbind(1), contents, befores[1:], hiddens]
        moves = [None] * steps if masks is None else masks.unbind(0)
        for given, move, now, doors, enter, keep, leave, new, content, after, said in zip(
            gates.unbind(0), moves, *(part.unbind(0) for part in of_step), strict=True
        ):
            torch.addmm(given, recurrent, hidden, out=now)
            doors.sigmoid_()
            new.tanh_()
            torch.mul(keep, cell, out=after)
            after.addcmul_(enter, new)
            torch.tanh(after, out=content)
            torch.mul(leave, content, out=said)
            if move is not None:
                torch.lerp(cell, after, move, out=after)
                torch.lerp(hidden, said, move, out=said)
            hidden, cell = said, after
        ctx.save_for_backward(opened, contents, befores, hiddens, first, recurrent, masks)
        return hiddens, cell.clone()

    @staticmethod
    def backward(ctx: Any, of_hiddens: Tensor, of_cell: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        opened, contents, befores, hiddens, first, recurrent, masks = ctx.saved_tensors
        steps, cells, rows = hiddens.shape
        enter, keep, leave, new = opened.view(steps, 4, cells, rows).unbind(1)
        # First the derivatives by the gates of what a step makes of the new content of the cell, and of what is said: these are multiplied
        # by those of the loss, step by step.
        of_gates = torch.empty_like(opened)
        parts = of_gates.view(steps, 4, cells, rows)
        of_enter, of_keep, of_leave, of_new = parts.unbind(1)
        through_sigmoid, through_tanh = torch.ops.aten.sigmoid_backward.grad_input, torch.ops.aten.tanh_backward.grad_input
        through_sigmoid(new, enter, grad_input=of_enter)
        through_sigmoid(befores[:-1], keep, grad_input=of_keep)
        through_sigmoid(contents, leave, grad_input=of_leave)
        through_tanh(enter, new, grad_input=of_new)
        by_content = torch.ops.aten.tanh_backward(leave, contents)
        transposed = recurrent.t().contiguous()
        hidden, cell = torch.zeros_like(of_cell), of_cell
        of_step = [of_hiddens, by_content, keep, of_gates, parts[:, :2], of_leave, of_new]
        moves = [None] * steps if masks is None else masks.unbind(0)
        views = list(zip(moves, *(part.unbind(0) for part in of_step), strict=True))
        for move, said, slope, kept, whole, two, third, fourth in reversed(views):
            hidden = hidden + said
            fresh, fresh_cell = (hidden, cell) if move is None else (hidden * move, cell * move)
            content = torch.addcmul(fresh_cell, fresh, slope)
            two.mul_(content)
            third.mul_(fresh)
            fourth.mul_(content)
            earlier = content * kept
            if move is None:
                hidden, cell = torch.mm(transposed, whole), earlier
            else:
                hidden = torch.addmm(hidden.sub_(fresh), transposed, whole)
                cell = earlier.add_(cell).sub_(fresh_cell)
        of_recurrent = torch.mm(of_gates[0], first.t())
        of_recurrent += torch.bmm(of_gates[1:], hiddens[:-1].transpose(1, 2)).sum(0)
        return of_gates, of_recurrent, hidden, cell, None

"""Beam search over many sequences at once.

Of each sequence the search holds the best unfinished beginnings, `beams` of them, and the best finished ones. In every step all beginnings
of all sequences are computed together; a sequence whose best are all finished leaves the batch, so that nothing is computed for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor


class Searched(Protocol):
    """What a search asks step by step. Its state belongs to it."""

    def scores(self, tokens: Tensor, state: Any) -> tuple[Tensor, Tensor, Any]:
        """What follows the last tokens of some beginnings.

        Parameters
        ----------
        tokens : Tensor of int64, shape (rows, beams)
        state : object

        Returns
        -------
        (Tensor, Tensor, object)
            Scores whose softmax is how probable each token is, shape (rows, beams, tokens); what else is to be known of the step, shape
            (rows, beams, …); and the state after it.
        """

    def chosen(self, state: Any, rows: Tensor, beams: Tensor) -> Any:
        """The state of some rows and, of each, of some beginnings.

        Parameters
        ----------
        state : object
        rows : Tensor of int64, shape (rows kept,)
        beams : Tensor of int64, shape (rows kept, beams)
            Counted within a row; a beginning may come twice.
        """


class Finding(NamedTuple):
    """What was found for a sequence.

    Attributes
    ----------
    tokens : list of int
        Without the one that ends it.
    score : float
        Mean of the logarithms of the probabilities of its tokens, that of the end among them.
    notes : Tensor or None, shape (tokens, …)
        Of each step what else is known of it, where that was asked for.
    """

    tokens: list[int]
    score: float
    notes: Tensor | None


@dataclass
class _Row:
    """The finished beginnings of a sequence, the best first."""

    limit: int
    found: list[Finding] = field(default_factory=list)


def beam_search(
    network: Searched,
    state: Any,
    limits: Sequence[int],
    beams: int,
    start: int,
    end: int,
    banned: Sequence[int] = (),
    *,
    device: str | torch.device = "cpu",
    keeps_notes: bool = False,
) -> list[Finding]:
    """The most probable sequences, of each row one.

    Finished beginnings compete by the mean logarithm of the probabilities of their tokens. A row is done once it has as many of them as
    beams, and no unfinished beginning has a better mean than the worst of these; or when it has reached its limit of tokens, where its best
    beginning counts as finished if no other is.

    Parameters
    ----------
    network : Searched
    state : object
        Of one beginning per row, of nothing but `start`.
    limits : sequence of int
        Tokens of each row at most.
    beams : int
    start, end : int
        Tokens at which sequences start and end.
    banned : sequence of int
        Tokens that never come.
    device : str or torch.device
        Where the network computes.
    keeps_notes : bool
        Whether what else is known of the steps is kept.

    Returns
    -------
    list of Finding
    """
    rows = [_Row(limit) for limit in limits]
    if not rows:
        return []
    alive = torch.arange(len(rows), device=device)
    tokens = torch.full((len(rows), 1), start, device=device)
    totals = None
    history, notes = tokens.new_empty(len(rows), 1, 0), None
    step, width = 0, beams
    while len(alive):
        scores, noted, state = network.scores(tokens, state)
        scores[:, :, list(banned)] = -torch.inf
        step += 1
        # One sequence more than beams for each of them, since all could end here.
        best, places, kinds = _best(scores, totals, 2 * width)
        ends = kinds == end
        history = torch.cat([_of(history, places), kinds[:, :, None]], dim=2)
        if keeps_notes:
            noted = _of(noted[:, :, None], places)
            notes = noted if notes is None else torch.cat([_of(notes, places), noted], dim=2)
        limit = torch.tensor([rows[row].limit for row in alive.tolist()], device=device)
        stays = _finish(rows, alive, history, notes, best, ends, step >= limit, step, width)
        # Of those that go on, the best that have not ended, in their order.
        order = torch.argsort(ends.to(torch.int8), dim=1, stable=True)[:, :width][stays]
        alive, best = alive[stays], best[stays].gather(1, order)
        # Where there are fewer, as of a small vocabulary, the rest can never win.
        totals = best.masked_fill(ends[stays].gather(1, order), -torch.inf)
        places = places[stays].gather(1, order)
        state = network.chosen(state, stays, places)
        history = _of(history[stays], order)
        notes = None if notes is None else _of(notes[stays], order)
        tokens = history[:, :, -1]
    return [row.found[0] for row in rows]


def _best(scores: Tensor, totals: Tensor | None, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The best continuations of each row, the best first: their sums of logarithms, of which beginning they are, and their last token."""
    _, beams, words = scores.shape
    scale = torch.logsumexp(scores, dim=2)
    top, kinds = scores.topk(min(count, words), dim=2)
    logs = top - scale[:, :, None]
    if totals is not None:
        logs = logs + totals[:, :, None]
    each = logs.shape[2]
    best, places = logs.flatten(1).topk(min(count, beams * each), dim=1)
    return best, places // each, kinds.flatten(1).gather(1, places)


def _finish(
    rows: list[_Row],
    alive: Tensor,
    history: Tensor,
    notes: Tensor | None,
    best: Tensor,
    ends: Tensor,
    is_last: Tensor,
    step: int,
    beams: int,
) -> Tensor:
    """Take down what has ended; which of the rows alive go on."""
    # What ends counts only where it is among the best that there is room for.
    counts = ends & (torch.arange(ends.shape[1], device=ends.device) < beams) & torch.isfinite(best)
    touched = torch.nonzero(counts.any(1) | is_last)[:, 0].tolist()
    if touched:
        ids, totals, ended = alive.tolist(), best.tolist(), counts.tolist()
        last, told = is_last.tolist(), history.tolist()
    for place in touched:
        row = rows[ids[place]]
        for beam, is_end in enumerate(ended[place]):
            if is_end:
                note = None if notes is None else notes[place, beam, :-1].clone()
                row.found.append(Finding(told[place][beam][:-1], totals[place][beam] / step, note))
        if last[place] and not row.found:
            row.found.append(Finding(told[place][0], totals[place][0] / step, None if notes is None else notes[place, 0].clone()))
        row.found.sort(key=lambda found: -found.score)
        del row.found[beams:]
    # Of the beginnings that go on the first is the best; −∞ where there are none.
    running = best.masked_fill(ends, -torch.inf).amax(1) / step
    worst = torch.tensor([_worst(rows[row], beams) for row in alive.tolist()], dtype=best.dtype, device=best.device)
    return torch.nonzero(~is_last & (running > worst))[:, 0]


def _worst(row: _Row, beams: int) -> float:
    """What an unfinished beginning must be better than to be worth going on with."""
    return row.found[beams - 1].score if len(row.found) >= beams else -math.inf


def _of(values: Tensor, places: Tensor) -> Tensor:
    """Of each row the beginnings at these places."""
    return values[torch.arange(len(values), device=values.device)[:, None], places]

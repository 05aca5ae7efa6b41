"""Beam search over many rows at once, against one that follows every sequence."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from sparkml_algos.networks.beam_search import beam_search

START, END, WORDS = 0, 1, 5


class Chains:
    """Of each row a chain of its own: what follows depends on the last two tokens."""

    def __init__(self, rows, seed=0, words=WORDS):
        self.tables = torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, words, words, words)) * 2)
        self.steps = []

    def begin(self):
        return torch.arange(len(self.tables)), torch.full((len(self.tables), 1), START)

    def scores(self, tokens, state):
        rows, before = state
        self.steps.append(tokens.numel())
        found = self.tables[rows[:, None], before, tokens]
        return found.clone(), torch.stack([before, tokens], dim=2).double(), (rows, tokens)

    def chosen(self, state, rows, beams):
        kept, tokens = state
        return kept[rows], tokens[rows[:, None], beams]

    def score(self, row, tokens):
        """Mean of the logarithms of the probabilities of tokens, with the banned start."""
        before, last, total = START, START, 0.0
        for token in tokens:
            logits = self.tables[row, before, last].clone()
            logits[START] = -torch.inf
            total += float(torch.log_softmax(logits, 0)[token])
            before, last = last, token
        return total / len(tokens)


def search(chains, beams, limit=4, **options):
    return beam_search(chains, chains.begin(), [limit] * len(chains.tables), beams, START, END, [START], **options)


def test_wide_beams_find_the_best_of_all_sequences():
    chains, limit = Chains(6), 3
    for row, found in enumerate(search(chains, 500, limit)):
        others = [word for word in range(WORDS) if word not in (START, END)]
        ended = [[*tokens, END] for length in range(limit) for tokens in itertools.product(others, repeat=length)]
        best = max(ended, key=lambda tokens: chains.score(row, tokens))
        assert found.tokens == best[:-1]
        assert found.score == pytest.approx(chains.score(row, best))


@pytest.mark.parametrize("beams", [1, 2, 5])
def test_a_row_is_found_as_it_is_alone(beams):
    chains = Chains(20)
    together = search(chains, beams, 12)
    for row, found in enumerate(together):
        alone = Chains(20)
        alone.tables = alone.tables[row : row + 1]
        (one,) = search(alone, beams, 12)
        assert one.tokens == found.tokens
        assert one.score == pytest.approx(found.score)


def test_one_beam_takes_the_most_probable_token_each_time():
    chains = Chains(10)
    for row, found in enumerate(search(chains, 1, 6)):
        before, last, tokens = START, START, []
        while len(tokens) < 6:
            logits = chains.tables[row, before, last].clone()
            logits[START] = -torch.inf
            before, last = last, int(logits.argmax())
            if last == END:
                break
            tokens.append(last)
        assert found.tokens == tokens


def test_rows_end_at_limits_of_their_own_without_the_end():
    chains = Chains(3)
    chains.tables[..., END] = -1e9
    found = beam_search(chains, chains.begin(), [2, 5, 3], 2, START, END, [START])
    assert [len(one.tokens) for one in found] == [2, 5, 3]


def test_rows_that_are_done_are_not_computed_any_more():
    chains = Chains(2)
    chains.tables[0, ..., END] = 1e3
    chains.tables[1, ..., END] = -1e9
    beam_search(chains, chains.begin(), [4, 4], 1, START, END, [START])
    assert chains.steps == [2, 1, 1, 1]


def test_banned_tokens_never_come():
    assert all(START not in found.tokens for found in search(Chains(30), 3, 10))


def test_notes_are_those_of_the_tokens_found():
    for found in search(Chains(10), 3, 6, keeps_notes=True):
        assert found.notes.shape == (len(found.tokens), 2)
        given = [START, START, *found.tokens]
        assert found.notes.tolist() == [[given[place], given[place + 1]] for place in range(len(found.tokens))]


def test_no_rows_are_found_nothing_for():
    assert beam_search(Chains(1), None, [], 2, START, END) == []

"""Kernel SHAP over arrays: which features are left in, and how outputs of these mixtures become attributions.

S. Lundberg, S.-I. Lee, "A unified approach to interpreting model predictions", NeurIPS 2017: attributions are the weighted least squares of
the outputs over the features that are left in, held to add up to the difference from the baseline. They are linear in the outputs, so that
sums over mixtures are all that is needed of these.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

# Of the service: samples are twice the features and 2¹¹, and no more than there are coalitions.
_MORE_SAMPLES = 1 << 11
# Features from which on 2ᶠ coalitions are not counted any more.
_COUNTABLE = 62
# Of the normal equations: the smallest eigenvalue in relation to the largest, below which a solution is made of rounding errors.
_LEAST_RATIO = 1e-9


@dataclass(frozen=True)
class Coalitions:
    """Which features are left in, mixture by mixture.

    Attributes
    ----------
    left_in : ndarray of bool, shape (mixtures, features)
        Neither all nor none of a row.
    solver : ndarray of float64, shape (features, mixtures)
        Times the outputs it is what mixtures contribute to the attributions.
    of_base, of_row : ndarray of float64, shape (features,)
        The same of the mean output of the baseline, and of the output of the row.
    """

    left_in: np.ndarray
    solver: np.ndarray
    of_base: np.ndarray
    of_row: np.ndarray

    def attributions(self, outputs: np.ndarray, base: float | np.ndarray, row: float | np.ndarray) -> np.ndarray:
        """Attributions from the outputs of all mixtures.

        Parameters
        ----------
        outputs : ndarray of float64, shape (mixtures, …)
            Mean over the baseline's rows.
        base, row : float or ndarray
            Mean output of the baseline's rows, and output of the row itself, of shape (…).

        Returns
        -------
        ndarray of float64, shape (features, …)
            Adds up to ``row − base``.
        """
        return np.tensordot(self.solver, outputs, 1) + np.multiply.outer(self.of_base, base) + np.multiply.outer(self.of_row, row)


def num_samples(features: int, given: int | None = None) -> int:
    """Mixtures for so many features: the service's number, or the given one, at most all there are.

    Raises
    ------
    ValueError
        If there are no features, or too few mixtures to tell features apart.
    """
    if features < 1:
        raise ValueError("there are no features to explain")
    everything = (1 << features) - 2 if features <= _COUNTABLE else math.inf
    wanted = 2 * features + _MORE_SAMPLES if given is None else given
    if wanted < min(2 * features, everything):
        raise ValueError(f"num_samples is {2 * features} or more for {features} features, not {given}")
    return int(min(wanted, everything))


def coalitions(features: int, samples: int | None = None, seed: int = 0) -> Coalitions:
    """Choose mixtures and prepare their least squares.

    Sizes whose coalitions all fit into their share of the samples are taken whole, from the outermost on; of the others coalitions are
    drawn, each with its complement.

    Parameters
    ----------
    features : int
    samples : int, optional
        See `num_samples`.
    seed : int

    Returns
    -------
    Coalitions
    """
    count = num_samples(features, samples)
    if features == 1:
        return Coalitions(np.zeros((0, 1), bool), np.zeros((1, 0)), -np.ones(1), np.ones(1))
    left_in, weights = _chosen(features, count, np.random.default_rng(seed))
    z, weighted, squares = _least_squares(left_in, weights)
    if not _is_regular(squares):  # few that were drawn may not tell all features apart; each by itself, and its complement, do
        left_in, weights = _chosen(features, count, np.random.default_rng(seed), with_single=True)
        z, weighted, squares = _least_squares(left_in, weights)
    solver = np.linalg.solve(squares, weighted)
    of_row, of_base = -solver @ z[:, -1], -solver.sum(axis=1) + solver @ z[:, -1]
    return Coalitions(
        left_in,
        np.vstack([solver, -solver.sum(axis=0)]),
        np.append(of_base, -1 - of_base.sum()),
        np.append(of_row, 1 - of_row.sum()),
    )


def _least_squares(left_in: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is left in as numbers, and what the outputs, and the attributions, are multiplied by in the normal equations."""
    z = left_in.astype(np.float64)
    design = z[:, :-1] - z[:, -1:]
    weighted = design.T * weights
    return z, weighted, weighted @ design


def _is_regular(squares: np.ndarray) -> bool:
    found = np.linalg.eigvalsh(squares)
    return bool(found[0] > _LEAST_RATIO * found[-1])


def _chosen(features: int, count: int, random: np.random.Generator, with_single: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Coalitions, shape (mixtures, features), and their weights; `with_single`: all of one feature, and of all but one, are among them."""
    sizes = np.arange(1, features // 2 + 1)
    # Of a size and its complement together.
    shares = np.array([(features - 1) / (size * (features - size)) * (1 if 2 * size == features else 2) for size in sizes])
    shares /= shares.sum()
    rows: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    left, place = count, 0
    for place, size in enumerate([*sizes.tolist(), 0]):
        if not size:
            break
        paired = 2 * size != features
        there = math.comb(features, size) * (2 if paired else 1)
        if there > left * shares[place] / shares[place:].sum() + 1e-9 and not (with_single and size == 1):
            break
        block = np.zeros((math.comb(features, size), features), bool)
        for i, members in enumerate(itertools.combinations(range(features), size)):
            block[i, list(members)] = True
        block = np.concatenate([block, ~block]) if paired else block
        rows.append(block)
        weights.append(np.full(len(block), shares[place] / len(block)))
        left -= there
    if place < len(sizes) and left >= 2:
        rest = shares[place:].sum()
        drawn = random.choice(sizes[place:], size=left // 2, p=shares[place:] / rest)
        block = np.argsort(np.argsort(random.random((len(drawn), features)), axis=1), axis=1) < drawn[:, None]
        found, times = np.unique(np.concatenate([block, ~block]), axis=0, return_counts=True)
        rows.append(found)
        weights.append(rest * times / times.sum())
    return np.concatenate(rows), np.concatenate(weights)

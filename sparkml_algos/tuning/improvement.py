"""How much better than the best a search may expect to become, so that searches over different ranges can be compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.special import ndtr
from scipy.stats import qmc

from sparkml_algos.tuning.strategies import Observation

# Places that are looked at: so many spread over all, and so many near each of the best ones.
SPREAD, NEAR, BEST = 256, 32, 5
NEARNESS = 0.1
# Of the Gaussian process: how far places have to do with each other, in shares of the diagonal, and how much of the variance is noise.
LENGTHS, NOISES = (0.05, 0.1, 0.2, 0.4, 0.8), (1e-4, 1e-2, 1e-1)
# With fewer finished trials nothing can be said.
LEAST_KNOWN = 3


def expected_improvement(known: Sequence[Observation], best: float, seed: int) -> float:
    """The most that a next trial is expected to fall below the best, over the places of its ranges.

    By a Gaussian process with a Matérn kernel (ν = 5/2) on places from 0 to 1, whose length and noise have the largest likelihood of a few
    (Jones et al. 1998, Efficient global optimization of expensive black-box functions).

    Parameters
    ----------
    known : sequence of Observation
        Of which those without a value say nothing.
    best : float
        The best objective of all searches, the smaller the better.
    seed : int

    Returns
    -------
    float
        In units of the objective; 0 where fewer than three trials are known, of which nothing can be said.
    """
    finished = [(one.units, one.value) for one in known if one.value is not None]
    if len(finished) < LEAST_KNOWN:
        return 0.0
    places = np.array([[units[name] for name in sorted(units)] for units, _ in finished])
    values = np.array([value for _, value in finished])
    mean, spread = values.mean(), values.std()
    if spread == 0:
        return max(0.0, best - mean)
    scaled = (values - mean) / spread
    length, noise = max(((length, noise) for length in LENGTHS for noise in NOISES), key=lambda pair: _likelihood(places, scaled, *pair))
    factor = cho_factor(_kernel(places, places, length) + noise * np.eye(len(places)), lower=True)
    wanted = _candidates(places, scaled, seed)
    across = _kernel(wanted, places, length)
    expected = across @ cho_solve(factor, scaled)
    reduced = solve_triangular(factor[0], across.T, lower=True)
    deviation = np.sqrt(np.maximum(1.0 - np.sum(reduced**2, axis=0), 1e-12))
    gain = (best - mean) / spread - expected
    standard = gain / deviation
    density = np.exp(-0.5 * standard**2) / np.sqrt(2 * np.pi)
    return float(np.max(gain * ndtr(standard) + deviation * density) * spread)


def _kernel(some: np.ndarray, others: np.ndarray, length: float) -> np.ndarray:
    """Shape (some, others)."""
    squares = np.sum((some[:, None, :] - others[None, :, :]) ** 2, axis=2) / some.shape[1]
    distance = np.sqrt(5.0 * squares) / length
    return (1.0 + distance + distance**2 / 3.0) * np.exp(-distance)


def _likelihood(places: np.ndarray, values: np.ndarray, length: float, noise: float) -> float:
    """The logarithm, but for a constant."""
    lower, _ = cho_factor(_kernel(places, places, length) + noise * np.eye(len(places)), lower=True)
    weights = solve_triangular(lower, values, lower=True)
    return float(-0.5 * weights @ weights - np.log(np.diag(lower)).sum())


def _candidates(places: np.ndarray, values: np.ndarray, seed: int) -> np.ndarray:
    """Shape (candidates, ranges)."""
    random = np.random.default_rng(seed)
    spread = qmc.Sobol(places.shape[1], seed=random).random(SPREAD)
    centres = np.repeat(places[np.argsort(values, kind="stable")[:BEST]], NEAR, axis=0)
    near = centres + random.normal(scale=NEARNESS, size=centres.shape)
    return np.concatenate([spread, np.clip(near, 0.0, 1.0)])

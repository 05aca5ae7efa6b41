"""Distances of two distributions over the same outcomes, two or more; what a report says of labels, and of more than two as functions.

Where published text and executed code of the reference part, the code is followed: distances are of probabilities, not of counts, and KS
is the largest gap of one outcome, not of cumulative sums.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Alignment = Literal["common", "all"]


def kl(a: np.ndarray, d: np.ndarray) -> float:
    """Kullback-Leibler divergence of `a` from `d`, in nats, over the outcomes that both have.

    Parameters
    ----------
    a, d : array-like of shape (outcomes,)
        Probabilities of the outcomes.

    Returns
    -------
    float
        0 for equal ones. It may be negative where an outcome of `a` is left out for having no probability in `d`, as in the reference.

    Raises
    ------
    ValueError
        If no outcome has a probability in both.
    """
    a, d = _aligned(a, d, "common")
    return float(np.sum(a * np.log(a / d)))


def js(a: np.ndarray, d: np.ndarray, alignment: Alignment = "common") -> float:
    """Jensen-Shannon divergence in nats: the mean divergence of both from their mean.

    Parameters
    ----------
    a, d : array-like of shape (outcomes,)
    alignment : {"common", "all"}
        ``common``, as the reference has it, leaves out what one of them has no probability of, without making the others up to 1 again;
        ``all`` leaves out nothing.

    Returns
    -------
    float
    """
    a, d = _aligned(a, d, alignment)
    mean = (a + d) / 2
    return (_information(a, mean) + _information(d, mean)) / 2


def lp(a: np.ndarray, d: np.ndarray, alignment: Alignment = "common", p: float = 2) -> float:
    """The `p`-norm of the difference; see `js` for the parameters.

    Returns
    -------
    float
    """
    a, d = _aligned(a, d, alignment)
    return float(np.linalg.norm(a - d, p))


def tvd(a: np.ndarray, d: np.ndarray, alignment: Alignment = "common") -> float:
    """Total variation: half the sum of absolute differences; see `js` for the parameters.

    Returns
    -------
    float
    """
    return lp(a, d, alignment, 1) / 2


def ks(a: np.ndarray, d: np.ndarray, alignment: Alignment = "common") -> float:
    """The largest difference of one outcome; see `js` for the parameters.

    Returns
    -------
    float
    """
    return lp(a, d, alignment, np.inf)


def _information(p: np.ndarray, q: np.ndarray) -> float:
    there = p > 0
    return float(np.sum(p[there] * np.log(p[there] / q[there])))


def _aligned(a: np.ndarray, d: np.ndarray, alignment: Alignment) -> tuple[np.ndarray, np.ndarray]:
    a, d = np.asarray(a, np.float64), np.asarray(d, np.float64)
    if a.shape != d.shape or a.ndim != 1:
        raise ValueError(f"distributions over the same outcomes are needed, not arrays of shapes {a.shape} and {d.shape}")
    if alignment not in ("common", "all"):
        raise ValueError(f"alignment is 'common' or 'all', not {alignment!r}")
    if alignment == "all":
        return a, d
    both = (a > 0) & (d > 0)
    if not both.any():
        raise ValueError("the sides have no outcome in common")
    return a[both], d[both]

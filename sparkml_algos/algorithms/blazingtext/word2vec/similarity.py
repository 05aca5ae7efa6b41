"""How well vectors of words agree with people's judgement of which words are similar; no Spark here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

#: Two words, and how similar people find them.
Pair = tuple[str, str, float]


@dataclass(frozen=True)
class Agreement:
    """What a comparison has found.

    Attributes
    ----------
    mean_rho : float
        The rank correlation (Spearman) of cosines and scores, the mean over the sets that have one; NaN if none has.
    pairs : int
        Pairs that were compared.
    missing : int
        Different words of the sets that have no vector; their pairs are left out.
    """

    mean_rho: float
    pairs: int
    missing: int

    def to_values(self) -> dict[str, float | int]:
        """By the names that ``eval.json`` has them under."""
        return {"mean_rho": self.mean_rho, "pairs": self.pairs, "missing_words": self.missing}


def agreement(sets: Sequence[Sequence[Pair]], vectors_of: Callable[[Sequence[str]], np.ndarray]) -> Agreement:
    """Compare the cosines of pairs of words with their scores.

    Parameters
    ----------
    sets : sequence of sequences of (str, str, float)
    vectors_of : callable
        Of words their vectors, shape (words, dim), 0 of those that are not known. A word that is not known counts as its lower case.

    Returns
    -------
    Agreement
    """
    words = sorted({word for pairs in sets for *both, _ in pairs for word in both})
    vectors = np.asarray(vectors_of(words), np.float64)
    lower = np.asarray(vectors_of([word.lower() for word in words]), np.float64)
    vectors = np.where(vectors.any(axis=1, keepdims=True), vectors, lower)
    lengths = np.linalg.norm(vectors, axis=1)
    vectors /= np.where(lengths == 0, 1, lengths)[:, None]
    places = {word: place for place, word in enumerate(words) if lengths[place] > 0}
    found, compared = [], 0
    for pairs in sets:
        known = [(places[first], places[second], score) for first, second, score in pairs if first in places and second in places]
        compared += len(known)
        left, right, scores = (np.array(column) for column in zip(*known, strict=True)) if known else (np.empty(0, int),) * 3
        found.append(spearman((vectors[left] * vectors[right]).sum(axis=1), scores))
    rhos = [rho for rho in found if not np.isnan(rho)]
    return Agreement(float(np.mean(rhos)) if rhos else float("nan"), compared, len(words) - len(places))


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """The correlation of ranks, ties having their mean; NaN of fewer than two pairs, or where all are equal."""
    ranks = [rankdata(values) - (len(values) + 1) / 2 for values in (first, second)]
    scale = np.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1])) if len(first) else 0.0
    return float(ranks[0] @ ranks[1] / scale) if scale > 0 else float("nan")

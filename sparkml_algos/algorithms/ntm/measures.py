"""What is read off a trained network: its topics, and what its costs come to."""

from __future__ import annotations

import numpy as np

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.rows.batch import Features

# The decoder in an artifact: R, shape (vocabulary, topics), and b, shape (vocabulary,).
WEIGHTS, BIAS = "network/decoder.weight", "network/decoder.bias"
# Of exp in 64 bits.
_MAX_EXPONENT = 700.0


def have_words(features: Features) -> np.ndarray:
    """Which documents have a word, shape (documents,), bool: others are in no figure, for there is nothing to expect of them."""
    return np.asarray(features.sum(axis=1)).ravel() > 0


def topics_of(artifact: Artifact) -> np.ndarray:
    """What each topic adds to the words that all documents have, softmax of the columns of R, shape (topics, vocabulary), float64."""
    return _softmax(artifact.arrays[WEIGHTS].T.astype(np.float64))


def expected_words(artifact: Artifact, weights: np.ndarray) -> np.ndarray:
    """Probability of each word in documents with these weights of topics, shape (documents, vocabulary), float64."""
    return _softmax(weights @ artifact.arrays[WEIGHTS].T.astype(np.float64) + artifact.arrays[BIAS])


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Of each row, in place."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits


def measures(totals: np.ndarray, rows: str) -> dict[str, float]:
    """What such sums come to, by the service's names.

    Parameters
    ----------
    totals : ndarray, shape (4,)
        As `TopicPredictor.costs` gives it.
    rows : str
        What the rows are: ``train``, ``validation`` or ``test``.

    Returns
    -------
    dict of str to float
        ``total_loss``, the mean over documents with words of ``reconstruction`` and ``kl``, its two parts; and ``perplexity``, exp(loss per
        word).
    """
    reconstruction, divergence, words = (float(total) / float(totals[3]) for total in totals[:3])
    loss = reconstruction + divergence
    return {
        f"{rows}:total_loss": loss,
        f"{rows}:reconstruction": reconstruction,
        f"{rows}:kl": divergence,
        f"{rows}:perplexity": float(np.exp(min(loss / words, _MAX_EXPONENT))) if words else float("nan"),
    }

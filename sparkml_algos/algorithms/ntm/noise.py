"""Random numbers that belong to a document, not to the worker that has it.

They depend on the seed, on when they are drawn and on the words of the document alone. So a mini-batch makes the same step however its
documents are spread over workers, and a training that is resumed goes on as if nothing had been. Equal documents get equal numbers when
they meet in a step, which does as little harm as the reparametrised gradient is noisy anyway.

References
----------
G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (splitmix64). J. Salmon et al., "Parallel random
numbers: as easy as 1, 2, 3", SC 2011, for numbers as a function of a key and a counter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from sparkml_algos.arrays.hashing import mixed
from sparkml_algos.rows.batch import Features
from sparkml_algos.rows.columns import row_hashes

#: The seed of the noise with which documents are evaluated: the same every time, so that figures differ for what was learned alone.
EVALUATION = (0,)

# Odd, with bits all over: the increment of splitmix64.
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
# Numbers of 53 bits, each taken at the middle of its interval, so that neither 0 nor 1 is among them.
_SHIFT, _STEP = np.uint64(11), 2.0**-53


def document_keys(features: Features, seed: Sequence[int]) -> np.ndarray:
    """A key for each document, shape (documents,), uint64.

    Parameters
    ----------
    features : ndarray or csr_matrix, shape (documents, vocabulary)
    seed : sequence of int
        What else the numbers are to depend on, such as seed, epoch and step.
    """
    salt = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    return mixed(mixed(row_hashes(features) + _INCREMENT) ^ salt)


def uniforms(keys: np.ndarray, counter: np.ndarray) -> np.ndarray:
    """Numbers between 0 and 1, evenly distributed, float64.

    Parameters
    ----------
    keys : ndarray of uint64
    counter : ndarray of int
        Tells the numbers of one key apart; the two are broadcast.
    """
    bits = mixed(keys + (counter.astype(np.uint64) + np.uint64(1)) * _INCREMENT)
    return ((bits >> _SHIFT) + 0.5) * _STEP


def normals(keys: np.ndarray, width: int) -> np.ndarray:
    """Standard normal numbers, shape (keys, width), float32."""
    return ndtri(uniforms(keys[:, None], np.arange(width))).astype(np.float32)

"""Random maps to fewer dimensions that keep distances and inner products approximately.

    sign   x ↦ x R / √t,             R of shape (features, t), entries ±1
    fjlt   x ↦ √(d/t) · S F (D x),   D random signs, F the orthonormal cosine transform of length d, S a choice of t coordinates

Both keep squared lengths in expectation. fjlt takes O(d log d) a row, where sign takes O(features · t). Random bits come straight from the
bit generator, whose stream NumPy promises not to change, so that a model finds its map again from the seed.

References
----------
D. Achlioptas, "Database-friendly random projections", JCSS 66 (2003). N. Ailon, B. Chazelle, "The fast Johnson-Lindenstrauss transform
and approximate nearest neighbors", SIAM Journal on Computing 39 (2009). J. Tropp, "Improved analysis of the subsampled randomized Hadamard
transform", Advances in Adaptive Data Analysis 3 (2011).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import scipy.fft
import scipy.sparse as sp

from sparkml_algos.rows.batch import Features

# Floats of a block of rows that is transformed at once.
BLOCK = 1 << 22


def make_reduction(kind: str, features: int, target: int, multiple: int, seed: int) -> dict[str, Any]:
    """A map as JSON, for `reduce`; the target is raised to a multiple of `multiple`."""
    return {"type": kind, "input_dim": features, "target_dim": -(-target // multiple) * multiple, "seed": seed}


def reduce(features: Features, reduction: dict[str, Any] | None) -> np.ndarray:
    """The rows mapped, shape (rows, target), dense float32; without a reduction, the rows made dense.

    Parameters
    ----------
    features : ndarray or csr_matrix, shape (rows, features)
    reduction : dict, optional
        From `make_reduction`.
    """
    if reduction is None:
        return features.toarray() if sp.issparse(features) else features
    kind, width, target, seed = (reduction[name] for name in ("type", "input_dim", "target_dim", "seed"))
    mapped = np.empty((features.shape[0], target), np.float32)
    if kind == "sign":
        matrix = _sign_matrix(width, target, seed)
        step = features.shape[0] or 1  # the product needs no copy of the rows
    else:
        signs, chosen = _fast_map(width, target, seed)
        step = max(1, BLOCK // len(signs))
    for start in range(0, len(mapped), step):
        block = features[start : start + step]
        if kind == "sign":
            mapped[start : start + step] = block @ matrix
        else:
            mixed = np.zeros((block.shape[0], len(signs)), np.float32)
            mixed[:, :width] = block.toarray() if sp.issparse(block) else block
            mixed *= signs
            mixed = scipy.fft.dct(mixed, norm="ortho", axis=1, overwrite_x=True)
            np.multiply(mixed[:, chosen], np.float32(np.sqrt(len(signs) / target)), out=mapped[start : start + step])
    return mapped


@functools.lru_cache(maxsize=2)
def _sign_matrix(width: int, target: int, seed: int) -> np.ndarray:
    """±1 / √target, shape (width, target), float32."""
    signs = _signs(np.random.PCG64(seed), width * target)
    return signs.reshape(width, target) / np.float32(np.sqrt(target))


@functools.lru_cache(maxsize=2)
def _fast_map(width: int, target: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Signs (d,) and the chosen coordinates (target,); d is the width, or the target where a raised one is larger."""
    bits, length = np.random.PCG64(seed), max(width, target)
    return _signs(bits, length), np.sort(np.argsort(bits.random_raw(length), kind="stable")[:target])


def _signs(bits: np.random.PCG64, count: int) -> np.ndarray:
    words = bits.random_raw(-(-count // 64)).astype("<u8")
    return np.unpackbits(words.view(np.uint8), count=count).astype(np.float32) * 2 - 1

"""Which partition Spark deals a row to, known beforehand: its hash of a long number, in NumPy.

References
----------
A. Appleby, MurmurHash3, x86, 32 bits; Spark takes the two words of a long number, and the seed 42 (``Murmur3_x86_32.hashLong``).
"""

from __future__ import annotations

import numpy as np

_SEED = 42
_FACTORS = np.uint32(0xCC9E2D51), np.uint32(0x1B873593)
_LONG_BYTES = 8
# Numbers that are tried for each partition; that all of them miss one has a chance of e⁻⁶⁴.
_TRIED = 64


def keys_of_partitions(count: int) -> list[int]:
    """For each of so many partitions a number that ``repartition(count, column)`` sends there, if the column is of longs."""
    partitions = hashes(np.arange(_TRIED * count)) % count
    found, first = np.unique(partitions, return_index=True)
    assert len(found) == count, f"no number leads to some of {count} partitions"
    return first.tolist()


def hashes(numbers: np.ndarray) -> np.ndarray:
    """What Spark's ``hash`` is of long numbers.

    Parameters
    ----------
    numbers : ndarray of int64, shape (n,)

    Returns
    -------
    ndarray of int32, shape (n,)
    """
    words = numbers.astype("<i8").view("<u4").reshape(-1, 2)
    state = np.full(len(words), _SEED, np.uint32)
    for word in words.T:
        state ^= _rotated(word * _FACTORS[0], 15) * _FACTORS[1]
        state = _rotated(state, 13) * np.uint32(5) + np.uint32(0xE6546B64)
    state ^= np.uint32(_LONG_BYTES)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        state ^= state >> np.uint32(shift)
        state *= np.uint32(factor)
    state ^= state >> np.uint32(16)
    return state.view(np.int32)


def _rotated(words: np.ndarray, bits: int) -> np.ndarray:
    return words << np.uint32(bits) | words >> np.uint32(32 - bits)

"""Hashes that are the same in every process and on every platform; none withstands an adversary."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

# Of XXH64: Y. Collet, "xxHash fast digest algorithm", specification 0.1.1.
_PRIMES = tuple(map(np.uint64, (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)))
# The seed of Spark's own hash functions.
SPARK_SEED = 42
_STRIPE, _WORD = 32, 8


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Numbers of 64 bits, every bit of which depends on every bit of those given (the finaliser of splitmix64; G. Steele, D. Lea, C. Flood,
    OOPSLA 2014)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def xxhash64(texts: pa.Array, seed: int = SPARK_SEED) -> np.ndarray:
    """XXH64 of the UTF-8 bytes of texts: what Spark's SQL function ``xxhash64`` gives for a string.

    Parameters
    ----------
    texts : pyarrow.Array of strings
        Without nulls.
    seed : int

    Returns
    -------
    ndarray of int64, shape (texts,)
    """
    data, starts, lengths = _bytes(texts)
    first, second, third, fourth, fifth = _PRIMES
    seed = np.uint64(seed)
    with np.errstate(over="ignore"):  # modulo 2⁶⁴ is what is meant
        hashes = np.full(len(lengths), seed + fifth)
        places = starts.copy()
        long = np.flatnonzero(lengths >= _STRIPE)
        if len(long):
            hashes[long], places[long] = _stripes(data, starts[long], lengths[long], seed)
        ends = starts + lengths
        hashes += lengths.astype(np.uint64)
        while len(rows := np.flatnonzero(ends - places >= 8)):
            word = _rotated(_words(data, places[rows], 8) * second, 31) * first
            hashes[rows] = _rotated(hashes[rows] ^ word, 27) * first + fourth
            places[rows] += 8
        rows = np.flatnonzero(ends - places >= 4)
        hashes[rows] = _rotated(hashes[rows] ^ (_words(data, places[rows], 4) * first), 23) * second + third
        places[rows] += 4
        while len(rows := np.flatnonzero(ends > places)):
            hashes[rows] = _rotated(hashes[rows] ^ (_words(data, places[rows], 1) * fifth), 11) * first
            places[rows] += 1
        hashes = (hashes ^ (hashes >> np.uint64(33))) * second
        hashes = (hashes ^ (hashes >> np.uint64(29))) * third
        return (hashes ^ (hashes >> np.uint64(32))).view(np.int64)


def _stripes(data: np.ndarray, places: np.ndarray, lengths: np.ndarray, seed: np.uint64) -> tuple[np.ndarray, np.ndarray]:
    """Of texts of a stripe or more, the hash of their whole stripes, and where these end."""
    first, second, _, fourth, _ = _PRIMES
    places, left = places.copy(), lengths // _STRIPE
    lanes = np.array([seed + first + second, seed + second, seed, seed - first])[:, None].repeat(len(places), axis=1)
    while len(rows := np.flatnonzero(left)):
        for lane in range(4):
            word = _words(data, places[rows] + 8 * lane, 8)
            lanes[lane, rows] = _rotated(lanes[lane, rows] + word * second, 31) * first
        places[rows] += _STRIPE
        left[rows] -= 1
    hashes = sum(_rotated(lane, turn) for lane, turn in zip(lanes, (1, 7, 12, 18), strict=True))
    for lane in lanes:
        hashes = (hashes ^ (_rotated(lane * second, 31) * first)) * first + fourth
    return hashes, places


def _rotated(numbers: np.ndarray, bits: int) -> np.ndarray:
    return (numbers << np.uint64(bits)) | (numbers >> np.uint64(64 - bits))


def _words(data: np.ndarray, places: np.ndarray, size: int) -> np.ndarray:
    """Little-endian words of `size` bytes that begin at these places, as uint64."""
    words = np.ndarray((len(data) - size + 1,), f"<u{size}", data, strides=(1,))
    return words[places].astype(np.uint64)


def _bytes(texts: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bytes of all texts, and where each begins and how many it has."""
    texts = texts.cast(pa.large_string())
    _, offsets, data = texts.buffers()
    offsets = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1] if len(texts) else np.zeros(1, np.int64)
    data = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    if len(data) < _WORD:
        data = np.pad(data, (0, _WORD - len(data)))
    return data, offsets[:-1].copy(), np.diff(offsets)

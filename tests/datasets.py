"""Rows that several tests train on, and the measures they compare with."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.datasets import load_digits

DATA = Path(__file__).parents[2] / "shared" / "data"
MNIST = DATA / "mnist" / "mnist_train.parquet"


def blobs(rows: int, centers: np.ndarray, *, spread: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows scattered around the centres in random order, about equally many each.

    Returns
    -------
    (ndarray, ndarray)
        The rows (rows, features) float32, and the blob each belongs to (rows,).
    """
    random = np.random.default_rng(seed)
    blob = random.permutation(np.arange(rows) % len(centers))
    return (centers[blob] + random.normal(0, spread, (rows, centers.shape[1]))).astype(np.float32), blob


def grid(count: int, features: int = 4, *, distance: float = 10.0, seed: int = 0) -> np.ndarray:
    """Centres that lie at least `distance` apart, shape (count, features)."""
    random = np.random.default_rng(seed)
    return distance * random.permutation(np.stack(np.unravel_index(np.arange(4**features), (4,) * features), axis=1))[:count]


def means(rows: np.ndarray, blob: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Weighted mean of the rows of each blob, in lexicographic order."""
    weight = np.ones(len(rows)) if weight is None else weight
    found = [np.average(rows[blob == one].astype(np.float64), axis=0, weights=weight[blob == one]) for one in np.unique(blob)]
    return in_order(np.array(found))


def in_order(points: np.ndarray) -> np.ndarray:
    """The points in lexicographic order of their coordinates, read to a tenth."""
    return points[np.lexsort(np.round(points, 1).T[::-1])]


def inertia(rows: np.ndarray, centers: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Weighted sum of squared distances of the rows to their nearest centre, in float64."""
    total = 0.0
    for start in range(0, len(rows), 5000):
        block = rows[start : start + 5000].astype(np.float64)
        squares = (block**2).sum(axis=1)[:, None] - 2 * block @ centers.T + (centers**2).sum(axis=1)
        total += float(squares.min(axis=1) @ (np.ones(len(block)) if weight is None else weight[start : start + 5000]))
    return total


@cache
def digits() -> np.ndarray:
    """Scikit-learn's handwritten digits, shape (1797, 64), float32, in random order."""
    return np.random.default_rng(0).permutation(load_digits().data.astype(np.float32))


def mnist() -> np.ndarray:
    """The training images of MNIST scaled to 0..1, shape (60000, 784), float32; needs the file `MNIST`."""
    pixels = pq.read_table(MNIST, columns=["pixels"])["pixels"].combine_chunks()
    return pixels.values.to_numpy().reshape(len(pixels), -1).astype(np.float32) / 255


def read_table(path: str, **options: object) -> pd.DataFrame:
    """A CSV file of the public datasets, by its path below `DATA`."""
    return pd.read_csv(DATA / path, **options)

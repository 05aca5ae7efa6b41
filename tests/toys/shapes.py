"""Images of simple shapes, made from a seed: nothing has to be downloaded to learn from them."""

from __future__ import annotations

import numpy as np

#: Circle, square, triangle, cross.
CLASSES = 4


def shapes(count: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of one shape each, of any colour, size and place, on noise.

    Parameters
    ----------
    count : int
    size : int
        Pixels of a side.
    seed : int

    Returns
    -------
    (ndarray of uint8, shape (count, size, size, 3)), (ndarray of float32, shape (count,))
        Images, and the numbers of their shapes.
    """
    random = np.random.default_rng(seed)
    label = np.arange(count) % CLASSES
    random.shuffle(label)
    images = random.integers(0, 60, (count, size, size, 3)).astype(np.uint8)
    for image, kind in zip(images, label, strict=True):
        radius = random.uniform(0.22, 0.36) * size
        centre = random.uniform(radius + 1, size - radius - 1, 2)
        image[mask_of(kind, size, centre, radius)] = random.integers(110, 256, 3)
    return images, label.astype(np.float32)


def mask_of(kind: int, size: int, centre: np.ndarray, radius: float) -> np.ndarray:
    """Which pixels of an image belong to a shape of a class; bool, (size, size)."""
    down, across = np.ogrid[:size, :size]
    y, x = (down + 0.5 - centre[0]) / radius, (across + 0.5 - centre[1]) / radius
    if kind == 0:
        return x**2 + y**2 <= 1
    if kind == 1:
        return (abs(x) <= 0.85) & (abs(y) <= 0.85)
    if kind == 2:
        return (y <= 0.9) & (y >= -1 + 2 * abs(x))
    return ((abs(x) <= 0.3) | (abs(y) <= 0.3)) & (abs(x) <= 1) & (abs(y) <= 1)

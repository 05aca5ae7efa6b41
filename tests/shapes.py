"""Images of squares and discs on a noisy ground, with the classes of their pixels: what segmentation is tried on."""

from __future__ import annotations

import numpy as np

from sparkml_algos.images.decoding import encode_jpeg, encode_png

#: Ground, square, disc.
CLASSES = 3
# Of the shapes; their brightness tells nothing, for it is drawn anew for each.
_COLOURS = np.array([[90, 90, 90], [200, 120, 60], [60, 120, 200]], float)


def drawn(number: int, height: int = 48, width: int = 48, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images, (height, width, 3), and masks, (height, width); each image has a square and a disc, one of which may lie over the other."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    images, masks = [], []
    for _ in range(number):
        mask = np.zeros((height, width), np.uint8)
        for label in random.permutation([1, 2]):
            size = random.integers(min(height, width) // 6, min(height, width) // 3)
            top, left = random.integers(size, height - size), random.integers(size, width - size)
            square = (abs(y - top) <= size) & (abs(x - left) <= size)
            mask[square if label == 1 else (y - top) ** 2 + (x - left) ** 2 <= size**2] = label
        colours = _COLOURS * random.uniform(0.7, 1.2, (CLASSES, 1))
        noise = random.normal(0, 12, (height, width, 3))
        images.append(np.clip(colours[mask] + noise, 0, 255).astype(np.uint8))
        masks.append(mask)
    return images, masks


def files(number: int, height: int = 48, width: int = 48, seed: int = 0) -> tuple[list[bytes], list[bytes]]:
    """The same as files: JPEG and PNG."""
    images, masks = drawn(number, height, width, seed)
    return [encode_jpeg(image) for image in images], [encode_png(mask) for mask in masks]

"""Images of squares and discs on a ground with noise, and where these are."""

from __future__ import annotations

import numpy as np

from sparkml_algos.images.decoding import encode_png

#: Classes of what is there.
SQUARE, DISC = 0, 1


def scenes(count: int, seed: int, side: int = 64, least: int = 14, most: int = 30) -> tuple[list[bytes], list[np.ndarray]]:
    """Files of PNG, and of each image the boxes: class, left, top, width and height in pixels, one to three that hardly overlap.

    Parameters
    ----------
    count : int
    seed : int
    side : int
        Of an image.
    least, most : int
        Of a shape.
    """
    random = np.random.default_rng(seed)
    images, boxes = [], []
    for _ in range(count):
        ground = random.integers(60, 120, 3)
        image = ground + random.normal(0, 6, (side, side, 3))
        there: list[np.ndarray] = []
        wanted = random.integers(1, 4)
        for _ in range(30):
            size = int(random.integers(least, most + 1))
            left, top = random.integers(0, side - size + 1, 2)
            if any(_touch((left, top, size), box) for box in there):
                continue
            number = int(random.integers(2))
            _draw(image, number, int(left), int(top), size, random)
            there.append(np.array([number, left, top, size, size], np.float32))
            if len(there) == wanted:
                break
        images.append(encode_png(np.clip(image, 0, 255).astype(np.uint8)))
        boxes.append(np.stack(there))
    return images, boxes


def _touch(shape: tuple[int, int, int], box: np.ndarray) -> bool:
    left, top, size = shape
    return left < box[1] + box[3] and box[1] < left + size and top < box[2] + box[4] and box[2] < top + size


def _draw(image: np.ndarray, number: int, left: int, top: int, size: int, random: np.random.Generator) -> None:
    colour = random.integers(150, 256, 3)
    if number == SQUARE:
        image[top : top + size, left : left + size] = colour
        return
    down, across = np.mgrid[0:size, 0:size] - (size - 1) / 2
    inside = down**2 + across**2 <= (size / 2) ** 2
    image[top : top + size, left : left + size][inside] = colour

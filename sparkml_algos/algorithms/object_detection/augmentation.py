"""What a detector sees of an image: the whole of it, or in training a random window that reaches into it or beyond; NumPy and Pillow.

In training half of the images are first put somewhere on a larger canvas; of what there then is either all is seen, or a part that some
object fills enough; half of them are mirrored, and brightness, contrast, saturation and hue are each changed in half of them. Canvas and
part are one window, so that no pixel is computed that nobody sees, and a JPEG is decoded no larger than it is needed.

References
----------
W. Liu et al., "SSD: single shot multibox detector", ECCV 2016: 2.2 and 3.6. A. Howard, "Some improvements on deep convolutional neural
network based image classification", 2013 (colours).
"""

from __future__ import annotations

import math

import numpy as np

from sparkml_algos.arrays.boxes import intersection_over_union
from sparkml_algos.images.colours import jitter
from sparkml_algos.images.decoding import decode, size_of
from sparkml_algos.images.sample import Sample, crop, flip, pad, resize

# Overlaps of which one is drawn, and then a part that overlaps an object as much; 0 is for any part, None for all there is.
_OVERLAPS = (None, 0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
_SMALLEST_PART, _ASPECTS = 0.3, (0.5, 2.0)
# Parts that are tried before all is taken.
_TRIES = 50
# Bounds of what is added to brightness and hue (degrees), and of the factors of contrast and saturation.
_BRIGHTNESS, _HUE, _FACTORS = 32.0, 18.0, (0.5, 1.5)
#: What is beyond an image: the mean of those of ImageNet.
BEYOND = (124, 116, 104)
WHOLE = np.array([0.0, 0.0, 1.0, 1.0])


def seen(data: bytes | memoryview, side: int) -> np.ndarray:
    """The whole image as a square, uint8, shape (side, side, 3)."""
    return resize(Sample(decode(data, at_least=(side, side))), side, side).image


def augmented(
    data: bytes | memoryview, boxes: np.ndarray, side: int, random: np.random.Generator, max_expansion: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A random view of an image, and the boxes in it.

    Parameters
    ----------
    data : bytes
    boxes : ndarray, shape (objects, 4)
        Left, top, right and bottom as fractions of the image.
    side : int
    random : Generator
    max_expansion : float
        How many times as wide and high as the image a canvas is at most.

    Returns
    -------
    (ndarray of uint8, ndarray, ndarray of int)
        Image, shape (side, side, 3); boxes whose centre is seen, cut off at its edges, as fractions of what is seen, shape (kept, 4); and
        which of the objects these are.
    """
    image, window = _in_window(data, random_window(boxes, random, max_expansion), side, random)
    found, kept = in_window(boxes, window)
    if random.random() < 0.5:
        image, found = flip(Sample(image)).image, np.stack([1 - found[:, 2], found[:, 1], 1 - found[:, 0], found[:, 3]], axis=1)
    return image, found, kept


def random_window(boxes: np.ndarray, random: np.random.Generator, max_expansion: float) -> np.ndarray:
    """What is to be seen of an image: left, top, right and bottom in fractions of it, below 0 and above 1 beyond it."""
    canvas = WHOLE
    if max_expansion > 1 and random.random() < 0.5:
        across = random.uniform(1, max_expansion)
        left, top = -random.uniform(0, across - 1, 2)
        canvas = np.array([left, top, left + across, top + across])
    overlap = _OVERLAPS[random.integers(len(_OVERLAPS))]
    if overlap is None or overlap and not len(boxes):
        return canvas
    parts = canvas[[0, 1, 0, 1]] + (canvas[2] - canvas[0]) * _random_parts(random)
    # A part of a canvas may lie beside the image.
    fits = ((parts[:, 2:] > 0) & (parts[:, :2] < 1)).all(1)
    if len(boxes):
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside = (centres[None] > parts[:, None, :2]) & (centres[None] < parts[:, None, 2:])
        fits = inside.all(2).any(1) & (intersection_over_union(parts, boxes).max(1) >= overlap)
    return parts[fits.argmax()] if fits.any() else canvas


def in_window(boxes: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes whose centre is in a window, cut off at its edges, in fractions of it; and which ones these are."""
    shifted = (boxes - window[[0, 1, 0, 1]]) / np.tile(window[2:] - window[:2], 2)
    centres = (shifted[:, :2] + shifted[:, 2:]) / 2
    edges = np.clip(shifted, 0, 1)
    kept = np.flatnonzero(((centres > 0) & (centres < 1)).all(1) & (edges[:, 2:] > edges[:, :2]).all(1))
    return edges[kept], kept


def _random_parts(random: np.random.Generator) -> np.ndarray:
    """Parts of a unit square, shape (tries, 4)."""
    sizes = random.uniform(_SMALLEST_PART, 1, (_TRIES, 2))
    aspects = sizes[:, 0] / sizes[:, 1]
    sizes[:, 1] = np.where((aspects < _ASPECTS[0]) | (aspects > _ASPECTS[1]), sizes[:, 0], sizes[:, 1])
    corners = random.uniform(0, 1, (_TRIES, 2)) * (1 - sizes)
    return np.concatenate([corners, corners + sizes], axis=1)


def _in_window(data: bytes | memoryview, window: np.ndarray, side: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The pixels in a window, in other colours, and the window as it is once its edges are those of pixels."""
    across, down = window[2:] - window[:2]
    height, width = size_of(data)
    image = decode(data, at_least=(min(height, math.ceil(side / down)), min(width, math.ceil(side / across))))
    height, width = image.shape[:2]
    size = np.array([width, height] * 2)
    left, top, right, bottom = np.rint(window * size).astype(int).tolist()
    right, bottom = max(left + 1, right), max(top + 1, bottom)
    # What of the window is within the image, and where that is in the square: a pixel at least, which rounding may have taken away.
    first = [min(max(left, 0), width - 1), min(max(top, 0), height - 1)]
    inside = *first, max(first[0] + 1, min(right, width)), max(first[1] + 1, min(bottom, height))
    starts, lengths = (left, top) * 2, (right - left, bottom - top) * 2
    places = [round(side * (edge - start) / length) for edge, start, length in zip(inside, starts, lengths, strict=True)]
    edges = [min(max(place, 0), side - 1) for place in places[:2]]
    edges += [max(edge + 1, min(place, side)) for edge, place in zip(edges, places[2:], strict=True)]
    part = crop(Sample(image), inside[1], inside[0], inside[3] - inside[1], inside[2] - inside[0])
    part = resize(part, edges[3] - edges[1], edges[2] - edges[0])
    part = Sample(in_other_colours(part.image, random))
    whole = part if part.image.shape[:2] == (side, side) else pad(part, edges[1], edges[0], side, side, fill=BEYOND)
    return whole.image, np.array([left, top, right, bottom]) / size


def in_other_colours(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """An image with, each in half of the cases, another brightness, contrast, saturation and hue."""
    changes = random.random(4) < 0.5
    bounds = {"brightness": (-_BRIGHTNESS, _BRIGHTNESS), "contrast": _FACTORS, "saturation": _FACTORS, "hue": (-_HUE, _HUE)}
    drawn = {name: random.uniform(*bound) for name, bound in bounds.items()}
    given = {name: value for (name, value), changed in zip(drawn.items(), changes, strict=True) if changed}
    return jitter(image, **given) if given else image

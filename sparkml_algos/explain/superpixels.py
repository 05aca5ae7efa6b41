"""Parts of an image that belong together: neighbours of a like colour.

R. Achanta and others, "SLIC superpixels compared to state-of-the-art superpixel methods", IEEE TPAMI 34(11), 2012.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

# Of the service.
NUM_SEGMENTS, COMPACTNESS = 20, 5.0
_ROUNDS = 10
# From linear sRGB to CIE XYZ, over the white of D65 (IEC 61966-2-1).
_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
_WHITE = np.array([0.95047, 1.0, 1.08883])


def superpixels(image: np.ndarray, num_segments: int = NUM_SEGMENTS, compactness: float = COMPACTNESS) -> np.ndarray:
    """Part an image.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width, 3)
        RGB.
    num_segments : int
        About so many parts; an image of one colour has them as tiles.
    compactness : float
        How much nearness counts against colour: the larger, the squarer the parts.

    Returns
    -------
    ndarray of int64, shape (height, width)
        From 0 on; each part is in one piece.

    Raises
    ------
    ValueError
        If the image has another shape, or a setting is not what it may be.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(f"an image is an array of uint8 of shape (height, width, 3), not of {image.dtype} and {image.shape}")
    if num_segments < 1 or not compactness > 0:
        raise ValueError(f"num_segments is 1 or more and compactness above 0, not {num_segments!r} and {compactness!r}")
    height, width = image.shape[:2]
    step = math.sqrt(height * width / num_segments)
    rows, columns = max(1, round(height / step)), max(1, round(width / step))
    y, x = np.mgrid[:height, :width].astype(np.float64)
    pixels = np.concatenate([_lab(image), compactness / step * np.stack([y, x], axis=2)], axis=2).reshape(-1, 5)
    # From tiles on: each pixel to the nearest mean, of colour and place.
    labels = ((y * rows // height) * columns + x * columns // width).astype(np.int64).ravel()
    for _ in range(_ROUNDS):
        counts = np.bincount(labels, minlength=rows * columns)
        there = np.flatnonzero(counts)
        means = np.stack([np.bincount(labels, part, rows * columns) for part in pixels.T], axis=1)[there] / counts[there, None]
        nearest, before = np.full(len(pixels), np.inf), labels
        labels = np.empty_like(before)
        for label, mean in zip(there, means, strict=True):
            distance = np.square(pixels - mean).sum(axis=1)
            closer = distance < nearest
            labels[closer], nearest[closer] = label, distance[closer]
        if (labels == before).all():
            break
    return _in_one_piece(labels.reshape(height, width))


def _lab(image: np.ndarray) -> np.ndarray:
    """Colours as CIE L*a*b*, of which distances are as people see them."""
    share = image / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _XYZ.T / _WHITE
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * root[..., 1] - 16, 500 * (root[..., 0] - root[..., 1]), 200 * (root[..., 1] - root[..., 2])], axis=2)


def _in_one_piece(labels: np.ndarray) -> np.ndarray:
    """Of each part its largest piece; other pieces go to the nearest one, whatever it is."""
    kept = np.zeros(labels.shape, bool)
    for label in np.unique(labels):
        pieces, count = ndimage.label(labels == label)
        sizes = np.bincount(pieces.ravel())[1:]
        kept |= pieces == 1 + int(np.argmax(sizes)) if count else False
    if not kept.all():
        where = ndimage.distance_transform_edt(~kept, return_distances=False, return_indices=True)
        labels = labels[tuple(where)]
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)

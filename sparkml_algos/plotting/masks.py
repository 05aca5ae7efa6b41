"""An image, and the classes of its pixels over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sparkml_algos.arrays.segmentation import IGNORED
from sparkml_algos.images.decoding import decode_mask
from sparkml_algos.plotting._axes import axes_for, check_names, pixels_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Hues are that part of the circle apart, the golden section, so that of any number of classes neighbours are told apart.
_TURN = (5**0.5 - 1) / 2
# Columns of the key below the picture.
_ACROSS = 6


def plot_masks(
    image: bytes | np.ndarray,
    mask: bytes | np.ndarray,
    truth: bytes | np.ndarray | None = None,
    names: Sequence[str] | None = None,
    opacity: float = 0.6,
    ax: Axes | None = None,
) -> Axes:
    """Draw an image with a mask over it and, at its right, with the true one.

    Parameters
    ----------
    image : bytes or ndarray of uint8, shape (height, width, 3)
        A file such as a JPEG, or its pixels.
    mask : bytes or ndarray of int, shape (height, width)
        A PNG of one channel, as `SemanticSegmenterModel.transform` gives it, or the classes of the pixels.
    truth : bytes or ndarray of int, optional
        What is right, in either form. What is 255 in it has no colour.
    names : sequence of str, optional
        Of the classes, from 0 on; their numbers by default.
    opacity : float
        From 0, the image alone, to 1, the mask alone.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If a mask has another size than the image, or a class without a name.

    Examples
    --------
    >>> row = model.transform(images).first()  # doctest: +SKIP
    >>> plot_masks(row.image, row.predicted_mask, row.mask, names=["sky", "building", "road"])  # doctest: +SKIP
    """
    pixels = pixels_of(image)
    masks = [_classes(one, pixels) for one in (mask, truth) if one is not None]
    there = sorted({int(value) for one in masks for value in np.unique(one)} - {IGNORED})
    check_names(names, max(there, default=-1), "the mask has the class")
    ax = axes_for(ax, "plot_masks", (5 * len(masks), 4.5))
    ax.imshow(np.concatenate([_coloured(pixels, one, opacity) for one in masks], axis=1))
    for number in there:
        ax.plot([], [], "s", color=colour(number), label=str(number) if names is None else names[number])
    if there:
        ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=_ACROSS, fontsize="small", handletextpad=0.2)
    ax.set_axis_off()
    return ax


def colour(number: int) -> tuple[float, float, float]:
    """Red, green and blue of a class, from 0 to 1."""
    from matplotlib.colors import hsv_to_rgb

    red, green, blue = hsv_to_rgb((number * _TURN % 1, 0.55 + 0.35 * (number % 2), 0.95 - 0.2 * (number % 3)))
    return float(red), float(green), float(blue)


def _classes(mask: bytes | np.ndarray, pixels: np.ndarray) -> np.ndarray:
    classes = mask if isinstance(mask, np.ndarray) else decode_mask(bytes(mask))
    if classes.shape != pixels.shape[:2]:
        raise ValueError(f"the mask is of shape {classes.shape}, the image of {pixels.shape[:2]}")
    return classes


def _coloured(pixels: np.ndarray, classes: np.ndarray, opacity: float) -> np.ndarray:
    """The image with a layer of colours, as uint8."""
    known = np.unique(classes[classes != IGNORED])
    palette = np.zeros((max(IGNORED, int(known.max(initial=0))) + 1, 3))
    for number in known.tolist():
        palette[number] = colour(number)
    share = np.where(classes == IGNORED, 0.0, opacity)[..., None]
    return np.round(pixels * (1 - share) + 255 * palette[classes] * share).astype(np.uint8)

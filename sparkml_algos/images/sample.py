"""An image with what lies on it, boxes or a mask, and geometry that moves all of them alike. Nothing here is random."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sparkml_algos.images.decoding import from_pixels

#: A label of masks that training and evaluation pass over, as in PASCAL VOC.
IGNORED = 255


@dataclass(frozen=True)
class Sample:
    """An image and what lies on it.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width, channels)
    boxes : ndarray of float32, shape (objects, 4 or more), optional
        Left, top, right and bottom in pixels, from the image's corner; what follows in a row stays as it is.
    mask : ndarray of uint8, shape (height, width), optional
    """

    image: np.ndarray
    boxes: np.ndarray | None = None
    mask: np.ndarray | None = None

    @property
    def height(self) -> int:
        return self.image.shape[0]

    @property
    def width(self) -> int:
        return self.image.shape[1]


def resize(sample: Sample, height: int, width: int) -> Sample:
    """The sample in another size: the image bilinear, over all pixels that come together where it shrinks; the mask by nearest label."""
    if (height, width) == (sample.height, sample.width):
        return sample
    from PIL.Image import Resampling

    image = _pixels(from_pixels(sample.image).resize((width, height), Resampling.BILINEAR))
    mask = sample.mask
    if mask is not None:
        mask = np.array(from_pixels(mask).resize((width, height), Resampling.NEAREST))
    boxes = sample.boxes
    if boxes is not None:
        scale = np.array([width / sample.width, height / sample.height], np.float32)
        boxes = np.concatenate([boxes[:, :4] * np.tile(scale, 2), boxes[:, 4:]], axis=1)
    return Sample(image, boxes, mask)


def resize_shorter(sample: Sample, side: int) -> Sample:
    """The sample with a shorter side of this length, and the aspect that it has."""
    return resize(sample, *size_with_shorter(sample.height, sample.width, side))


def size_with_shorter(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width of an image whose shorter side becomes this long."""
    scale = side / min(height, width)
    return (side, max(side, round(width * scale))) if height <= width else (max(side, round(height * scale)), side)


def crop(sample: Sample, top: int, left: int, height: int, width: int, *, by_centre: bool = True) -> Sample:
    """A part of the sample.

    Parameters
    ----------
    top, left, height, width : int
        The part, which lies within the image.
    by_centre : bool
        Whether only boxes stay whose centre is in it; else all that reach into it. What reaches beyond is cut off.

    Raises
    ------
    ValueError
        If the part reaches beyond the image.
    """
    if min(top, left) < 0 or top + height > sample.height or left + width > sample.width:
        raise ValueError(f"{height} x {width} pixels at ({top}, {left}) reach beyond an image of {sample.height} x {sample.width}")
    part = slice(top, top + height), slice(left, left + width)
    boxes = None if sample.boxes is None else _kept(_moved(sample.boxes, -left, -top), height, width, by_centre)
    return Sample(sample.image[part], boxes, None if sample.mask is None else sample.mask[part])


def pad(sample: Sample, top: int, left: int, height: int, width: int, *, fill: Sequence[int] | int = 0, mask_fill: int = IGNORED) -> Sample:
    """The sample on a larger canvas.

    Parameters
    ----------
    top, left : int
        Where its corner comes to be, from 0.
    height, width : int
        Of the canvas, on which it lies whole.
    fill : int or sequence of int
        The canvas, by channel.
    mask_fill : int
        Label of what is beyond the image.

    Raises
    ------
    ValueError
        If the image reaches beyond the canvas.
    """
    if min(top, left) < 0 or top + sample.height > height or left + sample.width > width:
        raise ValueError(f"{sample.height} x {sample.width} pixels at ({top}, {left}) reach beyond a canvas of {height} x {width}")
    part = slice(top, top + sample.height), slice(left, left + sample.width)
    image = np.empty((height, width, sample.image.shape[2]), np.uint8)
    image[:] = fill
    image[part] = sample.image
    mask = None
    if sample.mask is not None:
        mask = np.full((height, width), mask_fill, np.uint8)
        mask[part] = sample.mask
    return Sample(image, None if sample.boxes is None else _moved(sample.boxes, left, top), mask)


def flip(sample: Sample) -> Sample:
    """The sample with left and right exchanged."""
    boxes = sample.boxes
    if boxes is not None:
        boxes = boxes.copy()
        boxes[:, [0, 2]] = sample.width - boxes[:, [2, 0]]
    return Sample(sample.image[:, ::-1], boxes, None if sample.mask is None else sample.mask[:, ::-1])


def affine(height: int, width: int, *, rotation: float = 0.0, shear: float = 0.0, aspect: float = 1.0, scale: float = 1.0) -> np.ndarray:
    """A map of the plane about the centre of an image.

    Parameters
    ----------
    height, width : int
        Of the image.
    rotation : float
        Degrees, to the left.
    shear : float
        Pixels that a point moves to the right for each pixel that it lies below the centre.
    aspect : float
        What widths grow by against heights; areas stay.
    scale : float
        What all lengths grow by.

    Returns
    -------
    ndarray of float64, shape (2, 3)
        From (x, y, 1) to (x, y), both in pixels from the corner.
    """
    angle = math.radians(rotation)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])  # y points down
    stretch = np.diag([scale * math.sqrt(aspect), scale / math.sqrt(aspect)])
    matrix = turn @ np.array([[1.0, shear], [0.0, 1.0]]) @ stretch
    centre = np.array([width / 2, height / 2])
    return np.column_stack([matrix, centre - matrix @ centre])


def warp(sample: Sample, matrix: np.ndarray, height: int, width: int, *, fill: Sequence[int] | int = 0, mask_fill: int = IGNORED) -> Sample:
    """The sample mapped onto a canvas: the image bilinear, the mask by nearest label, of boxes the box around their four corners.

    Parameters
    ----------
    matrix : ndarray, shape (2, 3)
        From (x, y, 1) in the sample to (x, y) on the canvas, see `affine`. Boxes whose centre leaves the canvas are dropped.
    height, width : int
        Of the canvas.
    fill, mask_fill : int
        As in `pad`.
    """
    from PIL.Image import Resampling, Transform

    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2].ravel().tolist()
    channels = sample.image.shape[2]
    colour = tuple([fill] * channels if isinstance(fill, int) else fill)
    image = from_pixels(sample.image).transform(
        (width, height), Transform.AFFINE, back, Resampling.BILINEAR, fillcolor=colour if channels > 1 else colour[0]
    )
    mask = sample.mask
    if mask is not None:
        mask = np.array(from_pixels(mask).transform((width, height), Transform.AFFINE, back, Resampling.NEAREST, fillcolor=mask_fill))
    boxes = None if sample.boxes is None else _kept(_warped(sample.boxes, matrix), height, width, by_centre=True)
    return Sample(_pixels(image), boxes, mask)


def with_image(sample: Sample, image: np.ndarray) -> Sample:
    """The sample with other colours."""
    return replace(sample, image=image)


def _pixels(image: object) -> np.ndarray:
    pixels = np.array(image)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _moved(boxes: np.ndarray, right: int, down: int) -> np.ndarray:
    boxes = boxes.astype(np.float32)
    boxes[:, :4] += np.array([right, down, right, down], np.float32)
    return boxes


def _warped(boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    left, top, right, bottom = boxes[:, :4].T.astype(np.float64)
    corners = np.stack([[left, top], [right, top], [left, bottom], [right, bottom]])  # (4, 2, objects)
    moved = matrix[:, :2] @ corners + matrix[:, 2:]
    edges = np.concatenate([moved.min(0), moved.max(0)]).T.astype(np.float32)
    return np.concatenate([edges, boxes[:, 4:]], axis=1)


def _kept(boxes: np.ndarray, height: int, width: int, by_centre: bool) -> np.ndarray:
    """Boxes on a canvas, cut off at its edges; those that are left with nothing, or with their centre outside, are dropped."""
    limits = np.array([width, height], np.float32)
    centres = (boxes[:, :2] + boxes[:, 2:4]) / 2
    edges = np.clip(boxes[:, :4], 0, np.tile(limits, 2))
    kept = (edges[:, 2:] > edges[:, :2]).all(1)
    if by_centre:
        kept &= ((centres >= 0) & (centres < limits)).all(1)
    return np.concatenate([edges, boxes[:, 4:]], axis=1)[kept]

"""Colours of images, changed by given amounts."""

from __future__ import annotations

import math

import numpy as np

# From red, green and blue to luma and two axes of colour, and back: the YIQ of NTSC, in which hue is an angle.
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float64)
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


def shift_hls(image: np.ndarray, hue: float, saturation: float, lightness: float) -> np.ndarray:
    """An image moved in hue, lightness and saturation, in the units of the service, which are OpenCV's.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width, 1 or 3)
        Of grey images only the lightness moves.
    hue : float
        In half degrees; the circle has 180.
    saturation, lightness : float
        Both reach from 0 to 255, and stay there.

    Returns
    -------
    ndarray of uint8, of the same shape
    """
    pixels = image.astype(np.float32) / 255
    if image.shape[2] == 1:
        return _to_bytes(pixels + lightness / 255)
    largest, smallest = pixels.max(2), pixels.min(2)
    chroma, light = largest - smallest, (largest + smallest) / 2
    angle = _hue(pixels, largest, chroma)
    room = 1 - np.abs(2 * light - 1)
    full = np.where(chroma > 0, chroma / np.maximum(room, 1e-6), 0)
    light = np.clip(light + lightness / 255, 0, 1)
    # What is grey has no hue, and stays grey.
    full = np.where(chroma > 0, np.clip(full + saturation / 255, 0, 1), 0)
    return _to_bytes(_of_hls(angle + hue / 15, light, full))


def jitter(image: np.ndarray, *, brightness: float = 0.0, contrast: float = 1.0, saturation: float = 1.0, hue: float = 0.0) -> np.ndarray:
    """An image with other brightness, contrast, saturation and hue: contrast · (what saturation and hue make of a pixel) + brightness.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width, 1 or 3)
        Of grey images only brightness and contrast change.
    brightness : float
        From -255 to 255.
    contrast, saturation : float
        Factors.
    hue : float
        Degrees by which colours turn about grey, of the same luma (YIQ).

    Returns
    -------
    ndarray of uint8, of the same shape
    """
    pixels = image.astype(np.float32)
    if image.shape[2] == 3 and (saturation != 1 or hue):
        angle = math.radians(hue)
        turn = np.array([[1, 0, 0], [0, math.cos(angle), -math.sin(angle)], [0, math.sin(angle), math.cos(angle)]])
        matrix = _FROM_YIQ @ (np.diag([1, saturation, saturation]) @ turn) @ _TO_YIQ
        pixels = pixels @ matrix.T.astype(np.float32)
    return _to_bytes((pixels * np.float32(contrast) + np.float32(brightness)) / 255)


def _hue(pixels: np.ndarray, largest: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Hue in twelfths of the circle, (height, width); 0 of grey."""
    red, green, blue = pixels[:, :, 0], pixels[:, :, 1], pixels[:, :, 2]
    divisor = np.where(chroma > 0, chroma, 1)
    sixths = np.where(
        largest == red, (green - blue) / divisor, np.where(largest == green, (blue - red) / divisor + 2, (red - green) / divisor + 4)
    )
    return 2 * np.where(chroma > 0, sixths, 0)


def _of_hls(twelfths: np.ndarray, light: np.ndarray, saturation: np.ndarray) -> np.ndarray:
    """Red, green and blue from 0 to 1, (height, width, 3)."""
    amplitude = saturation * np.minimum(light, 1 - light)
    found = np.empty((*light.shape, 3), np.float32)
    for channel, offset in enumerate((0, 8, 4)):
        place = (twelfths + offset) % 12
        found[:, :, channel] = light - amplitude * np.clip(np.minimum(place - 3, 9 - place), -1, 1)
    return found


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    return np.clip(pixels * 255 + 0.5, 0, 255).astype(np.uint8)

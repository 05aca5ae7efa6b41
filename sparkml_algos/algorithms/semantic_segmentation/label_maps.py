"""Label maps of the service: which class each pixel value of a mask stands for.

    {"scale": "3"}                          the class is the pixel value over 3, rounded down
    {"map": {"0": 5, "1": 0, "2": 2}}       pixels of 5, 0 and 2 are of the classes 0, 1 and 2

The value 255 is left out, unless a map gives it a class; and a map leaves out, as class 255, what it says so of: ``{"255": 11}``.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from sparkml_algos.arrays.segmentation import IGNORED

#: In a table, what stands for no class.
UNKNOWN = -1
VALUES = 256


def table_of(text: str | None) -> np.ndarray:
    """The class of each pixel value by a label map; without one, values are classes.

    Parameters
    ----------
    text : str, optional
        JSON.

    Returns
    -------
    ndarray of int16, shape (256,)
        `UNKNOWN` where a map does not have the value.

    Raises
    ------
    ValueError
        If the text is no label map.
    """
    found = _parsed(text) if text else {"scale": 1}
    if "scale" in found:
        table = (np.arange(VALUES) // _whole(found["scale"], "scale", 1)).astype(np.int16)
        table[IGNORED] = IGNORED
        return table
    if not isinstance(found["map"], dict) or not found["map"]:
        raise ValueError(f'"map" must be an object of pixel values by class, got {json.dumps(found["map"])[:60]}')
    table = np.full(VALUES, UNKNOWN, np.int16)
    table[IGNORED] = IGNORED
    taken: dict[int, int] = {}
    for key, value in found["map"].items():
        label, pixel = _whole(key, "a class", 0), _whole(value, f"the pixel value of class {key}", 0)
        if pixel in taken:
            raise ValueError(f"the pixel value {pixel} is given to the classes {taken[pixel]} and {label}")
        table[pixel], taken[pixel] = label, label
    return table


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error}") from None
    if not isinstance(found, dict) or len(found) != 1 or not found.keys() <= {"scale", "map"}:
        raise ValueError(f'it must be like {{"scale": 3}} or {{"map": {{"0": 5, "1": 0}}}}, got {text[:60]}')
    return found


def _whole(value: Any, what: str, least: int) -> int:
    """A whole number that a pixel may have, also as a text."""
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number < VALUES:
        raise ValueError(f"{what} must be a whole number from {least} to {VALUES - 1}, got {value!r}")
    return number

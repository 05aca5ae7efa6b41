"""Predictions for dense rows, by the library's C interface.

`Booster.inplace_predict` finds out anew which of a dozen kinds of tables it is given, and makes two classes to wrap what it returns, which
takes longer than a hundred trees take for a row. The library's function is the same, and so are its numbers.
"""

from __future__ import annotations

import ctypes
import functools
import json
import math
from typing import Any, Literal

import numpy as np
import xgboost as xgb
from xgboost.core import XGBoostError
from xgboost.libpath import find_lib_path

Kind = Literal["value", "margin"]
_NUMBERS: dict[Kind, int] = {"value": 0, "margin": 1}
_INTERFACE = b'{"data":[%d,true],"shape":[%d,%d],"typestr":"<f4","version":3}'


class DensePredictor:
    """Gives what a booster of trees predicts for rows without a base margin.

    Parameters
    ----------
    booster : Booster
    missing : float
        What stands for a missing value besides NaN, or NaN.
    """

    def __init__(self, booster: xgb.Booster, missing: float) -> None:
        self._booster, self._library = booster, _library()
        self._settings = {kind: _settings(number, missing) for kind, number in _NUMBERS.items()}

    def __call__(self, rows: np.ndarray, kind: Kind) -> np.ndarray:
        """Predictions, float32, of shape (rows,), or (rows, outputs) where there are several.

        Parameters
        ----------
        rows : ndarray of float32, shape (rows, features)
            One after the other in memory.
        kind : {"value", "margin"}

        Raises
        ------
        XGBoostError
        """
        shape, dimensions, found = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64(), ctypes.POINTER(ctypes.c_float)()
        failed = self._library.XGBoosterPredictFromDense(
            self._booster.handle,
            _INTERFACE % (rows.__array_interface__["data"][0], *rows.shape),
            self._settings[kind],
            None,
            ctypes.byref(shape),
            ctypes.byref(dimensions),
            ctypes.byref(found),
        )
        if failed:
            raise XGBoostError(self._library.XGBGetLastError().decode(errors="replace"))
        sizes = shape[: dimensions.value]
        # What it points to is this thread's, until the thread asks again.
        values = np.frombuffer(ctypes.string_at(found, 4 * math.prod(sizes)), np.float32)
        return values.reshape(sizes).copy()


def reads(rows: Any) -> bool:
    """Whether these are rows that a `DensePredictor` reads."""
    return isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.size > 0 and rows.dtype == np.dtype("<f4") and rows.flags.c_contiguous


def _settings(number: int, missing: float) -> bytes:
    settings = {"type": number, "missing": missing, "iteration_begin": 0, "iteration_end": 0}
    return json.dumps({**settings, "training": False, "strict_shape": False, "cache_id": 0}).encode()


@functools.cache
def _library() -> ctypes.CDLL:
    """The library that the package has loaded."""
    library = ctypes.CDLL(find_lib_path()[0])
    library.XGBGetLastError.restype = ctypes.c_char_p
    return library

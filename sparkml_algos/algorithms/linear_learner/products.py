"""The two matrix products of a step, on normalised features.

Sparse rows are normalised without touching their zeros. With z = (x − m)/s:

    w·z + b = (w/s)·x + (b − (w/s)·m),    Σ g·z = (Σ g·x − m·Σ g)/s

Where columns lie far from the origin these differences are small ones of large numbers, and are computed with 64 bits.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sparkml_algos.algorithms.linear_learner.scaling import Scaling
from sparkml_algos.arrays.device import to_device
from sparkml_algos.rows.batch import Features


class Product:
    """Scores of rows, and sums of derivatives over them.

    Parameters
    ----------
    scaling : Scaling
    device : str
        ``cpu``, or the CUDA device that dense products run on.
    """

    def __init__(self, scaling: Scaling, device: str) -> None:
        self._device, self._dtype = device, scaling.dtype
        self._shift, self._inverse = scaling.shift.astype(self._dtype), (1 / scaling.scale).astype(self._dtype)
        self._is_plain = not self._shift.any() and (self._inverse == 1).all()
        self._sparse_dtype = np.float64 if scaling.is_far_unshifted else self._dtype
        self._sparse_shift, self._sparse_inverse = scaling.shift.astype(self._sparse_dtype), (1 / scaling.scale).astype(self._sparse_dtype)

    def scores(self, features: Features, weights: np.ndarray, bias: np.ndarray) -> tuple[Features, np.ndarray]:
        """What `gradient` wants to be given again, and scores (columns of `weights`, rows)."""
        if sp.issparse(features):
            features = features.astype(self._sparse_dtype, copy=False)
            scaled = weights * self._sparse_inverse[:, None]
            scores = (features @ scaled + (bias - self._sparse_shift @ scaled)).T
            return features, np.ascontiguousarray(scores, self._dtype)
        rows = features.astype(self._dtype, copy=False) if self._is_plain else (features - self._shift) * self._inverse
        if self._device != "cpu":
            return self._on_gpu(rows, weights, bias)
        scores = weights.T @ rows.T
        scores += bias[:, None]
        return rows, scores

    def gradient(self, rows: Features, slope: np.ndarray, out: np.ndarray) -> None:
        """Write Σ slope · normalised features, shape (features, columns); `slope` has shape (columns, rows)."""
        if sp.issparse(rows):
            slope = np.ascontiguousarray(slope.T, rows.dtype)
            sums = rows.T @ slope
            sums -= np.outer(self._sparse_shift, slope.sum(axis=0))
            np.multiply(sums, self._sparse_inverse[:, None], out=out, casting="same_kind")
        elif self._device != "cpu":
            out[...] = (rows.T @ to_device(slope, self._device).T).cpu().numpy()
        else:
            np.matmul(rows.T, slope.T, out=out)

    def _on_gpu(self, rows: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> tuple[Features, np.ndarray]:
        import torch

        rows, weights, bias = (to_device(array, self._device) for array in (rows, weights, bias))
        return rows, torch.addmm(bias[:, None], weights.T, rows.T).cpu().numpy()

"""Metrics as plain functions of arrays."""

from __future__ import annotations

import numpy as np


def f_beta_score(precision: np.ndarray, recall: np.ndarray, beta: float) -> np.ndarray:
    """(1 + β²)·P·R / (β²·P + R), and 0 where both are 0."""
    return (1 + beta**2) * precision * recall / np.maximum(beta**2 * precision + recall, 1e-300)

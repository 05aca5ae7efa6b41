"""Whether a window has more gaps than chance makes."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import hypergeom

# How likely chance may be what made the gaps: once in a thousand quiet windows of a column.
CHANCE = 0.001
# Beyond so many standard deviations, and so many gaps, nothing adds to a probability.
_DEVIATIONS, _MORE = 12, 50


def chance_of_gaps(missing: int, rows: int, missing_before: int, rows_before: int) -> float:
    """How likely a window has so many gaps or more, if gaps fall on its rows and on those of the baseline alike.

    Parameters
    ----------
    missing, rows : int
        Of the window.
    missing_before, rows_before : int
        Of the baseline.

    Returns
    -------
    float
        By the hypergeometric distribution: of all gaps of both, those that fall into the window (R. Fisher's exact test, one-sided); 1
        where one has no rows.
    """
    if not rows or not rows_before or not missing:
        return 1.0
    everything, gaps = rows + rows_before, missing + missing_before
    mean = rows * gaps / everything
    deviation = math.sqrt(mean * (1 - gaps / everything) * rows_before / max(1, everything - 1))
    most = min(gaps, rows, int(max(missing, mean) + _DEVIATIONS * deviation) + _MORE)
    return float(min(1.0, hypergeom.pmf(np.arange(missing, most + 1), everything, gaps, rows).sum()))

"""K-means."""

from __future__ import annotations

import importlib
from typing import Any

# Models saved by the first versions name this module.
_CLASSES = ("KMeans", "KMeansModel")


def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        return getattr(importlib.import_module(f"{__name__}.estimator"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Amazon SageMaker's built-in algorithms as native Spark ML Estimators and Models.

Importing the package is quick: classes are imported when they are first used, torch and xgboost only where they are needed.
"""

from __future__ import annotations

import importlib
from typing import Any

from sparkml_algos.names import EXPORTS, usable
from sparkml_algos.version import __version__

__all__ = ["__version__", *usable()]


def __getattr__(name: str) -> Any:
    if name in EXPORTS:
        return getattr(importlib.import_module(EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

"""Saved models in a process without Spark: load one, give it rows, get what `transform` would append; or serve it over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparkml_algos.serving.models import SavedModel, load

if TYPE_CHECKING:
    from sparkml_algos.serving.contract import Options
    from sparkml_algos.serving.endpoint.application import Endpoint, app
    from sparkml_algos.serving.endpoint.settings import Capture, Settings
    from sparkml_algos.serving.local import Predictor, deploy

__all__ = ["Capture", "Endpoint", "Options", "Predictor", "SavedModel", "Settings", "app", "deploy", "load"]

# Imported when they are first used: the endpoint needs packages that scoring does not.
_LATER = {
    "Capture": "sparkml_algos.serving.endpoint.settings",
    "Endpoint": "sparkml_algos.serving.endpoint.application",
    "Options": "sparkml_algos.serving.contract",
    "Predictor": "sparkml_algos.serving.local",
    "Settings": "sparkml_algos.serving.endpoint.settings",
    "app": "sparkml_algos.serving.endpoint.application",
    "deploy": "sparkml_algos.serving.local",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LATER[name]), name)

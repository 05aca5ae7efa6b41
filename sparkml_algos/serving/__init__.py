"""Saved models in a process without Spark: load one, give it rows, get what `transform` would append."""

from sparkml_algos.serving.models import SavedModel, load

__all__ = ["SavedModel", "load"]

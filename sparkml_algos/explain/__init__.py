"""Why a model answers as it does: attributions to features that add up to the output, of any Model or pipeline, on Spark."""

from __future__ import annotations

from sparkml_algos.explain.attribution import Explanation, explain

__all__ = ["Explanation", "explain"]

"""Why a model answers as it does: attributions to features that add up to the output, of any Model or pipeline, on Spark."""

from __future__ import annotations

from sparkml_algos.explain.attribution import Explanation, explain
from sparkml_algos.explain.dependence import PartialDependence, partial_dependence
from sparkml_algos.explain.images import ImageExplanation, explain_image, explain_images
from sparkml_algos.explain.series import SeriesExplanation, explain_series
from sparkml_algos.explain.superpixels import superpixels
from sparkml_algos.explain.text import TextExplanation, explain_text

__all__ = [
    "Explanation",
    "ImageExplanation",
    "PartialDependence",
    "SeriesExplanation",
    "TextExplanation",
    "explain",
    "explain_image",
    "explain_images",
    "explain_series",
    "explain_text",
    "partial_dependence",
    "superpixels",
]

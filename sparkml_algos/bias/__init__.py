"""How groups of people fare with labels and predictions: the 21 measures of bias of the service, counted by Spark where the rows are."""

from __future__ import annotations

from sparkml_algos.bias.analysis import bias_report, bias_report_from_config
from sparkml_algos.bias.columns import Facet
from sparkml_algos.bias.measures import MEASURES, Measure, Stage
from sparkml_algos.bias.report import BiasReport, FacetBias, MetricValue

__all__ = ["MEASURES", "BiasReport", "Facet", "FacetBias", "Measure", "MetricValue", "Stage", "bias_report", "bias_report_from_config"]

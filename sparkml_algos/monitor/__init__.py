"""Whether data and models are still what they were: baselines, drift, quality, bias; files are those of the service, both ways."""

from __future__ import annotations

from sparkml_algos.monitor.captured import Merged, merge_ground_truth, read_captured, read_ground_truth, window
from sparkml_algos.monitor.constraints import Baseline, Constraints, FeatureConstraints, MonitoringConfig, suggest_baseline
from sparkml_algos.monitor.data_quality import check_data_quality, drift
from sparkml_algos.monitor.distances import categorical_distance, numeric_distance
from sparkml_algos.monitor.model_drift import check_attribution_drift, check_bias_drift, ndcg
from sparkml_algos.monitor.model_quality import ModelQuality, check_model_quality, model_quality
from sparkml_algos.monitor.sketch import Kll
from sparkml_algos.monitor.statistics import FeatureStatistics, Statistics, statistics
from sparkml_algos.monitor.violations import MonitorReport, Violation

__all__ = [
    "Baseline",
    "Constraints",
    "FeatureConstraints",
    "FeatureStatistics",
    "Kll",
    "Merged",
    "ModelQuality",
    "MonitorReport",
    "MonitoringConfig",
    "Statistics",
    "Violation",
    "categorical_distance",
    "check_attribution_drift",
    "check_bias_drift",
    "check_data_quality",
    "check_model_quality",
    "drift",
    "merge_ground_truth",
    "model_quality",
    "ndcg",
    "numeric_distance",
    "read_captured",
    "read_ground_truth",
    "statistics",
    "suggest_baseline",
    "window",
]
